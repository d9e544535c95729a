"""The comparison of figures: it tells a fault from another version of the libraries that draw."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from helpers import filters, images
from helpers.plotting import curves, image_grid, number_grid, outline, render
from notebooks.figures import TOLERANCE, compare

PHOTO = images.to_gray(images.sample("camera"))[0]
RESPONSE = PHOTO[:, 2:] - PHOTO[:, :-2]
STEPS = [1.0, 0.6, 0.4, 0.3, 0.25]


def photo(cmap="gray", move=0.0):
    """The photo and its response, with a box around the head, ``move`` pixels of the figure further to the right."""
    figure = image_grid([PHOTO, PHOTO.flip(0)], ["a photo\nwith a box", "on its head"], cmap=cmap, size=3)
    outline(figure.axes[0], 80, 200 + move * 2, 100, 100)  # two pixels of the photo are about one of the figure
    return render(figure)


def response(sign=1, cmap="PuOr", vmax=0.4):
    return render(image_grid([sign * RESPONSE], ["response"], cmap=cmap, vmin=-vmax, vmax=vmax, size=3))


def numbers(cmap="gray", sign=1):
    kernels = [sign * filters.kernel(name) for name in ("Sobel x", "Laplacian")]
    return render(number_grid(kernels, ["Sobel x", "Laplacian"], cmap=cmap, vmin=-4, vmax=4))


def lines(factor=1.0):
    return render(curves({"loss": [factor * x for x in STEPS], "other": STEPS[::-1]}, "step", "loss"))


FAULTS = {
    "color map of a photo": (photo(), photo("bone")),
    "color map of a response": (response(), response(cmap="RdBu")),
    "color map of numbers": (numbers(), numbers("viridis")),
    "mirrored color map": (photo(), photo("gray_r")),
    "sign of a response": (response(), response(-1)),
    "sign of a kernel": (numbers("PuOr"), numbers("PuOr", -1)),
    "range of a color map": (response(), response(vmax=0.5)),
    "box eight pixels further": (photo(), photo(move=8)),
    "curve a fifth higher": (lines(), lines(1.2)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_exceeds_the_tolerance(name):
    stored, new = FAULTS[name]
    difference, tolerance = compare(stored, new)
    assert tolerance == TOLERANCE
    assert difference > 1.1 * TOLERANCE
    assert difference == pytest.approx(compare(new, stored)[0], abs=1e-6)


@pytest.mark.parametrize("name", ["color map of numbers", "mirrored color map", "sign of a kernel"])
def test_so_do_large_faults_in_a_figure_of_another_size(name):
    stored, new = FAULTS[name]
    difference, tolerance = compare(stored, shifted(new, 1, 2))
    assert difference > tolerance > TOLERANCE


TYPE = [
    {"text.hinting": "none", "text.hinting_factor": 1},
    {"font.family": "DejaVu Serif"},
    {"text.antialiased": False},
    {"axes.titlepad": 4.5},  # moves the titles by two pixels
]


@pytest.mark.parametrize("draw", [photo, response, numbers, lines])
@pytest.mark.parametrize("options", TYPE, ids=str)
def test_another_setting_of_type_does_not(draw, options):
    with matplotlib.rc_context(options):
        new = draw()
    difference, tolerance = compare(draw(), new)
    assert difference < tolerance


@pytest.mark.parametrize("draw", [photo, response, numbers, lines])
def test_a_shift_of_a_pixel_does_not(draw):
    stored = draw()
    assert compare(stored, stored)[0] == 0
    for new in (encoded(np.roll(pixels(stored), (1, 1), (0, 1))), shifted(stored, 1, 2)):
        assert compare(stored, new)[0] < 0.9 * TOLERANCE


@pytest.mark.parametrize("draw", [photo, response])
def test_noise_of_jpeg_does_not(draw):
    first, second = (encoded(pixels(draw()), "jpeg", quality=quality) for quality in (85, 75))
    assert 0 < compare(first, second)[0] < 0.9 * TOLERANCE


def test_white_is_as_far_from_black_as_can_be():
    black = np.zeros((40, 50, 3), np.uint8)
    assert compare(encoded(black), encoded(255 - black))[0] == 1


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def encoded(array, format="png", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format, **options)
    return file.getvalue()


def shifted(file, rows, columns):
    """The figure without its first rows and columns."""
    return encoded(pixels(file)[rows:, columns:])
