"""Record the dreams and the flight of lesson 8's explorer: ``make dreams`` writes them beside this file."""

import hashlib
import io
import itertools

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from helpers import dream, features, files, images, pretrained
from helpers.bars import tqdm
from helpers.lessons import lesson_08


def webp(tiles: list[Tensor], across: int, quality: int) -> bytes:
    """Images ``(3, H, W)`` of one size as a sheet, row by row."""
    rows = [torch.cat(tiles[i : i + across], dim=2) for i in range(0, len(tiles), across)]
    file = io.BytesIO()
    pixels = (255 * images.to_array(torch.cat(rows, dim=1))).round().astype(np.uint8)
    PIL.Image.fromarray(pixels).save(file, "webp", quality=quality, method=6)
    return file.getvalue()


def main() -> None:
    """Dream with each setting, fly, and write sheets and record together."""
    model, photo = pretrained.load(), lesson_08.cropped(images.sample(lesson_08.RECORDED))
    grid = list(itertools.product(lesson_08.LAYERS, lesson_08.OCTAVES, lesson_08.STRENGTHS))
    dreams, ratios = zip(*(lesson_08.dreamt(model, photo, *setting) for setting in tqdm(grid)), strict=True)
    frames = dream.zoom(model, photo, lesson_08.LAYER, frames=lesson_08.FRAMES)
    sheets = {
        "sheet": webp(list(dreams), len(lesson_08.OCTAVES) * len(lesson_08.STRENGTHS), 25),
        "flight": webp(frames, lesson_08.FLIGHT_ACROSS, 20),
    }
    sees = [features.receptive_field(model, layer, (3, 448, 448), (14, 14))[3] for layer in lesson_08.LAYERS]
    record = {
        "command": "make dreams",
        "torch": torch.__version__,
        "layers": [{"name": name, "sees": n} for name, n in zip(lesson_08.LAYERS, sees, strict=True)],
        "ratios": [round(ratio, 2) for ratio in ratios],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sheets.items()},
    }
    folder = lesson_08.DREAMS.parent
    contents = {folder / f"{name}.webp": content for name, content in sheets.items()}
    files.write_together(contents | {lesson_08.DREAMS: files.as_json(record)})
    print({name: len(content) for name, content in sheets.items()}, ratios)


if __name__ == "__main__":
    main()
