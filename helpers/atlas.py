"""The atlas: for every channel of four layers of the embedded network an image that excites it, made by ``make atlas``.

Read here, made by ``data/atlas/make.py``: lessons 5 and 8 show them beside what the channel responds to in photos.
"""

import functools
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from helpers import files
from helpers.arguments import check_choice, check_whole

FOLDER = files.DATA / "atlas"
LAYERS = {"features.3": 128, "features.6": 256, "features.9": 384, "features.12": 512}  # and their channels
COLUMNS = 16  # of a sheet
MAX_BYTES = 6_000_000


def sheet(layer: str) -> Tensor:
    """The images of all channels of a layer, ``(C, 3, s, s)`` with values in [0, 1].

    Raises:
        ValueError: the atlas does not have that layer.
        OSError: its files are missing or damaged.
    """
    check_choice(LAYERS, layer=layer)
    return _decoded(FOLDER, layer).float() / 255


def image(layer: str, channel: int) -> Tensor:
    """The image of one channel, ``(3, s, s)`` with values in [0, 1]; errors as in :func:`sheet`."""
    check_choice(LAYERS, layer=layer)
    check_whole(0, LAYERS[layer] - 1, channel=channel)
    return _decoded(FOLDER, layer)[channel].float() / 255


@functools.lru_cache(maxsize=1)  # all sheets would keep 30 MB
def _decoded(folder: Path, layer: str) -> Tensor:
    """All tiles of a sheet, ``(C, 3, s, s)`` in uint8."""
    with files.intact(f"the sheet of {layer} in {folder}, or its record", "git checkout data/atlas, or make atlas"):
        record = json.loads(files.read(folder / "atlas.json", MAX_BYTES))["layers"][layer]
        content = files.read(folder / f"{layer}.webp", MAX_BYTES)
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("it is not the file of its record")
        return cut(torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("RGB"))).permute(2, 0, 1))


def cut(whole: Tensor) -> Tensor:
    """The tiles of a sheet ``(3, rows · s, COLUMNS · s)``, ``(rows · COLUMNS, 3, s, s)``."""
    side = whole.shape[2] // COLUMNS
    tiles = whole.unflatten(2, (COLUMNS, side)).unflatten(1, (-1, side))  # (3, rows, s, COLUMNS, s)
    return tiles.permute(1, 3, 0, 2, 4).flatten(0, 1).contiguous()
