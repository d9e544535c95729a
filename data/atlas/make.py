"""Make the atlas, an image for every channel of four layers of the embedded network: ``make atlas``.

Batch by batch; what is done is kept in ``build/atlas``, so that it goes on there after an interrupt.
"""

import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from helpers import atlas, dream, files, images, pretrained
from helpers.bars import tqdm
from helpers.features import activations

PARTS = files.DATA.parent / "build" / "atlas"
BATCH = 16  # channels at once; each gets the image that it would get alone
SEED = 0


@dataclass(frozen=True)
class Settings:
    """How the images of a layer are made.

    Attributes:
        made: pixels of each side, as it is made.
        kept: pixels of each side, as it is kept.
        unit: of ``dream.maximize``.
        transform: of ``dream.maximize``.
        steps: of Adam.
    """

    made: int
    kept: int
    unit: str | None
    transform: float
    steps: int


# Chosen by looking at a dozen channels side by side. The first three layers fill an image with what they look for. What
# features.12 looks for are things, wider than 200 pixels: they come out whole only if the units in the middle alone are
# asked, and there is room around. Tried for features.12: the whole map (the thing is there several times, cut off), the
# one unit in its middle (smaller), 96 pixels (no room), half the transformations (more grain), twice the learning rate
# or twice the steps (harder contrasts, no more to be seen), total variation at 1000 (softer, and fainter). And with the
# last ReLU closed to gradients two in three of its images stayed grey.
SETTINGS = {
    "features.3": Settings(64, 64, None, 0.5, 100),
    "features.6": Settings(80, 80, None, 0.5, 100),
    "features.9": Settings(96, 96, None, 0.5, 120),
    "features.12": Settings(128, 96, "middle", 1.0, 120),
}


def make(model: nn.Module, layer: str, channels: Sequence[int]) -> Tensor:
    """The images of some channels, ``(N, 3, s, s)``."""
    how = SETTINGS[layer]
    made = dream.maximize(
        model,
        layer,
        list(channels),
        how.unit,
        size=(how.made, how.made),
        transform=how.transform,
        steps=how.steps,
        seed=SEED,
        progress=False,
    )
    return images.resized(made, (how.kept, how.kept)).clamp(0, 1)


def parts(model: nn.Module, layer: str) -> Iterator[Tensor]:
    """The images of a layer's channels, batch by batch; those that an earlier run has made are read."""
    settings = hashlib.sha256(repr((SETTINGS[layer], SEED, BATCH, torch.__version__)).encode()).hexdigest()[:12]
    for first in range(0, atlas.LAYERS[layer], BATCH):
        file = PARTS / f"{layer}_{first}_{settings}.npy"
        if not file.exists():
            made = make(model, layer, range(first, min(first + BATCH, atlas.LAYERS[layer])))
            content = io.BytesIO()
            np.save(content, (255 * made).round().byte().numpy())
            PARTS.mkdir(parents=True, exist_ok=True)
            files.write(file, content.getvalue())
        yield torch.from_numpy(np.load(file))


def webp(tiles: Tensor) -> bytes:
    """Tiles ``(C, 3, s, s)`` in uint8, as a sheet."""
    rows = tiles.unflatten(0, (-1, atlas.COLUMNS)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    file = io.BytesIO()
    PIL.Image.fromarray(rows.contiguous().numpy()).save(file, "webp", quality=80, method=6)
    return file.getvalue()


def own_share(model: nn.Module, layer: str, tiles: Tensor) -> float:
    """Of how many channels the image excites the channel more than any other channel's image does."""
    outputs = [activations(model, batch.float() / 255, [layer])[layer].mean((2, 3)) for batch in tiles.split(32)]
    means = torch.cat(outputs)  # of each image each channel's
    return (means.argmax(0) == torch.arange(len(means))).double().mean().item()


def main() -> None:
    """Make what is missing, then write the sheets and their record together."""
    model, sheets, layers = pretrained.load(), dict[Path, bytes](), {}
    total = sum(-(-count // BATCH) for count in atlas.LAYERS.values())
    with tqdm(total=total, unit="batch") as bar:
        for layer in atlas.LAYERS:
            done = list[Tensor]()
            bar.set_description(layer)
            for part in parts(model, layer):
                done.append(part)
                bar.update()
            content = webp(torch.cat(done))
            sheets[atlas.FOLDER / f"{layer}.webp"] = content
            tiles = atlas.cut(torch.from_numpy(np.array(PIL.Image.open(io.BytesIO(content)))).permute(2, 0, 1))
            layers[layer] = asdict(SETTINGS[layer]) | {
                "own_share": round(own_share(model, layer, tiles), 3),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
    record = {"command": "make atlas", "seed": SEED, "torch": torch.__version__, "layers": layers}
    files.write_together(sheets | {atlas.FOLDER / "atlas.json": files.as_json(record)})
    for file in PARTS.iterdir():
        file.unlink()
    print(f"{sum(map(len, sheets.values())) / 1e6:.1f} MB in {atlas.FOLDER}: {layers}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted: make atlas goes on from here")
