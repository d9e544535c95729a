"""Lesson 4, dropout and momentum: the checks of its exercises, its explorer, and what only it uses."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from helpers.lessons.checking import CORRECT, Case, check_function, difference, report, verdict
from helpers.lessons.explorer import BOX_COLOR, connect, encode
from helpers.models import Normalize
from helpers.plotting import axes_grid


class BatchNormNet(nn.Module):
    """The classifier of lesson 4's recipe: four convolutions with batch normalisation, and one dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Normalize(),
            *_conv_block(1, 32, pool=2),
            *_conv_block(32, 64, pool=2),
            *_conv_block(64, 128),
            *_conv_block(128, 128, pool=7),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 1, 28, 28)`` in [0, 1] to logits ``(N, 10)``."""
        return self.classifier(self.features(x))


def _conv_block(in_channels: int, out_channels: int, pool: int = 1) -> list[nn.Module]:
    # Pooling comes before normalisation and ReLU, which then have a quarter of the numbers to work on.
    # Batch normalisation adds a bias of its own, so the convolution needs none.
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    pooling = [nn.MaxPool2d(pool)] if pool > 1 else []
    return [conv, *pooling, nn.BatchNorm2d(out_channels), nn.ReLU()]


def two_minima_loss(point: Tensor) -> Tensor:
    """The loss surface of lesson 4: a narrow valley with a shallow hollow near x = −0.7 and the lowest point at x = 2.

    Args:
        point: ``(…, 2)``, x along the valley and y across it.

    Returns:
        Heights ``(…)``; 0 at the lowest point, (2, 0.3). Across the valley the curvature is 6.
    """
    x, y = point[..., 0], point[..., 1]
    return 0.08 * (x - 2) ** 2 + 3 * (y - 0.15 * x) ** 2 - 0.36 * torch.exp(-4 * (x + 0.9) ** 2)


def descend(
    surface: Callable[[Tensor], Tensor],
    start: tuple[float, float],
    make_optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    steps: int,
) -> Tensor:
    """The path of a point that an optimiser moves down a surface, ``(steps + 1, 2)``, start included (lesson 4).

    Args:
        surface: maps ``(2,)`` to a height.
        start: where the point is let go.
        make_optimizer: called with the list of what is to be optimised, which is the point alone.
        steps: how many.
    """
    point = torch.tensor(start, requires_grad=True)
    optimizer = make_optimizer([point])
    path = [point.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        surface(point).backward()
        optimizer.step()
        path.append(point.detach().clone())
    return torch.stack(path)


def descent_paths(
    heights: Tensor,
    extent: tuple[float, float, float, float],
    paths: Mapping[str, Tensor],
    levels: Sequence[float],
    columns: int = 2,
) -> Figure:
    """Paths down a surface, each on its own map of contour lines, a dot for each step.

    Args:
        heights: ``(H, W)``, row 0 at the least y.
        extent: of ``heights``: least x, largest x, least y, largest y.
        paths: by name, each ``(steps + 1, 2)`` of x and y; they begin at a square and end at a star.
        levels: the heights of the contour lines.
        columns: maps in a row.
    """
    left, right, bottom, top = extent
    figure, axes = axes_grid(len(paths), columns, size=4.2, aspect=(top - bottom) / (right - left))
    xs, ys = np.linspace(left, right, heights.shape[1]), np.linspace(bottom, top, heights.shape[0])
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        ax.contour(xs, ys, heights.numpy(), levels, colors="0.7", linewidths=0.8)
        ax.plot(*path.T.numpy(), "o-", color="#d55e00", markersize=3.5, linewidth=1.2)
        ax.plot(*path[0].tolist(), "s", color="black", markersize=7)
        ax.plot(*path[-1].tolist(), "*", color="black", markersize=14)
        ax.set(xlim=(left, right), ylim=(bottom, top))
        ax.set_title(name, fontsize=9)
    return figure


def strip_plot(values: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str) -> Figure:
    """Every run as a dot and their mean as a bar: a block of rows for each group, a row for each of its settings."""
    rows = [(group, name, runs) for group, settings in values.items() for name, runs in settings.items()]
    figure = Figure(figsize=(7.5, 0.34 * len(rows) + 0.8), layout="constrained")
    ax = figure.subplots()
    groups = list(values)
    for i, (group, _, runs) in enumerate(rows):
        y, average = i + 0.6 * groups.index(group), float(np.mean(runs))
        ax.plot(runs, [y] * len(runs), "o", color="black", markersize=5, markerfacecolor="none")
        ax.plot([average] * 2, [y - 0.35, y + 0.35], color="#d55e00", linewidth=3)
    ticks = [i + 0.6 * groups.index(group) for i, (group, _, _) in enumerate(rows)]
    ax.set_yticks(ticks, [f"{group}, {name}" for group, name, _ in rows], fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.4)
    ax.set_xlabel(xlabel)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def check_dropout(answer: Callable) -> None:
    """Checks ``answer(x, p, training)``: single values are dropped, and what is kept is scaled up."""
    _check_dropout(answer, (40, 50), whole=1)


def check_dropout2d(answer: Callable) -> None:
    """Checks ``answer(x, p, training)`` for ``(N, C, H, W)``: whole maps are dropped, and what is kept is scaled up."""
    _check_dropout(answer, (40, 50, 3, 4), whole=12)


def _check_dropout(answer: Callable, shape: tuple[int, ...], whole: int) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 1
    hint = "Outside training nothing is dropped, and nothing scaled."
    if not verdict(lambda: answer(x, 0.25, False), lambda got: (fault := difference(got, x)) and f"{fault} {hint}"):
        return
    for p in (0.25, 0.8):
        if not verdict(partial(answer, x, p, True), partial(_dropout_fault, x=x, p=p, whole=whole)):
            return
    report(CORRECT, "the right share is dropped, and the rest scaled up; outside training nothing happens.")


def _dropout_fault(got: Any, *, x: Tensor, p: float, whole: int) -> str:
    if not isinstance(got, Tensor) or got.shape != x.shape:
        return f"gave no tensor of the input's shape {tuple(x.shape)}."
    kept = (got != 0).view(40, 50, whole)
    if kept.any() and (fault := difference(got[got != 0], (x / (1 - p))[got != 0])):
        return f"with p = {p} must divide what it keeps by 1 − p, but it {fault}"
    if not torch.equal(kept.any(2), kept.all(2)):
        return "drops parts of maps: draw one number for each map, and let it count for all of its pixels."
    if len(kept.flatten(1).unique(dim=0)) == 1 or len(kept.transpose(0, 1).flatten(1).unique(dim=0)) == 1:
        return "drops the same in every row, or in every column: draw a number of its own for each."
    share = 1 - kept.float().mean().item()
    if abs(share - p) > 0.1:
        hint = "p is the probability to be dropped, not to be kept." if abs(share - 1 + p) < 0.1 else ""
        return f"with p = {p} dropped a share of {share:.2f}. {hint}"
    return ""


def check_momentum_step(answer: Callable) -> None:
    """Checks ``answer(weight, gradient, velocity, learning_rate, momentum)`` against four steps of torch's SGD."""
    gradients = torch.tensor([1.0, 1.0, -2.0, 0.0])

    def four_steps(learning_rate: float, momentum: float) -> Tensor | None:
        weights, weight, velocity = [], torch.tensor(1.0), torch.tensor(0.0)
        for gradient in gradients:
            if (got := answer(weight, gradient, velocity, learning_rate, momentum)) in (None, ...):
                return None
            weight, velocity = got
            weights.append(weight)
        return torch.stack(weights)

    cases = []
    for rate, momentum in ((0.1, 0.0), (0.1, 0.9), (0.5, 0.5)):
        theirs, expected = torch.tensor(1.0), []
        optimizer = torch.optim.SGD([theirs], lr=rate, momentum=momentum)
        for theirs.grad in gradients:
            optimizer.step()
            expected.append(theirs.clone())
        cases.append(Case((rate, momentum), torch.stack(expected), _MOMENTUM_HINT))
    check_function(four_steps, cases)


_MOMENTUM_HINT = "These are the weights after four steps with this rate and momentum. In torch the new velocity is "


_MOMENTUM_HINT += "momentum · velocity + gradient, and the weight goes down by rate · new velocity."


def check_folded_batch_norm(answer: Callable) -> None:
    """Checks ``answer(weight, bias, mean, var, gamma, beta)`` against a convolution followed by ``batch_norm``."""
    generator, cases = torch.Generator().manual_seed(0), []
    for out, channels, hint in (
        (1, 1, "The old bias is normalised and scaled, too: (bias − mean) · scale + beta."),
        (3, 2, "Each filter has its own scale: scale.view(-1, 1, 1, 1) * weight."),
    ):
        x, weight = torch.randn(2, channels, 4, 4), torch.randn(out, channels, 3, 3, generator=generator)
        bias, mean, gamma, beta = torch.randn(4, out, generator=generator)
        var = torch.rand(out, generator=generator) + 0.5
        expected = batch_norm(conv2d(x, weight, bias), mean, var, gamma, beta, eps=1e-5)
        cases.append(Case((x, weight, bias, mean, var, gamma, beta), expected, hint))

    def folded(x: Tensor, *numbers: Tensor) -> Tensor | None:
        got = answer(*numbers)
        return None if got in (None, ...) else conv2d(x, *got)

    check_function(folded, cases)


EXTENT = (-4.0, 4.5, -2.2, 2.2)  # of the marble's surface: least x, largest x, least y, largest y


PIXELS = 80  # for a length of 1


START = (-3.2, 1.0)


LEVELS = (0.02, 0.1, 0.2, 0.29, 0.33, 0.5, 1, 2, 4, 8, 16, 32)  # heights of the contour lines


def momentum_explorer(optimizer: str = "momentum", learning_rate: float = 0.15, momentum: float = 0.9) -> ipw.Widget:
    """Lesson 4: a marble rolls down a surface with two minima, moved by torch.optim; press play, or drag anything."""
    controls = {
        "optimizer": ipw.Dropdown(options=list(MARBLES), value=optimizer, description="optimiser"),
        "learning_rate": ipw.FloatLogSlider(learning_rate, min=-2.5, max=0, step=0.02, description="rate"),
        "momentum": ipw.FloatSlider(momentum, min=0, max=0.99, step=0.01, description="momentum"),
        "steps": ipw.IntSlider(60, 0, 100, description="steps"),
    }
    background = _contour_picture()

    def draw(optimizer: str, learning_rate: float, momentum: float, steps: int) -> dict[str, bytes | str]:
        path = descend(
            two_minima_loss, START, lambda points: MARBLES[optimizer](points, learning_rate, momentum), steps
        )
        return {"map": encode(_draw_path(background, path)), "text": _where(path[-1], steps)}

    play = ipw.Play(value=60, min=0, max=100, interval=120)
    ipw.jslink((play, "value"), (controls["steps"], "value"))
    view = {"map": ipw.Image(format="png", layout=ipw.Layout(max_width="680px")), "text": ipw.HTML()}
    connect(controls, view, draw)
    optimizers, *sliders = controls.values()
    return ipw.VBox([ipw.HBox([ipw.VBox([optimizers, play]), ipw.VBox(sliders)]), *view.values()])


MARBLES: dict[str, Callable[[list[Tensor], float, float], torch.optim.Optimizer]] = {
    "plain": lambda points, rate, momentum: torch.optim.SGD(points, rate),
    "momentum": lambda points, rate, momentum: torch.optim.SGD(points, rate, momentum),
    "Nesterov": lambda points, rate, momentum: torch.optim.SGD(points, rate, momentum, nesterov=momentum > 0),
    "Adam": lambda points, rate, momentum: torch.optim.Adam(points, rate, betas=(momentum, 0.999)),
}


def _contour_picture() -> np.ndarray:
    """The surface from above, ``(H, W, 3)``: low ground dark, a line wherever the height passes a level."""
    left, right, bottom, top = EXTENT
    ys = torch.linspace(top, bottom, round((top - bottom) * PIXELS))
    xs = torch.linspace(left, right, round((right - left) * PIXELS))
    heights = two_minima_loss(torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)).clamp(min=0).numpy()
    bands = np.searchsorted(LEVELS, heights)
    line = (np.diff(bands, axis=0, prepend=bands[:1]) != 0) | (np.diff(bands, axis=1, prepend=bands[:, :1]) != 0)
    pixels = cv2.cvtColor(np.where(line, 120, 165 + 6 * bands).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    for label, x, y in (("shallow", -1.25, -0.75), ("deep", 1.7, -0.45)):
        place = round((x - left) * PIXELS), round((top - y) * PIXELS)
        cv2.putText(pixels, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
    return pixels


def _draw_path(background: np.ndarray, path: Tensor) -> np.ndarray:
    """A copy of the map with the path on it, a dot for each step and the marble at its end."""
    left, _, _, top = EXTENT
    places = (path - torch.tensor([left, top])) * torch.tensor([PIXELS, -PIXELS])
    # A marble that has flown off has coordinates without bounds, which OpenCV's 16 bits do not hold.
    dots = places.nan_to_num(1e4).clamp(-1e4, 1e4).round().int().numpy()
    pixels = background.copy()
    cv2.polylines(pixels, [dots], isClosed=False, color=BOX_COLOR, thickness=2, lineType=cv2.LINE_AA)
    for x, y in dots.tolist():
        cv2.circle(pixels, (x, y), 3, BOX_COLOR, -1, cv2.LINE_AA)
    cv2.circle(pixels, dots[-1].tolist(), 8, (0, 0, 0), -1, cv2.LINE_AA)
    return pixels


def _where(point: Tensor, steps: int) -> str:
    x, y = point.tolist()
    left, right, bottom, top = EXTENT
    if not (left <= x <= right and bottom <= y <= top):
        return f"<p>after {steps} steps the marble has left the map</p>"
    return f"<p>after {steps} steps: x = {x:.2f}, y = {y:.2f}, height {two_minima_loss(point).item():.3f}</p>"
