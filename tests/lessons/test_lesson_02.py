"""The explorer of lesson 2 shows what a direct computation gives."""

import re

import ipywidgets as ipw
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, relu
from widget_tools import decode, every, find, text

from helpers import filters
from helpers.lessons import explorer as explorer_tools
from helpers.lessons import lesson_02


@pytest.fixture(scope="module")
def explorer():
    return lesson_02.pooling_explorer()


def turn(explorer, **values):
    """Set controls by their description; give what is written then."""
    for name, value in values.items():
        find(explorer, name).value = value
    return text(explorer)


def cells(html):
    """Each cell of the tables as (style, number), in reading order."""
    return [(style, float(number)) for style, number in re.findall(r"<td style='(width[^']*)'>([-\d.e+]+)</td>", html)]


SETTINGS = [
    ("max", 2, 2, 0, 0),
    ("max", 3, 2, 1, 1),
    ("max", 2, 3, 0, 1),
    ("average", 2, 1, 0.5, 1),
    ("max", 6, 6, 1, 0),
]


@pytest.mark.parametrize(("kind", "window", "stride", "row", "column"), SETTINGS)
def test_numbers(explorer, kind, window, stride, row, column):
    html = turn(explorer, kind=kind, window=window, stride=stride, row=row, column=column)
    shown = cells(html)
    grid, output = shown[:36], shown[36:]
    assert [n for _, n in grid] == lesson_02.POOL_NUMBERS.flatten().tolist()
    pool = max_pool2d if kind == "max" else avg_pool2d
    expected = pool(lesson_02.POOL_NUMBERS[None, None], window, stride).flatten().tolist()
    assert [n for _, n in output] == pytest.approx(expected, abs=0.01)  # shown with three digits
    chosen = [n for style, n in output if "bold" in style]
    in_window = [n for style, n in grid if "#f7c59f" in style or "#d55e00" in style]
    assert len(in_window) == window**2
    if kind == "max":
        assert [n for style, n in grid if "#d55e00" in style] == chosen == [max(in_window)]
    else:
        assert chosen == pytest.approx([sum(in_window) / window**2], abs=0.01)


def test_what_is_in_no_window_is_said_and_grey(explorer):
    html = turn(explorer, kind="max", window=3, stride=2, row=0, column=0)
    grey = [i for i, (style, _) in enumerate(cells(html)[:36]) if "#ccc" in style]
    assert grey == [i for i in range(36) if i % 6 == 5 or i >= 30]
    assert "the last row and column do not fit" in html
    assert "11 of 36" in html
    html = turn(explorer, stride=3).split("Feature map")[0]
    assert "do not fit" not in html
    assert "Each number is in some window" in html


def test_the_pooled_map(explorer):
    sizes = turn(explorer, kind="max", window=4, stride=4, map=2, row=0, column=0)
    photo = explorer_tools.small_gray("camera")
    maps = relu(conv2d(photo[None, None], filters.step_filters()[:, None]))[:, 2:3]
    expected = max_pool2d(maps, 4)[0, 0] / maps.max()
    _, pooled = every(explorer, ipw.Image)
    middles = decode(pooled)[4::8, 4::8]  # 4 times as large for the stride, 2 for the screen
    assert middles.shape[:2] == expected.shape == (49, 49)
    inside = torch.from_numpy(middles[2:, 2:, 0])  # past the box around the first value
    assert torch.equal(inside, (expected[2:, 2:] * 255).round().long())
    assert "pooled to 49 × 49" in sizes
    assert "the last row and column do not fit" in sizes  # 197 = 49 · 4 + 1


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=4))
def test_receptive_field_is_what_a_gradient_reaches(layers):
    field = filters.receptive_field(layers)
    x = torch.ones(1, 1, 2 * field, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel_size, stride in layers:
        y = nn.functional.conv1d(y, torch.ones(1, 1, kernel_size, dtype=torch.float64), stride=stride)
    y[0, 0, 0].backward()
    reached = x.grad[0, 0].nonzero().ravel()
    assert reached.max() + 1 == field
