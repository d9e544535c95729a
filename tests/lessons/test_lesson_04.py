import time

import ipywidgets as ipw
import numpy as np
import pytest
import torch
from widget_tools import decode, find

from helpers.lessons import lesson_04


def find_kind(widget, kind):
    return next(child for child in widget.children if isinstance(child, kind))


OPTIMIZERS = {
    "plain": lambda w, lr, m: torch.optim.SGD(w, lr),
    "momentum": lambda w, lr, m: torch.optim.SGD(w, lr, m),
    "Nesterov": lambda w, lr, m: torch.optim.SGD(w, lr, m, nesterov=True),
    "Adam": lambda w, lr, m: torch.optim.Adam(w, lr, (m, 0.999)),
}


def map_and_text(widget):
    return decode(find_kind(widget, ipw.Image)), find_kind(widget, ipw.HTML).value


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_marble_lies_where_the_optimiser_takes_it(name):
    widget = lesson_04.momentum_explorer()
    for rate, momentum, steps in ((0.05, 0.7, 30), (0.15, 0.9, 7)):
        for control, value in (("optimiser", name), ("rate", rate), ("momentum", momentum), ("steps", steps)):
            find(widget, control).value = value
        end = lesson_04.descend(
            lesson_04.two_minima_loss, (-3.2, 1.0), lambda w, lr=rate, m=momentum: OPTIMIZERS[name](w, lr, m), steps
        )[-1]
        drawn, text = map_and_text(widget)
        assert f"x = {end[0]:.2f}, y = {end[1]:.2f}, height {lesson_04.two_minima_loss(end):.3f}" in text
        column, row = round((end[0].item() + 4) * 80), round((2.2 - end[1].item()) * 80)
        assert (drawn[row - 3 : row + 4, column - 3 : column + 4] == 0).all()


def test_the_lines_are_where_the_height_passes_a_level():
    widget = lesson_04.momentum_explorer()
    find(widget, "steps").value = 0  # the marble lies at its start, far from column 480
    drawn = map_and_text(widget)[0][..., 0]
    deep, wall = drawn[round((2.2 - 0.3) * 80), 480], drawn[5, 5]
    assert deep < wall  # low ground is darker
    across = drawn[:, 480]
    ys = torch.linspace(2.2, -2.2, len(across))
    x = -4 + 480 / (drawn.shape[1] - 1) * 8.5
    heights = lesson_04.two_minima_loss(torch.stack([torch.full_like(ys, x), ys], dim=-1)).numpy()
    passed = np.flatnonzero(np.diff(np.searchsorted(lesson_04.LEVELS, heights)) != 0) + 1
    np.testing.assert_array_equal(np.flatnonzero(across == 120), passed)


@pytest.mark.parametrize("name", ["plain", "momentum"])
def test_a_marble_that_flies_off_breaks_nothing(name):
    widget = lesson_04.momentum_explorer(name, 1.0, 0.99)
    find(widget, "steps").value = 100
    drawn, text = map_and_text(widget)
    assert "left the map" in text
    assert drawn.shape == (352, 680, 3)


def test_momentum_may_be_zero_for_all():
    widget = lesson_04.momentum_explorer("Nesterov", 0.1, 0.0)
    text = map_and_text(widget)[1]
    find(widget, "optimiser").value = "plain"
    assert map_and_text(widget)[1] == text


def test_answers_at_once():
    widget = lesson_04.momentum_explorer("Adam")
    times = []
    for steps in (100, 99, 98, 97, 96):
        start = time.process_time()
        find(widget, "steps").value = steps
        times.append(time.process_time() - start)
    assert min(times) < 0.1


def test_the_surface_has_the_hollows_it_is_named_for():
    for x, y in ((2.0, 0.3), (-0.73, -0.11)):
        place = torch.tensor([x, y])
        gradient = torch.autograd.functional.jacobian(lesson_04.two_minima_loss, place)
        curvatures = torch.linalg.eigvalsh(torch.autograd.functional.hessian(lesson_04.two_minima_loss, place))
        assert gradient.norm() < 0.02
        assert (curvatures > 0).all()
    assert abs(lesson_04.two_minima_loss(torch.tensor([2.0, 0.3]))) < 1e-4
