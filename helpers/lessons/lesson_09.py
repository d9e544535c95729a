"""Lesson 9, style transfer: the checks of its exercises, its explorer, and what only it uses."""

import functools
import html
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from helpers import style
from helpers.images import to_array, to_gray
from helpers.lessons.checking import Case, compare, judge, normal
from helpers.lessons.explorer import connect, encode


def _products(maps: Tensor) -> Tensor:
    return torch.einsum("nihw,njhw->nij", maps, maps)


def _gram(maps: Tensor, divisor: Sequence[int] = (1, 2, 3)) -> Tensor:
    """The Gram matrices, divided by the sizes of the given axes."""
    return _products(maps) / math.prod(maps.shape[axis] for axis in divisor)


_BATCH = "one Gram matrix for each image of the batch, (N, C, C)"
WRONG_DIVISORS = {
    "It divides by H · W only: divide by C, the number of channels, too.": (2, 3),
    "It is not divided: divide by C · H · W.": (),
    "It divides by N too (numel), the number of images: C · H · W only.": (0, 1, 2, 3),
    "It divides by C only: divide by H · W, too.": (1,),
    "It divides twice, since both factors are divided: once, after the product.": (1, 2, 3, 1, 2, 3),
    "It divides by H twice; W, the width, is missing: C · H · W.": (1, 2, 2),
    "It divides by W twice; H, the height, is missing: C · H · W.": (1, 3, 3),
    "It divides by C twice: C · H · W.": (1, 1, 2, 3),
}
GRAM_MISTAKES: dict[str, Callable] = {
    **{say: partial(_gram, divisor=axes) for say, axes in WRONG_DIVISORS.items()},
    "The mean of each map is taken away (a covariance): leave it.": lambda m: _gram(m - m.mean((2, 3), True)),
    "It mixes channels and places (reshape, view): flatten(2) makes channels by places.": lambda m: _gram(
        m.reshape(len(m), -1, m.shape[1]).mT[..., None]
    ),
    f"It sums over the images, too: {_BATCH}.": lambda m: _gram(m).sum(0).expand(len(m), -1, -1),
    f"The images are summed: {_BATCH}.": lambda m: _gram(m).sum(0),
    f"The images are averaged: {_BATCH}.": lambda m: _gram(m).mean(0),
    f"Only the first image has one: {_BATCH}.": lambda m: _gram(m)[:1],
    "It multiplies sums of maps: multiply place by place, then sum.": lambda m: (
        _products(m.sum((2, 3), True)) / m[0].numel()
    ),
    "It multiplies places by places; a Gram matrix has channels by channels.": lambda m: (
        m.flatten(2).mT @ m.flatten(2) / m[0].numel()
    ),
    "Only the upper triangle is filled: [i, j] and [j, i] are equal.": lambda m: _gram(m).triu(),
    "The maps are normalised (cosines); keep their size.": lambda m: _gram(normalize(m.flatten(2), dim=2)[..., None]),
}


def check_gram_matrices(answer: Callable) -> None:
    """Checks ``answer(maps)``, ``(N, C, H, W)`` to the Gram matrices ``(N, C, C)``, divided by C·H·W."""
    cases = [
        Case((normal(1, 3, 4, 5),), "Multiply channels place by place, sum over the places, divide by C · H · W."),
        Case((normal(2, 4, 5, 3),), "One Gram matrix for each image of the batch: (N, C, C)."),
    ]
    compare(answer, _gram, cases, mistakes=GRAM_MISTAKES)


def _mean_square(values: Tensor) -> Tensor:
    return values.square().mean()


def _relative(gram: Tensor, target: Tensor) -> Tensor:
    return mse_loss(gram, target) / _mean_square(target)


def _total(grams: Mapping, targets: Mapping, weights: Mapping, loss: Callable = _relative) -> Any:
    return sum(w * loss(grams[name], targets[name]) for name, w in weights.items())


def _mean_loss(grams: Mapping, targets: Mapping, weights: Mapping, loss: Callable = _relative) -> Any:
    return _total(grams, targets, weights, loss) / sum(weights.values())


_SQUARES = "square the differences of the entries."
WRONG_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Losses must be relative: divide the mean squared difference by the target's mean square.": mse_loss,
    "It divides by the size of the Gram matrix itself, not of the target.": lambda g, t: _relative(t, g),
    "A sum is divided by a mean; take the mean of both.": lambda g, t: _relative(g, t) * t.numel(),
    "A mean is divided by a sum; take the mean of both.": lambda g, t: _relative(g, t) / t.numel(),
    "It takes a root (a norm); losses are ratios of squares.": lambda g, t: _relative(g, t).sqrt(),
    "Differences are absolute, not squared.": lambda g, t: (g - t).abs().sum() / t.abs().sum(),
    "It divides by the square of the target's mean, not by the mean of its squares.": lambda g, t: (
        mse_loss(g, t) / t.mean() ** 2
    ),
    "It divides by the target's variance, not by its mean square.": lambda g, t: mse_loss(g, t) / t.var(correction=0),
    f"It compares the squared norms: {_SQUARES}": lambda g, t: (_mean_square(g) / _mean_square(t) - 1).abs(),
    f"It compares the squared norms (square of their difference): {_SQUARES}": lambda g, t: (
        _mean_square(g) / _mean_square(t) - 1
    ).square(),
    "It divides by the target's norm, not by the square of it.": lambda g, t: (g - t).square().sum() / t.norm(),
    "It divides value by value: divide one mean square by the other.": lambda g, t: _mean_square((g - t) / t),
}
_WEIGHTS, _OWN = "divide by the sum of the weights", "each layer's loss is relative to its own target"
STYLE_LOSS_MISTAKES: dict[str, Callable] = {
    f"This is a weighted sum, not a weighted mean: {_WEIGHTS}.": _total,
    f"It divides by the number of layers; {_WEIGHTS}.": lambda g, t, w: _total(g, t, w) / len(w),
    f"It divides by the number of all layers; {_WEIGHTS}.": lambda g, t, w: _total(g, t, w) / len(g),
    "The weights are ignored: multiply each loss by its weight.": lambda g, t, w: _mean_loss(g, t, dict.fromkeys(w, 1)),
    **{say: partial(_mean_loss, loss=loss) for say, loss in WRONG_LOSSES.items()},
    f"The sum of the losses is divided by the sum of the targets' mean squares: {_OWN}.": lambda g, t, w: (
        _total(g, t, w, mse_loss) / _total(g, t, w, lambda _, target: _mean_square(target))
    ),
    f"The sum of the losses is divided by the sum of the targets' squares: {_OWN}.": lambda g, t, w: (
        _total(g, t, w, lambda g, t: (g - t).square().sum()) / _total(g, t, w, lambda _, t: t.square().sum())
    ),
    "Layers are paired by their order (zip), not by name.": lambda g, t, w: _mean_loss(
        dict(enumerate(g.values())), dict(enumerate(t.values())), dict(enumerate(w.values()))
    ),
    "A layer that weights does not name counts here: leave it out.": lambda g, t, w: _mean_loss(
        g, t, dict.fromkeys(g, 1) | w
    ),
}


def check_weighted_style_loss(answer: Callable) -> None:
    """Checks ``answer(grams, targets, weights)``, dictionaries by layer: the weighted mean of the relative losses."""
    near, far, big = normal(2, 2), normal(1, 2, 2)[0] + 0.5, 9 * normal(3, 3) + 5
    one = "For one layer it is the mean squared difference, divided by the target's mean square; one number."
    zeros = "With Gram matrices of zeros it is 1."
    cases = [
        Case(({"a": near}, {"a": far}, {"a": 1}), one),
        Case(({"a": near, "b": big.T}, {"a": far, "b": big}, {"a": 1, "b": 3}), "Relative first, layer by layer."),
        Case(({"b": far, "a": near}, {"a": far, "b": 9 * near}, {"a": 0.5, "b": 0.2}), "Layers go together by name."),
        Case(
            ({"a": big.T, "b": near, "c": far}, {"a": big, "b": far, "c": near}, {"c": 2, "b": 0.5}), "a has no weight."
        ),
        Case(({"a": 0 * far, "b": 0 * big}, {"a": far, "b": big}, {"b": 2, "a": 3}), zeros),
    ]
    compare(answer, _mean_loss, cases, mistakes=STYLE_LOSS_MISTAKES)


def _mix(painted: Tensor, photo: Tensor, luma: Callable = to_gray, **wrong: Any) -> Tensor:
    """The luma of one image and the chrominance of the other; the keywords ask for well-known mistakes."""
    chrominance = wrong.get("of", lambda color: color)(photo - luma(photo))
    return wrong.get("limit", lambda mixed: mixed.clamp(0, 1))(luma(painted) + chrominance)


def _stretched(image: Tensor) -> Tensor:
    return (image - image.min()) / (image.max() - image.min())


_CHROMINANCE = "the chrominance is photo - images.to_gray(photo)"
COLOR_MISTAKES: dict[str, Callable] = {
    "The images are swapped: take the luma of painted, the chrominance of photo.": lambda a, b: _mix(b, a),
    "The result leaves [0, 1]: limit it with clamp(0, 1).": partial(_mix, limit=lambda x: x),
    "Values below 0 are left: limit both ends, clamp(0, 1).": partial(_mix, limit=lambda x: x.clamp(max=1)),
    "Values above 1 are left: limit both ends, clamp(0, 1).": partial(_mix, limit=lambda x: x.clamp(min=0)),
    "The luma is a plain mean of the channels; use images.to_gray.": partial(_mix, luma=lambda x: x.mean(0)),
    "Red and blue are exchanged in the luma (BGR): use images.to_gray.": partial(
        _mix, luma=lambda x: to_gray(x.flip(0))
    ),
    "All pixels get one brightness; each has a luma of its own.": partial(_mix, luma=lambda x: to_gray(x).mean()),
    f"The photo's luma is not taken away: {_CHROMINANCE}.": lambda a, b: (to_gray(a) + b).clamp(0, 1),
    "The chrominance is limited, too, and its negative part lost: clamp only the sum.": partial(
        _mix, of=lambda color: color.clamp(0, 1)
    ),
    "Only the photo is left: the wrong luma is added, or taken away. Add that of painted, take away the photo's.": (
        lambda a, b: b
    ),
    "All of painted is added, not its luma alone.": lambda a, b: (a + b - to_gray(b)).clamp(0, 1),
    f"The sign is wrong: {_CHROMINANCE}.": partial(_mix, of=torch.neg),
    "The sign of the chrominance is lost (abs).": partial(_mix, of=torch.abs),
    f"The photo is multiplied by a ratio of lumas: {_CHROMINANCE}, to be added.": lambda a, b: (
        b * to_gray(a) / to_gray(b)
    ).clamp(0, 1),
    "The luma is limited (as in style.with_colors_of), not the sum: clamp(0, 1).": style.with_colors_of,
    "The result is scaled to fill [0, 1]; cut it off with clamp(0, 1).": partial(_mix, limit=_stretched),
    "This is the luma alone: add the photo's chrominance.": lambda a, b: to_gray(a).expand(3, -1, -1),
    "This is painted, without its luma: add the luma, not the chrominance.": lambda a, b: (
        a - to_gray(a) + b - to_gray(b)
    ).clamp(0, 1),
}


def check_keep_colors(answer: Callable) -> None:
    """Checks ``answer(painted, photo)``, both ``(3, H, W)``: luma of one, chrominance of the other, in [0, 1]."""
    painted = torch.tensor([0.3, 0.5, 0.4, 0.6, 0.5, 0.4]).view(3, 1, 2)
    photo = torch.tensor([0.6, 0.3, 0.4, 0.4, 0.5, 0.35]).view(3, 1, 2)
    cases = [
        Case((painted, photo), "The luma is that of the first image, the chrominance that of the second."),
        Case((painted / 4, photo**3 * 3), "Values below 0 become 0."),
        Case((painted / 2 + 0.6, photo**3 * 3), "Values above 1 become 1."),
        Case((normal(3, 4, 5).sigmoid(), normal(3, 5, 4).mT.sigmoid()), "Every place has a luma of its own."),
    ]
    compare(answer, _mix, cases, mistakes=COLOR_MISTAKES)


class Loss(nn.Module):
    """A loss of an image of any size. Its weights ask for gradients, and no answer should leave one there."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.5, -0.7]))

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        curve = torch.arange(1, image.numel() + 1, dtype=image.dtype).sin().view(image.shape)
        return (self.weight[0] * curve * image + self.weight[1] * (image - 0.5).square()).sum()


def _slope(loss_of: Callable, image: Tensor, *_: Any) -> Tensor:
    leaf = image.detach().clone().requires_grad_()
    return torch.autograd.grad(loss_of(leaf), leaf)[0]


def _step(f: Callable, image: Tensor, rate: float, of: Callable = lambda g: g, limits: tuple = (0, 1)) -> Tensor:
    return (image - rate * of(_slope(f, image))).clamp(*limits)


_PLAIN = "plain gradient descent takes rate times the gradient"
WRONG_GRADIENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "It goes uphill; to go downhill, subtract rate times gradient.": torch.neg,
    f"The gradient is divided by its root mean square; {_PLAIN}.": lambda g: g / _mean_square(g).sqrt(),
    f"The gradient is divided by its norm; {_PLAIN}.": lambda g: g / g.norm(),
    f"The gradient is divided by its largest value; {_PLAIN}.": lambda g: g / g.abs().max(),
    f"Only the gradient's sign is used; {_PLAIN}.": torch.sign,
    f"The gradient is limited; {_PLAIN}.": lambda g: g.clamp(-1, 1),
    "It divides by the number of values (a mean): take the gradient of loss_of(image) itself.": lambda g: g / g.numel(),
}
STEP_MISTAKES: dict[str, Callable] = {
    **{say: partial(_step, of=of) for say, of in WRONG_GRADIENTS.items()},
    "The result leaves [0, 1]: limit it with clamp(0, 1).": partial(_step, limits=(-99, 99)),
    "Values below 0 are left: limit both ends, clamp(0, 1).": partial(_step, limits=(-99, 1)),
    "Values above 1 are left: limit both ends, clamp(0, 1).": partial(_step, limits=(0, 99)),
    "The step is limited, and negative slopes lost: limit the new image to [0, 1] instead.": lambda f, i, rate: (
        i - (rate * _slope(f, i)).clamp(0, 1)
    ),
    "A value stays where its step would leave [0, 1]; it goes up to the border, clamp(0, 1).": lambda f, i, rate: (
        torch.where((_step(f, i, rate, limits=(-99, 99)) - 0.5).abs() > 0.5, i, _step(f, i, rate))
    ),
    "rate is ignored: multiply the gradient by it.": lambda f, i, rate: _step(f, i, 1),
    "rate counts twice.": lambda f, i, rate: _step(f, i, rate**2),
    "The image has not moved: give back image - rate * gradient.": lambda f, i, rate: i,
    "This is the gradient; give the new image.": _slope,
    "Two steps are taken; take one.": lambda f, i, rate: _step(f, _step(f, i, rate), rate),
}


def check_image_step(answer: Callable) -> None:
    """Checks ``answer(loss_of, image, rate)``: one step downhill on the image, and nothing else changed."""

    def graph(result: Any) -> str:
        kept = isinstance(result, Tensor) and result.requires_grad
        return "gave an image that still has a graph (requires_grad is on): detach the result." if kept else ""

    cases = [
        Case((Loss(), torch.tensor([0.4, 0.6, 0.3, 0.7, 0.5, 0.45]).view(3, 1, 2), 0.1), "image - rate * gradient."),
        Case((Loss(), normal(3, 4, 5).sigmoid(), 0.02), "Each image has a gradient of its own."),
        Case((Loss(), normal(3, 5, 4).sigmoid(), 1.5), "The new image stays within [0, 1]."),
    ]
    if judge(answer, cases[0].arguments, graph, "loss_of needs a copy that asks for gradients, outside of no_grad."):
        compare(answer, _step, cases, mistakes=STEP_MISTAKES)


def style_explorer(runs: Mapping[float, Sequence[tuple[int, Mapping[str, float], Tensor]]]) -> ipw.Widget:
    """Lesson 9: move through snapshots of style transfer that were taken before, for several weights of the style.

    Args:
        runs: for each ``style_weight`` its snapshots: the step, the weighted losses, and the image ``(3, H, W)``.
    """
    if not runs or not all(runs.values()):
        raise ValueError("runs must have at least one snapshot for each style_weight")
    ratios, middle = [(f"{ratio:g}", ratio) for ratio in runs], list(runs)[len(runs) // 2]
    wide: dict[str, Any] = {"layout": ipw.Layout(width="480px")}
    controls = {
        "ratio": ipw.SelectionSlider(options=ratios, value=middle, description="style weight", **wide),
        "snapshot": ipw.IntSlider(0, 0, max(map(len, runs.values())) - 1, description="snapshot", **wide),
    }

    @functools.cache
    def draw(ratio: float, snapshot: int) -> dict[str, bytes | str]:
        step, losses, image = runs[ratio][min(snapshot, len(runs[ratio]) - 1)]
        pixels = (255 * to_array(image)).round().astype(np.uint8)
        zoom = 480 / max(pixels.shape[:2])
        parts = " + ".join(f"{html.escape(name)} {value:.3f}" for name, value in losses.items() if name != "total")
        return {
            "image": encode(cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)),
            "text": f"<p>Step {step}: {parts} = <b>{losses['total']:.3f}</b></p>",
        }

    view = {"text": ipw.HTML(), "image": ipw.Image(**wide)}
    connect(controls, view, draw)
    return ipw.VBox([*controls.values(), *view.values()])
