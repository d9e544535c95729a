"""The classifier that the lessons train, what images a network can take, and what its layers do and cost.

Each takes images in [0, 1], normalises them itself, and gives logits.
"""

import copy
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from helpers import files
from helpers.arguments import check_number
from helpers.hooks import dummy_input, inference, run_to, weight_of
from helpers.images import as_batch

# Of the pixels of Fashion-MNIST's training set, in [0, 1]; lesson 3 computes them.
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530
CHECKPOINT = files.DATA / "checkpoints" / "fashion_net.safetensors"


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
        check_number(maximum=1, spatial_dropout=spatial_dropout, dropout=dropout)
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


@torch.inference_mode(False)  # weights that can be differentiated through, also where someone has it on
def trained_fashion_net() -> FashionNet:
    """The :class:`FashionNet` that the course keeps in ``data/checkpoints``, in evaluation mode.

    ``fashion_net.json`` beside it says how it was trained; ``make checkpoint`` trains it again.

    Raises:
        OSError: the file is not there, or not the one of its record.
    """
    with torch.device("meta"):  # no weights are drawn
        model = FashionNet()
    again = "git checkout data/checkpoints, or `make checkpoint` trains it again"
    with files.intact(f"{CHECKPOINT} or its record", again):
        model.load_state_dict(load(_kept_weights()), assign=True)
    return model.eval()


def _kept_weights() -> bytes:
    for seconds in (0.1, 0):  # the record of a new training may be about to get its name
        content, record = (files.read(path, 10_000_000) for path in (CHECKPOINT, CHECKPOINT.with_suffix(".json")))
        if hashlib.sha256(content).hexdigest() == json.loads(record)["sha256"]:
            return content
        time.sleep(seconds)
    raise ValueError("it is not the one of its record")


# --- What a network can take -----------------------------------------------------------------------------------------

# An image and all that is computed from it must fit into memory; this many pixels take a few GiB.
MAX_PIXELS = 4_000_000
COMMON_SIZES = (28, 32, 64, 128, 224, 256, 384)  # of the images that networks are made for


def prepare(model: nn.Module, images: Tensor) -> tuple[Tensor, bool]:
    """Images ``(N, C, H, W)`` or ``(C, H, W)`` as a batch, where the model is and in its precision; and whether it
    was a single one. Channels come last in memory, the order that convolutions are fastest in.

    Raises:
        ValueError: they are no images, or too large.
    """
    batch, single = as_batch(images)
    _check_pixels(batch, "each image")
    batch = batch.clone() if batch.is_inference() else batch  # which could not be differentiated by
    return batch.to(weight_of(model)).contiguous(memory_format=torch.channels_last), single


@contextmanager
def explained(model: nn.Module, batch: Tensor, layers: Sequence[str] = ()) -> Iterator[None]:
    """Where PyTorch stops inside because the network cannot take images of this shape, say why in a sentence.

    Raises:
        ValueError: with the images' size or channels, and those that would do.
    """
    try:
        yield
    except RuntimeError as error:
        out_of_memory = isinstance(error, torch.OutOfMemoryError) or "allocate" in str(error)
        if out_of_memory or not (reason := _refusal(model, layers, batch.shape[1:])):
            raise
        raise ValueError(f"each image {reason}") from error


def in_float32(model: nn.Module) -> nn.Module:
    """The model, or a copy of it where its weights are of another precision: half sums and counts too coarsely."""
    return model if weight_of(model).dtype == torch.float32 else copy.deepcopy(model).float()


def check_size(model: nn.Module, layers: Sequence[str], image: Tensor, name: str = "the image") -> None:
    """Refuse an image ``(…, C, H, W)`` that is too small for the named layers to give anything, or too large.

    The message calls it by ``name``.

    Raises:
        ValueError: with the image's size, and the smallest or the largest that would do; or with its channels.
    """
    _check_pixels(image, name)
    if reason := _refusal(model, layers, image.shape[-3:]):
        raise ValueError(f"{name} {reason}")


def is_large_enough(model: nn.Module, layers: Sequence[str], shape: Sequence[int]) -> bool:
    """Whether the named layers give something for an image of that shape, ``(C, H, W)``."""
    try:
        with inference(model):
            maps = run_to(model, dummy_input(model, shape), layers)
    except (RuntimeError, AssertionError):  # such as for a kernel that is larger than the maps it should slide over
        return False
    return all(output.numel() for output in maps.values())


def _check_pixels(image: Tensor, name: str) -> None:
    height, width = image.shape[-2:]
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{name} is {height} × {width} pixels, and {MAX_PIXELS:,} in all is the maximum; "
            "images.read(image, size=640) makes it smaller"
        )


def _refusal(model: nn.Module, layers: Sequence[str], shape: Sequence[int]) -> str:
    """Why a network cannot take images of that shape, as the end of a sentence; "" where it can, or nothing helps."""
    if len(shape) != 3:
        return ""
    channels, height, width = shape
    wanted = next((layer.in_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)), channels)
    if (wanted == channels and min(height, width) >= 256) or is_large_enough(model, layers, shape):
        return ""
    if wanted != channels:
        return f"has {channels} channels, and {type(model).__name__} takes {wanted}"
    common = next((n for n in COMMON_SIZES if is_large_enough(model, layers, (channels, n, n))), None)
    if common is None:
        return ""
    names = f"{', '.join(dict.fromkeys(layers))} of {type(model).__name__}" if layers else type(model).__name__
    need = "need" if len(set(layers)) > 1 else "needs"
    if min(height, width) >= common:
        return f"is {height} × {width} pixels, and {names} {need} another size, such as {common} × {common}"
    smallest = next(n for n in range(1, common + 1) if is_large_enough(model, layers, (channels, n, n)))
    return f"is {height} × {width} pixels, and {names} {need} at least {smallest} × {smallest}"


# --- The arithmetic of layers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerRow:
    """What one layer does: its name and kind, its output's shape without N, its weights, its multiplications."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiplications: int


def layer_table(model: nn.Module, input_shape: Sequence[int]) -> list[LayerRow]:
    """One row for each use of a layer in one forward pass of one image, in the order of use.

    Args:
        model: any network; best made under ``torch.device("meta")``, where neither weights nor maps take memory.
        input_shape: of one image, ``(C, H, W)``.
    """
    image = dummy_input(model, input_shape)
    names = {layer: name for name, layer in model.named_modules() if not list(layer.children())}
    rows: list[LayerRow] = []

    def note(layer: nn.Module, _inputs, output) -> None:
        if layer in names and isinstance(output, Tensor):
            parameters = sum(p.numel() for p in layer.parameters())
            # Each value of the output is a sum over one kernel, or one row of weights.
            products = output.numel() * layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0
            rows.append(LayerRow(names[layer], type(layer).__name__, tuple(output.shape[1:]), parameters, products))

    with register_module_forward_hook(note), inference(model), explained(model, image):
        model(image)
    return rows
