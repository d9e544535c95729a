"""Style transfer: a picture with the content of one picture and the style of another (Gatys et al. 2016).

Lesson 9 makes each part by hand. Pictures are ``(3, H, W)`` in [0, 1], of any size and shape, in whatever form
:func:`helpers.images.read` takes; the models come back as they came.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import LBFGS, Adam, Optimizer
from tqdm.auto import tqdm

from helpers import images
from helpers.devices import device_of, mixed_precision
from helpers.hooks import gradients, inference, run_to
from helpers.images import Source, resized, scaled, to_gray, total_variation
from helpers.models import check_size, converted, is_large_enough
from helpers.pretrained import default_for

# For each network the layers whose maps are compared with those of the content, and those whose Gram matrices are
# compared with those of the style. Losses are relative (see below), so that layers can weigh the same.
CONTENT_LAYERS: dict[str, dict[str, float]] = {
    "squeezenet1_1": {"features.7": 1},
    "vgg16": {"features.20": 1},
    "vgg19": {"features.22": 1},
    "googlenet": {"inception4a": 1},
    "resnet18": {"layer3.0": 1},
}
STYLE_LAYERS: dict[str, dict[str, float]] = {
    "squeezenet1_1": dict.fromkeys(("features.1", "features.3", "features.4", "features.6", "features.7"), 1),
    "vgg16": dict.fromkeys(("features.1", "features.6", "features.11", "features.18", "features.25"), 1),
    "vgg19": dict.fromkeys(("features.1", "features.6", "features.11", "features.20", "features.29"), 1),
    "googlenet": dict.fromkeys(("conv1", "conv3", "inception3a", "inception3b", "inception4a"), 1),
    "resnet18": dict.fromkeys(("relu", "layer1.0", "layer1.1", "layer2.0", "layer2.1"), 1),
}

SMALLEST = 64  # pixels of the longer side, where coarse to fine begins
# Of a pixel in one step. L-BFGS, which knows the curvature only from its first short steps, would overshoot with it.
MOST_CHANGE = 0.1

OPTIMIZERS: dict[str, Callable[[Tensor], Optimizer]] = {
    # One evaluation in each step, and no stopping by itself: the relative losses have small gradients.
    "lbfgs": lambda x: LBFGS([x], max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0),
    "adam": lambda x: Adam([x], lr=0.02),
}

# Called after each step with its number, and a picture ``(3, H, W)`` with its weighted losses and their sum.
Callback = Callable[[int, dict[str, float], Tensor], None]


# --- Losses ----------------------------------------------------------------------------------------------------------


def gram_matrix(maps: Tensor) -> Tensor:
    """How much each pair of channels is active at the same places: ``(N, C, H, W)`` to ``(N, C, C)``.

    The products of two maps, summed over the places and divided by C·H·W, so that neither the picture's size nor the
    number of channels makes it larger; in float32 or better, also for maps of less precision.
    """
    places = maps.movedim(1, -1).flatten(1, 2)  # (N, H·W, C): no copy where the channels come last in memory
    return _Products.apply(places) / (places.shape[1] * places.shape[2])


class _Products(torch.autograd.Function):
    """The transpose of a matrix times the matrix, ``(N, P, C)`` to ``(N, C, C)``.

    Followed back by autograd, each of the two factors gets a gradient of its own, in an order of its own in memory:
    that took half the time of a step.
    """

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))  # sums of many products want it
        return matrix.mT @ matrix

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (matrix,) = ctx.saved_tensors
        return matrix @ (gradient + gradient.mT).to(matrix.dtype)


def content_loss(maps: Tensor, target: Tensor) -> Tensor:
    """Mean square of the difference of two pictures' maps, in units of the target's own mean square; one number."""
    return _relative(maps.to(target.dtype), target)


def style_loss(maps: Tensor, target: Tensor) -> Tensor:
    """Mean square of the difference of two Gram matrices, in units of the target's own mean square; one number.

    Args:
        maps: of a layer, ``(N, C, H, W)``.
        target: the Gram matrix of the style picture's maps there, ``(N, C, C)``.
    """
    return _relative(gram_matrix(maps), target)


def _relative(value: Tensor, target: Tensor) -> Tensor:
    # 0 where both are equal, 1 where the value is 0: the same scale for every layer, picture and network.
    return F.mse_loss(value, target) / target.square().mean().clamp(min=1e-12)


def with_colors_of(picture: Tensor, content: Tensor) -> Tensor:
    """The luma of one picture with the chrominance of another, both ``(…, 3, H, W)``. Source: Gatys et al. 2016.

    Luma that would lead out of [0, 1] with that chrominance is limited, so that the chrominance is kept exactly.
    """
    chrominance = content - to_gray(content)
    least, most = -chrominance.amin(dim=-3, keepdim=True), 1 - chrominance.amax(dim=-3, keepdim=True)
    return (to_gray(picture).clamp(least, most) + chrominance).clamp(0, 1)


# --- What a picture is compared with ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weights:
    """How much each layer's loss counts, by name, and the picture's total variation."""

    content: Mapping[str, float]
    style: Mapping[str, float]
    variation: float

    @property
    def layers(self) -> list[str]:
        """Every layer that counts, once."""
        return list({**self.content, **self.style})


@dataclass(frozen=True)
class Targets:
    """What a picture of one size is to come near to: by layer maps ``(1, C, H, W)`` and Gram matrices ``(1, C, C)``."""

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]
    weights: Weights
    margin: int

    @classmethod
    def of(cls, model: nn.Module, content: Tensor, style: Tensor, weights: Weights, margin: int) -> "Targets":
        """Computed once, from two pictures ``(1, 3, H, W)``, seen with a mirrored margin around them."""
        with inference(model):
            maps = {name: m.float() for name, m in _maps(model, content, list(weights.content), margin).items()}
            seen = _maps(model, style, weights.layers if weights.style else [], margin)
        grams = {name: gram_matrix(seen[name]) for name in weights.style}
        if weights.style:
            # A pale photo has small maps, whose relative loss is large for the least change: without this it would
            # hardly be painted at all. The root is what looked best: with the ratio itself, contents get lost.
            ratios = {name: (_strength(maps[name]) / _strength(seen[name])) ** 0.5 for name in weights.content}
            weights = replace(weights, content={name: w * ratios[name] for name, w in weights.content.items()})
        return cls(maps, grams, weights, margin)

    def losses(self, model: nn.Module, picture: Tensor) -> dict[str, Tensor]:
        """The weighted losses of a picture ``(1, 3, H, W)``, and their sum, ``total``."""
        weights, zero = self.weights, picture.new_zeros(())
        maps = _maps(model, picture, weights.layers, self.margin)
        losses = {
            "content": sum((w * content_loss(maps[k], self.content[k]) for k, w in weights.content.items()), zero),
            "style": sum((w * style_loss(maps[k], self.style[k]) for k, w in weights.style.items()), zero),
            "variation": weights.variation * total_variation(picture),
        }
        return losses | {"total": sum(losses.values(), zero)}


def _strength(maps: Tensor) -> float:
    return maps.float().square().mean().sqrt().clamp(min=1e-6).item()


def _maps(model: nn.Module, picture: Tensor, layers: list[str], margin: int) -> dict[str, Tensor]:
    if not layers:
        return {}
    with mixed_precision(picture.device):
        return run_to(model, _framed(picture, margin), layers)


def _framed(picture: Tensor, margin: int) -> Tensor:
    margin = min(margin, *(n - 1 for n in picture.shape[2:]))
    return F.pad(picture, (margin,) * 4, mode="reflect").contiguous(memory_format=torch.channels_last)


# --- The transfer ----------------------------------------------------------------------------------------------------


def stylize(
    model: nn.Module,
    content: Source,
    style: Source,
    *,
    content_layers: Mapping[str, float] | None = None,
    style_layers: Mapping[str, float] | None = None,
    content_weight: float = 1.0,
    style_weight: float = 5.0,
    tv_weight: float = 3.0,
    style_scale: float = 1.0,
    margin: int = 16,
    start: Source = "content",
    keep_colors: bool = False,
    coarse_to_fine: bool = True,
    steps: int = 80,
    optimizer: str = "lbfgs",
    seed: int = 0,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """The content of one picture in the style of another.

    Args:
        model: any network that takes pictures in [0, 1].
        content: the picture to paint; the result has its size.
        style: the picture to paint like.
        content_layers, style_layers: by name how much each counts beside the others; by default those in
            :data:`CONTENT_LAYERS` and :data:`STYLE_LAYERS`.
        content_weight, style_weight, tv_weight: of the three losses; one with 0 is left out, and its layers are not
            computed. Where there is a style, the content's is multiplied by the root of how strong the content's maps
            are beside the style's, so that pale photos are painted as well.
        style_scale: the longer side of the style picture over that of the content: with 2, strokes are twice as wide.
        margin: mirrored pixels put around each picture before the network sees it, which would leave a frame otherwise.
        start: ``"content"``, ``"noise"``, or a picture.
        keep_colors: whether only light and dark are taken from the style, and the content keeps its colours.
        coarse_to_fine: whether to begin with a small copy and double its size until it has that of the content.
        steps: at each size.
        optimizer: ``"lbfgs"`` or ``"adam"``.
        seed: of the noise.
        progress: whether to show a progress bar.
        callback: called after each step.

    Returns:
        ``(3, H, W)``: the picture with the least total loss at the largest size that was come to. An interrupt ends
        the work early.

    Raises:
        ValueError: no such layer or optimiser, no loss at all, a negative weight, or a picture that is too small for
            the layers, or too large.
    """
    if optimizer not in OPTIMIZERS or steps < 1 or not style_scale > 0 or margin < 0 or tv_weight < 0:
        raise ValueError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}, steps at least 1, style_scale above 0, margin "
            f"and tv_weight not negative; they are {optimizer!r}, {steps}, {style_scale}, {margin} and {tv_weight}"
        )
    content_layers = content_layers or default_for(model, CONTENT_LAYERS, "content_layers")
    style_layers = style_layers or default_for(model, STYLE_LAYERS, "style_layers")
    weights = Weights(_shares(content_layers, content_weight), _shares(style_layers, style_weight), tv_weight)
    if not weights.layers and tv_weight == 0:
        raise ValueError("content_weight, style_weight and tv_weight must not be 0 all three")
    colored, example = (
        _read(model, content, weights.layers, "the picture"),
        _read(model, style, list(weights.style), "the style picture"),
    )
    original = colored
    if keep_colors:
        original, example = (to_gray(each).expand_as(each) for each in (colored, example))
    best = _first(start, original, seed)
    sizes = _sizes(model, original, weights.layers) if coarse_to_fine else [scaled(original, 1)]

    def finished(picture: Tensor) -> Tensor:
        return (with_colors_of(picture, resized(colored, picture.shape[2:])) if keep_colors else picture)[0]

    with gradients(model), tqdm(total=steps * len(sizes), disable=not progress) as bar, suppress(KeyboardInterrupt):
        count, fast = itertools.count(1), converted(model)
        for size in sizes:
            style_size = scaled(example, style_scale * max(size) / max(example.shape[2:]))
            scaled_example = resized(example, style_size)
            check_size(model, list(weights.style), _framed(scaled_example, margin), "the style, scaled and framed,")
            goal = Targets.of(fast, resized(original, size), scaled_example, weights, margin)
            run = _descend(fast, goal, resized(best, size), steps, optimizer)
            for losses, current, best in run:  # noqa: B007 - kept for after the loop, and for an interrupt
                bar.update()
                if callback:
                    callback(next(count), losses, finished(current))
    return finished(resized(best, original.shape[2:]))


def _shares(layers: Mapping[str, float], weight: float) -> dict[str, float]:
    """The layers' weights, made to sum to ``weight``; none of them if that is 0."""
    total = sum(layers.values())
    if weight < 0 or not total > 0 or min(layers.values()) < 0:
        raise ValueError(f"weights must not be negative, nor all of them 0, and these are {weight} and {dict(layers)}")
    return {name: weight * each / total for name, each in layers.items()} if weight else {}


def _read(model: nn.Module, source: Source, layers: list[str], name: str) -> Tensor:
    picture = images.read(source)[None].to(device_of(model))
    check_size(model, layers, picture, name)
    return picture


def _first(start: Source, content: Tensor, seed: int) -> Tensor:
    if isinstance(start, str) and start == "content":
        return content
    if isinstance(start, str) and start == "noise":
        return torch.rand(content.shape, generator=torch.Generator().manual_seed(seed)).to(content)
    if isinstance(start, str) and "://" not in start and not Path(start).exists():
        raise ValueError(f"start must be 'content', 'noise' or a picture, and there is no file {start!r}")
    return resized(images.read(start)[None].to(content), content.shape[2:])


def _sizes(model: nn.Module, picture: Tensor, layers: list[str]) -> list[tuple[int, int]]:
    """The picture's own size, half of it, half of that …, as long as the layers have something to see; least first."""
    sizes = [scaled(picture, 1)]
    while max(half := scaled(picture, 0.5 ** len(sizes))) >= SMALLEST and is_large_enough(model, layers, half):
        sizes.insert(0, half)
    return sizes


def _descend(
    model: nn.Module, goal: Targets, start: Tensor, steps: int, optimizer: str
) -> Iterator[tuple[dict[str, float], Tensor, Tensor]]:
    """At each step the losses of a picture, that picture, and the best one so far."""
    picture = start.contiguous(memory_format=torch.channels_last).clone().requires_grad_()
    stepper, losses = OPTIMIZERS[optimizer](picture), dict[str, Tensor]()

    def closure() -> float:
        losses.update(goal.losses(model, picture))
        (picture.grad,) = torch.autograd.grad(losses["total"], picture)
        return losses["total"].item()

    best, least = start, math.inf
    for _ in range(steps):
        current = picture.detach().clone()
        stepper.step(closure)
        with torch.no_grad():
            change = (picture - current).clamp(-MOST_CHANGE, MOST_CHANGE)
            picture.copy_(current + change).clamp_(0, 1)
        values = {name: loss.item() for name, loss in losses.items()}
        if values["total"] < least:
            best, least = current, values["total"]
        yield values, current, best
