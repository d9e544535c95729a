"""What lesson 7 alone uses: overlays, the explorer's maps, and the recorded choices of patches."""

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import gaussian_blur

from helpers import attribution, images, pretrained
from helpers.lessons import lesson_07


def test_an_overlay_is_purple_for_orange_against_and_everywhere_as_opaque():
    image, heat = torch.rand(3, 10, 10), torch.zeros(10, 10)
    heat[:5, :5], heat[5:, 5:], heat[0, 9] = 2, -2, 0.5
    pixels = lesson_07.overlay(image, heat, limit=2)
    gray = 0.4 + 0.6 * image.mean(0).numpy()[..., None]
    colors = (pixels - (1 - lesson_07.OPACITY) * gray) / lesson_07.OPACITY  # what was laid over the photo
    for part in (colors[:5, :5], colors[5:, 5:], colors[:5, 5:9]):
        np.testing.assert_allclose(part, np.broadcast_to(part[0, 0], part.shape), atol=1e-6)
    assert colors[0, 0, 2] > 1.5 * colors[0, 0, 0]  # purple
    assert colors[9, 9, 0] > 2 * colors[9, 9, 2]  # orange
    assert colors[1, 6].min() > 0.95  # white at zero
    assert colors[0, 0].mean() < colors[0, 9].mean() < 0.95  # a middle value has a middle color


def test_the_color_bar_ends_where_one_value_in_200_is_beyond():
    heat = torch.arange(1000.0)
    assert lesson_07.limit_of(-heat) == pytest.approx(994, abs=1)
    figure = lesson_07.overlays(
        torch.rand(3, 20, 50), {"sizes": heat.view(1, 20, 50), "signs": heat.view(1, 20, 50) - 500}
    )
    assert [ax.get_title() for ax in figure.axes] == ["sizes", "signs", "", ""]
    assert figure.axes[2].get_ylim() == pytest.approx((0, 994), abs=1)
    low, high = figure.axes[3].get_ylim()
    assert low == -high


def test_a_blur_by_rows_and_columns_is_a_blur():
    image = torch.rand(3, 224, 224)
    assert torch.allclose(lesson_07.blurred(image), gaussian_blur(image, [91, 91], [20.0, 20.0]), atol=1e-5)


def test_a_cup_is_pasted_into_the_cat():
    both, cat = lesson_07.cat_and_cup(), images.square(images.sample("chelsea"))
    changed = (both != cat).any(dim=0)
    assert changed[140:220, 140:220].float().mean() > 0.98
    assert changed.sum() == changed[140:220, 140:220].sum()


def test_patches_that_are_kept_are_sharp_and_the_others_blurred():
    image = torch.rand(3, 224, 224)
    blurred = lesson_07.blurred(image)
    none, some = lesson_07.kept_patches(image, [(), (1, 14)])
    assert torch.equal(none, blurred)
    assert torch.equal(some[:, :56, 56:112], image[:, :56, 56:112])
    assert torch.equal(some[:, 168:, 112:168], image[:, 168:, 112:168])
    assert torch.equal(some[:, 56:168], blurred[:, 56:168])


def test_all_choices_of_up_to_five_patches_are_counted():
    choices = lesson_07.all_choices()
    assert len(choices) == len(set(choices)) == 1 + 16 + 120 + 560 + 1820 + 4368
    assert choices[:3] == [(), (0,), (1,)]
    assert choices[17:19] == [(0, 1), (0, 2)]


def test_levels_give_values_back():
    for shape, tolerance in (((8, 8), 1 / 248), ((112, 112), 1 / 62)):
        heat = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        heat[0, 0] = 0
        array, limit = lesson_07.levels(heat)
        back = torch.from_numpy((array.astype(float) - 128) / 124 * limit)
        assert (back - heat.clamp(-limit, limit)).abs().max() <= 1.001 * tolerance * limit
        assert array[0, 0] == 128


@pytest.fixture(scope="module")
def explorer():
    return lesson_07.attribution_explorer()


def photo_of(explorer, name):
    return next(photo for photo in explorer.content["photos"] if photo["name"] == name)


def map_of(photo, label, key):
    """A map of the explorer as its module reads it."""
    one = next(c for c in photo["classes"] if c["name"] == label)["maps"][key]
    array = np.asarray(Image.open(io.BytesIO(one["file"])))[..., 0].astype(float)
    assert array.shape == (one["rows"], one["columns"])
    return torch.from_numpy((array - 128) / 124 * one["limit"]), one["limit"]


@pytest.mark.parametrize(
    ("name", "label", "key"),
    [
        ("coffee", "espresso", "occlusion 56"),
        ("coffee", "tiger cat", "occlusion 112"),
        ("china", "palace", "saliency"),
        ("chelsea", "espresso", "guided"),
        ("cat and cup", "espresso", "deconvnet"),
        ("cat and cup", "tiger cat", "Grad-CAM"),
    ],
)
def test_what_was_recorded_is_what_a_direct_computation_gives(explorer, name, label, key):
    model, image, index = pretrained.load(), lesson_07.sample_photo(name), pretrained.CLASSES.index(label)
    if key.startswith("occlusion"):
        patch = int(key.split()[1])
        heat = attribution.occlusion(model, image, index, (patch, patch), (patch // 2, patch // 2), progress=False)
        wanted = heat[0, patch // 4 :: patch // 2, patch // 4 :: patch // 2]
    elif key == "Grad-CAM":
        heat = attribution.grad_cam(model, image, index, layer="features.12")
        wanted = heat.view(56, 4, 56, 4).mean(dim=(1, 3))
    else:
        heat = attribution.backpropagate(model, image, index, "plain" if key == "saliency" else key).abs().amax(0)
        wanted = heat.view(112, 2, 112, 2).mean(dim=(1, 3))
    found, limit = map_of(photo_of(explorer, name), label, key)
    assert wanted.abs().max() > 0.01
    assert (found - wanted.clamp(-limit, limit)).abs().max() < 0.02 * limit


def test_contributions_of_the_explorer_sum_to_what_they_should():
    model, image = pretrained.load(), lesson_07.sample_photo("coffee")
    index = pretrained.CLASSES.index("espresso")
    make, cell = lesson_07.METHODS["integrated gradients"]
    recorded = torch.nn.functional.avg_pool2d(make(model, image, index), cell)
    with torch.no_grad():
        scores = model(torch.stack([image, torch.zeros_like(image)]))[:, index]
    assert recorded.sum().item() == pytest.approx((scores[0] - scores[1]).item(), rel=0.03)


@pytest.mark.parametrize("name", ["coffee", "cat and cup"])
def test_recorded_scores_are_those_of_the_network(explorer, name):
    model, image, photo = pretrained.load(), lesson_07.sample_photo(name), photo_of(explorer, name)
    recorded = np.frombuffer(photo["scores"], "<i2") / 100
    choices = lesson_07.all_choices()
    assert len(recorded) == len(choices)
    index = pretrained.CLASSES.index(photo["classes"][0]["name"])
    for at in (0, 7, 500, 2000, 6000):
        copy = lesson_07.blurred(image)
        for patch in choices[at]:
            rows, columns = (slice(56 * n, 56 * n + 56) for n in divmod(patch, 4))
            copy[:, rows, columns] = image[:, rows, columns]
        with torch.no_grad():
            assert recorded[at] == pytest.approx(model(copy[None])[0, index].item(), abs=0.02)
    with torch.no_grad():
        whole = model(image[None])[0]
    assert photo["classes"][0]["score"] == pytest.approx(whole[index].item(), abs=0.01)
    assert photo["classes"][0]["share"] == pytest.approx(whole.softmax(0)[index].item(), abs=0.001)


def test_grad_cams_choice_has_its_place_among_all(explorer):
    photo = photo_of(explorer, "coffee")
    model, image = pretrained.load(), lesson_07.sample_photo("coffee")
    heat = attribution.grad_cam(model, image, pretrained.CLASSES.index("espresso"), layer="features.12")
    means = heat.view(4, 56, 4, 56).mean(dim=(1, 3)).flatten()
    assert photo["order"] == means.argsort(descending=True).tolist()
    score, place, count = lesson_07.standing(explorer, "coffee", 2)
    pairs = list(itertools.combinations(range(16), 2))
    scores = dict(zip(pairs, np.frombuffer(photo["scores"], "<i2")[17:137] / 100, strict=True))
    assert count == len(pairs)
    assert score == scores[tuple(sorted(photo["order"][:2]))]
    assert sorted(scores.values(), reverse=True)[place - 1] == score


def test_ones_own_photo_comes_first_and_the_kernel_answers(monkeypatch):
    monkeypatch.setattr(
        lesson_07, "explorer_maps", lambda model, image, index: {"Grad-CAM": torch.full((56, 56), float(index))}
    )
    ramp = torch.linspace(0, 1, 300).expand(3, 250, 300)
    explorer = lesson_07.attribution_explorer(ramp)
    photo = explorer.content["photos"][0]
    assert photo["name"] == "yours"
    assert photo["scores"] == b""
    assert sorted(photo["order"]) == list(range(16))
    model, image = pretrained.load(), images.square(ramp)
    with torch.no_grad():
        scores = model(torch.stack([image, *lesson_07.kept_patches(image, [(3, 4)])]))
    best = scores[0].topk(2).indices.tolist()
    assert [c["name"] for c in photo["classes"]] == [pretrained.CLASSES[i] for i in best]
    reply = explorer.answer({"photo": "yours", "of": photo["classes"][0]["name"], "choices": [[3, 4], []]})
    assert reply["scores"][0] == pytest.approx(scores[1, best[0]].item(), abs=1e-3)
    found = explorer.answer({"photo": "coffee", "class": " Tabby "})
    assert found["name"] == "tabby"
    assert found["maps"]["Grad-CAM"]["limit"] == pretrained.CLASSES.index("tabby")
    with pytest.raises(ValueError, match=r"no class “expresso”; near it are espresso"):
        explorer.answer({"photo": "coffee", "class": "expresso"})


def test_what_the_reader_keeps_is_heard(explorer):
    assert explorer.kept == []
    explorer.state = {"photo": "coffee", "kept": [1, 6]}
    assert explorer.kept == [1, 6]
    explorer.state = {}


def test_charts_have_a_row_for_each_method():
    figure = lesson_07.heights_figure({"a": [(0.5, 0.2), (0.7, 0.4)], "b": [(0.1, 0.3), (0.2, 0.3)]})
    insertion, deletion = figure.axes
    assert insertion.lines[1].get_xdata() == pytest.approx([0.6, 0.6])
    assert deletion.lines[1].get_xdata() == pytest.approx([0.3, 0.3])
    assert [label.get_text() for label in insertion.get_yticklabels()] == ["a", "b"]
    agreement = torch.rand(3, 2, 2)
    ax = lesson_07.randomisation_figure(agreement, ["x", "y"], ["a", "b"]).axes[0]
    thick = [line for line in ax.lines if line.get_linewidth() == 2]
    np.testing.assert_allclose([line.get_ydata() for line in thick], agreement.mean(dim=0).T, atol=1e-6)
    assert [line.get_xdata() for line in ax.lines if line.get_linestyle() == ":"] == [[0.5, 0.5]]  # halfway
