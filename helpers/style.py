"""Style transfer: an image with the content of one image and the style of another (Gatys et al. 2016; lesson 9).

Style images are files in ``data/images``: ``draw.py`` there draws them, lesson 9 lists them by name, and nothing here
knows them. Which layers are compared by default stands in :data:`helpers.pretrained.NETWORKS`; the default weights and
steps are the arguments of :func:`stylize`.

Images are ``(3, H, W)`` in [0, 1], of any size, in whatever form :func:`helpers.images.read` takes. Models come back as
they came. An interrupt ends the work early and gives the best image there is.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import LBFGS

from helpers import images
from helpers.arguments import check_choice, check_number, check_tensor, check_whole
from helpers.bars import tqdm
from helpers.devices import mixed_precision
from helpers.hooks import gradients, inference, run_to, weight_of
from helpers.images import Source, resized, scaled, to_gray, total_variation
from helpers.models import check_size, is_large_enough
from helpers.pretrained import network_of

MAX_WEIGHT = 1e6  # of a loss; float32 holds no sums of much larger ones
MARGIN = 16  # mirrored pixels around each image before the network sees it; without them a frame would appear
# Of a pixel in one step: L-BFGS, which knows the curvature only from its first short steps, would overshoot without it.
MAX_CHANGE = 0.1
# How many times more a difference of chrominance between neighbouring pixels counts than one of light and dark: without
# it, specks of pure red and green come up, which the network hardly notices and the eye does.
CHROMA = 20

# Called after each step with its number, and an image ``(3, H, W)`` with its weighted losses and their sum.
Callback = Callable[[int, dict[str, float], Tensor], None]
LossFunction = Callable[[Tensor], dict[str, Tensor]]
Weights = Mapping[str, float]  # by layer name


# --- Losses ----------------------------------------------------------------------------------------------------------


def gram_matrix(maps: Tensor) -> Tensor:
    """How much each pair of channels is active at the same places: ``(N, C, H, W)`` to ``(N, C, C)``.

    The products of two maps, summed over the places and divided by C·H·W, so that neither the image's size nor the
    number of channels makes it larger; in float32 or better, also for maps of less precision.
    """
    check_tensor((4,), maps=maps)
    places = maps.movedim(1, -1).flatten(1, 2)  # (N, H·W, C): no copy where the channels come last in memory
    return _Products.apply(places) / (places.shape[1] * places.shape[2])


class _Products(torch.autograd.Function):
    """The transpose of a matrix times the matrix, ``(N, P, C)`` to ``(N, C, C)``.

    Autograd would give each of the two factors a gradient of its own: a transfer then takes 1.6 times as long.
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
    """Mean square of the difference of two images' maps, in units of the target's own mean square; one number."""
    check_tensor(range(1, 6), maps=maps, target=target)
    return _relative(maps.to(target.dtype), target)


def style_loss(maps: Tensor, target: Tensor) -> Tensor:
    """Mean square of the difference of two Gram matrices, in units of the target's own mean square; one number.

    Args:
        maps: of a layer, ``(N, C, H, W)``.
        target: the Gram matrix of the style image's maps there, ``(N, C, C)``.
    """
    check_tensor((3,), target=target)
    return _relative(gram_matrix(maps), target)


def _relative(value: Tensor, target: Tensor) -> Tensor:
    if value.shape != target.shape:
        raise ValueError(f"target must be of the same shape, {tuple(value.shape)}, not {tuple(target.shape)}")
    # 0 where both are equal, 1 where the value is 0: the same scale for every layer, image and network.
    return F.mse_loss(value, target) / target.square().mean().clamp(min=1e-12)


def with_colors_of(image: Tensor, content: Tensor) -> Tensor:
    """The luma of an image ``(…, 3, H, W)`` with the chrominance of another. Source: Gatys et al. 2016.

    Luma that would lead out of [0, 1] with that chrominance is limited, so that the chrominance is kept exactly.
    """
    check_tensor(range(3, 6), image=image, content=content)
    content = resized(content, image.shape[-2:])
    chrominance = content - to_gray(content)
    minimum, maximum = -chrominance.amin(dim=-3, keepdim=True), 1 - chrominance.amax(dim=-3, keepdim=True)
    return (to_gray(image).clamp(minimum, maximum) + chrominance).clamp(0, 1)


def with_palette_of(image: Tensor, style: Tensor) -> Tensor:
    """An image ``(3, H, W)`` whose colours have the mean and the covariance of another's ``(3, H, W)``.

    Of all linear maps of the colours that do so, it is the one that changes them least. What leaves [0, 1] is limited.
    """
    check_tensor((3,), image=image, style=style)
    (mean, covariance), (wanted, target) = _color_moments(image), _color_moments(style)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    gain = inverse @ _power(root @ target @ root, 0.5) @ inverse
    return (gain @ (_colors(image) - mean) + wanted).view(image.shape).clamp(0, 1).to(image)


def _colors(image: Tensor) -> Tensor:
    """Red, green and blue of each pixel, ``(3, H·W)``, on the processor: not every other device knows float64."""
    return image.flatten(1).cpu().double()


def _color_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(3, 1)`` and covariance ``(3, 3)`` of an image's colours."""
    colors = _colors(image)
    mean = colors.mean(dim=1, keepdim=True)
    # What is added, a standard deviation of 0.01, keeps the noise of a pale or grey image from being blown up.
    noise = 1e-4 * torch.eye(3, dtype=torch.float64)
    return mean, (colors - mean) @ (colors - mean).T / colors.shape[1] + noise


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=1e-12) ** exponent) @ vectors.T


# --- The transfer ----------------------------------------------------------------------------------------------------


def stylize(
    model: nn.Module,
    content: Source,
    style: Source,
    *,
    content_layers: Weights | None = None,
    style_layers: Weights | None = None,
    content_weight: float = 1.0,
    style_weight: float = 15.0,
    tv_weight: float = 3.0,
    start: str = "content",
    palette: bool = True,
    keep_colors: bool = False,
    coarse_to_fine: bool = True,
    smallest: int = 64,
    steps: int = 60,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """The content of one image in the style of another, which is first brought to the same longer side.

    Args:
        model: any network that takes images in [0, 1].
        content: the image to paint; the result has its size.
        style: the image to paint like.
        content_layers, style_layers: by name how much each counts beside the others; by default those in
            :data:`helpers.pretrained.NETWORKS`.
        content_weight, style_weight, tv_weight: of the three losses; with 0 for content or style its layers are not
            computed. Where there is a style, the content's is multiplied by the root of how strong the content's maps
            are beside the style's, so that pale photos are painted as well. In the total variation, chrominance
            counts :data:`CHROMA` times as much as light and dark.
        start: ``"content"`` or ``"noise"``.
        palette: whether the content gets the style's palette before anything else (:func:`with_palette_of`).
        keep_colors: whether only light and dark are taken from the style, and the content keeps its colours.
        coarse_to_fine: whether to begin with a small copy and double its size until it has that of the content.
        smallest: pixels of the longer side from which it begins; the fewer, the more of the content gives way.
        steps: of L-BFGS, at each size.
        progress: whether to show a progress bar.
        callback: called after each step.

    Returns:
        ``(3, H, W)``: the image with the smallest total loss at the largest size that was come to.

    Raises:
        ValueError: no such layer or start, no loss at all, a negative weight, or an image that is too small
            for the layers, or too large.
    """
    check_whole(1, steps=steps, smallest=smallest)
    check_number(0, MAX_WEIGHT, content_weight=content_weight, style_weight=style_weight, tv_weight=tv_weight)
    if not (content_weight or style_weight or tv_weight):
        raise ValueError("content_weight, style_weight and tv_weight must not all be 0")
    check_choice(("content", "noise"), start=start)
    content_shares = _shares(model, "content_layers", content_layers, content_weight)
    style_shares = _shares(model, "style_layers", style_layers, style_weight)
    losses_beside = partial(_loss_function, model, content_shares, style_shares, tv_weight)
    with gradients(model):
        colored, example = (images.read(each)[None].to(weight_of(model).device) for each in (content, style))
        original, example = (to_gray(x).expand_as(x) if keep_colors else x for x in (colored, example))
        layers, least = [*content_shares, *style_shares], smallest if coarse_to_fine else math.inf
        pairs = _pyramid(model, original, example, layers, least)
        if palette and style_weight and not keep_colors:
            pairs = [(with_palette_of(image[0], example[0])[None], example) for image, example in pairs]
        best = _first(start, pairs[-1][0])
        finish = (lambda image: with_colors_of(image, colored)) if keep_colors else (lambda image: image)
        run = _paint(losses_beside, pairs, best, steps)
        with suppress(KeyboardInterrupt), tqdm(run, total=steps * len(pairs), disable=not progress) as bar:
            for step, (losses, image, best) in enumerate(bar, start=1):  # noqa: B007 - best is for after the loop
                if callback:
                    callback(step, losses, finish(image)[0].clone())
    return finish(resized(best, original.shape[2:]))[0]


def _shares(model: nn.Module, kind: str, layers: Weights | None, weight: float) -> dict[str, float]:
    """The layers' weights, by default the network's own, made to sum to ``weight``; none of them if that is 0."""
    if layers is None:
        layers = getattr(network_of(model, kind), kind)
    if not isinstance(layers, Mapping):
        raise ValueError(f"layers are given with their weights, such as {{'features.3': 1.0}}, not {layers!r:.60}")
    check_number(**{f"the weight of layer {name!r}": each for name, each in layers.items()})
    if not (total := sum(layers.values())):
        raise ValueError(f"layers' weights must not all be 0, and these are {dict(layers)}")
    return {name: weight * each / total for name, each in layers.items()} if weight else {}


def _pyramid(
    model: nn.Module, content: Tensor, style: Tensor, layers: list[str], smallest: float
) -> list[tuple[Tensor, Tensor]]:
    """Both images at the content's size, half of it …, while the layers have something to see; the smallest first."""
    check_size(model, layers, content, "the content image")
    if min(content.shape[2:]) < 2:
        raise ValueError(f"the content image has {content.shape[2]} × {content.shape[3]} pixels: a line is no image")
    sizes = [scaled(content, 1)]
    while max(half := scaled(content, 0.5 ** len(sizes))) >= smallest and min(half) > 1:
        if not is_large_enough(model, layers, (3, *half)):
            break
        sizes.insert(0, half)
    longer = max(style.shape[2:])
    return [(resized(content, size), resized(style, scaled(style, max(size) / longer))) for size in sizes]


def _first(start: str, content: Tensor) -> Tensor:
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(content)
    return content if start == "content" else noise


def _framed(image: Tensor) -> Tensor:
    # Channels last: in the other order a transfer takes 1.5 times as long.
    margin = min(MARGIN, *(n - 1 for n in image.shape[2:]))
    return F.pad(image, (margin,) * 4, mode="reflect").contiguous(memory_format=torch.channels_last)


def _maps(model: nn.Module, image: Tensor, layers: list[str]) -> dict[str, Tensor]:
    if not layers:
        return {}
    with mixed_precision(image.device):
        return run_to(model, _framed(image).to(weight_of(model)), layers)


def _variation(image: Tensor) -> Tensor:
    return total_variation(image) + CHROMA * total_variation(image - to_gray(image))


def _strength(maps: Tensor) -> float:
    return maps.float().square().mean().sqrt().clamp(min=1e-6).item()


def _loss_function(
    model: nn.Module, content_weights: Weights, style_weights: Weights, tv_weight: float, content: Tensor, style: Tensor
) -> LossFunction:
    """From an image ``(1, 3, H, W)`` to its weighted losses and their sum, ``total``; targets are computed once."""
    check_size(model, list(style_weights), _framed(style), "the style, scaled and framed,")
    layers, zero = list({**content_weights, **style_weights}), content.new_zeros(())
    with inference(model):
        content_maps = {name: maps.float() for name, maps in _maps(model, content, list(content_weights)).items()}
        style_maps = _maps(model, style, layers if style_weights else [])
    grams = {name: gram_matrix(style_maps[name]) for name in style_weights}
    if style_weights:
        # A pale photo has small maps, whose relative loss is large for the smallest change: without this it would
        # hardly be painted at all. The root is what looked best: with the ratio itself, contents get lost.
        ratios = {name: _strength(maps) / _strength(style_maps[name]) for name, maps in content_maps.items()}
        content_weights = {name: weight * ratios[name] ** 0.5 for name, weight in content_weights.items()}

    def losses(image: Tensor) -> dict[str, Tensor]:
        maps = _maps(model, image, layers)
        parts = {
            "content": sum((w * content_loss(maps[k], content_maps[k]) for k, w in content_weights.items()), zero),
            "style": sum((w * style_loss(maps[k], grams[k]) for k, w in style_weights.items()), zero),
            "variation": tv_weight * _variation(image),
        }
        return parts | {"total": sum(parts.values(), zero)}

    return losses


def _paint(
    losses_beside: Callable[[Tensor, Tensor], LossFunction],
    pairs: list[tuple[Tensor, Tensor]],
    best: Tensor,
    steps: int,
) -> Iterator[tuple[dict[str, float], Tensor, Tensor]]:
    """At each step the losses of an image, that image, and the best one of its size; the next size begins with it."""
    for content, style in pairs:
        losses_of, smallest = losses_beside(content, style), math.inf
        image = resized(best, content.shape[2:]).clone(memory_format=torch.channels_last).requires_grad_()
        # One evaluation in each step, and no stopping by itself: the relative losses have small gradients.
        optimizer = LBFGS([image], max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0)
        for _ in range(steps):
            current, losses = _step(optimizer, image, losses_of)
            if smallest == math.inf and not math.isfinite(losses["total"]):
                raise ValueError(f"the losses are not finite at the first step, and nothing can be painted: {losses}")
            if losses["total"] < smallest:
                best, smallest = current, losses["total"]
            yield losses, current, best


def _step(optimizer: LBFGS, image: Tensor, losses_of: LossFunction) -> tuple[Tensor, dict[str, float]]:
    """Change the image by one step, within [0, 1]; the result is the image before it, and its losses."""
    losses, before = dict[str, Tensor](), image.detach().clone()

    def closure() -> float:
        losses.update(losses_of(image))
        (image.grad,) = torch.autograd.grad(losses["total"], image)
        return losses["total"].item()

    optimizer.step(closure)
    with torch.no_grad():
        image.copy_(before + (image - before).clamp(-MAX_CHANGE, MAX_CHANGE)).clamp_(0, 1)
    return before, {name: loss.item() for name, loss in losses.items()}
