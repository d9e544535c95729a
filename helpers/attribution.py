"""What a network looks at: which pixels a score depends on. Lesson 7 makes each method by hand.

- :func:`occlusion` covers parts of the image with a patch; ``baselines`` is the colour of the patch.
- :func:`backpropagate` follows a score back to the pixels; ``RULES`` are what the ReLUs on the way pass back.
- :func:`saliency`, :func:`smooth_grad`, :func:`integrated_gradients` and :func:`grad_cam` are made of gradients.
- :func:`deletion_curve` and :func:`insertion_curve` measure what a map is worth.

Each takes images ``(C, H, W)`` or ``(N, C, H, W)`` and gives maps of their size, for one or for N; the curves take one
image. The model comes back as it came: mode, gradients, flags and hooks. Arguments that mean the same as in Captum have
its names. ``target`` is a class, a list of classes, one for each image, or None for the class that the model finds.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from helpers.arguments import check_choice, check_number, check_pair, check_tensor, check_whole
from helpers.bars import tqdm
from helpers.hooks import ReLURule, Rule, gradients, inference, maps_of, recording, run_to
from helpers.incremental import Windows
from helpers.models import explained, prepare

Index = int | tuple[int, ...]
Target = Index | list[Index] | Tensor | None

PATCHES_AT_ONCE = 96  # of an occlusion
COPIES_AT_ONCE = 8  # of integrated gradients and of the curves; more of them take as long for each, and more memory

# --- Covering parts of the image -------------------------------------------------------------------------------------


def occlusion(
    model: nn.Module,
    inputs: Tensor,
    target: Target = None,
    sliding_window_shapes: tuple[int, int] | None = None,
    strides: tuple[int, int] | None = None,
    baselines: float | Tensor = 0.5,
    *,
    progress: bool = True,
) -> Tensor:
    """How much the class score drops when a grey patch covers a place. Source: Zeiler and Fergus 2014.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``.
        inputs: the images.
        target: as said above.
        sliding_window_shapes: rows and columns of the patch, by default a seventh of the image's. At the lower and
            right edge it may stick out.
        strides: rows and columns from one patch to the next, by default a quarter of the patch.
        baselines: the value of the patch, or one for each channel, ``(C, 1, 1)``, such as the mean colour of the image,
            ``image.mean(dim=(1, 2), keepdim=True)``.
        progress: whether to show a progress bar.

    Returns:
        ``(N, 1, H, W)`` or ``(1, H, W)``: at each pixel the mean drop over all patches that cover it. It is negative
        where covering raises the score.

    Raises:
        ValueError: a patch larger than the image, a stride below 1 or larger than the patch, or baselines that are no
            colour.
    """
    batch, single = prepare(model, inputs)
    size = batch.shape[2:]
    shape = (max(1, size[0] // 7), max(1, size[1] // 7)) if sliding_window_shapes is None else sliding_window_shapes
    check_pair(sliding_window_shapes=shape)
    strides = (max(1, shape[0] // 4), max(1, shape[1] // 4)) if strides is None else strides
    check_pair(strides=strides)
    rows, columns = map(_starts, size, shape, strides)
    color = _patch_color(baselines, batch)
    corners = [(row, column) for row in rows for column in columns]
    maps = []
    bar = tqdm(total=len(batch) * len(corners), disable=not progress, unit="patch")
    with bar, inference(model), explained(model, batch):
        for image, index in zip(batch.split(1), _indices(model(batch), target), strict=True):
            probe = _covered(image, [corners[0], corners[len(corners) // 2]], shape, color)
            score, drops = _score_of(model, image, index, probe), []
            for first in range(0, len(corners), PATCHES_AT_ONCE):
                part = corners[first : first + PATCHES_AT_ONCE]
                drops.append(score(image) - score(_covered(image, part, shape, color)))
                bar.update(len(part))
            # Half precision would neither count nor sum as far as this goes.
            total, count = batch.new_zeros(2, *size, dtype=torch.promote_types(batch.dtype, torch.float32))
            for drop, (row, column) in zip(torch.cat(drops), corners, strict=True):
                patch = slice(row, row + shape[0]), slice(column, column + shape[1])
                total[patch] += drop
                count[patch] += 1
            maps.append((total / count)[None].to(batch.dtype))
    return maps[0] if single else torch.stack(maps)


def _patch_color(baselines: float | Tensor, batch: Tensor) -> Tensor:
    """The value of the patch, or that of each channel, ``(1 | C, 1, 1)``."""
    channels = batch.shape[1]
    with suppress(TypeError, ValueError, RuntimeError):  # what is no number at all
        color = torch.as_tensor(baselines).to(batch)
        is_pixel = color.numel() == 1 or (color.numel() == channels and color.shape[-3:] == (channels, 1, 1))
        if is_pixel and color.isfinite().all():
            return color.reshape(-1, 1, 1)
    raise ValueError(
        f"baselines must be a finite number, or one for each channel, ({channels}, 1, 1), not {baselines!r:.80}"
    )


def _starts(size: int, window: int, stride: int) -> range:
    """Where the patches begin along one axis: as many as it takes to cover the last pixel."""
    if not 1 <= window <= size:
        raise ValueError(f"a patch must be 1 to {size} pixels wide, as wide as the image at most, not {window}")
    if not 1 <= stride <= window:
        raise ValueError(f"strides must be 1 to {window}, or pixels between the patches are left out, not {stride}")
    return range(0, size - window + stride, stride)


def _covered(image: Tensor, corners: Sequence[tuple[int, int]], shape: tuple[int, int], color: Tensor) -> Windows:
    """The image with a patch at each corner. One that would stick out is cut off at the edge."""
    crops, starts = [], []
    for corner in corners:
        top, left = (min(at, n - size) for at, n, size in zip(corner, image.shape[2:], shape, strict=True))
        crop = image[0, :, top : top + shape[0], left : left + shape[1]].clone()
        crop[:, corner[0] - top :, corner[1] - left :] = color
        crops.append(crop)
        starts.append((top, left))
    return Windows(image, torch.stack(crops), *torch.tensor(starts, device=image.device).T)


def _score_of(model: nn.Module, image: Tensor, index: tuple[int, ...], probe: Windows) -> Callable[[Any], Tensor]:
    """A function from images to one class score each: the quickest of three that gives the right numbers.

    ``narrow`` leaves the other classes out, and is taken instead of ``full`` where both agree on two images. On
    SqueezeNet, 224 × 224 pixels, patches of 32 with stride 16, it makes occlusion 1.5 times as fast (AMD EPYC, one
    thread); on FashionNet it makes no difference. ``one_by_one`` is taken where the quicker of them gives something
    else for the two windows of the probe than the network for each of these copies by itself.
    """

    def full(x: Tensor) -> Tensor:
        scores = model(x)[(slice(None), *index)]
        if scores.ndim > 1:
            raise ValueError(
                f"target must be the place of a single score, and at {index} there are {scores[0].numel()}"
            )
        return scores

    def narrow(x: Tensor) -> Tensor:
        return functional_call(model, state, (x,))[(slice(None), 0, *index[1:])]

    def one_by_one(copies: Tensor) -> Tensor:
        whole = copies.whole() if isinstance(copies, Windows) else copies
        return torch.cat([full(each) for each in whole.split(1)])

    last = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)][-1:]
    both = torch.cat([image, 1 - image])
    try:
        state = {key: p[index[0]][None] for name, layer in last for key, p in layer.named_parameters(prefix=name)}
        first, second = scores = narrow(both)
        # A softmax over one class is 1 for any image, and over all classes it may come to that for both.
        same = first != second and torch.allclose(scores, full(both), rtol=1e-5, atol=1e-6)
    except (RuntimeError, IndexError):
        same = False
    fast, expected = narrow if same else full, one_by_one(probe)
    with suppress(RuntimeError, IndexError, TypeError):  # Windows have no rule for all that a network may do
        tolerance = torch.finfo(expected.dtype).eps ** 0.5
        if torch.allclose(fast(probe), expected, rtol=tolerance, atol=tolerance * expected.abs().max().item()):
            return fast
    return one_by_one


# --- Following the score back to the pixels ---------------------------------------------------------------------------

# What a ReLU passes back of the gradient that comes from above; ``positive`` says where its input was above zero.
RULES: dict[str, Rule] = {
    "plain": lambda gradient, positive: gradient * positive,
    "deconvnet": lambda gradient, positive: gradient.clamp(min=0),
    "guided": lambda gradient, positive: gradient.clamp(min=0) * positive,
}


def backpropagate(
    model: nn.Module, inputs: Tensor, target: Target = None, rule: str = "plain", layer: str | None = None
) -> Tensor:
    """The gradient of a score with respect to the pixels, or what another rule at the ReLUs makes of it.

    ``"plain"`` is the gradient; ``"deconvnet"`` (Zeiler and Fergus 2014) passes back what is positive from above,
    whatever the ReLU's input was; ``"guided"`` (Springenberg et al. 2015) only where that was positive too.
    Covered are ``nn.ReLU``, in place or not and however often used, and the functions ``relu``.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``, or anything where ``layer`` is given.
        inputs: the images.
        target: as said above; with ``layer`` an index into that layer's output, such as (channel, row, column). One
            with fewer axes stands for the sum over the others.
        rule: at the ReLUs.
        layer: the layer whose output is followed back, by its name in ``model.named_modules()``.

    Returns:
        The shape of ``inputs``.

    Raises:
        ValueError: no such rule, layer or target; or a rule for ReLUs in a network that has none or has others as well.
    """
    check_choice(RULES, rule=rule)
    if layer is not None and target is None:
        raise ValueError("target must say which channel or unit of the layer is meant; it is None")
    relus = ReLURule(RULES[rule])
    with gradients(model), relus if rule != "plain" else nullcontext():
        batch, single = _differentiable(model, inputs)
        with explained(model, batch, [layer] if layer else []):
            copy = batch.clone()  # of which a first layer in place may make what it likes
            outputs = model(copy) if layer is None else run_to(model, copy, [layer])[layer]
        gradient = _gradient(_total_score(outputs, target), batch, "the score to the image")
    if rule != "plain" and (relus.others or not (relus.count or layer)):  # a first layer has no ReLU before it
        others = ", ".join(sorted(relus.others))
        raise ValueError(f"rule is for networks whose activations are ReLUs, and this one has {others or 'no ReLU'}")
    return gradient[0] if single else gradient


def saliency(model: nn.Module, inputs: Tensor, target: Target = None, abs: bool = True) -> Tensor:
    """How strongly each pixel moves the class score: the gradient's size (Simonyan et al. 2014), or with its sign.

    For one value at each place take the largest over the channels, ``.amax(dim=-3)``. Shape of ``inputs``.
    """
    gradient = backpropagate(model, inputs, target)
    return gradient.abs() if abs else gradient


def smooth_grad(
    model: nn.Module,
    inputs: Tensor,
    target: Target = None,
    nt_samples: int = 25,
    stdevs: float = 0.15,
    abs: bool = True,
) -> Tensor:
    """Saliency with the gradient averaged over noisy copies of the image. Source: Smilkov et al. 2017.

    Args:
        model, inputs, target: as in :func:`saliency`; None is the class of the image without noise.
        nt_samples: how many copies.
        stdevs: standard deviation of the noise, on pixels in [0, 1].
        abs: the size of the mean gradient, or with its sign.

    The noise is the same in each call. Shape of ``inputs``.
    """
    check_whole(1, 100_000, nt_samples=nt_samples)
    check_number(stdevs=stdevs)
    batch, single = prepare(model, inputs)
    with inference(model), explained(model, batch):
        indices: list[Index] = list(_indices(model(batch), target))
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(batch, dtype=torch.promote_types(batch.dtype, torch.float32))  # half sums no many numbers
    for _ in range(nt_samples):
        noise = stdevs * torch.randn(batch.shape, generator=generator, dtype=torch.float32).to(batch.device)
        total += backpropagate(model, batch + noise, indices)
    mean = ((total.abs() if abs else total) / nt_samples).to(batch.dtype)
    return mean[0] if single else mean


def integrated_gradients(
    model: nn.Module,
    inputs: Tensor,
    target: Target = None,
    baselines: float | Tensor = 0.0,
    *,
    n_steps: int = 50,
) -> Tensor:
    """What each pixel contributes to the score, on a straight way from a baseline. Sundararajan, Taly and Yan 2017.

    The mean gradient along the way, times the difference between image and baseline. All contributions sum to the score
    of the image minus that of the baseline (completeness), up to an error that falls with the number of steps.

    Args:
        model, inputs, target: as in :func:`saliency`; None is the class of the image itself.
        baselines: the image without information: one value, or a tensor that broadcasts to ``inputs``.
        n_steps: gradients along the way, at the places and with the weights of Gauss and Legendre.

    Returns:
        The shape of ``inputs``, with signs.

    Raises:
        ValueError: no step, or baselines that do not broadcast to ``inputs`` or are not finite.
    """
    check_whole(1, 10_000, n_steps=n_steps)
    batch, single = prepare(model, inputs)
    batch, start = batch.detach(), _baseline(baselines, batch)
    with inference(model), explained(model, batch):
        indices = _indices(model(batch), target)
    places, weights = (torch.as_tensor(x / 2).to(batch) for x in np.polynomial.legendre.leggauss(n_steps))
    pieces = list(zip((places + 0.5).split(COPIES_AT_ONCE), weights.split(COPIES_AT_ONCE), strict=True))
    means = []
    for end, begin, index in zip(batch, start, indices, strict=True):
        mean = torch.zeros_like(end, dtype=torch.promote_types(batch.dtype, torch.float32))
        for part, weight in pieces:
            points = begin + part.view(-1, 1, 1, 1) * (end - begin)
            gradient = backpropagate(model, points, [index] * len(points))
            mean += (weight.view(-1, 1, 1, 1).to(mean) * gradient.to(mean)).sum(dim=0)
        means.append(mean.to(batch.dtype))
    contributions = (batch - start) * torch.stack(means)
    return contributions[0] if single else contributions


def grad_cam(model: nn.Module, inputs: Tensor, target: Target = None, *, layer: str) -> Tensor:
    """Where a layer's maps speak for a class: their sum, each weighted with its mean gradient. Selvaraju et al. 2017.

    What speaks against the class is set to 0.

    Args:
        model, inputs, target: as in :func:`saliency`.
        layer: one that gives maps ``(N, C', H', W')``; usually the last one that does.

    Returns:
        ``(N, 1, H, W)`` or ``(1, H, W)``: enlarged to the size of the images, bilinearly.
    """
    with gradients(model), recording(model, [layer]) as outputs:
        batch, single = _differentiable(model, inputs)
        with explained(model, batch):
            logits = model(batch.clone())
        maps = maps_of(outputs, layer)
        gradient = _gradient(_total_score(logits, target), maps, f"the score to layer {layer!r}")
    heat = (gradient.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1, keepdim=True).relu()
    heat = F.interpolate(heat, batch.shape[2:], mode="bilinear")
    return heat[0] if single else heat


# --- What a map is worth ---------------------------------------------------------------------------------------------


def deletion_curve(
    model: nn.Module,
    image: Tensor,
    heat: Tensor,
    target: Index | None = None,
    baselines: float | Tensor = 0.5,
    *,
    steps: int = 20,
) -> Tensor:
    """The score while pixels are covered, those with the largest values of a map first. Petsiuk, Das and Saenko 2018.

    The faster it falls, the better the map has found what the score depends on.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``.
        image: one image, ``(C, H, W)``.
        heat: its map, ``(H, W)`` or ``(1, H, W)``; pixels of equal value go from top left to bottom right.
        target: as said above.
        baselines: what covers a pixel: one value, or a tensor that broadcasts to the image, such as a blurred copy.
        steps: in how many equal portions the pixels go.

    Returns:
        ``(steps + 1,)``: the score of the whole image, and after each portion; the last one is the baseline's.
    """
    return _curve(model, image, heat, target, baselines, steps, inserted=False)


def insertion_curve(
    model: nn.Module,
    image: Tensor,
    heat: Tensor,
    target: Index | None = None,
    baselines: float | Tensor = 0.5,
    *,
    steps: int = 20,
) -> Tensor:
    """The score while the pixels appear on the baseline, those with the largest values first; else as deletion.

    The faster it rises, the better the map.
    """
    return _curve(model, image, heat, target, baselines, steps, inserted=True)


def _curve(model, image, heat, target, baselines, steps, inserted) -> Tensor:
    check_tensor((3,), image=image)
    check_tensor((2, 3), heat=heat)
    check_whole(1, image[0].numel(), steps=steps)
    batch, _ = prepare(model, image)
    if heat.numel() != image[0].numel() or heat.shape[-2:] != image.shape[1:]:
        raise ValueError(f"heat must have a value for each pixel, {tuple(image.shape[1:])}, not {tuple(heat.shape)}")
    start = _baseline(baselines, batch)
    rank = heat.flatten().to(batch.device).argsort(descending=True, stable=True).argsort()
    ends = torch.linspace(0, len(rank), steps + 1, device=rank.device).round()
    scores = []
    with inference(model), explained(model, batch):
        (index,) = _indices(model(batch), target)
        for part in ends.split(COPIES_AT_ONCE):
            is_first = rank.view(1, 1, *heat.shape[-2:]) < part.view(-1, 1, 1, 1)
            copies = torch.where(is_first == inserted, batch, start)
            scores.append(model(copies)[(slice(None), *index)])
    return torch.cat(scores)


# --- What they share -------------------------------------------------------------------------------------------------


def _baseline(baselines: float | Tensor, batch: Tensor) -> Tensor:
    """The image without information for each image of a batch."""
    with suppress(TypeError, ValueError, RuntimeError):  # what is no number at all, or of another shape
        start = torch.as_tensor(baselines).detach().to(batch)
        if start.isfinite().all() and torch.broadcast_shapes(start.shape, batch.shape) == batch.shape:
            return start.expand_as(batch)
    raise ValueError(
        f"baselines must be a finite number, or a tensor that broadcasts to {tuple(batch.shape)}, not {baselines!r:.80}"
    )


def _differentiable(model: nn.Module, inputs: Tensor) -> tuple[Tensor, bool]:
    batch, single = prepare(model, inputs)
    return batch.detach().clone().requires_grad_(), single


def _gradient(score: Tensor, wanted: Tensor, way: str) -> Tensor:
    """The gradient of a score with respect to a tensor, or an error that names the way that none passes."""
    if score.requires_grad and wanted.requires_grad:
        (gradient,) = torch.autograd.grad(score, wanted, allow_unused=True)
        if gradient is not None:
            return gradient
    raise ValueError(f"no gradients pass from {way}: the model computes something between under no_grad, or detached")


def _indices(outputs: Tensor, target: Target) -> list[tuple[int, ...]]:
    """For each image the place of its score in its output, checked."""
    if not isinstance(outputs, Tensor) or outputs.ndim < 2:
        raise ValueError("the model must give one tensor of logits, (N, K)")
    if target is None:
        target = outputs.flatten(1).argmax(dim=1)
    listed = target.tolist() if isinstance(target, Tensor | np.ndarray) else target
    listed = listed if isinstance(listed, list) else [listed] * len(outputs)
    if len(listed) != len(outputs):
        raise ValueError(f"target has {len(listed)} entries, and there are {len(outputs)} images")
    indices = [index if isinstance(index, tuple) else (index,) for index in listed]
    shape = tuple(outputs.shape[1:])
    for index in indices:
        fits = all(type(i) is int and 0 <= i < n for i, n in zip(index, shape, strict=False))
        if not fits or not 1 <= len(index) <= len(shape):
            raise ValueError(f"target must be an index into an output of shape {shape}, not {index!r:.60}")
    return indices


def _total_score(outputs: Tensor, target: Target) -> Tensor:
    scores = [output[index].sum() for output, index in zip(outputs, _indices(outputs, target), strict=True)]
    return torch.stack(scores).sum()
