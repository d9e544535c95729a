import ipywidgets as ipw
import torch
from torch.nn.functional import conv2d, pad
from widget_tools import decode, every, find, text

from helpers import filters
from helpers.lessons import explorer as explorer_tools
from helpers.lessons import lesson_01


def test_kernel_explorer_shows_the_response_and_its_sum():
    explorer = lesson_01.kernel_explorer(photo="camera", preset="Sobel y")
    photo, response = every(explorer, ipw.Image)
    for name, value in {"stride": 2, "padding": 1, "row": 0.6, "column": 0.2}.items():
        find(explorer, name).value = value
    small = explorer_tools.small_gray("camera")
    expected = conv2d(small[None, None], filters.kernel("Sobel y")[None, None], stride=2, padding=1)[0, 0]
    i, j = round(0.6 * (expected.shape[0] - 1)), round(0.2 * (expected.shape[1] - 1))
    assert f"response[{i}, {j}] = {expected[i, j]:.3f}" in text(explorer)
    patch = pad(small, (1, 1, 1, 1))[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
    assert explorer_tools.html_table(patch) in text(explorer)
    bound = expected.abs().max()
    shown = torch.from_numpy(decode(response)[2::4, 2::4, 0] / 255 * 2 - 1) * bound  # stride 2, drawn twice as large
    away = (torch.arange(expected.shape[0]) - i).abs() > 3  # rows that the box does not touch
    assert torch.allclose(shown[away].float(), expected[away], atol=bound.item() / 100)
    assert decode(photo).shape == (2 * (200 + 2), 2 * (200 + 2), 3)


def test_kernel_explorer_presets_and_edited_numbers():
    explorer = lesson_01.kernel_explorer()
    find(explorer, "preset").value = "box blur"
    cells = every(explorer, ipw.FloatText)
    assert [cell.value for cell in cells] == [0.111] * 9
    for cell in cells:
        cell.value = 0
    assert "= 0.000" in text(explorer)
    cells[4].value = 2
    small = explorer_tools.small_gray("camera")
    i, j = round(0.35 * 197), round(0.5 * 197)
    assert f"= {2 * small[i + 1, j + 1]:.3f}" in text(explorer)
