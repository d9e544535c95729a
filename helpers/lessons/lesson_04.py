"""Lesson 4, dropout and momentum: the checks of its exercises, its explorer, and what only it uses."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.optim.lr_scheduler import LambdaLR

from helpers import training
from helpers.data import Batches
from helpers.lessons import checking
from helpers.lessons.checking import CORRECT, NOT_YET, Case, compare, difference, judge, report, to_numbers
from helpers.lessons.explore import Explorer
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


class Muon(torch.optim.Optimizer):
    """The optimiser of lesson 4's recipe: for filters, momentum whose direction is made orthogonal at each step.

    So a filter bank changes in all its directions alike, not mostly along the few in which gradients are large; before
    each step its norm is set to the root of the number of filters. All else, the first layer and what is no filter,
    goes by SGD with Nesterov momentum and weight decay. Source: Jordan et al., Muon, 2024.
    """

    def __init__(self, model: nn.Module) -> None:
        filters = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1]
        others = [p for p in model.parameters() if p.ndim != 4 or p.shape[1] == 1]
        groups = [
            {"params": filters, "are_filters": True, "lr": 0.05, "momentum": 0.6, "weight_decay": 0},
            {"params": others, "are_filters": False, "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4},
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for each parameter that has a gradient."""
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                gradient = p.grad.add(p, alpha=group["weight_decay"])
                velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
                velocity.mul_(group["momentum"]).add_(gradient)
                direction = gradient.add(velocity, alpha=group["momentum"])
                if group["are_filters"]:
                    direction = orthogonal(direction.flatten(1)).view_as(p)
                    p.mul_(len(p) ** 0.5 / p.norm())
                p.sub_(direction, alpha=group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns ``(M, N)``: its singular values are 0.7 to 1.2.

    By Newton–Schulz iteration: each step applies an odd polynomial to the singular values that lifts small ones fast;
    no decomposition is needed.
    """
    x = matrix.bfloat16() / (matrix.norm() + 1e-7)
    x = x.T if len(x) > x.shape[1] else x
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return (x.T if x.shape != matrix.shape else x).to(matrix.dtype)


def recipe(model: nn.Module, steps: int) -> tuple[Muon, LambdaLR]:
    """Optimiser and schedule of lesson 4's recipe, for so many batches of 250: all rates fall to 0 in a straight line.

    The rest of the recipe: flipped images, and a loss with ``label_smoothing=0.1``.
    """
    optimizer = Muon(model)
    return optimizer, LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))


class Mirrored(nn.Module):
    """A classifier asked twice, about each image and its mirror image: the mean of the two log-probabilities."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` to log-probabilities ``(N, K)``, up to a constant for each image."""
        return (self.model(x).log_softmax(dim=1) + self.model(x.flip(-1)).log_softmax(dim=1)) / 2


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


EXTENT = (-4.0, 4.5, -2.2, 2.2)  # of the maps: smallest x, largest x, smallest y, largest y
LEVELS = (0.02, 0.1, 0.2, 0.29, 0.33, 0.5, 1, 2, 4, 8, 16, 32)  # the losses of their contour lines


def descent_paths(surface: Callable[[Tensor], Tensor], paths: Mapping[str, Tensor]) -> Figure:
    """Paths down a surface, each on its own map of contour lines, a dot for each step.

    Args:
        surface: maps ``(…, 2)`` to heights ``(…)``.
        paths: by name, each ``(steps + 1, 2)`` of x and y; they begin at a square and end at a star.
    """
    left, right, bottom, top = EXTENT
    figure, axes = axes_grid(len(paths), 2, size=4.2, aspect=(top - bottom) / (right - left))
    xs, ys = torch.linspace(left, right, 200), torch.linspace(bottom, top, 120)
    heights = surface(torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1))
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        ax.contour(xs.numpy(), ys.numpy(), heights.numpy(), LEVELS, colors="0.7", linewidths=0.8)
        ax.plot(*path.T.numpy(), "o-", color="#d55e00", markersize=3.5, linewidth=1.2)
        ax.plot(*path[0].tolist(), "s", color="black", markersize=7, label="start")
        ax.plot(*path[-1].tolist(), "*", color="black", markersize=14, label="end")
        ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")
        ax.set_title(name, fontsize=10)
    axes[0].legend(loc="upper right", fontsize=8)
    return figure


def steps_until_near(path: Tensor, goal: tuple[float, float], distance: float = 0.1) -> int | None:
    """The step from which a path ``(steps + 1, 2)`` stays within a distance of the goal; None where it never does."""
    is_away = ~((path - torch.tensor(goal)).norm(dim=1) <= distance)  # so that NaN is away
    step = int(is_away.nonzero().max()) + 1 if is_away.any() else 0
    return step if step < len(path) else None


def with_wrong_labels(labels: Tensor, share: float, seed: int = 0) -> Tensor:
    """Labels ``(N,)`` from 0 to 9, about this share of them replaced by another class, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    is_wrong = torch.rand(labels.shape, generator=generator) < share
    moved = (labels + torch.randint(1, 10, labels.shape, generator=generator)) % 10
    return torch.where(is_wrong, moved, labels)


class NoisyRun(NamedTuple):
    """How a run did on test images: accuracy in percent at its end and where stopped early, and its loss at the end."""

    last: float
    stopped: float
    loss: float


def run_to_the_end(
    model: nn.Module, batches: Batches, epochs: int, held_out: Batches, test_batches: Batches, seed: int
) -> NoisyRun:
    """Train with Adam at 0.002; look at the test images at the epoch that does best on those held out, and at last."""
    tested: dict[int, training.Evaluation] = {}

    def look(epoch: int, history: training.History) -> None:
        *before, now = history.test_accuracy
        if now > max(before, default=0) or epoch == epochs:
            tested[epoch] = training.evaluate(model, test_batches)

    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    history = training.train(
        model, batches, optimizer, epochs, test_batches=held_out, seed=seed, callback=look, progress=False
    )
    best = 1 + history.test_accuracy.index(max(history.test_accuracy))
    return NoisyRun(100 * tested[epochs].accuracy, 100 * tested[best].accuracy, tested[epochs].loss)


def rate_curves(accuracies: Mapping[str, Mapping[float, float]], marked: float) -> Figure:
    """For each optimiser a line of accuracies over learning rates, on a logarithmic axis, with one rate marked."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.subplots()
    for (name, rates), style in zip(accuracies.items(), ("s:", "^--", "o-"), strict=False):
        ax.plot(list(rates), list(rates.values()), style, color="black", label=name)
    ax.axvline(marked, color="#d55e00", linewidth=1, label=f"{marked:g}")
    ax.set(xscale="log", xlabel="learning rate", ylabel="held-out accuracy", ylim=(0, 1))
    ax.legend()
    return figure


def strip_plot(values: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str) -> Figure:
    """Every run as a dot and their mean as a bar: a block of rows for each group, a row for each of its settings.

    A group named "" leaves its settings' names as they are.
    """
    rows = [(group, name, runs) for group, settings in values.items() for name, runs in settings.items()]
    figure = Figure(figsize=(7.5, 0.34 * len(rows) + 0.8), layout="constrained")
    ax = figure.subplots()
    heights = [i + 0.6 * list(values).index(group) for i, (group, _, _) in enumerate(rows)]
    for y, (_, _, runs) in zip(heights, rows, strict=True):
        ax.plot(runs, [y] * len(runs), "o", color="black", markersize=5, markerfacecolor="none")
        ax.plot([float(np.mean(runs))] * 2, [y - 0.35, y + 0.35], color="#d55e00", linewidth=3)
    ax.set_yticks(heights, [f"{group}, {name}" if group else name for group, name, _ in rows], fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.4)
    ax.set_xlabel(xlabel)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def check_dropout(answer: Callable) -> None:
    """Checks ``answer(x, p, training)`` for ``x`` of any shape: values are dropped, the others divided by 1 − p."""
    _check_dropout(answer, "value", "x.shape", [(20, 10, 12), (1500,), (50, 30)])


def check_dropout2d(answer: Callable) -> None:
    """Checks ``answer(x, p, training)`` for ``(N, C, H, W)``: whole maps are dropped, the others divided by 1 − p."""
    _check_dropout(answer, "map", "(N, C, 1, 1)", [(40, 30, 3, 4), (1, 900, 2, 2)])


def _check_dropout(answer: Callable, unit: str, draw: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """Checks what is random: ``unit`` is what is dropped as a whole, ``draw`` the shape of the random numbers."""
    if not checking.is_function(answer):
        return
    generator = checking.generator(0)
    inputs = [(torch.rand(shape, generator=generator) + 1) * (-1) ** torch.arange(shape[-1]) for shape in shapes]
    x = inputs[0]
    trained, evaluated = (checking.run(answer, (x, 0.25, training)) for training in (True, False))
    if trained.is_missing != evaluated.is_missing:
        mode = f"training={trained.is_missing}"
        return report(NOT_YET, f"with {mode}, your function gives nothing back: return it there, too.")
    if not (evaluated.error or difference(trained.value, x)) and difference(evaluated.value, x):
        return report(NOT_YET, "your function drops with training=False, not with True: it is the other way round.")
    for x, p in itertools.product(inputs, (0.25, 0.8)):
        fault = partial(_dropout_fault, x=x, p=p, unit=unit, draw=draw)
        if not judge(answer, (x, p, True), fault, f"The random numbers need the shape {draw}."):
            return
    leaves = "changes x with training=False; it must give it as it is then: nothing dropped, nothing scaled."
    if not judge(answer, (x, 0.25, False), lambda got: leaves if difference(got, x) else ""):
        return
    if judge(lambda *given: tuple(answer(*given) for _ in range(5)), (x, 0.25, True), partial(_draw_fault, unit=unit)):
        report(CORRECT, f"each {unit} is dropped with probability p, and the rest scaled up, in training only.")


def _dropout_fault(got: Any, *, x: Tensor, p: float, unit: str, draw: str) -> str:
    numbers = to_numbers(got)
    if numbers.shape != x.shape or not numbers.isfinite().all():
        return difference(numbers, x)
    kept = numbers != 0
    if what := _shared_draw(kept, unit):
        return f"drops {what} with p = {p}: draw one random number for each {unit}, in the shape {draw}."
    share = 1 - kept.double().mean().item()
    if abs(share - p) > 0.06:
        known = {
            1 - p: "p is the probability of being dropped, not of being kept.",
            0.5: "The share must depend on p.",
            float(torch.special.ndtr(torch.tensor(p))): "torch.randn is normal: torch.rand draws evenly from [0, 1).",
        }
        hint = next((hint for value, hint in known.items() if abs(share - value) < 0.05), f"A share of {p} is wanted.")
        return f"with p = {p} dropped a share of {share:.2f}. {hint}"
    if difference(got, torch.where(kept, x / (1 - p), 0)):
        said = _scale_fault((numbers / x)[kept], numbers[kept], p, 1 - share)
        return f"with p = {p} {said} Divide what is kept by 1 − p."
    return ""


def _shared_draw(kept: Tensor, unit: str) -> str:
    """What is dropped together that has draws of its own; "" where nothing is."""
    if kept.all() or not kept.any():
        return "nothing" if kept.all() else "everything"
    same = [kept.shape[dim] > 1 and bool((kept == kept.narrow(dim, 0, 1)).all()) for dim in range(kept.ndim)]
    if unit == "value":
        return f"all values along dimension {same.index(True)} together" if any(same) else ""
    if not (same[2] and same[3]):
        return f"single {'rows of ' if same[3] else 'columns of ' if same[2] else ''}pixels, not whole maps,"
    return "the same maps in every image" if same[0] else "all maps of an image together" if same[1] else ""


def _scale_fault(ratio: Tensor, numbers: Tensor, p: float, kept: float) -> str:
    factor = ratio.median().item()
    if (ratio - factor).abs().max() > 1e-2 * abs(factor):
        is_mask = bool((numbers == numbers[0]).all())
        return "gives the mask without x: multiply x by it." if is_mask else "changes the values that it keeps."
    known = {
        "leaves what it keeps as it was.": 1.0,
        "divides what it keeps by p.": 1 / p,
        "multiplies what it keeps by 1 − p.": 1 - p,
        "multiplies what it keeps by p.": p,
        "scales what it keeps twice.": 1 / (1 - p) ** 2,
        "scales by the share that was really kept, which is random.": 1 / kept,
    }
    said = (words for words, value in known.items() if abs(factor - value) < 1e-3 * value)
    return next(said, f"multiplies what it keeps by {factor:.4g}.")


def _draw_fault(results: Sequence[Any], *, unit: str) -> str:
    kept = [to_numbers(result) != 0 for result in results]
    if all(torch.equal(kept[0], other) for other in kept):
        return f"drops the same {unit}s in each call: draw new random numbers each time, without a seed."
    if len({int(mask.sum()) for mask in kept}) == 1:
        return f"always drops the same number of {unit}s: each is dropped with probability p, whatever the others are."
    return ""


def check_momentum_step(answer: Callable) -> None:
    """Checks ``answer(weight, gradient, velocity, learning_rate, momentum)``: the new weight and the new velocity."""
    generator, cases = checking.generator(0), []
    for shape, scale, rate, momentum, hint in (
        ((1,), torch.tensor([[1.0], [1.0], [0.0]]), 0.1, 0.9, "From rest, the new velocity is the gradient."),
        ((3,), 1, 0.25, 0.4, "The new velocity is momentum · velocity + gradient, and it moves the weight."),
        ((2, 3), 3, 0.05, 0.7, "The same holds for tensors of any shape."),
    ):
        tensors = (scale * torch.randn((3, *shape), generator=generator)).round(decimals=1) + 0.0  # no −0.0
        cases.append(Case((*tensors, rate, momentum), hint))
    compare(
        answer,
        _step,
        cases,
        mistakes={say: partial(_step, coefficients=wrong) for say, wrong in _MOMENTUM_MISTAKES.items()}
        | {
            "The velocity comes first: give the weight first, then the velocity.": lambda *given: _step(*given)[::-1],
            "The first is the weight's change alone: add it to the weight.": lambda w, *given: _step(0 * w, *given),
        },
        diagnose=_said_of_halves(
            "The new weight is right; the new velocity is momentum · velocity + gradient.",
            "The new velocity is right; the new weight is weight − learning_rate · new velocity.",
        ),
    )


def _step(
    *given: Any, coefficients: Callable[[float, float], tuple[float, ...]] = lambda r, m: (-r * m, -r, m, 1)
) -> tuple[Tensor, Tensor]:
    """A step to weight + a · velocity + b · gradient, with the new velocity c · velocity + d · gradient."""
    weight, gradient, velocity, rate, momentum = given
    a, b, c, d = coefficients(rate, momentum)
    return weight + a * velocity + b * gradient, c * velocity + d * gradient


_MOMENTUM_MISTAKES: dict[str, Callable[[float, float], tuple[float, ...]]] = {  # a, b, c, d of `_step`
    "The weight moves by the old velocity: compute the new one first.": lambda r, m: (-r, 0, m, 1),
    "The old velocity is given back: give the new one.": lambda r, m: (-r * m, -r, 1, 0),
    "The weight goes up: subtract learning_rate · velocity (the sign).": lambda r, m: (r * m, r, m, 1),
    "The learning rate is missing: subtract learning_rate · velocity.": lambda r, m: (-m, -1, m, 1),
    "It is Nesterov's momentum: move by the new velocity alone.": lambda r, m: (-r * m * m, -r * (1 + m), m, 1),
    "In torch the velocity holds no learning rate and no minus.": lambda r, m: (m, -r, m, -r),
    "In torch the velocity holds no learning rate: multiply by it afterwards.": lambda r, m: (-m, -r, m, r),
    "The learning rate is used twice: the velocity holds none.": lambda r, m: (-r * m, -r * r, m, r),
    "The learning rate multiplies all of the new velocity.": lambda r, m: (-m, -r, m, 1),
    "The gradient counts in full, not times 1 − momentum.": lambda r, m: (-r * m, -r * (1 - m), m, 1 - m),
    "The velocity is momentum · velocity + gradient, no average.": lambda r, m: (-r * (1 - m), -r * m, 1 - m, m),
    "The old velocity must be multiplied by momentum.": lambda r, m: (-r, -r, 1, 1),
    "The old velocity is left out: add momentum · velocity.": lambda r, m: (0, -r, 0, 1),
    "The weight moves by the gradient alone: move it by the new velocity.": lambda r, m: (0, -r, m, 1),
    "momentum belongs to the old velocity, not to the gradient.": lambda r, m: (-r, -r * m, 1, m),
    "momentum belongs to the old velocity alone, not to the gradient, too.": lambda r, m: (-r * m, -r * m, m, m),
    "The gradient counts twice: it is in the new velocity already.": lambda r, m: (-r * m, -2 * r, m, 1),
    "The step is divided by 1 − momentum: it is learning_rate · velocity.": (
        lambda r, m: (-r * m / (1 - m), -r / (1 - m), m, 1)
    ),
    "The velocity has the other sign: add the gradient, then subtract.": lambda r, m: (r * m, -r, m, -1),
    "The gradient is subtracted from the velocity: add it.": lambda r, m: (-r * m, r, m, -1),
    "The old velocity is subtracted: add momentum · velocity.": lambda r, m: (r * m, -r, -m, 1),
}


def _said_of_halves(if_first: str, if_second: str) -> Callable[..., str]:
    """A diagnosis of two results: what to say if the first alone is right, and if the second alone is."""

    def diagnose(got: tuple, expected: tuple, *_: Any) -> str:
        right = [not difference(*pair) for pair in zip(got, expected, strict=True)]
        return if_first if right[0] else if_second if right[1] else ""

    return diagnose


def check_folded_batch_norm(answer: Callable) -> None:
    """Checks ``answer(weight, bias, mean, var, gamma, beta)`` against torch's folding."""
    generator, cases = checking.generator(0), []
    for out, channels, kernel, variance, shift, hint in (
        (1, 1, (3, 3), 0.5, 0, "Without bias, mean and beta, the weight alone is scaled, by gamma / √(var + 0.00001)."),
        (1, 1, (3, 3), 0.5, 1, "The new bias is (bias − mean) · scale + beta, with the scale of the weight."),
        (2, 2, (2, 2), 2.0, 1, "Each filter has its own scale: scale.view(-1, 1, 1, 1) * weight."),
        (3, 2, (2, 3), 0.5, 1, "Each filter has its own scale: scale.view(-1, 1, 1, 1) * weight."),
        (3, 4, (1, 2), 2e-4, 1, "The variances are tiny here: 0.00001 is added to them, and the root comes after."),
    ):
        weight, var = torch.randn(out, channels, *kernel, generator=generator), torch.rand(out, generator=generator)
        bias, mean, beta, gamma = (torch.randn(4, out, generator=generator) * 2).round(decimals=1) + 0.1
        bias, mean, beta = (shift * numbers + 0.0 for numbers in (bias, mean, beta))
        cases.append(Case((weight, bias, mean, variance * (1 + var), gamma, beta), hint))
    compare(
        answer,
        lambda w, b, m, v, g, t: fuse_conv_bn_weights(w, b, m, v, 1e-5, g, t),
        cases,
        mistakes={say: partial(_fold, scale=scale) for say, scale in _SCALE_MISTAKES.items()}
        | {say: partial(_fold, shift=shift) for say, shift in _SHIFT_MISTAKES.items()}
        | {
            "The bias comes first: give the weight first, then the bias.": lambda *given: _fold(*given)[::-1],
            "The weight is as it was: multiply each filter by its scale.": lambda *given: (given[0], _fold(*given)[1]),
            "The scale belongs to the output channels: scale.view(-1, 1, 1, 1).": partial(_fold, view=(1, -1, 1, 1)),
            "The scale belongs to the first dimension: scale.view(-1, 1, 1, 1).": partial(_fold, view=(-1,)),
        },
        diagnose=_said_of_halves(
            "The weight is right; the bias becomes (bias − mean) · scale + beta.",
            "The bias is right; each filter of the weight is multiplied by gamma / √(var + 0.00001).",
        ),
    )


def _fold(
    *given: Tensor,
    scale: Callable[..., Tensor] = lambda v, g: g / (v + 1e-5).sqrt(),
    shift: Callable[..., Tensor] = lambda b, m, s, t: (b - m) * s + t,
    view: Sequence[int] = (-1, 1, 1, 1),
) -> tuple[Tensor, Tensor]:
    weight, bias, mean, var, gamma, beta = given
    factors = scale(var, gamma)
    return weight * factors.view(view), shift(bias, mean, factors, beta)


_SCALE_MISTAKES: dict[str, Callable[..., Tensor]] = {
    "0.00001 is added outside the root: √(var + 0.00001).": lambda v, g: g / (v.sqrt() + 1e-5),
    "0.00001 is missing under the root: √(var + 0.00001).": lambda v, g: g / v.sqrt(),
    "0.00001 is added under the root, and not squared before.": lambda v, g: g / (v + 1e-10).sqrt(),
    "It is 0.00001 that is added to the variance, not 0.001.": lambda v, g: g / (v + 1e-3).sqrt(),
    "var is the variance: divide by its root, √(var + 0.00001).": lambda v, g: g / (v + 1e-5),
    "var is the variance, not the standard deviation: no square; take its root.": lambda v, g: g / (v**2 + 1e-5).sqrt(),
    "Divide by the root of the variance; do not multiply by it.": lambda v, g: g * (v + 1e-5).sqrt(),
    "gamma is missing: the scale is gamma / √(var + 0.00001).": lambda v, g: 1 / (v + 1e-5).sqrt(),
    "gamma multiplies; do not divide by it.": lambda v, g: 1 / (g * (v + 1e-5).sqrt()),
    "gamma comes twice: the scale is gamma / √(var + 0.00001).": lambda v, g: g**2 / (v + 1e-5).sqrt(),
    "The scale is upside down: gamma / √(var + 0.00001).": lambda v, g: (v + 1e-5).sqrt() / g,
}
_SHIFT_MISTAKES: dict[str, Callable[..., Tensor]] = {
    "The old bias must be scaled, too: (bias − mean) · scale + beta.": lambda b, m, s, t: b - m * s + t,
    "beta is missing in the bias: (bias − mean) · scale + beta.": lambda b, m, s, t: (b - m) * s,
    "beta is subtracted from the bias: add it.": lambda b, m, s, t: (b - m) * s - t,
    "beta is scaled, too; add it after the scaling of the bias.": lambda b, m, s, t: (b - m + t) * s,
    "The mean is added; subtract it from the bias: bias − mean (the sign).": lambda b, m, s, t: (b + m) * s + t,
    "The mean must be scaled like the bias: (bias − mean) · scale + beta.": lambda b, m, s, t: b * s - m + t,
    "The bias and the mean must be scaled, too: (bias − mean) · scale + beta.": lambda b, m, s, t: b - m + t,
    "The mean is missing in the bias: (bias − mean) · scale + beta.": lambda b, m, s, t: b * s + t,
    "The signs are exchanged: the bias less the mean, bias − mean.": lambda b, m, s, t: (m - b) * s + t,
    "The old bias is left out: (bias − mean) · scale + beta.": lambda b, m, s, t: t - m * s,
    "Only beta is given as bias: (bias − mean) · scale + beta.": lambda b, m, s, t: t,
    "The bias is as it was: it becomes (bias − mean) · scale + beta.": lambda b, m, s, t: b,
    "The bias is scaled only: subtract the mean before, and add beta after.": lambda b, m, s, t: b * s,
    "The bias is divided by the scale; multiply: (bias − mean) · scale + beta.": lambda b, m, s, t: (b - m) / s + t,
}


SURFACES: dict[str, Callable[[Tensor], Tensor]] = {  # each from (…, 2) to heights (…); the page has the same
    "parabola": lambda point: point[..., 0] ** 2 + point[..., 1] ** 2,
    "valley": lambda point: 0.1 * point[..., 0] ** 2 + 5 * point[..., 1] ** 2,
    "two minima": two_minima_loss,
    "saddle": lambda point: point[..., 0] ** 2 / 4 + (point[..., 1] ** 2 - 2) ** 2 / 8,
}
# What the explorer says of each: in words, where the marbles are dropped at first, and what to write at which places.
# On the saddle they are dropped so near its ridge that it takes them a while to fall off.
_SURFACES: dict[str, dict[str, Any]] = {
    "parabola": {"text": "x² + y²: the curvature is 2 in all directions.", "start": [-3.2, 1.0], "signs": []},
    "valley": {
        "text": "0.1 x² + 5 y²: the curvature is 0.2 along the valley and 10 across it.",
        "start": [-3.2, 1.0],
        "signs": [],
    },
    "two minima": {
        "text": "0.08 (x − 2)² + 3 (y − 0.15 x)² − 0.36 exp(−4 (x + 0.9)²): across the valley the curvature is 6.",
        "start": [-3.2, 1.0],
        "signs": [["shallow", -0.73, -0.11], ["deep", 2.0, 0.3]],
    },
    "saddle": {
        "text": "x² / 4 + (y² − 2)² / 8: across the ridge y = 0 the curvature is −1, across each hollow 2.",
        "start": [-3.2, 0.1],
        "signs": [["saddle", 0, 0], ["hollow", 0, 1.41], ["hollow", 0, -1.41]],
    },
}


class DescentExplorer(Explorer):
    """What :func:`descent_explorer` gives."""

    lesson = "lesson_04"
    still = (
        "Contours with two minima and four ways down: plain and Adam come to the shallow one, momentum and "
        "Nesterov to the deep one."
    )

    @property
    def start(self) -> Tensor:
        """Where the reader has dropped the marbles, ``(2,)``: x and y."""
        return torch.tensor(self.state.get("start", self.content["surfaces"][self.content["surface"]]["start"]))


def descent_explorer(surface: str = "two minima") -> DescentExplorer:
    """Lesson 4: drop plain descent, momentum, Nesterov and Adam on a surface, and see which way each of them takes.

    Args:
        surface: the one to begin with, by its name in :data:`SURFACES`.
    """
    if surface not in SURFACES:
        raise ValueError(f"surface must be one of {', '.join(SURFACES)}, not {surface!r}")
    return DescentExplorer(content={"kind": "descent", "surface": surface, "surfaces": _SURFACES})
