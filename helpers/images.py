"""Pictures: the ones that ship with the course's libraries, and anyone's own.

A picture is a float32 tensor ``(3, H, W)`` with values in [0, 1]. Lesson 1 explains the order of its axes.
"""

import io
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.error import URLError

import numpy as np
import skimage.data
import sklearn.datasets
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import center_crop, resize

URL_TIMEOUT_SECONDS = 30


MOST_PIXELS = 50_000_000  # of a file: as many take 3 GB while they are read


# All of them lie in the wheels of scikit-image and scikit-learn: nothing is downloaded.
SAMPLES: dict[str, Callable[[], np.ndarray]] = {
    "astronaut": skimage.data.astronaut,
    "brick": skimage.data.brick,
    "camera": skimage.data.camera,
    "chelsea": skimage.data.chelsea,
    "china": lambda: sklearn.datasets.load_sample_image("china.jpg"),
    "coffee": skimage.data.coffee,
    "coins": skimage.data.coins,
    "flower": lambda: sklearn.datasets.load_sample_image("flower.jpg"),
    "grass": skimage.data.grass,
    "rocket": skimage.data.rocket,
}


def sample(name: str) -> Tensor:
    """One of the sample pictures, ``(3, H, W)``; :data:`SAMPLES` has their names. Grey ones have equal channels."""
    if name not in SAMPLES:
        raise ValueError(f"name must be one of {', '.join(SAMPLES)}, not {name!r}")
    return _from_array(SAMPLES[name]())


Source = str | Path | Image.Image | np.ndarray | Tensor


def read(source: Source, size: int | None = None) -> Tensor:
    """Anyone's picture as ``(3, H, W)``, float32 in [0, 1].

    EXIF orientation is obeyed, transparency is laid over white, and grey becomes three equal channels.

    Args:
        source: a path, an http(s) URL, a PIL image, an array ``(H, W)`` or ``(H, W, 1 | 3 | 4)``, or a tensor
            ``(H, W)`` or ``(1 | 3 | 4, H, W)``. Whole numbers are divided by the largest one that their type
            holds; other numbers must lie in [0, 1].
        size: where the longer side has more pixels, the picture is made smaller, so that it has as many.

    Raises:
        ValueError: it is no picture, or not in one of these forms, or too large.
        OSError: the file or the address cannot be read.
    """
    picture = _read(source)
    longer = max(picture.shape[1:])
    return picture if size is None or longer <= size else resized(picture, scaled(picture, size / longer)).clamp(0, 1)


def _read(source: Source) -> Tensor:
    if isinstance(source, Tensor):
        array = source.detach().cpu().numpy()
        return _from_array(array if array.ndim == 2 else np.moveaxis(array, 0, -1))
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_pil(source)
    file = _open(str(source))
    try:
        with Image.open(file) as opened:
            return _from_pil(opened)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        if getattr(error, "errno", None):  # the file could not be opened; PIL's own complaints have no number
            raise
        raise ValueError(f"{source} cannot be read as a picture: {error}") from None


def _open(source: str) -> str | io.BytesIO:
    if not source.startswith(("http://", "https://")):
        return source
    try:
        with urllib.request.urlopen(source, timeout=URL_TIMEOUT_SECONDS) as response:
            return io.BytesIO(response.read())
    except (URLError, TimeoutError) as error:
        raise OSError(f"{source} cannot be fetched: {error}") from None


def _from_pil(picture: Image.Image) -> Tensor:
    if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(
            f"the picture is {picture.height} × {picture.width} pixels, and {MOST_PIXELS:,} in all is the most to read"
        )
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16-bit grey, whichever of PIL's names it has
        return _from_array(np.asarray(picture).astype(np.uint16))
    return _from_array(np.asarray(picture.convert("RGBA")))


def _from_array(array: np.ndarray) -> Tensor:
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"a picture has the shape (H, W), or that and 1, 3 or 4 channels, not {array.shape}")
    if np.issubdtype(array.dtype, np.integer):
        picture = array / np.iinfo(array.dtype).max
    else:
        picture = array.astype(np.float64)
        if not (picture.min() >= 0 and picture.max() <= 1):  # also refuses NaN
            raise ValueError(
                f"a picture's values lie in [0, 1], and these in [{picture.min():.3g}, {picture.max():.3g}]"
            )
    if picture.shape[2] == 4:
        colour, alpha = picture[..., :3], picture[..., 3:]
        picture = colour * alpha + (1 - alpha)
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3))
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, -1, 0), dtype=np.float32))


def to_gray(picture: Tensor) -> Tensor:
    """Luma of a colour picture: ``(…, 3, H, W)`` to ``(…, 1, H, W)``, weighted as ITU-R BT.601 says."""
    weights = picture.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (picture * weights).sum(dim=-3, keepdim=True)


def to_array(picture: Tensor) -> np.ndarray:
    """A picture as matplotlib wants it: ``(3, H, W)`` to ``(H, W, 3)``, a map ``(1, H, W)`` to ``(H, W)``."""
    array = picture.detach().float().cpu().numpy()
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise ValueError(f"picture must have the shape (H, W), (1, H, W) or (3, H, W), not {tuple(array.shape)}")
    return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)


def as_batch(images: Tensor) -> tuple[Tensor, bool]:
    """Pictures as a batch ``(N, C, H, W)``, and whether it was a single one, ``(C, H, W)``.

    Raises:
        ValueError: another number of axes, no picture at all, or values that are not floating-point numbers.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"pictures are a tensor, not a {type(images).__name__}; images.read makes one of most things")
    if images.ndim not in (3, 4) or images.numel() == 0:
        raise ValueError(
            f"pictures have the shape (C, H, W) or (N, C, H, W), with none of these 0, not {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise ValueError(f"pictures hold floating-point numbers in [0, 1], not {images.dtype}")
    return (images[None], True) if images.ndim == 3 else (images, False)


def scaled(picture: Tensor, scale: float) -> tuple[int, int]:
    """Rows and columns of a picture ``(…, H, W)`` that is ``scale`` times as large."""
    height, width = picture.shape[-2:]
    return max(1, round(scale * height)), max(1, round(scale * width))


def resized(picture: Tensor, size: Sequence[int]) -> Tensor:
    """A picture ``(…, C, H, W)`` with that many rows and columns; the same one, if it has them already."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    return resize(picture, list(size), antialias=True)


def total_variation(picture: Tensor) -> Tensor:
    """How much neighbouring pixels differ: the mean square of their differences, across plus down, one number.

    Args:
        picture: ``(…, H, W)``.
    """
    across, down = picture.diff(dim=-1), picture.diff(dim=-2)
    return across.square().mean() + down.square().mean()


def square(picture: Tensor, size: int = 224) -> Tensor:
    """The middle of a picture, ``(3, size, size)``, as networks trained on ImageNet are tested on it.

    The shorter side is scaled to 8/7 of ``size``, and what stands over is cut off on all sides.
    """
    return center_crop(resize(picture, round(size * 8 / 7), antialias=True), size).clamp(0, 1)
