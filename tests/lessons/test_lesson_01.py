from itertools import pairwise

import numpy as np
import pytest
import torch

from helpers import filters, images
from helpers.lessons import lesson_01


def test_kernel_explorer_gives_the_kernel_back():
    explorer = lesson_01.kernel_explorer(kernel="Sobel y")
    assert torch.equal(explorer.kernel, filters.kernel("Sobel y"))
    explorer.state = {"size": 5, "kernel": list(range(25))}
    assert torch.equal(explorer.kernel, torch.arange(25.0).view(5, 5))
    with pytest.raises(ValueError, match=r"name must be one of identity, .* not 'sobel'"):
        lesson_01.kernel_explorer(kernel="sobel")


def test_kernel_explorer_shows_ones_own_photo_first():
    ramp = torch.linspace(0, 1, 100).expand(3, 50, 100)
    photo = lesson_01.kernel_explorer(ramp).content["photos"][0]
    assert (photo["name"], photo["rows"], photo["columns"]) == ("yours", 200, 400)
    shown = np.frombuffer(photo["pixels"], np.uint8).reshape(200, 400) / 255
    wanted = images.to_gray(images.resized(images.read(ramp), (200, 400)))[0]
    np.testing.assert_allclose(shown, wanted, atol=0.003)


@pytest.mark.parametrize("size", [(2, 4000), (4000, 2)])
def test_kernel_explorer_refuses_a_line(size):
    with pytest.raises(ValueError, match=f"photo is {size[0]} × {size[1]} pixels, and its longer side may be"):
        lesson_01.kernel_explorer(torch.rand(3, *size))


def test_window_places_draws_each_place_on_a_line_of_its_own():
    settings = [(7, 3, 1, 0), (7, 3, 2, 1), (8, 3, 2, 0), (5, 4, 3, 2)]
    for ax, (w, f, s, p) in zip(lesson_01.window_places(settings).axes, settings, strict=True):
        lines = filters.output_size(w, f, s, p)
        assert [label.get_text() for label in ax.get_yticklabels()] == [str(i + 1) for i in range(lines)]
        boxes = [(round(b.get_y() - 0.2), round(b.get_x() - 0.04), b.get_facecolor()) for b in ax.patches]
        assert len(boxes) == lines * (w + 2 * p)
        window = [(line, x) for line, x, color in boxes if color[2] > color[0]]
        assert window == [(i, i * s - p + k) for i in range(lines) for k in range(f)]
        spans = sorted({(b.get_y(), b.get_y() + b.get_height()) for b in ax.patches})
        assert all(below[0] - above[1] > 0.3 for above, below in pairwise(spans))


def test_brightness_along_draws_the_row_that_it_marks():
    photo = torch.rand(20, 30, generator=torch.Generator().manual_seed(0))
    image, curve = lesson_01.brightness_along(photo, 7).axes
    np.testing.assert_array_equal(curve.lines[0].get_ydata(), photo[7])
    assert set(image.lines[0].get_ydata()) == {7}


def test_wave_strengths_puts_a_wave_as_far_from_the_middle_as_it_swings():
    wave = 0.5 + torch.cos(2 * torch.pi * 3 * torch.arange(32) / 32).expand(32, 32)
    strengths = lesson_01.wave_strengths(wave)
    assert (strengths > 1).nonzero().tolist() == [[16, 13], [16, 19]]


def test_a_kernel_without_numbers_is_told(capsys):
    for kernel in (torch.nn.LazyConv2d(1, 3).weight, torch.zeros(3, 3, device="meta"), torch.eye(3).to_sparse()):
        lesson_01.check_diagonal_kernel(kernel)
        assert "the kernel holds no plain numbers" in capsys.readouterr().out
