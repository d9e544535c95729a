"""The explorer of lesson 7, and the overlay it draws."""

import time

import ipywidgets as ipw
import numpy as np
import pytest
import torch
from widget_tools import decode, find

from helpers import attribution, images, pretrained
from helpers.lessons import lesson_07
from helpers.lessons.lesson_07 import overlay


def test_an_overlay_is_purple_for_orange_against_and_the_image_where_there_is_nothing():
    image, heat = torch.rand(3, 10, 10), torch.zeros(10, 10)
    heat[:5, :5], heat[5:, 5:] = 2, -2
    pixels = overlay(image, heat)
    np.testing.assert_allclose(pixels[:5, 5:], 0.4 + 0.6 * image.mean(0)[:5, 5:, None].expand(5, 5, 3), atol=1e-6)
    red, _, blue = pixels[0, 0]
    assert blue > 1.5 * red
    red, _, blue = pixels[9, 9]
    assert red > 2 * blue


@pytest.fixture(scope="module")
def explorer():
    return lesson_07.attribution_explorer()


def find_all(widget, *kinds):
    found = [widget] if isinstance(widget, kinds) else []
    return found + [w for child in getattr(widget, "children", ()) for w in find_all(child, *kinds)]


def direct(model, image, index, method, patch):
    if method == "occlusion":
        return attribution.occlusion(model, image, index, (patch, patch), (patch // 2, patch // 2), progress=False)
    if method == "SmoothGrad":
        return attribution.smooth_grad(model, image, index, 10).amax(0)
    if method == "Grad-CAM":
        return attribution.grad_cam(model, image, index, layer="features.12")
    rule = "plain" if method == "saliency" else method
    return attribution.backpropagate(model, image, index, rule).abs().amax(0)


@pytest.mark.parametrize(
    ("photo", "rank", "method", "patch"),
    [
        ("china", 0, "occlusion", 64),
        ("china", 0, "occlusion", 112),
        ("coffee", 1, "saliency", 64),
        ("coffee", 0, "SmoothGrad", 64),
        ("chelsea", 2, "guided", 64),
        ("chelsea", 1, "deconvnet", 64),
        ("chelsea", 0, "Grad-CAM", 64),
    ],
)
def test_shows_what_a_direct_computation_gives(explorer, photo, rank, method, patch):
    for control, value in (("photo", photo), ("class", rank), ("method", method), ("patch", patch)):
        find(explorer, control).value = value
    model, image = pretrained.load(), images.square(images.sample(photo))
    index = model(image[None])[0].topk(3).indices[rank].item()
    expected = 255 * overlay(image, direct(model, image, index, method, patch))
    text, shown, drawn = find_all(explorer, ipw.HTML, ipw.Image)
    assert f"<b>{pretrained.CLASSES[index]}" in text.value
    assert np.abs(decode(shown).astype(float) - 255 * images.to_array(image)).max() < 1
    assert np.abs(decode(drawn).astype(float) - expected).mean() < 1


def test_the_slider_waits_for_its_release_and_what_was_drawn_is_kept(explorer):
    assert not find(explorer, "patch").continuous_update
    find(explorer, "method").value = "guided"
    find(explorer, "photo").value = "china"
    find(explorer, "photo").value = "coffee"
    start = time.process_time()
    find(explorer, "photo").value = "china"
    find(explorer, "patch").value = 96
    assert time.process_time() - start < 0.1
