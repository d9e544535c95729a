"""The networks that the lessons define, and the arithmetic of layer sizes.

Each takes pictures in [0, 1] and normalises them itself, where it wants them normalised; each gives logits.
"""

import copy
import difflib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import relu

from helpers import devices

# Of the pixels of Fashion-MNIST's training set, in [0, 1]; lesson 3 computes them.
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530
CHECKPOINT = Path(__file__).resolve().parents[1] / "data" / "checkpoints" / "fashion_net.safetensors"


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Rows (or columns) that a convolution or pooling makes of ``size``: ``(W − F + 2P) / S + 1``, rounded down.

    Dilation spreads a kernel of F over ``dilation · (F − 1) + 1`` rows. Lesson 1 derives it.

    Raises:
        ValueError: a size, stride or dilation below 1, a padding below 0, or a kernel larger than the padded input.
    """
    for name, value, least in (
        ("size", size, 1),
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    span, padded = dilation * (kernel_size - 1) + 1, size + 2 * padding
    if span > padded:
        raise ValueError(f"a kernel that spans {span} rows does not fit into {padded} (size {size}, padding {padding})")
    return (padded - span) // stride + 1


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Input rows that one output sees through a stack of ``(kernel_size, stride)`` layers. Lesson 2 derives it."""
    field, jump = 1, 1
    for kernel_size, stride in layers:
        field += (kernel_size - 1) * jump
        jump *= stride
    return field


class FilterNet(nn.Module):
    """One convolution with given, fixed filters, then ReLU (lesson 1); with a pooling layer, lesson 2's ``PoolNet``.

    Args:
        filters: ``(out_channels, kH, kW)``, for grey pictures.
    """

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        if filters.ndim != 3:
            raise ValueError(f"filters must have the shape (out_channels, kH, kW), not {tuple(filters.shape)}")
        self.conv = nn.Conv2d(1, len(filters), (filters.shape[1], filters.shape[2]), bias=False)
        self.conv.weight = nn.Parameter(filters.unsqueeze(1).clone(), requires_grad=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, 1, H, W)`` to the feature maps before and after ReLU, both ``(N, out_channels, H', W')``."""
        convolved = self.conv(x)
        return convolved, relu(convolved)


class PoolNet(FilterNet):
    """:class:`FilterNet` followed by max pooling (lesson 2)."""

    def __init__(self, filters: Tensor, kernel_size: int = 4, stride: int | None = None) -> None:
        super().__init__(filters)
        self.pool = nn.MaxPool2d(kernel_size, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """``(N, 1, H, W)`` to the maps after convolution, after ReLU, and after pooling."""
        convolved, activated = super().forward(x)
        return convolved, activated, self.pool(activated)


class Normalize(nn.Module):
    """``(x − mean) / std``, inside the network, so that nothing outside it sees normalised pixels."""

    def __init__(self, mean: float = FASHION_MEAN, std: float = FASHION_STD) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return (x - self.mean) / self.std


class FashionNet(nn.Module):
    """The classifier of lessons 3 and 4: two convolutions, each with ReLU and pooling, and two dense layers.

    Args:
        spatial_dropout: probability that a whole feature map is dropped, after each pooling (``Dropout2d``).
        dropout: probability that a node of the hidden dense layer is dropped.
    """

    def __init__(self, spatial_dropout: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Normalize(),
            *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(spatial_dropout)),
            *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(spatial_dropout)),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(32 * 5 * 5, 64), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(64, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 1, 28, 28)`` in [0, 1] to logits ``(N, 10)``."""
        return self.classifier(self.features(x))


def trained_fashion_net() -> FashionNet:
    """The :class:`FashionNet` that the course keeps in ``data/checkpoints``, in evaluation mode.

    ``fashion_net.json`` beside it says how it was trained; ``make checkpoint`` trains it again.
    """
    model = FashionNet()
    model.load_state_dict(load_file(CHECKPOINT))
    return model.eval()


class BatchNormNet(nn.Module):
    """The classifier of lesson 4's recipe: four convolutions with batch normalisation, and one dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Normalize(),
            *_conv_block(1, 32, pool=2),
            *_conv_block(32, 64, pool=2),
            *_conv_block(64, 128),
            *_conv_block(128, 128, pool=7),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 1, 28, 28)`` in [0, 1] to logits ``(N, 10)``."""
        return self.classifier(self.features(x))


def _conv_block(in_channels: int, out_channels: int, pool: int = 1) -> list[nn.Module]:
    # Pooling comes before normalisation and ReLU, which then have a quarter of the numbers to work on.
    # Batch normalisation adds a bias of its own, so the convolution needs none.
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    pooling = [nn.MaxPool2d(pool)] if pool > 1 else []
    return [conv, *pooling, nn.BatchNorm2d(out_channels), nn.ReLU()]


@contextmanager
def held(model: nn.Module, requires_grad: bool = False) -> Iterator[None]:
    """The model in evaluation mode, and with all its parameters' ``requires_grad`` set alike; put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval().requires_grad_(requires_grad)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, without gradients; each module is put back to its own mode afterwards."""
    with held(model), torch.no_grad():
        yield


@contextmanager
def gradients(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, to be differentiated by its input, not its weights; put back afterwards.

    Gradients are on inside, also where someone around has turned them off.
    """
    with held(model), torch.inference_mode(False), torch.enable_grad():
        yield


def converted(model: nn.Module) -> nn.Module:
    """A copy to run many times under :func:`helpers.devices.mixed_precision`, which is the faster by it.

    Its convolutions have their weights in the precision that is computed in, and in the order channels_last. Otherwise
    each pass would convert them anew. All other tensors are the model's own, not copies.
    """
    precision = torch.bfloat16 if devices.has_fast_bf16(device_of(model)) else None
    tensors: dict[int, Tensor] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            for parameter in layer.parameters():
                order = torch.channels_last if parameter.ndim == 4 else torch.preserve_format
                ready = parameter.detach().to(precision, memory_format=order)
                tensors[id(parameter)] = nn.Parameter(ready, requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, tensors)


@contextmanager
def recording(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Inside, each forward pass fills the dictionary anew with the outputs of the named layers.

    They are the layers' own outputs, also where the next layer works in place, and part of the graph that
    gradients flow through. A layer that is used again in the same pass gives ``name#2``, ``name#3`` and so on.
    The hooks are gone afterwards. Lesson 5 sets one by hand.

    Args:
        model: any network.
        layers: names as in ``model.named_modules()``, also with the number of a further use.

    Raises:
        ValueError: the model has no layer of that name.
        TypeError: a layer gives something else than one tensor.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(_module, _inputs, output):
            if not isinstance(output, Tensor):
                raise TypeError(f"layer {name!r} gives a {type(output).__name__}, and one tensor is wanted")
            uses = sum(key.partition("#")[0] == name for key in outputs)
            outputs[f"{name}#{uses + 1}" if uses else name] = output
            return output.clone()  # or an in-place layer after this one would change what was recorded

        return hook

    found = {name: find_layer(model, name) for name in (layer.partition("#")[0] for layer in layers)}
    handles = [model.register_forward_pre_hook(lambda *_: outputs.clear())]
    try:
        handles += [layer.register_forward_hook(keep(name)) for name, layer in found.items()]
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


class _Reached(Exception):
    """The forward pass has come as far as it is wanted."""


def run_to(model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The outputs of the named layers, as :func:`recording` gives them; the forward pass ends as soon as all are there.

    Args:
        model: any network.
        x: what it takes, ``(N, C, H, W)``.
        layers: names as in ``model.named_modules()``; further uses of the same layer as ``name#2`` and so on.

    Raises:
        ValueError: no such layer, or the forward pass does not use it.
        TypeError: a layer gives something else than one tensor.
    """
    if isinstance(layers, str):
        raise ValueError(f"layers must be a list of names, such as [{layers!r}]")
    with ExitStack() as stack, suppress(_Reached):
        outputs = stack.enter_context(recording(model, layers))

        def stop_when_complete(*_) -> None:
            if outputs.keys() >= set(layers):
                raise _Reached

        for name in layers:
            layer = find_layer(model, name.partition("#")[0])
            stack.callback(layer.register_forward_hook(stop_when_complete).remove)
        model(x)
    if unused := [name for name in layers if name not in outputs]:
        raise ValueError(f"the forward pass does not use the layer {unused[0]!r}")
    return outputs


# A picture and all that is computed from it must fit into memory; this many pixels take a few GiB.
MOST_PIXELS = 4_000_000


def check_size(model: nn.Module, layers: Sequence[str], picture: Tensor, name: str = "the picture") -> None:
    """Refuse a picture ``(…, H, W)`` that is too small for the named layers to give anything, or too large to work on.

    The message calls it by ``name``.

    Raises:
        ValueError: with the picture's size, and the least or the largest that would do.
    """
    height, width = picture.shape[-2:]
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"{name} is {height} × {width} pixels, and {MOST_PIXELS:,} in all is the most that is worked on; "
            "images.read(picture, size=640) makes it smaller"
        )
    if not fits(model, layers, (height, width)):
        least = next(size for size in range(1, 10_000) if fits(model, layers, (size, size)))
        raise ValueError(
            f"{name} is {height} × {width} pixels, and {', '.join(layers)} of {type(model).__name__} "
            f"need{'s' if len(layers) == 1 else ''} at least {least} × {least}"
        )


def fits(model: nn.Module, layers: Sequence[str], size: tuple[int, int]) -> bool:
    """Whether a picture of that many rows and columns is large enough for the named layers to give anything."""
    if min(size) >= 224:  # what all of them were made for
        return True
    part = min(size[0], 64), min(size[1], 64)  # mostly enough, and quickly tried
    return _has_maps(model, layers, part) or (part != size and _has_maps(model, layers, size))


def _has_maps(model: nn.Module, layers: Sequence[str], size: tuple[int, int]) -> bool:
    try:
        with inference(model):
            return all(maps.numel() for maps in run_to(model, blank(model, (3, *size)), layers).values())
    except RuntimeError:  # a kernel that is larger than the maps it should slide over
        return False


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The layer of that name; the error for a wrong one names those that are spelt nearly so, or the upper ones."""
    if not isinstance(name, str):
        raise ValueError(f"a layer is named by text, such as 'features.0', not by {name!r}")
    try:
        return model.get_submodule(name)
    except AttributeError:
        known = [layer for layer, _ in model.named_modules() if layer]
        near = difflib.get_close_matches(name, known) or [layer for layer in known if layer.count(".") < 2]
        raise ValueError(f"{type(model).__name__} has no layer {name!r}; it has {', '.join(near)}") from None


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are; the CPU for one without weights."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def blank(model: nn.Module, shape: Sequence[int]) -> Tensor:
    """A black picture ``(1, C, H, W)``, where the model's weights are and in their precision."""
    like = next(model.parameters(), torch.zeros(()))
    return like.new_zeros(1, *shape)


@dataclass(frozen=True)
class LayerRow:
    """What one layer does: its name and kind, its output's shape without N, its weights, its multiplications."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiplications: int


def layer_table(model: nn.Module, input_shape: Sequence[int]) -> list[LayerRow]:
    """One row for each use of a layer in one forward pass of one picture, in the order of use.

    Args:
        model: any network; best made under ``torch.device("meta")``, where neither weights nor maps take memory.
        input_shape: of one picture, ``(C, H, W)``.
    """
    rows: list[LayerRow] = []

    def note(name: str, layer: nn.Module):
        def hook(_module, _inputs, output) -> None:
            if isinstance(output, Tensor):
                parameters = sum(p.numel() for p in layer.parameters())
                shape = tuple(output.shape[1:])
                rows.append(LayerRow(name, type(layer).__name__, shape, parameters, _products(layer, output)))

        return layer.register_forward_hook(hook)

    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    handles = [note(name, layer) for name, layer in leaves]
    try:
        with inference(model):
            model(blank(model, input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return rows


def _products(layer: nn.Module, output: Tensor) -> int:
    """Each value of the output is a sum over one filter, or one row of weights."""
    weights_per_output = layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0
    return output.numel() * weights_per_output
