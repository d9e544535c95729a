"""Lesson 9, style transfer: its paintings, the checks of its exercises, and its explorer."""

import base64
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize, pad

from helpers import images, pretrained, style
from helpers.arguments import check_choice
from helpers.files import DATA
from helpers.hooks import run_to
from helpers.images import to_gray
from helpers.lessons.checking import Case, compare, judge, normal
from helpers.lessons.explore import Explorer, image_file


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
    if judge(
        answer,
        cases[0].arguments,
        graph,
        "loss_of needs a copy that asks for gradients, outside of no_grad; grad gives a tuple: take [0].",
    ):
        compare(answer, _step, cases, mistakes=STEP_MISTAKES)


# --- Paintings, and the explorer --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Painting:
    """One of the four paintings that the lesson opens with.

    Attributes:
        photo: the sample photo that is painted.
        options: of :func:`helpers.style.stylize`; what is not there is as it is by default.
    """

    photo: str
    options: Mapping[str, Any]


# By the name of the style. Chosen by looking at many, each beside a part of its style.
PAINTINGS = {
    "swirls": Painting("chelsea", {}),
    "stained_glass": Painting("coffee", {"style_weight": 30}),
    "woodcut": Painting("china", {"style_weight": 12}),
    "pointillism": Painting("china", {"style_weight": 8, "tv_weight": 1}),
}
SIZE = 512  # pixels of the longer side

STYLES = DATA / "images"
RUNS = DATA / "paintings" / "runs.zip"  # the images; the numbers stand beside it in runs.json
EXPLORER_SIZE, EXPLORER_STYLE = 320, "woodcut"  # whose palette leaves the cat a cat
STEPS, SMALLEST = 60, 40  # at each of four sizes; pixels of the smallest, at which much style can dissolve the cat
WEIGHTS, WEIGHT = (0.1, 0.5, 2, 8, 30, 120, 500), 8  # of the style: those recorded, and where the explorer begins
KEPT = (1, 8, 30, 61, 75, 121, 135, 181, 187, 200)  # snapshots: steps as they are counted over all sizes
QUALITY = 72  # of the explorer's WebP files
CATS = range(281, 286)  # the classes of domestic cats


def large(photo: images.Source, size: int = SIZE) -> Tensor:
    """A photo ``(3, H, W)`` whose longer side has so many pixels, also where it had fewer."""
    image = images.read(photo, size)
    return images.resized(image, images.scaled(image, size / max(image.shape[1:]))).clamp(0, 1)


def paintings() -> dict[str, Tensor]:
    """The four paintings ``(3, H, W)`` by the names of their styles, as ``make pictures`` has kept them."""
    return {name: images.read(STYLES / f"painting_{name}.jpg") for name in PAINTINGS}


def opened(file: bytes) -> Tensor:
    """An image file as ``(3, H, W)``."""
    return images.read(Image.open(io.BytesIO(file)))


# Where the details of the paintings are taken: the middle, as shares of height and width.
DETAILS = {"swirls": (0.4, 0.38), "stained_glass": (0.25, 0.5), "woodcut": (0.32, 0.32), "pointillism": (0.32, 0.32)}


def details(size: int = 170) -> list[Tensor]:
    """A piece ``(3, size, size)`` of each style image, then one of each painting, at the scale of the paintings."""
    painted = paintings()
    styles = [_piece(style_crop(name, image), size, (0.5, 0.5)) for name, image in painted.items()]
    return styles + [_piece(image, size, DETAILS[name]) for name, image in painted.items()]


def _piece(image: Tensor, size: int, middle: tuple[float, float]) -> Tensor:
    top, left = (
        min(max(0, round(share * n - size / 2)), n - size) for share, n in zip(middle, image.shape[1:], strict=True)
    )
    return image[:, top : top + size, left : left + size]


def explorer_photo(photo: images.Source | None = None) -> Tensor:
    """The photo of the explorer: the cat, or the reader's own."""
    return images.read(images.sample("chelsea") if photo is None else photo, EXPLORER_SIZE)


def style_image(name: str) -> Tensor:
    """A style image of the course ``(3, 480, 640)``, by its name in :data:`PAINTINGS`."""
    check_choice(PAINTINGS, style=name)
    return images.read(STYLES / f"style_{name}.jpg")


def style_crop(name: str, content: Tensor) -> Tensor:
    """The middle of a style image, as large as the content ``(3, H, W)`` and at the scale that a painting takes it."""
    height, width = content.shape[1:]
    scaled = large(style_image(name), max(height, width))
    top, left = (scaled.shape[1] - height) // 2, (scaled.shape[2] - width) // 2
    if top < 0 or left < 0:
        return images.resized(scaled, (height, width)).clamp(0, 1)
    return scaled[:, top : top + height, left : left + width]


def painting_run(
    net: nn.Module, photo: Tensor, style_name: str, weight: float, classes: Sequence[int], **options: Any
) -> dict[str, Any]:
    """Paint, and keep some moments of it, the last of them the best image at full size.

    Args:
        net: the network, which also says what it takes each image for.
        photo: ``(3, H, W)``.
        style_name: as in :data:`PAINTINGS`.
        weight: of the style.
        classes: those of what the photo shows.
        options: more of :func:`helpers.style.stylize`.

    Returns:
        ``weight`` and ``snapshots``; each has the ``step``, its ``size``, the losses ``content``, ``style`` (both
        without their weight) and ``variation`` (with it), the probability of the classes as ``subject``, and ``image``.
    """
    kept: list[tuple[int, dict[str, float], Tensor]] = []
    best: list[tuple[int, dict[str, float], Tensor]] = []

    def look(step: int, losses: dict[str, float], image: Tensor) -> None:
        if step in KEPT:
            kept.append((step, losses, image))
        if image.shape == photo.shape and (not best or losses["total"] < best[0][1]["total"]):
            best[:] = [(step, losses, image)]

    options = {"steps": STEPS, "smallest": SMALLEST, "style_weight": weight, "progress": False, **options}
    style.stylize(net, photo, style_image(style_name), callback=look, **options)
    snapshots = [_snapshot(net, *each, weight, classes) for each in kept + best]
    return {"weight": weight, "snapshots": snapshots}


def _snapshot(
    net: nn.Module, step: int, losses: Mapping[str, float], image: Tensor, weight: float, classes: Sequence[int]
) -> dict[str, Any]:
    with torch.no_grad():
        probability = net(image[None]).softmax(dim=1)[0, list(classes)].sum().item()
    shares = {"content": losses["content"], "style": losses["style"] / weight, "variation": losses["variation"]}
    numbers = {name: float(f"{value:.4g}") for name, value in {**shares, "subject": probability}.items()}
    return {"step": step - 1, "size": list(image.shape[1:]), **numbers, "image": image}


def _with_files(run: Mapping[str, Any]) -> dict[str, Any]:
    return {**run, "snapshots": [each | {"image": image_file(each["image"], QUALITY)} for each in run["snapshots"]]}


def _series(photo: Tensor, style_name: str, subject: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    height, width = photo.shape[1:]
    files = {"photo": image_file(photo), "style": image_file(style_crop(style_name, photo))}
    return {**files, "width": width, "height": height, "subject": subject, "runs": list(runs)}


def recorded_runs() -> list[dict[str, Any]]:
    """The cat in woodcut with each of :data:`WEIGHTS`, kept by ``make pictures``; images as files."""
    record = json.loads(RUNS.with_suffix(".json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(RUNS) as images_of:
        for run in record["runs"]:
            for each in run["snapshots"]:
                each["image"] = images_of.read(each["image"])
    return record["runs"]


def rate_painting(net: nn.Module, image: Tensor) -> None:
    """Print how near a cat ``(3, H, W)`` is to the style of the woodcut, whether it is a cat, and what to beat."""
    loss, probability = style_distance(net, image), cat_probability(net, image)
    ends = [run["snapshots"][-1] for run in recorded_runs()]
    best = min(end["style"] for end in ends if end["subject"] >= 0.5)
    print(f"Style loss {loss:.3f}; a cat with {probability:.0%}.")
    if probability < 0.5:
        print("It must be a cat with 50 % or more.")
    else:
        print(f"The best of the recorded cats has {best:.3f}: {'beaten' if loss < best else 'not beaten yet'}.")


def cat_probability(net: nn.Module, image: Tensor) -> float:
    """What a network trained on ImageNet gives the five classes of domestic cats together, for ``(3, H, W)``."""
    with torch.no_grad():
        return net(image[None]).softmax(dim=1)[0, list(CATS)].sum().item()


def style_distance(net: nn.Module, image: Tensor) -> float:
    """The style loss of an image ``(3, H, W)`` to the woodcut, with the layers that are taken by default."""
    layers = pretrained.NETWORKS[pretrained.EMBEDDED].style_layers
    goal = style_image(EXPLORER_STYLE)
    goal = images.resized(goal, images.scaled(goal, max(image.shape[1:]) / max(goal.shape[1:])))
    with torch.no_grad():
        # Framed as in stylize, so that the numbers can be compared with those of its losses.
        pair = [pad(x[None], (style.MARGIN,) * 4, mode="reflect") for x in (image, goal)]
        ours, theirs = (run_to(net, x, list(layers)) for x in pair)
    losses = [w * style.style_loss(ours[k], style.gram_matrix(theirs[k])).item() for k, w in layers.items()]
    return sum(losses) / sum(layers.values())


class StyleExplorer(Explorer):
    """What :func:`style_explorer` gives.

    Attributes:
        painted: the image ``(3, H, W)`` that Python has painted last for the reader; None before.
    """

    lesson = "lesson_09"
    still = (
        "A cat, at the left of a line as a photo and at its right in painted strokes; beside it curves of "
        "the content and style losses."
    )
    photo: Tensor
    subject: tuple[str, Sequence[int]]
    painted: Tensor | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """A run with the weight and style of the request, for its image (a file in base64) or, without, the photo."""
        weight, name = request["weight"], request["style"]
        check_choice(PAINTINGS, style=name)
        photo, net = self.photo, pretrained.load()
        if request["image"]:
            photo = images.read(Image.open(io.BytesIO(base64.b64decode(request["image"]))), EXPLORER_SIZE)
        subject, classes = self.subject if photo is self.photo else top_class(net, photo)
        run = painting_run(net, photo, name, weight, classes)
        self.painted = run["snapshots"][-1]["image"]
        return {"series": _series(photo, name, subject, []), "run": _with_files(run)}


def top_class(net: nn.Module, photo: Tensor) -> tuple[str, list[int]]:
    """The name, in quotation marks, and the number of the class that a network finds most probable for a photo."""
    with torch.no_grad():
        best = int(net(photo[None]).argmax())
    return f"“{pretrained.CLASSES[best]}”", [best]


def style_explorer(photo: images.Source | None = None) -> StyleExplorer:
    """Lesson 9: paintings from content to style, the steps that led to each, and what they cost; a wipe compares.

    Args:
        photo: an image of your own, as :func:`helpers.images.read` takes it. It is painted when you ask for it, which
            takes a running notebook; without it there are paintings of the cat that were made before.
    """
    shown = explorer_photo(photo)
    runs = recorded_runs() if photo is None else []
    subject = ("a cat", CATS) if photo is None else top_class(pretrained.load(), shown)
    content = {
        "kind": "style",
        "photo": "cat" if photo is None else "yours",
        "name": f"{'cat' if photo is None else 'yours'}, {EXPLORER_STYLE}",
        "series": _series(shown, EXPLORER_STYLE, subject[0], runs),
        "weights": list(WEIGHTS),
        "weight": WEIGHT,
        "styles": sorted(PAINTINGS, key=EXPLORER_STYLE.__ne__),
        "most": EXPLORER_SIZE,
    }
    explorer = StyleExplorer(content=content)
    explorer.photo, explorer.subject = shown, subject
    return explorer
