import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import atlas, attribution, features, files, images, pretrained
from helpers.features import Patch
from helpers.lessons import lesson_05

LAYERS = list(lesson_05.LAYERS)


@pytest.fixture(scope="module")
def model():
    return pretrained.load()


@pytest.fixture(scope="module")
def explorer():
    return lesson_05.channel_explorer()


@pytest.fixture(scope="module")
def maps(explorer, model):
    """The maps of all photos in the explorer's order, by layer."""
    shipped = lesson_05.photographs()
    squares = [images.square(shipped[photo["name"]]) for photo in explorer.content["photos"]]
    return features.activations(model, torch.stack(squares), LAYERS)


def decode(file):
    return torch.from_numpy(np.array(Image.open(io.BytesIO(file)).convert("RGB"))).permute(2, 0, 1) / 255


# --- Photographs ------------------------------------------------------------------------------------------------------


def test_the_photographs_are_the_samples_and_more():
    photos = lesson_05.photographs()
    assert set(images.SAMPLES) < set(photos)
    assert len(photos) >= 20
    for photo in photos.values():
        assert photo.shape[0] == 3
        assert max(photo.shape) <= 640
    assert torch.allclose(photos["coffee"], images.sample("coffee"))


def test_photographs_come_from_a_folder_evenly_spread(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    for i in range(6):
        Image.new("RGB", (8, 4), (40 * i, 0, 0)).save(tmp_path / ("more" if i > 2 else "") / f"{i}.png")
    photos = lesson_05.photographs(tmp_path)
    assert {name[-5:] for name in photos} == {f"{i}.png" for i in range(6)}
    assert photos["2.png"].shape == (3, 4, 8)
    assert photos["2.png"][0].max() == pytest.approx(80 / 255)
    assert list(lesson_05.photographs(str(tmp_path), count=3)) == ["0.png", "2.png", "more/4.png"]


def test_a_folder_that_is_not_there_or_holds_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder '"):
        lesson_05.photographs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"source must hold images \(.bmp, .*\), and .* has none"):
        lesson_05.photographs(tmp_path)
    with pytest.raises(ValueError, match="count must be"):
        lesson_05.photographs(tmp_path, count=0)


class FakeImagenette:
    """Ten images of ever more red, of two classes."""

    classes = (("tench", "Tinca tinca"), ("church", "church building"))

    def __init__(self, root, split, size, download):
        assert (root, split, size, download) == (files.DATA, "val", "320px", True)

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return Image.new("RGB", (5, 4), (20 * i, 0, 0)), i // 5


def test_imagenette_comes_by_torchvision(monkeypatch):
    monkeypatch.setattr("torchvision.datasets.Imagenette", FakeImagenette)
    photos = lesson_05.photographs("imagenette", count=5)
    assert list(photos) == ["tench 0", "tench 2", "tench 4", "church 6", "church 8"]
    assert photos["church 8"][0].max() == pytest.approx(160 / 255)

    def unreachable(*_, **__):
        raise RuntimeError("no route")

    monkeypatch.setattr("torchvision.datasets.Imagenette", unreachable)
    with pytest.raises(OSError, match=r"Imagenette could not be had: no route. A folder of your own works"):
        lesson_05.photographs("imagenette")


def test_crops_are_the_quarters_of_the_scaled_photos():
    photos = {"wide": torch.rand(3, 448, 600), "high": torch.rand(3, 300, 224), "small": torch.rand(3, 100, 120)}
    crops, names = lesson_05.crops_of(photos)
    assert crops.shape == (12, 3, 224, 224)
    assert names == ["wide"] * 4 + ["high"] * 4 + ["small"] * 4
    corners = [photos["wide"][:, top : top + 224, left : left + 224] for top in (0, 224) for left in (0, 376)]
    assert torch.equal(crops[:4], torch.stack(corners))
    large = images.resized(photos["high"], (600, 448)).clamp(0, 1)
    assert torch.equal(crops[7], large[:, 376:, 224:])
    assert len(lesson_05.crops_of(photos, 1)[0]) == 3
    torch.set_default_dtype(torch.float64)
    try:
        assert lesson_05.crops_of(photos)[0].dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_patch_alone_is_changed():
    crops = torch.rand(3, 3, 20, 20)
    patches = [Patch(2, (0, 0), 1.0, 4, 6, 5, 7), Patch(0, (0, 0), 1.0, 0, 0, 20, 20)]
    before = crops.clone()
    changed = lesson_05.with_patches(crops, patches, lambda patch: patch.flip(1))
    assert torch.equal(crops, before)
    expected = crops[2].clone()
    for row in range(5):
        expected[:, 4 + row, 6:13] = crops[2][:, 8 - row, 6:13]
    assert torch.equal(changed[0], expected)
    assert torch.equal(changed[1], crops[0].flip(1))


# --- Patches and projections ------------------------------------------------------------------------------------------


def test_projections_are_the_deconvnets_inside_the_patch(model):
    photo = images.square(images.sample("coins"))
    patches = features.strongest_patches(model, photo[None], "features.9", [120], 1, progress=False)[0]
    shown = lesson_05.projections(model, "features.9", 120, photo[None], patches)
    whole = attribution.backpropagate(model, photo, (120, *patches[0].unit), "deconvnet", "features.9")
    part = patches[0].cut(whole[None])
    bound = part.abs().quantile(0.99)
    assert torch.allclose(shown[0], (0.5 + part / (2 * bound)).clamp(0, 1), atol=1e-4)
    assert lesson_05.as_image(torch.tensor([[[-2.0, 0, 1, 2]]])).flatten().tolist() == pytest.approx([0, 0.5, 0.75, 1])


def test_the_figure_of_a_layer_has_the_atlas_patches_and_projections(model):
    photos = torch.stack([images.square(images.sample(name)) for name in ("coins", "coffee", "chelsea")])
    figure = lesson_05.layer_figure(model, "features.3", [24, 7], photos, count=2)
    assert len(figure.axes) == (2 + 1) * 3  # a row for each channel, and one of projections
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes]
    np.testing.assert_allclose(shown[6], images.to_array(atlas.image("features.3", 7)), atol=0.01)
    best = features.strongest_patches(model, photos, "features.3", [7], 1, progress=False)[0][0]
    cut = images.to_array(best.cut(photos))
    np.testing.assert_allclose(shown[7][: best.height, : best.width], cut, atol=0.01)
    assert [ax.get_title() for ax in figure.axes[6:9]] == ["channel 7", "", ""]


# --- The explorer -----------------------------------------------------------------------------------------------------


def test_its_data_are_small_enough(explorer):
    assert len(explorer.fragment()) < 750_000


def test_its_maps_are_those_of_the_network_to_a_level(explorer, maps):
    layers, photos = explorer.content["layers"], explorer.content["photos"]
    for number, name in enumerate(LAYERS):
        said, whites = layers[number], maps[name].amax(dim=(0, 2, 3))
        assert np.frombuffer(said["whites"], "<f4") == pytest.approx(whites.numpy(), rel=1e-4)
        for i, photo in enumerate(photos[: len(lesson_05.PHOTOS)]):
            whole, rows, across = decode(photo["maps"][number])[0], said["rows"], said["across"]
            for channel in (0, 17, said["channels"] - 1):
                top, left = channel // across * rows, channel % across * rows
                shown = whole[top : top + rows, left : left + rows]
                at = slice(said["first"], None, said["step"])
                expected = maps[name][i, channel, at, at] / whites[channel]
                assert torch.allclose(shown, expected, atol=0.5 / lesson_05.LAYERS[name].levels + 0.003)


def test_its_patches_are_the_strongest(explorer, model, maps):
    photos = explorer.content["photos"]
    shipped = lesson_05.photographs()
    squares = torch.stack([images.square(shipped[photo["name"]]) for photo in photos])
    for number, channel in ((1, 24), (3, 120), (4, 341)):
        said, name = explorer.content["layers"][number], LAYERS[number]
        numbers = np.frombuffer(said["patches"], np.uint8).reshape(said["channels"], lesson_05.PATCHES, 4)[channel]
        found = features.strongest_patches(model, squares, name, [channel], lesson_05.PATCHES, progress=False)[0]
        assert [tuple(n[:3]) for n in numbers.tolist()] == [(p.image, *p.unit) for p in found]
        shares = [p.value / found[0].value for p in found]
        assert numbers[:, 3] / 255 == pytest.approx(shares, abs=0.003)


@pytest.mark.parametrize("number", range(5))
def test_its_receptive_fields_are_those_of_the_network(explorer, model, maps, number):
    said, name = explorer.content["layers"][number], LAYERS[number]
    last = maps[name].shape[2] - 1
    for channel in (0, said["channels"] // 2 - 1, said["channels"] // 2, said["channels"] - 1):
        start, step, size = said["fields"][2 * channel // said["channels"]]
        for row, column in ((0, last), (last // 2, 1)):
            top, left = (max(0, start + step * i) for i in (row, column))
            bottom, right = (min(said["end"], start + step * i + size) for i in (row, column))
            box = top, left, bottom - top, right - left
            assert box == features.receptive_field(model, name, (3, 224, 224), (row, column), channel)


def probabilities_without(model, layer, channel, photo):
    """A second way: a hook sets the channel to 0 on the way."""

    def off(_module, _inputs, output):
        output = output.clone()
        output[:, channel] = 0
        return output

    handle = model.get_submodule(layer).register_forward_hook(off)
    try:
        return model(photo[None]).softmax(dim=1)[0]
    finally:
        handle.remove()


@pytest.mark.parametrize("number", range(5))
def test_its_classes_without_a_channel_are_those_of_the_network(explorer, model, number):
    photo = explorer.content["photos"][1]
    assert photo["name"] == "chelsea"
    cat = images.square(images.sample("chelsea"))
    whole = model(cat[None]).softmax(dim=1)[0]
    top = whole.topk(5)
    assert photo["classes"] == [pretrained.CLASSES[i] for i in top.indices.tolist()]
    assert photo["scores"] == pytest.approx(top.values.tolist(), abs=1e-4)
    records = photo["off"][number]
    named = lesson_05.NAMED.get(LAYERS[number], ())
    assert {str(channel) for channel in named} <= {str(channel) for channel in records}
    assert lesson_05.RECORDED <= len(records) <= lesson_05.RECORDED + len(named)
    for channel in list(records)[:2]:
        wanted = probabilities_without(model, LAYERS[number], int(channel), cat)
        assert records[channel][:5] == pytest.approx(wanted[top.indices].tolist(), abs=1e-3)
        assert records[channel][5] == pretrained.CLASSES[wanted.argmax()]
        assert records[channel][6] == pytest.approx(wanted.max().item(), abs=1e-3)


def test_it_answers_for_channels_that_were_not_recorded(explorer, model):
    reply = explorer.answer({"photo": "coins", "layer": 3, "channel": 120})["off"]
    assert list(reply) == ["120"]
    wanted = probabilities_without(model, "features.9", 120, images.square(images.sample("coins")))
    assert reply["120"][0] == pytest.approx(wanted.max().item(), abs=1e-3)
    assert reply["120"][5] == "golf ball"


def test_its_atlas_is_a_smaller_one(explorer):
    said = explorer.content["layers"][3]
    whole, tile = decode(said["atlas"]), said["tile"]
    top, left = 120 // said["across"] * tile, 120 % said["across"] * tile
    expected = images.resized(atlas.image("features.9", 120), (tile, tile))
    assert (whole[:, top : top + tile, left : left + tile] - expected).abs().mean() < 0.1
    assert explorer.content["layers"][0]["atlas"] is None


def test_an_image_of_ones_own_comes_first(model, monkeypatch):
    monkeypatch.setattr(lesson_05, "photographs", lambda: {n: images.sample(n) for n in lesson_05.PHOTOS})
    own = images.sample("flower")
    made = lesson_05.channel_explorer(own)
    first = made.content["photos"][0]
    assert first["name"] == "yours"
    assert len(first["maps"]) == 5
    assert (decode(first["file"]) - images.square(own)).abs().mean() < 0.05
    reply = made.answer({"photo": "yours", "layer": 4, "channel": 7})["off"]["7"]
    assert reply[:5] == pytest.approx(
        probabilities_without(model, "features.12", 7, images.square(own))
        .gather(0, model(images.square(own)[None])[0].topk(5).indices)
        .tolist(),
        abs=1e-3,
    )
    assert json.dumps(made.content["photos"][0]["off"])
