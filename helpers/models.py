"""The networks that the lessons define, and the arithmetic of layer sizes.

Each takes images in [0, 1], normalises them itself, and gives logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

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


# An image and all that is computed from it must fit into memory; this many pixels take a few GiB.
MAX_PIXELS = 4_000_000


def check_size(model: nn.Module, layers: Sequence[str], image: Tensor, name: str = "the image") -> None:
    """Refuse an image ``(…, H, W)`` that is too small for the named layers to give anything, or too large to work on.

    The message calls it by ``name``.

    Raises:
        ValueError: with the image's size, and the smallest or the largest that would do.
    """
    height, width = image.shape[-2:]
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{name} is {height} × {width} pixels, and {MAX_PIXELS:,} in all is the maximum; "
            "images.read(image, size=640) makes it smaller"
        )
    if not is_large_enough(model, layers, (height, width)):
        smallest = next(size for size in range(1, 10_000) if is_large_enough(model, layers, (size, size)))
        raise ValueError(
            f"{name} is {height} × {width} pixels, and {', '.join(layers)} of {type(model).__name__} "
            f"need{'s' if len(layers) == 1 else ''} at least {smallest} × {smallest}"
        )


def is_large_enough(model: nn.Module, layers: Sequence[str], size: tuple[int, int]) -> bool:
    """Whether an image of that many rows and columns is large enough for the named layers to give anything."""
    if min(size) >= 128:  # far more than any of the networks needs
        return True
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
    """One row for each use of a layer in one forward pass of one image, in the order of use.

    Args:
        model: any network; best made under ``torch.device("meta")``, where neither weights nor maps take memory.
        input_shape: of one image, ``(C, H, W)``.
    """
    names = {layer: name for name, layer in model.named_modules() if not list(layer.children())}
    rows: list[LayerRow] = []

    def note(layer: nn.Module, _inputs, output) -> None:
        if layer in names and isinstance(output, Tensor):
            parameters = sum(p.numel() for p in layer.parameters())
            # Each value of the output is a sum over one kernel, or one row of weights.
            products = output.numel() * layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0
            rows.append(LayerRow(names[layer], type(layer).__name__, tuple(output.shape[1:]), parameters, products))

    with register_module_forward_hook(note), inference(model):
        model(dummy_input(model, input_shape))
    return rows
