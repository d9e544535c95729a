"""Deep dream and activation maximisation: images made by following a layer's activations uphill (lesson 8).

Defaults are where they are used: a dream's octaves, steps and step size in :func:`deep_dream`, its layer in
:data:`helpers.pretrained.NETWORKS`, a flight's in :func:`zoom`, those of activation maximisation in :func:`maximize`.

Images are ``(3, H, W)`` in [0, 1], of any size, in whatever form :func:`helpers.images.read` takes. Models come back as
they came. An interrupt ends the work early and gives what there is.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import images
from helpers.arguments import check_choice, check_number, check_pair, check_seed, check_tensor, check_whole
from helpers.bars import tqdm
from helpers.devices import mixed_precision
from helpers.hooks import ReLURule, dummy_input, gradients, inference, maps_of, run_to, weight_of
from helpers.images import Source, resized, scaled, total_variation
from helpers.models import check_size, in_float32, is_large_enough
from helpers.pretrained import network_of

OCTAVE_SCALE = 1.4  # from the size of each octave to that of the next
ZOOM_SCALE = 1.04  # from each frame of a flight to the next
GUIDE_SIZE = 224  # pixels of the longer side at most; each place of the dream is compared with each place of the guide
# In each column a colour direction of the photographs that come with the course, as long as photographs vary along it:
# the eigenvectors of their pixels' covariance, times the root of its eigenvalue over the largest.
COLOR_DIRECTIONS = ((0.0198, -0.3118, -0.6173), (-0.0775, 0.0993, -0.5589), (0.0561, 0.2473, -0.5538))

Objective = Callable[[Tensor], Tensor]  # from a layer's maps to one number


# --- Objectives ------------------------------------------------------------------------------------------------------


def half_squared_norm(maps: Tensor) -> Tensor:
    """Half the sum of squares, one number. Its gradient with respect to ``maps`` is ``maps``."""
    check_tensor(range(1, 6), maps=maps)
    return maps.square().sum() / 2


def guide_similarity(maps: Tensor, guide: Tensor) -> Tensor:
    """How much of the guide is in the maps: at each place the largest dot product with a place of the guide, summed.

    Its gradient at a place is the guide's feature vector that fits best there. Source: Mordvintsev et al. 2015.

    Args:
        maps: ``(1, C, H, W)``, or scores ``(1, C)``.
        guide: the same layer's maps of another image, ``(1, C, h, w)``, or its scores.
    """
    check_tensor((2, 4), maps=maps, guide=guide)
    if maps.shape[:2] != guide.shape[:2]:
        raise ValueError(
            f"maps and guide must have the same channels, not {tuple(maps.shape)} and {tuple(guide.shape)}"
        )
    vectors, wanted = (x.reshape(*x.shape[:2], -1) for x in (maps, guide))
    products = vectors.mT @ wanted  # (1, H·W, h·w)
    return products.amax(dim=2).sum()


def select_activation(output: Tensor, channel: int | None = None, unit: tuple[int, int] | None = None) -> Tensor:
    """Of a layer's output ``(1, C, H, W)`` or ``(1, C)`` one channel, or of that one unit, or all of it.

    Raises:
        ValueError: it has no such channel or unit, or a unit is named without its channel.
    """
    check_tensor((2, 4), output=output)
    if unit is not None:
        check_pair(unit=unit)
        if channel is None:
            raise ValueError(f"unit {unit} is a row and a column in one channel's map, and channel does not say which")
    index = () if channel is None else (channel, *(unit or ()))
    for place in index:
        check_whole(0, channel_or_unit=place)
    shape = tuple(output.shape[1:])
    if len(index) > len(shape) or not all(i < n for i, n in zip(index, shape, strict=False)):
        raise ValueError(f"the layer gives {shape} for an image of this size, and there is no {index} in it")
    return output[(slice(None), *index)]


# --- Deep dream ------------------------------------------------------------------------------------------------------


def deep_dream(
    model: nn.Module,
    image: Source,
    layer: str | None = None,
    *,
    channel: int | None = None,
    guide: Source | None = None,
    octaves: int = 4,
    steps: int = 10,
    step_size: float = 0.015,
    jitter: int = 16,
    smoothing: float = 0.5,
    photo_colors: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> Tensor:
    """An image in which a layer finds more of what it looks for. Source: Mordvintsev et al. 2015.

    It begins with a small copy of the image, and carries what was dreamt to the next size, up to the full one.

    Args:
        model: any network that takes images in [0, 1].
        image: to start from.
        layer: whose activations are made large; by default the one in :data:`helpers.pretrained.NETWORKS`.
        channel: of that layer, if only one is to be made large.
        guide: an image; its features are then made large, where the layer has them at all.
        octaves: how many sizes; those that are too small for the layer are left out.
        steps: uphill, at each size.
        step_size: of each step, the root mean square of the change of the pixel values.
        jitter: maximum number of pixels by which the image is shifted before each step, so that no grid shows.
        smoothing: standard deviation, in pixels, of the Gaussian that the gradient is blurred with; 0 for none.
        photo_colors: whether each step changes colours along the directions in which those of photos vary, most of
            all from dark to light; else red, green and blue each go their own way, and the dream becomes gaudy.
        seed: of the shifts.
        progress: whether to show a progress bar.

    Returns:
        ``(3, H, W)``.

    Raises:
        ValueError: no such layer or channel, or an image that is too small for the layer, or too large.
    """
    check_whole(1, 100, octaves=octaves)
    check_whole(1, steps=steps)
    check_whole(0, jitter=jitter)
    check_number(step_size=step_size)
    check_number(maximum=20, smoothing=smoothing)
    check_seed(seed)
    layer = layer or network_of(model, "layer").dream_layer
    with gradients(model):
        model = in_float32(model)
        dreamt = original = _started(model, layer, image)
        objective = _dream_objective(model, layer, channel, guide)
        sizes = _octave_sizes(model, layer, original, octaves)
        colors = _colors() if photo_colors else torch.eye(3, dtype=torch.float32)
        ascent = _ascend(model, layer, objective, original, sizes, steps, step_size, jitter, smoothing, colors, seed)
        with suppress(KeyboardInterrupt):
            for dreamt in tqdm(ascent, total=steps * len(sizes), disable=not progress):  # noqa: B007
                pass  # an interrupt leaves the last one
    return _carried(original, dreamt, original.shape[2:])[0]


def zoom(
    model: nn.Module, image: Source, layer: str | None = None, *, frames: int = 48, progress: bool = True
) -> list[Tensor]:
    """The frames of a flight into a dream: each is the one before, a little enlarged about its middle and dreamt on.

    Args:
        model, image, layer: as in :func:`deep_dream`, which makes the first frame.
        frames: how many.
        progress: whether to show a progress bar.

    Returns:
        Each ``(3, H, W)``; after an interrupt those that are done, which may be none.
    """
    check_whole(1, frames=frames)
    layer = layer or network_of(model, "layer").dream_layer
    made = list[Tensor]()
    with gradients(model), suppress(KeyboardInterrupt):
        model = in_float32(model)
        frame = _started(model, layer, image)
        size = scaled(frame, 1)
        for i in tqdm(range(frames), disable=not progress, unit="frame"):
            octaves, steps = (2, 2) if made else (4, 10)  # the first is a dream of its own
            sizes = _octave_sizes(model, layer, frame, octaves)
            *_, dreamt = _ascend(model, layer, half_squared_norm, frame, sizes, steps, 0.015, 16, 0.5, _colors(), i)
            made.append(_carried(frame, dreamt, size)[0])
            larger = resized(made[-1], scaled(made[-1], ZOOM_SCALE))
            top, left = (round((large - small) / 2) for large, small in zip(larger.shape[1:], size, strict=True))
            frame = larger[None, :, top : top + size[0], left : left + size[1]].clamp(0, 1)
    return made


def _started(model: nn.Module, layer: str, image: Source) -> Tensor:
    original = images.read(image)[None].to(weight_of(model).device)
    check_size(model, [layer], original)
    return original


def _dream_objective(model: nn.Module, layer: str, channel: int | None, guide: Source | None) -> Objective:
    if guide is None:
        return lambda output: half_squared_norm(select_activation(output, channel))
    image = images.read(guide, size=GUIDE_SIZE)[None].to(weight_of(model).device)
    check_size(model, [layer], image, f"the guide, made {GUIDE_SIZE} pixels wide or high at most,")

    def chosen(output: Tensor) -> Tensor:
        select_activation(output, channel)  # or an error
        return output if channel is None else output[:, channel, None]  # which keeps the axis of the channels

    with inference(model):
        wanted = chosen(run_to(model, image, [layer])[layer].float())
    return lambda output: guide_similarity(chosen(output), wanted)


def _octave_sizes(model: nn.Module, layer: str, image: Tensor, count: int) -> list[tuple[int, int]]:
    """The sizes to dream at, the smallest first."""
    sizes = [scaled(image, OCTAVE_SCALE**-k) for k in reversed(range(count))]
    return list(itertools.dropwhile(lambda size: not is_large_enough(model, [layer], (3, *size)), sizes))


def _ascend(
    model: nn.Module,
    layer: str,
    objective: Objective,
    original: Tensor,
    sizes: Sequence[tuple[int, int]],
    steps: int,
    step_size: float,
    jitter: int,
    smoothing: float,
    colors: Tensor,
    seed: int,
) -> Iterator[Tensor]:
    """Gradient ascent at each size in turn: the image after each step. What moves is the share of each of the colours.

    For x = C w the gradient of w is Cᵀ times that of x, and a step of w moves x by C times that.
    """
    from torchvision.transforms.functional import gaussian_blur  # takes a second

    mixing = (colors @ colors.T).to(original.device)
    generator, dreamt = torch.Generator().manual_seed(seed), original
    for size in sizes:
        # In the other order of the axes a dream takes 1.9 times as long.
        dreamt = _carried(original, dreamt, size).contiguous(memory_format=torch.channels_last)
        for _ in range(steps):
            down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
            gradient = _gradient(model, layer, objective, dreamt.roll((down, right), dims=(2, 3)))
            gradient = F.conv2d(gradient, mixing[:, :, None, None])
            if smoothing > 0:
                radii = (min(math.ceil(2 * smoothing), n - 1) for n in (size[1], size[0]))  # what it can mirror
                gradient = gaussian_blur(gradient, [2 * radius + 1 for radius in radii], smoothing)
            root_mean_square = torch.linalg.vector_norm(gradient).item() / math.sqrt(gradient.numel())
            uphill = gradient.roll((-down, -right), dims=(2, 3))
            dreamt = dreamt.add(uphill, alpha=step_size / max(root_mean_square, 1e-12)).clamp_(0, 1)
            yield dreamt


def _gradient(model: nn.Module, layer: str, objective: Objective, image: Tensor) -> Tensor:
    """Of the objective with respect to the pixels."""
    image.requires_grad_()
    with mixed_precision(image.device):
        output = run_to(model, image.clone(), [layer])[layer]  # a first layer may work in place
    return torch.autograd.grad(objective(output.float()), image)[0]


def _carried(original: Tensor, dreamt: Tensor, size: Sequence[int]) -> Tensor:
    """What was dreamt of a copy of the original, carried to another size: only the difference, which may be blurred."""
    detail = dreamt - resized(original, dreamt.shape[2:])
    return (resized(original, size) + resized(detail, size)).clamp(0, 1)


# --- Activation maximisation -----------------------------------------------------------------------------------------


def maximize(
    model: nn.Module,
    layer: str,
    channel: int | Sequence[int] | None = None,
    unit: tuple[int, int] | str | None = None,
    *,
    size: tuple[int, int] = (160, 160),
    basis: str = "fourier",
    transform: float = 0.5,
    tv_weight: float = 0.0,
    steps: int = 200,
    learning_rate: float = 0.05,
    seed: int = 0,
    progress: bool = True,
) -> Tensor:
    """An image that a layer, one channel or one unit is most active for: activation maximisation, from grey noise.

    What is climbed is not the pixels but their logits, so that they stay within [0, 1]. The layer's last ReLU passes
    all of the gradient, so that a channel that is 0 everywhere at the beginning becomes active, too.
    Sources: Erhan et al. 2009 for the idea, Olah et al. 2017 for the Fourier basis and the transformations.

    Args:
        model: any network that takes images in [0, 1].
        layer: one that gives maps ``(N, C, H, W)`` or scores ``(N, K)``.
        channel: of the layer, or a class; by default all of them. Of several, each gets an image of its own, the same
            as it gets alone.
        unit: row and column in the channel's map, or ``"middle"`` for the 3 × 3 units there; by default the mean over
            all places.
        size: rows and columns.
        basis: ``"pixels"``, or ``"fourier"`` for waves, of which the long ones are moved more than the short ones.
        transform: how much the image is turned, scaled and shifted at random before each step: with 1 up to 10
            degrees, a tenth of its size, and 8 pixels. With 0 not at all.
        tv_weight: of the total variation, which is subtracted.
        steps: of Adam.
        learning_rate: of Adam.
        seed: of the noise and the transformations.
        progress: whether to show a progress bar.

    Returns:
        ``(3, H, W)``, or ``(N, 3, H, W)`` for a list of N channels.

    Raises:
        ValueError: no such layer, channel, unit or basis, or an image that is too small for the layer, or too large.
    """
    check_choice(("pixels", "fourier"), basis=basis)
    check_pair(size=size)
    check_whole(1, steps=steps)
    check_number(maximum=10, transform=transform)
    check_number(tv_weight=tv_weight, learning_rate=learning_rate)
    check_seed(seed)
    if isinstance(unit, str):
        check_choice(["middle"], unit=unit)
    channels = list(channel) if isinstance(channel, Sequence) else [channel]
    black, generator = dummy_input(model, (3, *size)), torch.Generator().manual_seed(seed)
    check_size(model, [layer], black)
    shown = black.float().repeat(len(channels), 1, 1, 1) + 0.5
    with gradients(model), tqdm(total=steps, disable=not progress) as bar, suppress(KeyboardInterrupt):
        model = in_float32(model)
        coefficients = _first_coefficients(basis, size, generator, len(channels)).to(black.device).requires_grad_()
        optimizer = torch.optim.Adam([coefficients], lr=learning_rate)
        for _ in range(steps):
            image = _from_basis(coefficients, basis, size)
            activation = _reached(model, layer, _transformed(image, transform, generator), channels, unit)
            value = activation - tv_weight * len(channels) * total_variation(image)
            (coefficients.grad,) = torch.autograd.grad(-value, coefficients)
            optimizer.step()
            shown = image.detach()
            bar.update()
    return shown if isinstance(channel, Sequence) else shown[0]


def _reached(
    model: nn.Module, layer: str, image: Tensor, channels: Sequence, unit: tuple[int, int] | str | None
) -> Tensor:
    """The activations that the images ``(N, 3, H, W)`` are for, each image with its channel; summed, one number."""
    image = image.contiguous(memory_format=torch.channels_last)
    with mixed_precision(image.device), ReLURule(lambda gradient, positive: gradient * positive):
        output = run_to(model, image, [layer])[layer].float()
    _open_last_relus(output)
    if unit == "middle":
        top, left = ((n - 1) // 2 for n in maps_of({layer: output}, layer).shape[2:])
        output = output[:, :, max(0, top - 1) : top + 2, max(0, left - 1) : left + 2]
    place = unit if isinstance(unit, tuple) else None
    each = zip(output.split(1), channels, strict=True)
    return torch.stack([select_activation(one, channel, place).mean() for one, channel in each]).sum()


def _open_last_relus(output: Tensor) -> None:
    """Let the ReLUs with no weights between them and the output pass all of the gradient: their input is then climbed.

    Else no gradient would come from a channel that is 0 everywhere.
    """
    nodes, met = [output.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in met or any(kind in node.name().lower() for kind in ("conv", "linear", "mm")):
            continue
        met.add(node)
        if hasattr(node, "rule"):  # a ReLU under a ReLURule
            node.rule = lambda gradient, _: gradient
        else:
            nodes += [following for following, _ in node.next_functions]


def _first_coefficients(basis: str, size: tuple[int, int], generator: torch.Generator, count: int) -> Tensor:
    shape = size if basis == "pixels" else (size[0], size[1] // 2 + 1, 2)
    noise = 0.01 * torch.randn((3, *shape), generator=generator, dtype=torch.float32)
    return torch.stack([noise] * count)  # the same for each


def _from_basis(coefficients: Tensor, basis: str, size: tuple[int, int]) -> Tensor:
    """The images ``(N, 3, H, W)`` that the learned numbers stand for: their logits, along the colours of photos."""
    if basis == "fourier":
        # Each wave is weighted by one over its frequency, as photos have it; a frequency is at least one per image.
        down = torch.fft.fftfreq(size[0], dtype=torch.float32)[:, None]
        across = torch.fft.rfftfreq(size[1], dtype=torch.float32)
        period = 1 / (down.square() + across.square()).sqrt().clamp(min=1 / max(size)).to(coefficients)
        coefficients = torch.fft.irfft2(torch.view_as_complex(coefficients) * period, s=size, norm="ortho") / 4
    return torch.einsum("cd,ndhw->nchw", _colors().to(coefficients), coefficients).sigmoid()


def _colors() -> Tensor:
    return torch.tensor(COLOR_DIRECTIONS, dtype=torch.float32)


def _transformed(image: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Turned, scaled and shifted a little, at random; what comes in at the edges is mirrored."""
    if amount == 0:
        return image
    turn, scale, right, down = (amount * (2 * torch.rand(4, generator=generator, dtype=torch.float32) - 1)).tolist()
    angle, factor = math.radians(10 * turn), 1 + 0.1 * scale
    cosine, sine = factor * math.cos(angle), factor * math.sin(angle)
    height, width = image.shape[2:]
    rows = [[cosine, -sine * height / width, 16 * right / width], [sine * width / height, cosine, 16 * down / height]]
    grid = F.affine_grid(image.new_tensor([rows]), [1, *image.shape[1:]], align_corners=False)
    return F.grid_sample(image, grid.expand(len(image), -1, -1, -1), padding_mode="reflection", align_corners=False)
