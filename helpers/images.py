"""Images: the sample photos that come with the course's libraries, and anyone's own; read, scaled, made grey.

An image is a float32 tensor ``(3, H, W)`` with values in [0, 1]. Lesson 1 explains the order of its axes.
"""

import io
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from helpers import files
from helpers.arguments import check_choice, check_number, check_whole

MAX_PIXELS = 50_000_000  # of a file: as many take 1.5 GB while they are read
MAX_BYTES = 100_000_000  # of an address


def _of_sklearn(name: str) -> np.ndarray:
    # As sklearn.datasets.load_sample_image, whose import takes a second and 70 MB.
    with Image.open(files.in_package("sklearn", f"datasets/images/{name}")) as image:
        return np.asarray(image)


# All of them lie in the wheels of scikit-image and scikit-learn: nothing is downloaded.
SAMPLES: dict[str, Callable[[], np.ndarray]] = {
    "astronaut": skimage.data.astronaut,
    "brick": skimage.data.brick,
    "camera": skimage.data.camera,
    "chelsea": skimage.data.chelsea,
    "china": lambda: _of_sklearn("china.jpg"),
    "coffee": skimage.data.coffee,
    "coins": skimage.data.coins,
    "flower": lambda: _of_sklearn("flower.jpg"),
    "grass": skimage.data.grass,
    "rocket": skimage.data.rocket,
}

Source = str | Path | Image.Image | np.ndarray | Tensor


def sample(name: str) -> Tensor:
    """One of the sample images, ``(3, H, W)``; :data:`SAMPLES` has their names. Grey ones have equal channels."""
    check_choice(SAMPLES, name=name)
    return _from_array(SAMPLES[name]())


def read(source: Source, size: int | None = None) -> Tensor:
    """Anyone's image as ``(3, H, W)``, float32 in [0, 1].

    EXIF orientation is obeyed, transparency is laid over white, and grey becomes three equal channels.

    Args:
        source: a path, an http(s) URL, a PIL image, an array ``(H, W)`` or ``(H, W, 1 | 3 | 4)``, or a tensor
            ``(H, W)`` or ``(1 | 3 | 4, H, W)``. Whole numbers are divided by the largest one that their type
            holds; other numbers must lie in [0, 1].
        size: where the longer side has more pixels, the image is made smaller, so that it has as many.

    Raises:
        ValueError: it is no image, or not in one of these forms, or too large.
        OSError: the file or the address cannot be read.
    """
    if size is not None:
        check_whole(1, size=size)
    image = _read(source, size)
    longer = max(image.shape[1:])
    return image if size is None or longer <= size else resized(image, scaled(image, size / longer)).clamp(0, 1)


def _read(source: Source, size: int | None) -> Tensor:
    if isinstance(source, Tensor):
        if source.ndim == 3 and source.shape[0] not in (1, 3, 4):
            raise ValueError(f"a tensor's channels come first, (1 | 3 | 4, H, W); this one has {tuple(source.shape)}")
        if source.layout is not torch.strided or source.is_meta or source.is_quantized:
            raise ValueError("a tensor must be an ordinary one, not sparse, quantised or on the meta device")
        values = source.detach().cpu()
        array = (values.float() if values.is_floating_point() else values).numpy()
        return _from_array(array if array.ndim != 3 else np.moveaxis(array, 0, -1))
    if isinstance(source, np.ndarray):
        return _from_array(np.asarray(source))  # not as a matrix
    if not isinstance(source, str | Path | Image.Image):
        raise ValueError(f"an image is a path, a URL, a PIL image, an array or a tensor, not {source!r:.60}")
    given = source if isinstance(source, Image.Image) else None
    file = io.BytesIO() if given else _file(str(source))
    try:
        with nullcontext(given) if given else Image.open(file) as image:
            if size and not given:
                image.draft("RGB", (size, size))  # a JPEG is then decoded at a smaller size at once
            return _from_pil(image)
    except UnidentifiedImageError:
        raise ValueError(f"{source} cannot be read as an image: it is in no format that Pillow knows") from None
    except Exception as error:  # PIL's decoders raise all kinds for a damaged file
        if getattr(error, "errno", None):  # it could not be opened
            raise
        name = "the PIL image" if given else source
        raise ValueError(f"{name} cannot be read as an image: {str(error).strip() or type(error).__name__}") from None


def _file(source: str) -> str | io.BytesIO:
    if source.lower().startswith(("http://", "https://")):
        return io.BytesIO(b"".join(files.chunks(source, MAX_BYTES)))
    path = unquote(urlsplit(source).path) if source.startswith("file://") else os.path.expanduser(source)
    if "\0" not in path and os.path.exists(path) and not os.path.isdir(path) and not os.path.isfile(path):
        raise ValueError(f"{source} cannot be read as an image: it is no regular file")
    return path


def _from_pil(image: Image.Image) -> Tensor:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it has {image.height} × {image.width} pixels, and {MAX_PIXELS:,} is the maximum")
    image = ImageOps.exif_transpose(image.convert("LA") if image.mode == "La" else image)
    if image.mode == "F":
        return _from_array(np.asarray(image))
    if image.mode.startswith("I"):  # 16-bit grey, whichever of PIL's names it has
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
            raise ValueError(f"its values lie in [{array.min()}, {array.max()}], and 16-bit grey in [0, 65535]")
        return _from_array(array.astype(np.uint16))
    return _from_array(np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")))


def _from_array(array: np.ndarray) -> Tensor:
    shape, array = array.shape, array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in shape:
        raise ValueError(f"an image has the shape (H, W), or that and 1, 3 or 4 channels, not {shape}")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise ValueError(f"an image has {MAX_PIXELS:,} pixels at most, and this {shape[0]} × {shape[1]}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"an image's values are numbers, not {array.dtype}")
    largest = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1
    if not (array.min() >= 0 and array.max() <= largest):  # also refuses NaN
        raise ValueError(
            f"an image's values lie in [0, {largest}], and these in [{array.min():.3g}, {array.max():.3g}]"
        )
    array = array.astype(np.float32) / np.float32(largest)
    if array.shape[2] == 4:
        color, alpha = array[..., :3], array[..., 3:]
        array = color * alpha + (1 - alpha)
    array = np.broadcast_to(array, (*array.shape[:2], 3))
    return torch.from_numpy(np.array(np.moveaxis(array, -1, 0), order="C"))  # a copy, always


def to_gray(image: Tensor) -> Tensor:
    """Luma of a colour image: ``(…, 3, H, W)`` to ``(…, 1, H, W)``, weighted as ITU-R BT.601 says."""
    _check_color(image)
    weights = image.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (image * weights).sum(dim=-3, keepdim=True)


def _check_color(image: Tensor) -> None:
    if not isinstance(image, Tensor) or not image.is_floating_point() or image.ndim < 3 or image.shape[-3] != 3:
        given = f"{image.dtype} {tuple(image.shape)}" if isinstance(image, Tensor) else f"{image!r:.60}"
        raise ValueError(f"a colour image is a tensor of floating-point numbers (…, 3, H, W), not {given}")


def to_array(image: Tensor) -> np.ndarray:
    """An image as matplotlib wants it: ``(3, H, W)`` to ``(H, W, 3)``, a map ``(1, H, W)`` to ``(H, W)``."""
    array = image.detach().float().cpu().numpy()
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise ValueError(f"image must have the shape (H, W), (1, H, W) or (3, H, W), not {tuple(array.shape)}")
    return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)


def as_batch(images: Tensor) -> tuple[Tensor, bool]:
    """Images as a batch ``(N, C, H, W)``, and whether it was a single one, ``(C, H, W)``.

    Raises:
        ValueError: another number of axes, no image at all, or values that are not finite floating-point numbers.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"images are a tensor, not a {type(images).__name__}; images.read makes one of most things")
    if images.layout is not torch.strided or images.is_meta:
        raise ValueError(
            "images are an ordinary tensor with numbers in it, not a sparse one nor one on the meta device"
        )
    if images.ndim not in (3, 4) or images.numel() == 0:
        raise ValueError(
            f"images have the shape (C, H, W) or (N, C, H, W), with none of these 0, not {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise ValueError(f"images hold floating-point numbers in [0, 1], not {images.dtype}")
    if not all(extreme.isfinite() for extreme in images.aminmax()):  # no copies of a whole data set
        raise ValueError("images hold floating-point numbers in [0, 1], and these hold NaN or infinite ones")
    return (images[None], True) if images.ndim == 3 else (images, False)


def scaled(image: Tensor, scale: float) -> tuple[int, int]:
    """Rows and columns of an image ``(…, H, W)`` that is ``scale`` times as large."""
    check_number(1e-9, scale=scale)
    height, width = image.shape[-2:]
    return max(1, round(scale * height)), max(1, round(scale * width))


def resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """An image ``(…, C, H, W)`` with that many rows and columns; the same one, if it has them already."""
    for name, n in zip(("rows", "columns"), size, strict=True):
        check_whole(1, **{name: n})
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    batch = image if image.ndim == 4 else image[None]
    return interpolate(batch, tuple(size), mode="bilinear", antialias=True).view(*image.shape[:-2], *size)


def total_variation(image: Tensor) -> Tensor:
    """Of ``(…, H, W)`` the mean squared difference of neighbouring pixels, across plus down, one number."""
    return image.diff(dim=-1).square().mean() + image.diff(dim=-2).square().mean()


def square(image: Tensor, size: int = 224) -> Tensor:
    """The middle of an image, ``(3, size, size)``, as networks trained on ImageNet are tested on it.

    The shorter side is scaled to 8/7 of ``size``, and what stands over is cut off on all sides.
    """
    _check_color(image)
    check_whole(1, 100_000, size=size)
    height, width = image.shape[1:]
    shorter = round(size * 8 / 7)
    scaled_size = shorter * height // min(height, width), shorter * width // min(height, width)
    top, left = (round((n - size) / 2) for n in scaled_size)
    return resized(image, scaled_size)[:, top : top + size, left : left + size].clamp(0, 1)
