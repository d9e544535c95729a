"""The networks that the lessons define, and the arithmetic of layer sizes.

Each takes pictures in [0, 1] and normalises them itself, where it wants them normalised; each gives logits.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers import devices
from helpers.devices import device_of
from helpers.hooks import dummy_input, inference, run_to

# Of the pixels of Fashion-MNIST's training set, in [0, 1]; lesson 3 computes them.
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530


CHECKPOINT = Path(__file__).resolve().parents[1] / "data" / "checkpoints" / "fashion_net.safetensors"


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
    if not is_large_enough(model, layers, (height, width)):
        least = next(size for size in range(1, 10_000) if is_large_enough(model, layers, (size, size)))
        raise ValueError(
            f"{name} is {height} × {width} pixels, and {', '.join(layers)} of {type(model).__name__} "
            f"need{'s' if len(layers) == 1 else ''} at least {least} × {least}"
        )


def is_large_enough(model: nn.Module, layers: Sequence[str], size: tuple[int, int]) -> bool:
    """Whether a picture of that many rows and columns is large enough for the named layers to give anything."""
    if min(size) >= 224:  # what all of them were made for
        return True
    part = min(size[0], 64), min(size[1], 64)  # mostly enough, and quickly tried
    return _has_maps(model, layers, part) or (part != size and _has_maps(model, layers, size))


def _has_maps(model: nn.Module, layers: Sequence[str], size: tuple[int, int]) -> bool:
    try:
        with inference(model):
            return all(maps.numel() for maps in run_to(model, dummy_input(model, (3, *size)), layers).values())
    except RuntimeError:  # a kernel that is larger than the maps it should slide over
        return False


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
            model(dummy_input(model, input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return rows


def _products(layer: nn.Module, output: Tensor) -> int:
    """Each value of the output is a sum over one filter, or one row of weights."""
    weights_per_output = layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0
    return output.numel() * weights_per_output
