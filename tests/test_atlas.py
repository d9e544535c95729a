"""The atlas: whole, made as its record says, and each image excites its own channel."""

import hashlib
import importlib.util
import io
import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import atlas, files, pretrained
from helpers.features import activations

SCRIPT = Path(__file__).parents[1] / "data" / "atlas" / "make.py"
RECORD = json.loads((atlas.FOLDER / "atlas.json").read_text())


@pytest.fixture(scope="module")
def network():
    return pretrained.load()


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The module that makes the atlas, with folders of its own."""
    spec = importlib.util.spec_from_file_location("atlas_make", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "atlas_make", module)  # a dataclass looks for its module
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PARTS", tmp_path / "parts")
    return module


@pytest.mark.parametrize("layer", atlas.LAYERS)
def test_each_channel_of_the_network_has_an_image(network, layer):
    sheet, side = atlas.sheet(layer), RECORD["layers"][layer]["kept"]
    channels = activations(network, torch.rand(3, 64, 64), [layer])[layer].shape[0]
    assert sheet.shape == (channels, 3, side, side)
    assert 64 <= side <= 96
    assert 0 <= sheet.min() < 0.05
    assert 0.95 < sheet.max() <= 1
    assert sheet.flatten(1).std(1).min() > 0.05  # none is grey
    torch.testing.assert_close(atlas.image(layer, 17), sheet[17])


def test_it_is_small():
    assert sum(file.stat().st_size for file in atlas.FOLDER.iterdir()) < atlas.MAX_BYTES


@pytest.mark.parametrize("layer", atlas.LAYERS)
def test_images_excite_their_own_channel_most(network, script, layer):
    share = script.own_share(network, layer, (255 * atlas.sheet(layer)).round().byte())
    assert share == pytest.approx(RECORD["layers"][layer]["own_share"], abs=0.02)
    assert share > 0.9


def answers(network, layer, tiles):
    """The mean of each channel on each image, ``(N, C)``."""
    return torch.cat([activations(network, batch, [layer])[layer].mean((2, 3)) for batch in tiles.split(32)])


FEW = {"features.3": [7, 100], "features.6": [20], "features.9": [273], "features.12": [383]}


@pytest.mark.parametrize(("layer", "channels"), FEW.items())
def test_a_few_channels_are_found_again(network, script, layer, channels):
    """By what the layer's channels answer: after 100 steps another processor's rounding has made other pixels."""
    kept = answers(network, layer, atlas.sheet(layer))
    made = answers(network, layer, script.make(network, layer, channels))
    middle, spread = kept.mean(0), kept.std(0) + 1e-6
    kept, made = ((means - middle) / spread for means in (kept, made))
    alike = torch.nn.functional.cosine_similarity(made[:, None], kept, dim=2)
    for channel, found in zip(channels, alike, strict=True):
        assert found.argmax() == channel
        assert found[channel] > 0.5


def test_an_interrupted_run_goes_on_where_it_was(network, script, monkeypatch):
    monkeypatch.setattr(script, "BATCH", 2)
    made = []

    def quick(model, layer, channels):
        made.append(list(channels))
        if len(made) == 3:
            raise KeyboardInterrupt
        return torch.tensor(list(channels)).view(-1, 1, 1, 1).expand(-1, 3, 4, 4) / 255

    monkeypatch.setattr(script, "make", quick)
    with pytest.raises(KeyboardInterrupt):
        list(script.parts(network, "features.3"))
    assert made == [[0, 1], [2, 3], [4, 5]]
    tiles = torch.cat(list(islice(script.parts(network, "features.3"), 4)))
    assert made[3:] == [[4, 5], [6, 7]]
    assert tiles[:, 0, 0, 0].tolist() == list(range(8))


def test_a_sheet_holds_tiles_in_their_order(script):
    tiles = (torch.arange(32).view(-1, 1, 1, 1) * 8).expand(-1, 3, 16, 16).byte()
    image = torch.from_numpy(np.array(PIL.Image.open(io.BytesIO(script.webp(tiles)))))
    assert image.shape == (32, 256, 3)
    again = atlas.cut(image.permute(2, 0, 1))
    assert (again.int() - tiles.int()).abs().max() <= 4


def test_what_is_not_there_is_said():
    with pytest.raises(ValueError, match=r"layer must be one of features\.3, .*, not 'features\.4'"):
        atlas.sheet("features.4")
    with pytest.raises(ValueError, match="channel must be at most 127, not 128"):
        atlas.image("features.3", 128)


def test_a_damaged_file_is_said(monkeypatch, tmp_path):
    for file in atlas.FOLDER.iterdir():
        if file.suffix in (".json", ".webp"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(atlas, "FOLDER", tmp_path)
    sheet = atlas.FOLDER / "features.3.webp"
    content = bytearray(sheet.read_bytes())
    content[1000] ^= 1
    sheet.write_bytes(content)
    with pytest.raises(OSError, match=r"features\.3 .* is damaged \(it is not the file of its record\): git checkout"):
        atlas.sheet("features.3")
    sheet.unlink()
    with pytest.raises(OSError, match=r"features\.3 .* is damaged .*No such file"):
        atlas.sheet("features.3")
    assert (
        hashlib.sha256(files.read(atlas.FOLDER / "features.6.webp", atlas.MAX_BYTES)).hexdigest()
        == (RECORD["layers"]["features.6"]["sha256"])
    )
