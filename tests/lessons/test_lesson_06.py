"""The explorer of lesson 6, and the collage under it, on planted places and neighbours."""

import base64
import re
import time

import cv2
import ipywidgets as ipw
import numpy as np
import pytest
import torch
from widget_tools import decode, find

from helpers.data import CLASSES
from helpers.lessons import explorer as explorer_tools
from helpers.lessons import lesson_06

GENERATOR = torch.Generator().manual_seed(0)
ITEMS = torch.rand(40, 1, 28, 28, generator=GENERATOR).round(decimals=1)
LABELS = torch.arange(40) % 10
VECTORS = torch.randn(40, 8, generator=GENERATOR)
MAPS = {"line": torch.stack([torch.arange(40.0), torch.zeros(40)], dim=1), "plane": VECTORS[:, :2]}


def shown(widget, kind):
    """All widgets of a kind below ``widget``, from left to right and from above."""
    below = [part for child in getattr(widget, "children", ()) for part in shown(child, kind)]
    return [widget, *below] if isinstance(widget, kind) else below


@pytest.fixture
def widget():
    return lesson_06.neighbor_explorer(ITEMS, LABELS, VECTORS, MAPS)


def thumbnails(html):
    """The items in a row of the explorer, by their numbers, and the names under them."""
    found = []
    for source in re.findall(r"base64,([^']+)'", html):
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(source), np.uint8), cv2.IMREAD_GRAYSCALE)
        image = torch.from_numpy(pixels[::2, ::2].astype(np.float32)) / 255
        found.append(int((ITEMS[:, 0] - image).flatten(1).norm(dim=1).argmin()))
    return found, re.findall(r"font-weight:(\w+)'>([^<]+)<", html)


@pytest.mark.parametrize("chosen", [0, 17, 39])
def test_shows_the_nearest_in_both_spaces(widget, chosen):
    find(widget, "item").value = chosen
    for html, points in zip(shown(widget, ipw.HTML), (VECTORS, ITEMS.flatten(1)), strict=True):
        order = (points - points[chosen]).norm(dim=1).argsort().tolist()
        expected = [chosen, *[i for i in order if i != chosen][:6]]
        numbers, names = thumbnails(html.value)
        assert numbers == expected
        assert names == [("bold" if LABELS[i] == LABELS[chosen] else "normal", CLASSES[LABELS[i]]) for i in expected]


def test_marks_the_item_and_its_neighbours_on_the_map(widget):
    for name, chosen in (("line", 3), ("plane", 3), ("plane", 20)):
        find(widget, "map").value, find(widget, "item").value = name, chosen
        pixels = decode(*shown(widget, ipw.Image)).astype(int)
        _, middles = lesson_06.collage(1 - ITEMS, MAPS[name], width=640)
        row, column = middles[chosen].tolist()
        box = pixels[max(row - 17, 0) : row + 18, max(column - 17, 0) : column + 18]
        assert (np.abs(box - explorer_tools.BOX_COLOR).sum(axis=2) < 10).sum() > 100
        order = (VECTORS - VECTORS[chosen]).norm(dim=1).argsort().tolist()
        nearest, farthest = order[1], order[-1]
        blue = np.abs(pixels - lesson_06.NEAR_COLOR).sum(axis=2) < 10
        for number, ringed in ((nearest, True), (farthest, False)):
            y, x = middles[number].tolist()
            assert blue[y, [max(x - 9, 0), min(x + 9, 639)]].any() == ringed


def test_answers_at_once():
    items, vectors = torch.rand(1000, 1, 28, 28), torch.randn(1000, 64)
    widget = lesson_06.neighbor_explorer(items, torch.arange(1000) % 10, vectors, {"t-SNE": vectors[:, :2]})
    times = []
    for number in range(1, 8):
        start = time.process_time()
        find(widget, "item").value = number
        times.append(time.process_time() - start)
    assert min(times) < 0.1


def test_a_collage_puts_each_image_where_there_is_room():
    images = torch.stack([torch.full((1, 4, 6), value) for value in (0.1, 0.2, 0.3)])
    places = torch.tensor([[0.0, 0.0], [0.1, 0.0], [10.0, 5.0]])
    canvas, middles = lesson_06.collage(images, places, width=106)  # 10 units of x are 100 pixels, and so of y
    assert canvas.shape == (1, 54, 106)
    assert middles.tolist() == [[52, 3], [52, 4], [2, 103]]
    assert (canvas[0, 50:54, 0:6] == 0.1).all()  # the second has no room beside the first
    assert (canvas[0, 0:4, 100:106] == 0.3).all()
    assert (canvas == 1).sum() == canvas.numel() - 48


def test_a_collage_of_one_place_and_of_wrong_places():
    canvas, _ = lesson_06.collage(torch.zeros(2, 3, 5, 5), torch.ones(2, 2), width=20)
    assert (canvas == 0).sum() == 75
    with pytest.raises(ValueError, match=r"places must have the shape \(2, 2\), not \(3, 2\)"):
        lesson_06.collage(torch.zeros(2, 3, 5, 5), torch.ones(3, 2))
