"""What the layers of a network give: feature maps, feature vectors, and the patches that excite a channel most.

Lesson 5 looks at the maps and the patches, lesson 6 at the vectors.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers.images import as_batch
from helpers.models import blank, device_of, held, inference, recording


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
    values, places = [], []
    for batch in tqdm(as_batch(images)[0].split(batch_size), disable=not progress, unit="batch"):
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
    for order, value, unit in zip(best.indices.T.tolist(), best.values.T.tolist(), units.T.tolist(), strict=True):
        rows_columns = [divmod(u, maps.shape[3]) for u in unit]
        boxes = [field(place) for place in rows_columns]
        found.append([Patch(*each[:3], *each[3]) for each in zip(order, rows_columns, value, boxes, strict=True)])
    return found


# --- Receptive fields ------------------------------------------------------------------------------------------------

# Operations, as autograd names them, whose outputs depend on the one input number at their own place (and channel).
_AT_ITS_PLACE = {
    *("Relu", "Hardtanh", "Hardswish", "Silu", "Gelu", "Elu", "LeakyRelu", "Sigmoid", "Tanh", "Clamp"),
    *("Add", "Sub", "Mul", "Div", "NativeBatchNorm", "CudnnBatchNorm", "NativeDropout", "Clone", "Copy", "Cat"),
}


def receptive_field(
    model: nn.Module, layer: str, input_shape: Sequence[int], unit: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The part of a picture that one unit of a layer sees, computed back through the graph of a forward pass.

    Through a convolution or pooling, rows a … b of the output come from rows ``a·S − P`` to ``b·S − P + D·(F − 1)`` of
    the input (lesson 2). Branches are followed all, and joined. An operation that is neither local nor at its own
    place is taken to see everything.

    Args:
        model: any network.
        layer: one that gives maps.
        input_shape: of a picture, ``(C, H, W)``.
        unit: row and column in the layer's map.

    Returns:
        top, left, height, width, within the picture.
    """
    return _fields(model, layer, input_shape)(unit)


def _fields(
    model: nn.Module, layer: str, input_shape: Sequence[int]
) -> Callable[[tuple[int, int]], tuple[int, int, int, int]]:
    """The receptive field of any unit of a layer, from one forward pass."""
    # With weights that want a gradient, autograd keeps the shape of every convolution's input.
    with held(model, requires_grad=True), torch.inference_mode(False), torch.enable_grad():
        picture = blank(model, input_shape).requires_grad_()
        with recording(model, [layer]) as outputs:
            model(picture)
    maps = outputs[layer]

    def field(unit: tuple[int, int]) -> tuple[int, int, int, int]:
        if maps.ndim != 4 or not all(0 <= place < size for place, size in zip(unit, maps.shape[2:], strict=True)):
            raise ValueError(f"unit must be a place in the maps of {layer!r}, {tuple(maps.shape)}, not {unit}")
        (top, bottom), (left, right) = (_interval(maps.grad_fn, picture, axis, unit[axis]) for axis in (0, 1))
        return top, left, bottom - top + 1, right - left + 1

    return field


def _interval(start, picture: Tensor, axis: int, place: int) -> tuple[int, int]:
    """The first and last row (or column) of the picture that a row of the output is made from."""
    size = picture.shape[2 + axis]
    seen: list[tuple[int, int]] = []
    # Later nodes first, so that a node's turn comes when all that it feeds have had theirs.
    queue, waiting = [(-start._sequence_nr(), 0, start)], {start: (place, place)}
    while queue:
        node = heapq.heappop(queue)[-1]
        interval = _before(node, *waiting.pop(node), axis, size)
        for following, _ in node.next_functions:
            if following is None:
                continue
            if hasattr(following, "variable"):
                if following.variable is picture:
                    seen.append(interval)
                continue
            if following not in waiting:
                heapq.heappush(queue, (-following._sequence_nr(), len(seen) + id(following), following))
            known = waiting.get(following, interval)
            waiting[following] = min(known[0], interval[0]), max(known[1], interval[1])
    return max(0, min(a for a, _ in seen)), min(size - 1, max(b for _, b in seen))


def _before(node, first: int, last: int, axis: int, size: int) -> tuple[int, int]:
    """Rows of a node's input that rows ``first`` … ``last`` of its output are made from."""
    name = node.name().removesuffix("0").removesuffix("Backward")
    if name == "Convolution" and not node._saved_transposed:
        rows, kernel = node._saved_input.shape[2 + axis], node._saved_weight.shape[2 + axis]
        dilation = node._saved_dilation[axis]
    elif name in ("MaxPool2DWithIndices", "AvgPool2D"):
        rows, kernel = node._saved_self.shape[2 + axis], node._saved_kernel_size[-1 if axis else 0]
        dilation = node._saved_dilation[-1 if axis else 0] if name.startswith("Max") else 1
    else:
        return (first, last) if name in _AT_ITS_PLACE else (0, size - 1)
    stride, padding = (
        (node._saved_stride or node._saved_kernel_size)[-1 if axis else 0],
        node._saved_padding[-1 if axis else 0],
    )
    first, last = first * stride - padding, last * stride - padding + dilation * (kernel - 1)
    return max(first, 0), min(last, rows - 1)
