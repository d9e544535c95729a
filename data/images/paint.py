"""Paint what lesson 9 opens with, and what its explorer plays: a part of ``make pictures``, about three minutes.

The four paintings go beside this file, ``painting_*.jpg``. The explorer's runs go to ``data/paintings``: the images of
all moments in one archive, and beside it the record of how everything was made, with the losses.
"""

import io
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from helpers import files, images, pretrained, style
from helpers.lessons import lesson_09
from helpers.lessons.explore import image_file

FOLDER = Path(__file__).parent
MAX_BYTES = 150_000  # of a painting's file


def jpeg(image: Tensor, most: int = MAX_BYTES) -> bytes:
    """An image ``(3, H, W)`` as a JPEG file, of the best quality that fits."""
    pixels = Image.fromarray((images.to_array(image) * 255).round().astype("uint8"))
    for quality in range(92, 0, -4):
        file = io.BytesIO()
        pixels.save(file, "jpeg", quality=quality, optimize=True, progressive=True)
        if file.tell() <= most:
            break
    return file.getvalue()


def paintings(net: nn.Module) -> dict[Path, bytes]:
    """The four paintings as files."""
    made = {}
    for name, painting in lesson_09.PAINTINGS.items():
        photo = lesson_09.large(images.sample(painting.photo))
        image = style.stylize(net, photo, lesson_09.style_image(name), **painting.options)
        made[FOLDER / f"painting_{name}.jpg"] = jpeg(image)
    return made


def runs(net: nn.Module) -> dict[Path, bytes]:
    """The cat with more and more style: the archive and, as its record, the runs with names in place of images."""
    photo = lesson_09.explorer_photo()
    made = [lesson_09.painting_run(net, photo, lesson_09.EXPLORER_STYLE, w, lesson_09.CATS) for w in lesson_09.WEIGHTS]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for run in made:
            for each in run["snapshots"]:
                name = f"{run['weight']}_{each['step']:03}.webp"
                # A date of its own would make another archive each time.
                file.writestr(zipfile.ZipInfo(name), image_file(each["image"], lesson_09.QUALITY))
                each["image"] = name
    network = pretrained.NETWORKS[pretrained.EMBEDDED]
    record = {
        "command": "make pictures",
        "torch": torch.__version__,
        "network": pretrained.EMBEDDED,
        "paintings": {name: asdict(painting) for name, painting in lesson_09.PAINTINGS.items()},
        "layers": {"content": network.content_layers, "style": network.style_layers},
        "photo": "chelsea",
        "style": lesson_09.EXPLORER_STYLE,
        "steps": lesson_09.STEPS,
        "smallest": lesson_09.SMALLEST,
        "runs": made,
    }
    return {lesson_09.RUNS: archive.getvalue(), lesson_09.RUNS.with_suffix(".json"): files.as_json(record)}


def main() -> None:
    """Paint everything, and keep it together or not at all."""
    net = pretrained.load()
    lesson_09.RUNS.parent.mkdir(exist_ok=True)
    made = {**paintings(net), **runs(net)}
    files.write_together(made)
    for path, content in made.items():
        print(f"{path.name}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"The paintings cannot be written: {error}")
