"""The explorer of lesson 8, and what else is its own."""

import hashlib
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import dream, features, hooks, images, pretrained
from helpers.lessons import lesson_08

RECORD = json.loads(lesson_08.DREAMS.read_text())


@pytest.fixture(scope="module")
def model():
    return pretrained.load()


@pytest.fixture(scope="module")
def explorer():
    return lesson_08.dream_explorer()


def opened(content):
    """An image file as ``(3, H, W)``."""
    return images.read(Image.open(io.BytesIO(content)))


def tile(sheet, index, across):
    height, width = lesson_08.SIZE
    top, left = index // across * height, index % across * width
    return sheet[:, top : top + height, left : left + width]


def likeness(first, second):
    small = [torch.nn.functional.avg_pool2d(image, 4).flatten() for image in (first, second)]
    return torch.corrcoef(torch.stack(small))[0, 1].item()


@pytest.mark.parametrize(("layer", "octaves", "strength"), [("features.4", 4, 0.015), ("features.9", 1, 0.005)])
def test_a_recorded_dream_is_found_again(model, explorer, layer, octaves, strength):
    content, photo = explorer.content, lesson_08.cropped(images.sample(lesson_08.RECORDED))
    column = lesson_08.OCTAVES.index(octaves) * 3 + lesson_08.STRENGTHS.index(strength)
    index = lesson_08.LAYERS.index(layer) * content["across"] + column
    shown = tile(opened(content["sheet"]), index, content["across"])
    made, ratio = lesson_08.dreamt(model, photo, layer, octaves, strength)
    assert likeness(shown - photo, made - photo) > 0.6
    assert ratio == pytest.approx(content["ratios"][index], rel=0.3)
    before, after = (hooks.run_to(model, image[None], [layer])[layer].square().sum().item() for image in (photo, made))
    assert ratio == pytest.approx(after / before, rel=1e-4)
    assert ratio > 1


def test_the_record_says_what_is_shown(model, explorer):
    content = explorer.content
    assert [layer["name"] for layer in content["layers"]] == list(lesson_08.LAYERS)
    for layer in content["layers"]:
        assert layer["sees"] == features.receptive_field(model, layer["name"], (3, 448, 448), (14, 14))[3]
    assert len(content["ratios"]) == len(lesson_08.LAYERS) * content["across"] == 36
    assert opened(content["sheet"]).shape == (3, 6 * lesson_08.SIZE[0], 6 * lesson_08.SIZE[1])
    assert opened(content["flight"]).shape == (3, 6 * lesson_08.SIZE[0], 4 * lesson_08.SIZE[1])
    assert content["frames"] == 24
    stronger = np.array(content["ratios"]).reshape(6, 2, 3)
    assert (np.diff(stronger, axis=2) > 0).all()  # a greater strength climbs higher
    assert len(explorer.fragment()) < 700_000


def test_a_flight_begins_with_the_recorded_dream_and_is_enlarged(explorer):
    flight = opened(explorer.content["flight"])
    first, second, last = (tile(flight, i, lesson_08.FLIGHT_ACROSS) for i in (0, 1, 23))
    size = images.scaled(first, dream.ZOOM_SCALE)
    top, left = ((n - m) // 2 for n, m in zip(size, lesson_08.SIZE, strict=True))
    larger = images.resized(first, size)[:, top : top + lesson_08.SIZE[0], left : left + lesson_08.SIZE[1]]
    assert likeness(larger, second) > 0.9
    assert likeness(first, last) < 0.7


def test_the_kernel_dreams_what_was_not_recorded(model, explorer):
    request = {"photo": "coffee", "layer": "features.3", "octaves": 1, "strength": 0.04}
    reply, photo = explorer.answer(request), lesson_08.cropped(images.sample("coffee"))
    made, ratio = lesson_08.dreamt(model, photo, "features.3", 1, 0.04)
    assert reply["ratio"] == pytest.approx(ratio, rel=0.05)
    assert (opened(reply["photo"]) - photo).abs().mean() < 0.02
    assert likeness(opened(reply["dream"]), made) > 0.95


def test_ones_own_photo_is_asked_for_first(monkeypatch):
    monkeypatch.setattr(lesson_08, "STEPS", 1)
    monkeypatch.setattr(lesson_08, "FRAMES", 2)
    own = lesson_08.dream_explorer(torch.rand(3, 90, 40))
    assert own.content["photos"][:2] == ["yours", lesson_08.RECORDED]
    reply = own.answer({"photo": "yours", "layer": "features.3", "octaves": 1, "strength": 0.005})
    assert opened(reply["dream"]).shape == (3, *lesson_08.SIZE)
    reply = own.answer({"flight": True, "photo": "yours", "layer": "features.3"})
    assert [opened(frame).shape for frame in reply["frames"]] == [(3, *lesson_08.SIZE)] * 2
    with pytest.raises(ValueError, match="no layer 'features\\.99'"):
        own.answer({"photo": "coffee", "layer": "features.99", "octaves": 1, "strength": 0.005})


@pytest.mark.parametrize("shape", [(3, 40, 300), (3, 300, 40), (1, 176, 264)])
def test_any_photo_is_cropped_to_the_middle(shape):
    image = torch.zeros(shape)
    image[:, shape[1] // 2 - 2 : shape[1] // 2 + 2, shape[2] // 2 - 2 : shape[2] // 2 + 2] = 1
    cropped = lesson_08.cropped(image)
    assert cropped.shape == (3, *lesson_08.SIZE)
    assert cropped[:, 88, 132].min() > 0.9
    assert cropped[:, 0].max() < 0.1


def test_a_damaged_record_is_said(monkeypatch, tmp_path):
    for file in lesson_08.DREAMS.parent.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(lesson_08, "DREAMS", tmp_path / "dreams.json")
    lesson_08.dream_explorer()
    content = bytearray((tmp_path / "sheet.webp").read_bytes())
    content[500] ^= 1
    (tmp_path / "sheet.webp").write_bytes(content)
    assert hashlib.sha256(content).hexdigest() != RECORD["sha256"]["sheet"]
    with pytest.raises(
        OSError, match=r"dreams\.json or a sheet .* damaged .*: git checkout data/dreams, or make dreams"
    ):
        lesson_08.dream_explorer()


def test_the_score_is_that_of_the_worst_turn(model):
    image, values = images.square(images.sample("china")), []
    for degrees in (-5, 0, 5):
        turned = torch.from_numpy(np.array(_turned(image, degrees)).astype(np.float32) / 255).permute(2, 0, 1)
        values.append(hooks.run_to(model, turned[None], ["features.9"])["features.9"][0, 20].mean().item())
    assert max(values) > 1.1 * min(values)
    assert lesson_08.score(model, image) == pytest.approx(min(values), rel=0.08)
    with pytest.raises(ValueError, match="values in"):
        lesson_08.score(model, 2 * image)


def _turned(image, degrees):
    pixels = Image.fromarray((255 * images.to_array(image)).round().astype(np.uint8))
    return pixels.rotate(degrees, Image.Resampling.BILINEAR)


def test_an_animation_plays_its_frames(monkeypatch):
    shown = []
    monkeypatch.setattr(lesson_08, "display", shown.append)
    frames = [torch.full((3, 20, 30), value) for value in (0.0, 0.5, 1.0)]
    lesson_08.show_animation(frames, "from black to white")
    with Image.open(io.BytesIO(shown[0].data)) as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (3, (30, 20), 0)
        for i, grey in enumerate((0, 127, 255)):
            film.seek(i)
            assert abs(int(np.asarray(film)[10, 10, 0]) - grey) < 4
    assert (shown[0].alt, shown[0].width) == ("from black to white", lesson_08.FLIGHT_WIDTH)
