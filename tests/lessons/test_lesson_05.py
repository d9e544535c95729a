import cv2
import numpy as np
import pytest
import torch
from widget_tools import decode, find

from helpers import features, images, pretrained
from helpers.lessons import explorer as explorer_tools
from helpers.lessons import lesson_05

NAMES = list(images.SAMPLES)
PHOTOS = torch.stack([images.square(images.sample(name)) for name in NAMES])


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
    picture = images.square(images.sample(photo))
    grid = features.activations(model, picture, [layer])[layer][channel]
    row, column = divmod(int(grid.argmax()), grid.shape[1])
    top, left, height, width = features.receptive_field(model, layer, picture.shape, (row, column), channel)
    overlay, shown, patch = (decode(part.children[1]) for part in explorer.children[1].children)
    text = explorer.children[2].value
    assert f"<b>{grid.max():.2f}</b> at row {row}, column {column}" in text
    assert f"sees {height} × {width} pixels" in text
    white = features.activations(model, PHOTOS, [layer])[layer][:, channel].max()
    assert f"White in the map is {white:.2f}" in text
    zoom = 224 // len(grid)
    away = (torch.arange(len(grid)) - row).abs() > 3
    expected = (grid / white).clamp(0, 1).numpy()
    np.testing.assert_allclose(shown[zoom // 2 :: zoom, zoom // 2 :: zoom, 0][away] / 255, expected[away], atol=0.01)
    cut = images.to_array(picture[:, top : top + height, left : left + width])
    scale = 224 / max(height, width)
    enlarged = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    np.testing.assert_allclose(patch / 255, enlarged, atol=0.01)
    if layer != "features.1":  # there the box is as small as its line is wide
        assert (overlay[top, left + width // 2] == explorer_tools.BOX_COLOR).all()
        assert (overlay[top + height // 2, left + width - 1] == explorer_tools.BOX_COLOR).all()


def test_the_photo_is_lit_where_the_map_is_bright():
    grid = torch.zeros(13, 13)
    grid[5, 7] = 2
    view = lesson_05._layer_view(torch.full((3, 224, 224), 1.0), grid, 2.0, start=-88, step=16, field=207)
    overlay = cv2.imdecode(np.frombuffer(view["overlay"], np.uint8), cv2.IMREAD_COLOR)
    assert (overlay[-88 + 5 * 16 + 103, -88 + 7 * 16 + 103] == 255).all()
    assert (overlay[60, 60] == 51).all()


def test_a_layer_with_fewer_channels_takes_the_slider_back(explorer):
    find(explorer, "layer").value = "features.12"
    find(explorer, "channel").value = 500
    find(explorer, "layer").value = "features.1"
    assert find(explorer, "channel").max == find(explorer, "channel").value == 63


@pytest.mark.parametrize("wrong", [{"photo": "cat"}, {"layer": "features.2"}])
def test_a_wrong_name_is_told_with_the_right_ones(wrong):
    with pytest.raises(ValueError, match=r"there is no '.*', only "):
        lesson_05.layer_explorer(**wrong)
