"""Pictures made by following a layer's activations back to the pixels: deep dream and activation maximisation.

Lesson 8 makes both by hand. Pictures are ``(3, H, W)`` in [0, 1], of any size and shape, in whatever form
:func:`helpers.images.read` takes; the models come back as they came. An interrupt ends the work early and gives what
there is.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import center_crop
from tqdm.auto import tqdm

from helpers import images
from helpers.devices import device_of, mixed_precision
from helpers.hooks import ReLURule, dummy_input, gradients, inference, run_to
from helpers.images import Source, resized, scaled, total_variation
from helpers.models import check_size, converted, is_large_enough
from helpers.pretrained import default_for

# The layer to dream with, where none is named: one that has patterns rather than edges, and not yet whole objects.
LAYERS = {
    "squeezenet1_1": "features.7",
    "vgg16": "features.22",
    "vgg19": "features.25",
    "googlenet": "inception4c",
    "resnet18": "layer3.0",
}

GUIDE_SIZE = 224  # pixels of the longer side at most; each place of the dream is compared with each place of the guide

# Called after each step with its number, the objective before it, and the picture after it, ``(3, H, W)``.
Callback = Callable[[int, float, Tensor], None]


# --- What is made large ----------------------------------------------------------------------------------------------


def half_squared_norm(maps: Tensor) -> Tensor:
    """Half the sum of squares, one number. Its gradient with respect to ``maps`` is ``maps``."""
    return maps.square().sum() / 2


def guide_similarity(maps: Tensor, guide: Tensor) -> Tensor:
    """How much of the guide is in the maps: at each place the largest dot product with a place of the guide, summed.

    Its gradient at a place is the guide's feature vector that fits best there. Source: Mordvintsev et al. 2015.

    Args:
        maps: ``(1, C, H, W)``.
        guide: the same layer's maps of another picture, ``(1, C, h, w)``.
    """
    products = maps.flatten(2).mT @ guide.flatten(2)  # (1, H·W, h·w)
    return products.amax(dim=2).sum()


def select_activation(output: Tensor, channel: int | None = None, unit: tuple[int, int] | None = None) -> Tensor:
    """Of a layer's output ``(1, C, H, W)`` or ``(1, C)`` one channel, or of that one unit, or all of it.

    Raises:
        ValueError: it has no such channel or unit, or a unit is named without its channel.
    """
    if unit is not None and channel is None:
        raise ValueError(f"unit {unit} is a row and a column in one channel's map, and channel does not say which")
    index = () if channel is None else (channel, *(unit or ()))
    shape = tuple(output.shape[1:])
    if len(index) > len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=False)):
        raise ValueError(f"the layer gives {shape} for a picture of this size, and there is no {index} in it")
    return output[(slice(None), *index)]


# --- Deep dream ------------------------------------------------------------------------------------------------------


def deep_dream(
    model: nn.Module,
    picture: Source,
    layer: str | None = None,
    *,
    channel: int | None = None,
    guide: Source | None = None,
    octaves: int = 4,
    octave_scale: float = 1.4,
    steps: int = 10,
    step_size: float = 0.015,
    jitter: int = 16,
    smoothing: float = 0.5,
    seed: int = 0,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """A picture in which a layer finds more of what it looks for. Source: Mordvintsev et al. 2015.

    It begins with a small copy of the picture, and carries what was dreamt to the next size, up to the full one.

    Args:
        model: any network that takes pictures in [0, 1].
        picture: to start from.
        layer: whose activations are made large; by default the one in :data:`LAYERS`.
        channel: of that layer, if only one is to be made large.
        guide: a picture; its features are then made large, where the layer has them at all.
        octaves: how many sizes; those that are too small for the layer are left out.
        octave_scale: from each size to the next.
        steps: uphill, at each size.
        step_size: of each step, the root mean square of the change of the pixel values.
        jitter: pixels by which the picture is shifted about before each step, at most, so that no grid shows.
        smoothing: deviation, in pixels, of the Gaussian that the gradient is smoothed with; 0 for none.
        seed: of the shifts.
        progress: whether to show a progress bar.
        callback: called after each step.

    Returns:
        ``(3, H, W)``.

    Raises:
        ValueError: no such layer or channel, or a picture that is too small for the layer, or too large.
    """
    if octaves < 1 or steps < 1 or not octave_scale > 1 or jitter < 0 or smoothing < 0:
        raise ValueError(
            "octaves and steps must be at least 1, octave_scale above 1, jitter and smoothing not below 0, "
            f"and they are {octaves}, {steps}, {octave_scale}, {jitter} and {smoothing}"
        )
    layer = layer or default_for(model, LAYERS, "layer")
    original = images.read(picture)[None].to(device_of(model))
    check_size(model, [layer], original)
    objective = _dream_objective(model, layer, channel, guide)
    sizes = _octaves(model, layer, original, octaves, octave_scale)
    base = dreamt = original
    with gradients(model), suppress(KeyboardInterrupt):
        fast = converted(model)
        walk = _walk(fast, layer, original, objective, sizes, steps, step_size, jitter, smoothing, seed)
        bar = tqdm(walk, total=steps * len(sizes), disable=not progress)
        for i, (value, base, dreamt) in enumerate(bar, start=1):  # noqa: B007 - base is for after the loop
            if callback:
                callback(i, value, dreamt[0])
    return _enlarged(original, base, dreamt)[0]


def zoom(
    model: nn.Module,
    picture: Source,
    layer: str | None = None,
    *,
    channel: int | None = None,
    guide: Source | None = None,
    frames: int = 48,
    rate: float = 1.04,
    octaves: int = 2,
    steps: int = 2,
    step_size: float = 0.015,
    seed: int = 0,
    progress: bool = True,
) -> list[Tensor]:
    """The frames of a flight into a dream: each is the one before, a little enlarged about its middle and dreamt on.

    Args:
        model, picture, layer, channel, guide, step_size: as in :func:`deep_dream`, which makes the first frame.
        frames: how many.
        rate: by which each is enlarged.
        octaves, steps: of every frame but the first.
        seed: of the shifts.
        progress: whether to show a progress bar.

    Returns:
        Each ``(3, H, W)``; after an interrupt those that are done.
    """
    if frames < 1 or not rate > 1:
        raise ValueError(f"frames must be at least 1 and rate above 1, not {frames} and {rate}")
    layer = layer or default_for(model, LAYERS, "layer")
    options: dict[str, Any] = {"channel": channel, "guide": guide, "step_size": step_size, "progress": False}
    made = [deep_dream(model, picture, layer, seed=seed, **options)]
    objective = _dream_objective(model, layer, channel, guide)
    with gradients(model), suppress(KeyboardInterrupt):
        fast = converted(model)
        for i in tqdm(range(1, frames), disable=not progress, unit="frame"):
            size = scaled(made[-1], 1)
            frame = center_crop(resized(made[-1], scaled(made[-1], rate)), list(size))[None].clamp(0, 1)
            sizes = _octaves(model, layer, frame, octaves, 1.4)
            *_, (_, base, dreamt) = _walk(fast, layer, frame, objective, sizes, steps, step_size, 16, 0.5, seed + i)
            made.append(_enlarged(frame, base, dreamt)[0])
    return made


def _dream_objective(
    model: nn.Module, layer: str, channel: int | None, guide: Source | None
) -> Callable[[Tensor], Tensor]:
    if guide is None:
        return lambda output: half_squared_norm(select_activation(output, channel))
    picture = images.read(guide, size=GUIDE_SIZE)[None].to(device_of(model))
    check_size(model, [layer], picture, f"the guide, made {GUIDE_SIZE} pixels wide or high at most,")
    with inference(model):
        wanted = select_activation(run_to(model, picture, [layer])[layer], channel)
    return lambda output: guide_similarity(select_activation(output, channel), wanted)


def _octaves(model: nn.Module, layer: str, picture: Tensor, count: int, scale: float) -> list[tuple[int, int]]:
    """The sizes to dream at, the least first."""
    sizes = [scaled(picture, scale**-k) for k in reversed(range(count))]
    return list(itertools.dropwhile(lambda size: not is_large_enough(model, [layer], size), sizes))


def _walk(
    model: nn.Module,
    layer: str,
    original: Tensor,
    objective: Callable[[Tensor], Tensor],
    sizes: Sequence[tuple[int, int]],
    steps: int,
    step_size: float,
    jitter: int,
    smoothing: float,
    seed: int,
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """After each step the objective before it, the original at this size, and what is dreamt of it by now."""
    generator, base, dreamt = torch.Generator().manual_seed(seed), original, original
    for size in sizes:
        detail = resized(dreamt - base, size)
        base = resized(original, size)
        dreamt = (base + detail).clamp(0, 1).contiguous(memory_format=torch.channels_last)
        for _ in range(steps):
            shift = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
            dreamt, value = _step(model, dreamt, layer, objective, shift, step_size, smoothing)
            yield value, base, dreamt


def _enlarged(original: Tensor, base: Tensor, dreamt: Tensor) -> Tensor:
    """What was dreamt at another size, brought to the original's."""
    return (original + resized(dreamt - base, original.shape[2:])).clamp(0, 1)


def _step(
    model: nn.Module,
    picture: Tensor,
    layer: str,
    objective: Callable[[Tensor], Tensor],
    shift: Sequence[int],
    step_size: float,
    smoothing: float,
) -> tuple[Tensor, float]:
    """One step uphill, and the objective before it."""
    shifted = picture.roll(tuple(shift), dims=(2, 3)).requires_grad_()
    with mixed_precision(shifted.device):
        output = run_to(model, shifted, [layer])[layer]
    value = objective(output.float())
    (gradient,) = torch.autograd.grad(value, shifted)
    if smoothing > 0:
        gradient = _smoothed(gradient, smoothing)
    root_mean_square = torch.linalg.vector_norm(gradient).item() / math.sqrt(gradient.numel())
    uphill = gradient.roll((-shift[0], -shift[1]), dims=(2, 3))
    return picture.add(uphill, alpha=step_size / max(root_mean_square, 1e-12)).clamp_(0, 1), value.item()


def _smoothed(gradient: Tensor, deviation: float) -> Tensor:
    """Convolved with a Gaussian, ``(1, 3, H, W)`` to the same shape, mirrored at the edges."""
    kernel = _gaussian(deviation).to(gradient)
    reach = kernel.shape[-1] // 2
    return F.conv2d(F.pad(gradient, (reach,) * 4, mode="reflect"), kernel, groups=3)


@functools.cache
def _gaussian(deviation: float) -> Tensor:
    """One kernel for each of three channels, ``(3, 1, K, K)``, two deviations to each side."""
    column = cv2.getGaussianKernel(2 * math.ceil(2 * deviation) + 1, deviation, cv2.CV_32F)
    return torch.from_numpy(column @ column.T).repeat(3, 1, 1, 1)


# --- Activation maximisation -----------------------------------------------------------------------------------------


def maximize(
    model: nn.Module,
    layer: str,
    channel: int | None = None,
    unit: tuple[int, int] | None = None,
    *,
    start: Source | None = None,
    size: tuple[int, int] = (160, 160),
    basis: str = "fourier",
    transform: float = 0.5,
    tv_weight: float = 0.0,
    steps: int = 200,
    learning_rate: float = 0.05,
    seed: int = 0,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """A picture that a layer, one channel or one unit is most active for: activation maximisation.

    What is climbed is not the pixels but their logits, so that they stay within [0, 1]. Sources: Erhan et al. 2009 for
    the idea, Olah et al. 2017 for the Fourier basis and the transformations.

    Args:
        model: any network that takes pictures in [0, 1].
        layer: one that gives maps ``(N, C, H, W)`` or scores ``(N, K)``.
        channel: of the layer, or a class; by default all of them.
        unit: row and column in the channel's map; by default the mean over all places.
        start: the picture to begin with; by default grey with a little noise.
        size: rows and columns, where there is no picture to begin with.
        basis: ``"pixels"``, or ``"fourier"`` for waves, of which the long ones are moved more than the short ones.
        transform: how much the picture is turned, scaled and shifted at random before each step: with 1 up to 10
            degrees, a tenth of its size, and 8 pixels. With 0 not at all.
        tv_weight: of the total variation, which is subtracted.
        steps: of Adam.
        learning_rate: of Adam.
        seed: of the noise and the transformations.
        progress: whether to show a progress bar.
        callback: called after each step.

    Returns:
        ``(3, H, W)``.

    Raises:
        ValueError: no such layer, channel, unit or basis, or a picture that is too small for the layer, or too large.
    """
    if basis not in BASES or steps < 1:
        raise ValueError(f"basis must be one of {', '.join(BASES)}, and steps at least 1, not {basis!r} and {steps}")
    generator = torch.Generator().manual_seed(seed)
    begin = dummy_input(model, (3, *size)) + 0.5 if start is None else images.read(start)[None].to(device_of(model))
    check_size(model, [layer], begin)
    weights = _to_basis(begin, basis)
    if start is None:
        weights = weights + 0.01 * torch.randn(weights.shape, generator=generator).to(weights)
    weights.requires_grad_()
    optimizer, picture, awake = torch.optim.Adam([weights], lr=learning_rate), begin, False
    with gradients(model), tqdm(total=steps, disable=not progress) as bar, suppress(KeyboardInterrupt):
        fast = converted(model)
        for step in range(1, steps + 1):
            seen = _from_basis(weights, basis, begin.shape[2:])
            seen_by_model = _transformed(seen, transform, generator).contiguous(memory_format=torch.channels_last)
            with mixed_precision(seen.device), nullcontext() if awake else ReLURule(_pass_to_inactive):
                output = run_to(fast, seen_by_model, [layer])[layer]
            activation = select_activation(output.float(), channel, unit).mean()
            awake = activation.item() != 0
            value = activation - tv_weight * total_variation(seen)
            (weights.grad,) = torch.autograd.grad(-value, weights)
            optimizer.step()
            picture = seen.detach()
            bar.update()
            if callback:
                callback(step, value.item(), picture[0])
    return picture[0]


def _to_basis(picture: Tensor, basis: str) -> Tensor:
    """A picture as the numbers that are learned: its logits, along the colours of photographs, in the basis."""
    logits = picture.clamp(0.01, 0.99).logit()
    return BASES[basis][0](torch.einsum("dc,nchw->ndhw", _colors().to(picture).inverse(), logits))


def _from_basis(weights: Tensor, basis: str, size: Sequence[int]) -> Tensor:
    """The picture ``(1, 3, H, W)`` that those numbers stand for."""
    logits = BASES[basis][1](weights, size)
    return torch.einsum("cd,ndhw->nchw", _colors().to(logits), logits).sigmoid()


@functools.cache
def _colors() -> Tensor:
    """The colour directions of photographs, ``(3, 3)``, one in each column, as long as photographs vary along them."""
    pixels = torch.cat(
        [images.sample(name).flatten(1) for name in ("astronaut", "chelsea", "china", "coffee", "flower")], 1
    )
    values, vectors = torch.linalg.eigh(pixels.cov())
    return vectors * (values / values.max()).sqrt()


def _pass_to_inactive(gradient: Tensor, positive: Tensor) -> Tensor:
    # Where a ReLU gives 0 no gradient comes through, and a unit that sleeps would never wake. So while nothing is
    # active, what would raise a ReLU's input passes; "raise" is negative here, since the objective's negative is
    # followed down. Source: Olah et al. 2017.
    return gradient * (positive | (gradient < 0))


def _inverse_frequency(size: Sequence[int]) -> Tensor:
    """One over the frequency of each wave, as photos have it: ``(H, W // 2 + 1)``, at most the longer side."""
    down, across = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None]
    return 1 / (down.square() + across.square()).sqrt().clamp(min=1 / max(size))


def _to_fourier(logits: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(4 * logits, norm="ortho")
    return torch.view_as_real(spectrum / _inverse_frequency(logits.shape[2:]).to(logits))


def _from_fourier(weights: Tensor, size: Sequence[int]) -> Tensor:
    spectrum = torch.view_as_complex(weights) * _inverse_frequency(size).to(weights)
    return torch.fft.irfft2(spectrum, s=tuple(size), norm="ortho") / 4


# By name how logits ``(1, 3, H, W)`` are taken apart into the numbers that are learned, and put together from them.
BASES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Sequence[int]], Tensor]]] = {
    "pixels": (torch.clone, lambda weights, size: weights),
    "fourier": (_to_fourier, _from_fourier),
}


def _transformed(picture: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Turned, scaled and shifted a little, at random; what comes in at the edges is mirrored."""
    if amount == 0:
        return picture
    turn, scale, right, down = (amount * (2 * torch.rand(4, generator=generator) - 1)).tolist()
    angle, factor = math.radians(10 * turn), 1 + 0.1 * scale
    cosine, sine = factor * math.cos(angle), factor * math.sin(angle)
    height, width = picture.shape[2:]
    rows = [[cosine, -sine * height / width, 16 * right / width], [sine * width / height, cosine, 16 * down / height]]
    grid = F.affine_grid(picture.new_tensor([rows]), list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, padding_mode="reflection", align_corners=False)
