"""What the layers of a network give: feature maps, feature vectors, and the patches that excite a channel most.

Lesson 5 looks at the maps and the patches, lesson 6 at the vectors.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers.devices import device_of
from helpers.hooks import dummy_input, frozen_eval, inference, recording
from helpers.images import as_batch


def activations(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The outputs of the named layers, from one forward pass in evaluation mode.

    Args:
        model: any network.
        images: ``(N, C, H, W)``, or one picture ``(C, H, W)``, whose maps then come without N.
        layers: names as in ``model.named_modules()``.

    Returns:
        By name; further uses of the same layer as ``name#2``, ``name#3`` and so on.

    Raises:
        ValueError: no such layer, or the forward pass does not use it.
    """
    if isinstance(layers, str):
        raise ValueError(f"layers must be a list of names, such as [{layers!r}]")
    batch, single = as_batch(images)
    with inference(model), recording(model, layers) as outputs:
        model(batch.to(device_of(model)))
    if unused := [name for name in layers if name not in outputs]:
        raise ValueError(f"the forward pass does not use the layer {unused[0]!r}")
    return {name: output[0] if single else output for name, output in outputs.items()}


def embeddings(model: nn.Module, images: Tensor, layer: str, *, batch_size: int = 256, progress: bool = True) -> Tensor:
    """A feature vector for each picture, ``(N, D)``: a layer's output, maps ``(D, H, W)`` averaged over their places.

    Args:
        model: any network.
        images: ``(N, C, H, W)``.
        layer: a name as in ``model.named_modules()``.
        batch_size: pictures in one forward pass.
        progress: whether to show a progress bar.
    """
    vectors = []
    for batch in tqdm(as_batch(images)[0].split(batch_size), disable=not progress, unit="batch"):
        output = activations(model, batch, [layer])[layer].float()
        vectors.append((output.mean(dim=(2, 3)) if output.ndim == 4 else output.flatten(1)).cpu())
    return torch.cat(vectors)


Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Patch:
    """A part of a picture that excites a unit: which picture, where in it, and how strongly."""

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
    """For each channel the patches that excite it most, the strongest first, at most one from each picture.

    A patch is what the unit can see, its receptive field, as far as that lies in the picture.

    Args:
        model: any network.
        images: ``(N, C, H, W)``.
        layer: one that gives maps; a name as in ``model.named_modules()``.
        channels: of that layer.
        count: patches for each channel.
        batch_size: pictures in one forward pass.
        progress: whether to show a progress bar.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    images, values, places = as_batch(images)[0], [], []
    for batch in tqdm(images.split(batch_size), disable=not progress, unit="batch"):
        maps = activations(model, batch, [layer])[layer]
        if maps.ndim != 4:
            raise ValueError(f"layer must give maps (N, C, H, W), and {layer!r} gives {tuple(maps.shape)}")
        if wrong := [channel for channel in channels if not 0 <= channel < maps.shape[1]]:
            raise ValueError(f"channels must lie in 0 to {maps.shape[1] - 1}, not {wrong[0]}")
        strongest = maps[:, list(channels)].flatten(2).max(dim=2)
        values.append(strongest.values.cpu())
        places.append(strongest.indices.cpu())
    best = torch.cat(values).topk(min(count, len(images)), dim=0)
    units = torch.cat(places).gather(0, best.indices)
    field, found = _fields(model, layer, images.shape[1:]), []
    lists = best.indices.T.tolist(), best.values.T.tolist(), units.T.tolist()
    for channel, order, value, unit in zip(channels, *lists, strict=True):
        rows_columns = [divmod(u, maps.shape[3]) for u in unit]
        boxes = [field(place, channel) for place in rows_columns]
        found.append([Patch(*each[:3], *each[3]) for each in zip(order, rows_columns, value, boxes, strict=True)])
    return found


# --- Receptive fields ------------------------------------------------------------------------------------------------

# Operations, as autograd names them, whose outputs depend on the one input number at their own place (and channel).
_AT_ITS_PLACE = {
    *("Relu", "Hardtanh", "Hardswish", "Silu", "Gelu", "Elu", "LeakyRelu", "Sigmoid", "Tanh", "Clamp"),
    *("Add", "Sub", "Mul", "Div", "NativeBatchNorm", "CudnnBatchNorm", "NativeDropout", "Clone", "Copy", "Cat"),
}


def receptive_field(
    model: nn.Module, layer: str, input_shape: Sequence[int], unit: tuple[int, int], channel: int | None = None
) -> Box:
    """The part of a picture that one unit of a layer sees, computed back through the graph of a forward pass.

    Through a convolution or pooling, rows a … b of the output come from rows ``a·S − P`` to ``b·S − P + D·(F − 1)`` of
    the input (lesson 2). Branches are followed all, and joined; where their channels lie side by side, only the one
    that the channel comes from. An operation that is neither local nor at its own place is taken to see everything.

    Args:
        model: any network.
        layer: one that gives maps.
        input_shape: of a picture, ``(C, H, W)``.
        unit: row and column in the layer's map.
        channel: of the layer; by default all that any of its channels sees.

    Returns:
        top, left, height, width, within the picture.

    Raises:
        ValueError: the layer has no such unit or channel.
    """
    return _fields(model, layer, input_shape)(unit, channel)


def _fields(model: nn.Module, layer: str, input_shape: Sequence[int]) -> Callable[[tuple[int, int], int | None], Box]:
    """The receptive field of any unit of a layer, from one forward pass."""
    # With weights that want a gradient, autograd keeps the shape of every convolution's input.
    with frozen_eval(model, requires_grad=True), torch.inference_mode(False), torch.enable_grad():
        picture = dummy_input(model, input_shape).requires_grad_()
        with recording(model, [layer]) as outputs:
            model(picture)
    maps = outputs[layer]

    def field(unit: tuple[int, int], channel: int | None) -> Box:
        place = (channel or 0, *unit)
        if maps.ndim != 4 or len(place) != 3 or not all(0 <= i < n for i, n in zip(place, maps.shape[1:], strict=True)):
            raise ValueError(f"{layer!r} has maps {tuple(maps.shape)}, and no unit {unit} in channel {channel or 0}")
        (top, bottom), (left, right) = (_interval(maps.grad_fn, picture, axis, unit[axis], channel) for axis in (0, 1))
        return top, left, bottom - top + 1, right - left + 1

    return field


# The rows (or columns) first … last of a map, and of which channel; None stands for any.
Span = tuple[int, int, int | None]


def _interval(start, picture: Tensor, axis: int, place: int, channel: int | None) -> tuple[int, int]:
    """The first and last row (or column) of the picture that a row of the output is made from."""
    seen: list[Span] = []
    # Later nodes first, so that a node's turn comes when all that it feeds have had theirs.
    queue, waiting = [(-start._sequence_nr(), id(start), start)], {start: (place, place, channel)}
    while queue:
        node = heapq.heappop(queue)[-1]
        for following, span in _inputs(node, waiting.pop(node), axis, picture.shape[2 + axis]):
            if hasattr(following, "variable"):
                seen += [span] if following.variable is picture else []
                continue
            if following not in waiting:
                heapq.heappush(queue, (-following._sequence_nr(), id(following), following))
            known = waiting.get(following, span)
            same = span[2] if span[2] == known[2] else None
            waiting[following] = min(known[0], span[0]), max(known[1], span[1]), same
    return max(0, min(span[0] for span in seen)), min(picture.shape[2 + axis] - 1, max(span[1] for span in seen))


def _inputs(node, span: Span, axis: int, size: int) -> Iterator[tuple[Any, Span]]:
    """The nodes that a node is computed from, and what it takes of each."""
    if node.name().startswith("Cat") and node._saved_dim == 1 and span[2] is not None:
        channel = span[2]
        for following, output in node.next_functions:
            count = following._input_metadata[output].shape[1]
            if 0 <= channel < count:
                yield following, (*span[:2], channel)
            channel -= count
    else:
        before = _before(node, span, axis, size)
        yield from ((following, before) for following, _ in node.next_functions if following is not None)


def _before(node, span: Span, axis: int, size: int) -> Span:
    """Rows of a node's input that rows ``first`` … ``last`` of its output are made from."""
    (first, last, channel), name = span, node.name().removesuffix("0").removesuffix("Backward")
    if name == "Convolution" and not node._saved_transposed:
        rows, kernel = node._saved_input.shape[2 + axis], node._saved_weight.shape[2 + axis]
        dilation, channel = node._saved_dilation[axis], None
    elif name in ("MaxPool2DWithIndices", "AvgPool2D"):
        rows, kernel = node._saved_self.shape[2 + axis], node._saved_kernel_size[-axis]
        dilation = node._saved_dilation[-axis] if name.startswith("Max") else 1
    else:
        return span if name in _AT_ITS_PLACE else (0, size - 1, None)
    stride, padding = (node._saved_stride or node._saved_kernel_size)[-axis], node._saved_padding[-axis]
    first, last = first * stride - padding, last * stride - padding + dilation * (kernel - 1)
    return max(first, 0), min(last, rows - 1), channel
