"""What the layers of a network give: feature maps, feature vectors, the patches that excite a channel most,
and receptive fields.

Lesson 5 looks at the maps and the patches, lesson 6 at the vectors. How a layer's output is recorded at all stands in
``hooks``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import index
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_map_only

from helpers.arguments import check_pair, check_whole
from helpers.bars import tqdm
from helpers.hooks import dummy_input, inference, maps_of, run_to
from helpers.images import as_batch
from helpers.models import MAX_PIXELS, explained, in_float32, prepare


def activations(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The outputs of the named layers, from one forward pass in evaluation mode.

    Args:
        model: any network.
        images: ``(N, C, H, W)``, or one image ``(C, H, W)``, whose maps then come without N.
        layers: names as in ``model.named_modules()``; further uses of the same layer as ``name#2`` and so on.

    Raises:
        ValueError: no such layer, the forward pass does not use it, or images that the network cannot take.
    """
    batch, single = prepare(model, images)
    with inference(model), explained(model, batch, layers):
        outputs = run_to(model, batch, layers)
    return {name: output[0] if single else output for name, output in outputs.items()}


def embeddings(model: nn.Module, images: Tensor, layer: str, *, batch_size: int = 256, progress: bool = True) -> Tensor:
    """A feature vector for each image, ``(N, D)``: a layer's output, maps ``(D, H, W)`` averaged over their places.

    ``images`` are ``(N, C, H, W)``, of which ``batch_size`` go through the network at once.
    """
    check_whole(1, batch_size=batch_size)
    vectors = []
    for batch in tqdm(as_batch(images)[0].split(batch_size), disable=not progress, unit="batch"):
        output = activations(model, batch, [layer])[layer].float()
        vectors.append((output.mean(dim=(2, 3)) if output.ndim == 4 else output.flatten(1)).cpu())
    return torch.cat(vectors)


# --- The patches that excite a channel most ---------------------------------------------------------------------------

Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Patch:
    """A part of an image that excites a unit: which image, where in it, and how strongly."""

    image: int  # its number in the data set
    unit: tuple[int, int]  # row and column in the layer's map
    value: float
    top: int
    left: int
    height: int
    width: int

    def cut(self, images: Tensor) -> Tensor:
        """The patch itself, ``(C, height, width)``, of the data set it was found in."""
        return images[self.image, :, self.top : self.top + self.height, self.left : self.left + self.width]


def strongest_patches(
    model: nn.Module,
    images: Tensor,
    layer: str,
    channels: Sequence[int],
    count: int = 9,
    *,
    batch_size: int = 64,
    progress: bool = True,
) -> list[list[Patch]]:
    """For each channel the patches that excite it most, the strongest first, at most one from each image.

    A patch is what the unit can see, its receptive field, as far as that lies in the image.

    Args:
        model: any network.
        images: ``(N, C, H, W)``.
        layer: one that gives maps; a name as in ``model.named_modules()``.
        channels: of that layer.
        count: patches for each channel.
        batch_size: images in one forward pass.
        progress: whether to show a progress bar.
    """
    check_whole(1, count=count, batch_size=batch_size)
    try:
        channels = [index(channel) for channel in channels]
    except TypeError:
        raise ValueError(f"channels must be a list of whole numbers, such as [0, 5], not {channels!r:.60}") from None
    images, strongest = as_batch(images)[0], []
    for batch in tqdm(images.split(batch_size), disable=not progress, unit="batch"):
        maps = maps_of(activations(model, batch, [layer]), layer)
        if wrong := [channel for channel in channels if not 0 <= channel < maps.shape[1]]:
            raise ValueError(f"channels must lie in 0 to {maps.shape[1] - 1}, not {wrong[0]}")
        strongest.append(torch.stack(maps[:, channels].flatten(2).double().max(dim=2)).cpu())
    values, places = torch.cat(strongest, dim=1)  # each (N, channels)
    field, found = receptive_fields(model, layer, images.shape[1:]), []
    for n, channel in enumerate(channels):
        best = values[:, n].topk(min(count, len(images)))
        units = [divmod(int(place), maps.shape[3]) for place in places[best.indices, n]]
        columns = best.indices.tolist(), units, best.values.tolist()
        found.append([Patch(*row, *field(row[1], channel)) for row in zip(*columns, strict=True)])
    return found


# --- Receptive fields ------------------------------------------------------------------------------------------------


def receptive_field(
    model: nn.Module, layer: str, input_shape: Sequence[int], unit: tuple[int, int], channel: int | None = None
) -> Box:
    """The part of an image ``(C, H, W)`` that one unit of a layer sees, whatever the weights are.

    Args:
        model: any network. A function in it that is not known here is taken to see the whole image.
        layer: one that gives maps.
        input_shape: of the image.
        unit: row and column in the layer's map.
        channel: of the layer; by default all that any of its channels sees.

    Returns:
        top, left, height, width, within the image.
    """
    return receptive_fields(model, layer, input_shape)(unit, channel)


def receptive_fields(
    model: nn.Module, layer: str, input_shape: Sequence[int]
) -> Callable[[tuple[int, int], int | None], Box]:
    """A function that gives :func:`receptive_field` for any unit and channel, from one forward pass for all of them."""
    is_shape = isinstance(input_shape, Sequence) and [type(n) for n in input_shape] == [int] * 3
    if not is_shape or math.prod(input_shape[1:]) > MAX_PIXELS:
        raise ValueError(f"input_shape is (C, H, W), {MAX_PIXELS:,} pixels at most, not {input_shape!r:.60}")
    model = in_float32(model)
    black = dummy_input(model, input_shape)
    height, width = input_shape[1:]
    down, right = (torch.arange(1, size + 1).to(black) for size in (height, width))
    image = torch.cat([black + reach for reach in (down[:, None], down.flip(0)[:, None], right, right.flip(0))])
    with inference(model), explained(model, black, [layer]):
        maps = maps_of(run_to(model, image.as_subclass(_Reach), [layer]), layer).as_subclass(Tensor)

    def field(unit: tuple[int, int], channel: int | None) -> Box:
        check_pair(unit=unit)
        check_whole(0, channel=0 if channel is None else channel)
        place = (channel or 0, *unit)
        if not all(0 <= i < n for i, n in zip(place, maps.shape[1:], strict=True)):
            raise ValueError(f"{layer!r} has maps {tuple(maps.shape[1:])}, and no unit {unit} in channel {place[0]}")
        reach = maps[:, :, *unit].amax(dim=1) if channel is None else maps[:, channel, *unit]
        down, up, right, left = map(int, reach.minimum(reach.new_tensor([height, height, width, width])))
        return height - up, width - left, max(0, down + up - height), max(0, right + left - width)

    return field


class _Reach(Tensor):
    """Maps ``(4, C, H, W)`` of how far each unit sees: down and up in rows, right and left in columns.

    The reach down to the first row is 1, as is that up to the last one. So 0, as in padding, is nothing seen, and the
    larger of two is how far both together see. A layer that is given such maps gives those of its outputs.
    """

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        """Called by PyTorch in place of each function of such maps."""
        name, kwargs = func.__name__.strip("_"), kwargs or {}
        if name in WINDOWED:
            return WINDOWED[name](*args, **kwargs)
        seen: list[Any] = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, cls)]
        reach = reduce(torch.maximum, seen).clone() if name in POINTWISE else EVERYTHING
        result = super().__torch_function__(func, types, args, kwargs)
        if name in MOVING:
            return result
        is_in_place = any(result is arg for arg in seen)
        return tree_map_only(cls, lambda x: (x if is_in_place else torch.empty_like(x)).copy_(reach), result)


# Functions by their names. An output of a pointwise one sees what the inputs at its place see (in evaluation mode).
POINTWISE = {
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh"),
    *("softplus", "hardswish", "hardsigmoid", "hardtanh", "clamp", "batch_norm", "dropout", "dropout2d"),
    *(kind + name for kind in ("", "r", "i") for name in ("add", "sub", "mul", "div", "truediv")),
}
# Those that move numbers about or take the largest do with reaches what they should.
MOVING = {
    *("cat", "stack", "chunk", "split", "unbind", "getitem", "view", "reshape", "flatten", "unflatten", "squeeze"),
    *("unsqueeze", "permute", "transpose", "contiguous", "clone", "to", "float", "double", "pad", "repeat_interleave"),
    *("max_pool2d", "adaptive_max_pool2d", "amax", "maximum", "copy", "empty_like", "as_subclass"),
}
EVERYTHING = torch.tensor(MAX_PIXELS, dtype=torch.float32)  # rows or columns: no image has more


def _convolution(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """What a window sees in any channel of its group: the largest of its places, each picked by a kernel with one 1."""
    group = x.as_subclass(Tensor).unflatten(1, (groups, -1)).amax(2).flatten(0, 1)[:, None]
    kernels = torch.eye(weight[0, 0].numel()).to(group).view(-1, 1, *weight.shape[2:])
    seen = F.conv2d(group, kernels, None, stride, padding, dilation).amax(1).round().unflatten(0, (4, groups))
    return seen.repeat_interleave(len(weight) // groups, 1).as_subclass(_Reach)


def _average_pool(x, kernel_size, stride=None, padding=0, ceil_mode=False, *_, **__):
    return F.max_pool2d(x, kernel_size, stride, padding, 1, ceil_mode)


WINDOWED: dict[str, Callable] = {
    "conv2d": _convolution,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool2d": F.adaptive_max_pool2d,
}
