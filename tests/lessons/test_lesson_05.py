import cv2
import ipywidgets as ipw
import numpy as np
import pytest
import torch
from widget_tools import decode, find

from helpers import features, images, pretrained
from helpers.lessons import explorer as explorer_tools
from helpers.lessons import lesson_05

NAMES = list(images.SAMPLES)
PHOTOS = torch.stack([images.square(images.sample(name)) for name in NAMES])


def shown(widget, kind):
    """All widgets of a kind below ``widget``, from left to right and from above."""
    below = [part for child in getattr(widget, "children", ()) for part in shown(child, kind)]
    return [widget, *below] if isinstance(widget, kind) else below


@pytest.fixture(scope="module")
def model():
    return pretrained.load()


@pytest.fixture(scope="module")
def explorer():
    return lesson_05.layer_explorer()


@pytest.mark.parametrize(
    ("photo", "layer", "channel"),
    [
        ("coins", "features.9", 120),
        ("coffee", "features.1", 47),
        ("china", "features.3", 48),
        ("china", "features.3", 64),
        ("china", "features.6", 127),
        ("china", "features.6", 128),
        ("camera", "features.12", 5),
        ("rocket", "features.12", 341),
    ],
)
def test_shows_the_map_and_what_its_strongest_unit_sees(explorer, model, photo, layer, channel):
    find(explorer, "layer").value = layer
    find(explorer, "channel").value = channel
    find(explorer, "photo").value = NAMES.index(photo)
    image = images.square(images.sample(photo))
    grid = features.activations(model, image, [layer])[layer][channel]
    row, column = divmod(int(grid.argmax()), grid.shape[1])
    top, left, height, width = features.receptive_field(model, layer, image.shape, (row, column), channel)
    overlay, grid_shown, patch = map(decode, shown(explorer, ipw.Image))
    text = shown(explorer, ipw.HTML)[-1].value
    assert f"<b>{grid.max():.2f}</b> at row {row}, column {column}" in text
    assert f"sees {height} × {width} pixels" in text
    white = features.activations(model, PHOTOS, [layer])[layer][:, channel].max()
    assert f"White in the map is {white:.2f}" in text
    zoom = 224 // len(grid)
    away = (torch.arange(len(grid)) - row).abs() > 3
    expected = (grid / white).clamp(0, 1).numpy()
    np.testing.assert_allclose(
        grid_shown[zoom // 2 :: zoom, zoom // 2 :: zoom, 0][away] / 255, expected[away], atol=0.01
    )
    cut = images.to_array(image[:, top : top + height, left : left + width])
    scale = 224 / max(height, width)
    enlarged = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    np.testing.assert_allclose(patch / 255, enlarged, atol=0.01)
    if layer != "features.1":  # there the box is as small as its line is wide
        assert (overlay[top, left + width // 2] == explorer_tools.BOX_COLOR).all()
        assert (overlay[top + height // 2, left + width - 1] == explorer_tools.BOX_COLOR).all()


def test_the_photo_is_lit_where_the_map_is_bright(explorer, model):
    find(explorer, "layer").value, find(explorer, "channel").value = "features.1", 3
    find(explorer, "photo").value = NAMES.index("china")
    maps = features.activations(model, PHOTOS, ["features.1"])["features.1"][:, 3]
    light = (maps[NAMES.index("china")] / maps.max())[..., None].numpy()
    middles = slice(1, 2 * len(light), 2)  # unit i sees the pixels from 2i to 2i + 2
    expected = images.to_array(images.square(images.sample("china")))[middles, middles] * (0.2 + 0.8 * light)
    overlay = decode(shown(explorer, ipw.Image)[0])[middles, middles] / 255
    off = np.abs(overlay - expected).max(axis=2) > 0.01
    assert light.max() > 0.1
    assert off.sum() <= 16  # the box around the strongest unit


def test_a_layer_with_fewer_channels_takes_the_slider_back(explorer):
    find(explorer, "layer").value = "features.12"
    find(explorer, "channel").value = 500
    find(explorer, "layer").value = "features.1"
    assert find(explorer, "channel").max == find(explorer, "channel").value == 63


@pytest.mark.parametrize("wrong", [{"photo": "cat"}, {"layer": "features.2"}])
def test_a_wrong_name_is_told_with_the_right_ones(wrong):
    with pytest.raises(ValueError, match=r"there is no '.*', only "):
        lesson_05.layer_explorer(**wrong)
