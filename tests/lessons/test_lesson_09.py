"""Lesson 9's paintings, the record of its explorer's runs, and what the explorer answers."""

import base64
import io
import json

import pytest
import torch
from PIL import Image

from helpers import images, pretrained, style
from helpers.lessons import lesson_09

FIELDS = {"step", "size", "content", "style", "variation", "subject", "image"}


@pytest.fixture(scope="module")
def network():
    return pretrained.load()


@pytest.fixture(scope="module")
def runs():
    return lesson_09.recorded_runs()


@pytest.fixture(scope="module")
def small():
    return images.read(images.sample("coffee"), 160)


def opened(file):
    return images.read(Image.open(io.BytesIO(file)))


def tiny_jpeg(image):
    file = io.BytesIO()
    Image.fromarray((images.to_array(image) * 255).round().astype("uint8")).save(file, "jpeg", quality=95)
    return base64.b64encode(file.getvalue()).decode()


# --- What is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", lesson_09.PAINTINGS)
def test_a_painting_is_kept_large_and_in_a_small_file(name):
    path = lesson_09.STYLES / f"painting_{name}.jpg"
    assert max(images.read(path).shape) >= 512
    assert path.stat().st_size <= 150_000


@pytest.mark.parametrize("name", lesson_09.PAINTINGS)
def test_a_painting_is_nearer_to_its_style_than_its_photo_is(network, name):
    photo = lesson_09.large(images.sample(lesson_09.PAINTINGS[name].photo), 320)
    painting = images.read(lesson_09.STYLES / f"painting_{name}.jpg", 320)
    layers = list(pretrained.NETWORKS["squeezenet1_1"].style_layers)
    with torch.no_grad():
        of = {key: style.run_to(network, x[None], layers) for key, x in {"photo": photo, "painting": painting}.items()}
        goal = style.run_to(network, lesson_09.large(lesson_09.style_image(name), 320)[None], layers)
    losses = {
        key: sum(style.style_loss(maps[layer], style.gram_matrix(goal[layer])).item() for layer in layers)
        for key, maps in of.items()
    }
    assert losses["painting"] < 0.6 * losses["photo"]


def test_the_record_says_how_everything_was_made():
    record = json.loads(lesson_09.RUNS.with_suffix(".json").read_text())
    assert record["command"] == "make pictures"
    network = pretrained.NETWORKS[record["network"]]
    assert record["layers"] == {"content": network.content_layers, "style": network.style_layers}
    assert (record["steps"], record["smallest"]) == (lesson_09.STEPS, lesson_09.SMALLEST)
    assert record["paintings"] == {
        name: {"photo": painting.photo, "options": dict(painting.options)}
        for name, painting in lesson_09.PAINTINGS.items()
    }


def test_the_recorded_runs_are_complete_and_go_from_content_to_style(runs):
    assert [run["weight"] for run in runs] == list(lesson_09.WEIGHTS)
    for run in runs:
        steps = [each["step"] for each in run["snapshots"]]
        assert steps == sorted(steps)
        assert steps[0] == 0
        assert all(set(each) == FIELDS for each in run["snapshots"])
        assert [list(opened(each["image"]).shape[1:]) for each in run["snapshots"]] == [
            each["size"] for each in run["snapshots"]
        ]
    ends = [run["snapshots"][-1] for run in runs]
    assert [end["content"] for end in ends] == sorted(end["content"] for end in ends)
    assert [end["style"] for end in ends] == sorted((end["style"] for end in ends), reverse=True)
    assert ends[0]["subject"] > 0.5 > ends[-1]["subject"]


def test_the_classes_of_cats_are_cats():
    names = [pretrained.CLASSES[i] for i in lesson_09.CATS]
    assert names == ["tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"]


# --- A run ------------------------------------------------------------------------------------------------------------


def test_a_run_keeps_moments_with_their_losses_and_ends_with_what_stylize_gives(network, small):
    run = lesson_09.painting_run(network, small, "woodcut", 20, [967], steps=6)
    assert [each["step"] for each in run["snapshots"][:2]] == [0, 7]
    assert [each["size"] for each in run["snapshots"][:2]] == [[27, 40], [54, 80]]
    assert run["weight"] == 20
    wanted = style.stylize(
        network, small, lesson_09.style_image("woodcut"), style_weight=20, smallest=40, steps=6, progress=False
    )
    last = run["snapshots"][-1]
    torch.testing.assert_close(last["image"], wanted, atol=1e-6, rtol=0)
    with torch.no_grad():
        probability = network(wanted[None]).softmax(dim=1)[0, 967].item()
    assert last["subject"] == pytest.approx(probability, rel=1e-3)


def test_losses_of_a_run_are_without_their_weight(network, small):
    """At the first step the image is the same, whatever the weight; so are the losses then."""
    light, heavy = (
        lesson_09.painting_run(network, small, "swirls", weight, [0], steps=1, coarse_to_fine=False)["snapshots"][0]
        for weight in (2, 50)
    )
    assert light["style"] == pytest.approx(heavy["style"], rel=1e-3)
    assert light["content"] == pytest.approx(heavy["content"], abs=1e-6)


def test_a_photo_is_made_as_large_as_is_asked():
    assert tuple(lesson_09.large(torch.rand(3, 30, 60), 128).shape) == (3, 64, 128)
    assert tuple(lesson_09.large(torch.rand(3, 300, 200), 128).shape) == (3, 128, 85)


@pytest.mark.parametrize("shape", [(3, 40, 60), (3, 60, 40), (3, 60, 60)])
def test_the_crop_of_a_style_is_as_large_as_the_photo(shape):
    assert lesson_09.style_crop("swirls", torch.zeros(shape)).shape == shape


def test_the_crop_of_a_style_has_the_scale_of_a_painting():
    crop = lesson_09.style_crop("woodcut", torch.zeros(3, 213, 320))
    whole = images.resized(lesson_09.style_image("woodcut"), (240, 320))
    torch.testing.assert_close(crop, whole[:, 13:226].clamp(0, 1), atol=1e-5, rtol=0)


def test_a_rating_says_what_to_beat(network, capsys):
    lesson_09.rate_painting(network, lesson_09.explorer_photo())
    assert "not beaten yet" in capsys.readouterr().out  # a cat, and none of the style
    losses, image = [], lesson_09.explorer_photo()
    options = {"steps": 1, "coarse_to_fine": False, "palette": False, "style_weight": 1, "progress": False}
    woodcut = lesson_09.style_image(lesson_09.EXPLORER_STYLE)
    style.stylize(network, image, woodcut, callback=lambda step, parts, x: losses.append(parts["style"]), **options)
    assert lesson_09.style_distance(network, image) == pytest.approx(losses[0], rel=0.03)  # there with 16 bits
    lesson_09.rate_painting(network, lesson_09.style_image(lesson_09.EXPLORER_STYLE))
    said = capsys.readouterr().out
    assert said.startswith("Style loss 0.0")
    assert "It must be a cat" in said


# --- The explorer -----------------------------------------------------------------------------------------------------


def test_the_explorer_opens_with_what_was_recorded(runs):
    content = lesson_09.style_explorer().content
    assert content["series"]["runs"] == runs
    assert content["weight"] in content["weights"]
    assert opened(content["series"]["photo"]).shape == opened(content["series"]["style"]).shape


def test_its_data_fit_into_a_notebook():
    assert len(lesson_09.style_explorer().fragment()) < 750_000


def test_an_image_of_ones_own_begins_without_paintings(small):
    content = lesson_09.style_explorer(small).content
    assert content["series"]["runs"] == []
    assert content["series"]["subject"] == "“espresso”"
    assert (content["series"]["height"], content["series"]["width"]) == tuple(small.shape[1:])


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lesson_09, "STEPS", 3)


def test_it_paints_its_photo_when_it_is_asked(small, quick):
    explorer = lesson_09.style_explorer(small)
    reply = explorer.answer({"image": None, "style": "woodcut", "weight": 15})
    assert reply["run"]["weight"] == 15
    assert reply["series"]["subject"] == "“espresso”"
    last = reply["run"]["snapshots"][-1]["image"]
    assert (opened(last) - explorer.painted).abs().mean() < 0.05
    assert (explorer.painted - small).abs().mean() > 0.02


def test_it_paints_a_file_that_the_page_sends(quick):
    explorer, photo = lesson_09.style_explorer(), images.read(images.sample("flower"), 80)
    reply = explorer.answer({"image": tiny_jpeg(photo), "style": "swirls", "weight": 4})
    assert (reply["series"]["height"], reply["series"]["width"]) == tuple(photo.shape[1:])
    assert (opened(reply["series"]["photo"]) - photo).abs().mean() < 0.05
    assert reply["series"]["subject"] == lesson_09.top_class(pretrained.load(), photo)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"style": "cubism"}, "style must be one of swirls"), ({"weight": -1}, "style_weight must be a number")],
)
def test_what_it_cannot_paint_is_said_in_a_sentence(quick, change, words):
    explorer = lesson_09.style_explorer(torch.rand(3, 64, 64))
    with pytest.raises(ValueError, match=words):
        explorer.answer({"image": None, "style": "swirls", "weight": 4, **change})
