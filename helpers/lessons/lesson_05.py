"""Lesson 5, what the layers see: the checks of its exercises, its photographs, and its explorer."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from helpers import atlas, attribution, features, files, hooks, images, pretrained
from helpers.arguments import check_whole
from helpers.features import Patch
from helpers.lessons import checking
from helpers.lessons.checking import Case, compare, own_random_state
from helpers.lessons.explore import Explorer, float_bytes, image_file, side_by_side
from helpers.plotting import image_grid


class Branched(nn.Module):
    """A network whose forward pass is no chain of its children."""

    def __init__(self, layer: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.layer, self.after = nn.AvgPool2d(3, stride=1, padding=1), layer, after

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to what ``after`` makes of the layer's output."""
        return self.after(self.layer(x + self.before(x)))


@own_random_state
def check_recorded_output(answer: Callable) -> None:
    """Checks ``answer(model, layer, batch)``: the layer's own output, with the model left as it was."""
    generator = checking.generator(0)
    layers, cases = [nn.Conv2d(1, 3, 3) for _ in range(6)], []
    for parameter in nn.Sequential(*layers).parameters():
        nn.init.normal_(parameter, generator=generator)
    layers[2].register_forward_hook(lambda *_: None)
    pool, in_place = nn.AvgPool2d(2, stride=1), nn.ReLU(inplace=True)
    inner = nn.Sequential(pool, nn.Sequential(layers[4], in_place))
    deep = nn.Sequential(nn.Conv2d(1, 1, 1), inner, nn.Conv2d(3, 3, 1), nn.Flatten())
    for model, layer, hint in (
        (nn.Sequential(pool, layers[0], nn.ReLU()), layers[0], "A hook on layer gets its output as third argument."),
        (nn.Sequential(pool, layers[1], in_place), layers[1], "The next layer works in place: keep output.clone()."),
        (Branched(layers[2], nn.ReLU()).eval(), layers[2], "Call model itself; its forward pass is no chain."),
        (Branched(layers[3], in_place), layers[3], "Call model itself, and keep output.clone()."),
        (deep, layers[4], "layer lies deep inside model: set the hook on layer itself, and call model."),
    ):
        cases.append(Case((model, layer, torch.randn(2, 1, 6, 5, generator=generator)), hint))
    compare(answer, _record, cases, mistakes=_RECORDING_MISTAKES)


def _record(*given: Any, keep: Callable[..., Tensor] = lambda inputs, output: output.clone()) -> Tensor:
    model, layer, batch = given
    kept = []
    with layer.register_forward_hook(lambda _, inputs, output: kept.append(keep(inputs, output))):
        model(batch)
    return kept[0]


def _chain(model: nn.Module, layer: nn.Module, batch: Tensor) -> Tensor:
    children = list(model.children())
    return nn.Sequential(*children[: children.index(layer) + 1])(batch)


_RECORDING_MISTAKES: dict[str, Callable] = {
    "The next layer works in place and overwrites what was kept: the hook must keep output.clone(), "
    "and return nothing (what it returns replaces the output).": partial(_record, keep=lambda _, output: output),
    "It is what goes into the layer; its output is the hook's third argument.": (
        partial(_record, keep=lambda inputs, _: inputs[0].clone())
    ),
    "It is the output of the next layer, ReLU.": lambda *given: _record(*given).relu(),
    "It is the output of the whole model: set the hook on layer.": lambda model, _, batch: model(batch),
    "layer gets the output of the layers before it, not batch: call model.": lambda _, layer, batch: layer(batch),
    "Call model itself, with a hook on layer: its forward need not call its children one after the other, "
    "and layer may lie deeper inside.": _chain,
    "It is a list, or has an axis too many: give the tensor in it.": lambda *given: [_record(*given)],
    "It is for the first image only: give it for the whole batch.": lambda *given: _record(*given)[0],
}


def check_second_layer_map(answer: Callable) -> None:
    """Checks ``answer(maps, weight, bias, channel)`` for ``(C, H, W)`` against one channel of ``conv2d``."""
    generator, cases = checking.generator(0), []
    for channels, out, kernel, shift, channel, hint in (
        (3, 3, (3, 3), 0, 0, "Sum over the input maps: weight[channel, i] slides over maps[i]. No padding, no ReLU."),
        (4, 4, (3, 3), 0, 2, "channel chooses the kernels: weight[channel, i] for maps[i]."),
        (3, 5, (2, 3), 0, 1, "The kernels may have any size, and there may be more channels out than in."),
        (4, 3, (3, 3), 1, 2, "Add bias[channel], once."),
        (1, 2, (3, 2), 1, 1, "With one input map there is one kernel, and the bias."),
        (2, 2, (6, 3), 1, 0, "A map one pixel high keeps both its axes, (1, W')."),
    ):
        shapes = (channels, 6, 7), (out, channels, *kernel), (out,)
        maps, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
        cases.append(Case((maps, weight, shift * bias, channel), hint))
    compare(answer, lambda m, w, b, c: conv2d(m, w, b)[c], cases, mistakes=_MAP_MISTAKES)


_MAP_MISTAKES: dict[str, Callable] = {  # called with maps, weight, bias and channel
    "The bias is missing: add bias[channel].": lambda m, w, b, c: conv2d(m, w)[c],
    "The bias is added once for each input map: add it once.": lambda m, w, b, c: conv2d(m, w, len(m) * b)[c],
    "It is the bias of channel 0: add bias[channel].": lambda m, w, b, c: conv2d(m, w)[c] + b[0],
    "All biases are added: add bias[channel] alone.": lambda m, w, b, c: conv2d(m, w)[c] + b.sum(),
    "The bias is subtracted: add it.": lambda m, w, b, c: conv2d(m, w, -b)[c],
    "All input maps get the first slice; maps[i] has its own, weight[channel, i].": (
        lambda m, w, b, c: conv2d(m, w[:, :1].expand_as(w), b)[c]
    ),
    "The indices of weight are exchanged: weight[channel, i] slides over maps[i].": (
        lambda m, w, b, c: conv2d(m, w.transpose(0, 1))[c] + b[c]
    ),
    "channel is not used: it chooses weight[channel] and bias[channel].": lambda m, w, b, c: conv2d(m, w, b)[0],
    "It is the mean over the input maps: sum them.": lambda m, w, b, c: conv2d(m, w / len(m), b)[c],
    "The sum, bias and all, is divided by C: it is a sum, no mean.": lambda m, w, b, c: conv2d(m, w, b)[c] / len(m),
    "Map 0 is left out: sum over all C input maps.": lambda m, w, b, c: conv2d(m[1:], w[:, 1:], b)[c],
    "The last map is left out: sum over all C input maps.": lambda m, w, b, c: conv2d(m[:-1], w[:, :-1], b)[c],
    "It is map 0 alone: sum over all C input maps.": lambda m, w, b, c: conv2d(m[:1], w[:, :1], b)[c],
    "Only the last map counts: add the maps up.": lambda m, w, b, c: conv2d(m[-1:], w[:, -1:], b)[c],
    "Maps and kernels are summed before; each kernel slides over its own map, then sum.": (
        lambda m, w, b, c: conv2d(m.sum(0, keepdim=True), w.sum(1, keepdim=True), b)[c]
    ),
    "A ReLU comes after it, which cuts off what is negative: leave it out.": (
        lambda m, w, b, c: conv2d(m, w, b)[c].relu()
    ),
    "The kernel is turned round: slide it as it is, as F.conv2d does.": (
        lambda m, w, b, c: conv2d(m, w.flip(2, 3), b)[c]
    ),
    "There is padding: the kernel stays inside the map (padding=0).": lambda m, w, b, c: conv2d(m, w, b, padding=1)[c],
    "It holds all channels: give the map of one, [channel].": lambda m, w, b, c: conv2d(m, w, b),
    "All channels are summed: give the map of one, weight[channel].": lambda m, w, b, c: conv2d(m, w, b).sum(0),
}


def check_dead_channels(answer: Callable) -> None:
    """Checks ``answer(maps)``: how many channels of ``(N, C, H, W)`` are above zero nowhere in the whole batch."""
    generator = checking.generator(0)
    one, signed, several = torch.zeros(1, 11, 2, 3), -torch.ones(1, 14, 3, 2), torch.zeros(3, 13, 2, 2)
    one[0, 1], one[0, 6:8], one[0, 3, 0, 1] = 0.5, 1, 2
    signed[0, :5], signed[0, 6:8, 2, 0], signed[0, 8] = 0, 1, 2  # 6 and 7 are alive, though their sums are below zero
    several[0, 1], several[1, 2, 0, 1], several[1:, 4], several[2, 5], several[2, 6], several[:, 7] = 1, 2, 3, 4, 1, 1
    pair = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).repeat(2, 1, 1, 2)
    mixed = torch.randn(4, 30, 3, 4, generator=generator) - 2.4 + 0.4 * torch.randn(4, 30, 1, 1, generator=generator)
    mixed[:, ::5], mixed[2, 5, 1, 1] = 0, 1e-4
    cases = [
        Case((one,), "A channel that is zero everywhere is dead, and alive if one place is above zero."),
        Case((signed,), "Without ReLU: what is zero or below everywhere is dead, one place above zero is life."),
        Case((several,), "A channel that is above zero in one image of the batch is alive."),
        Case((pair,), "Only the second channel is dead."),
        Case((mixed,), "Above zero is above zero, be it 0.0001."),
    ]
    cases += checking.drawn(_maps_with_dead)
    compare(answer, _dead, cases, mistakes=_DEAD_MISTAKES)


def _maps_with_dead(draw: torch.Generator) -> tuple[Tensor]:
    """Maps as they are before ReLU, a drawn number of whose channels are below zero everywhere."""
    count, dead = checking.integer(1, 4, draw), checking.integer(0, 20, draw)
    maps = torch.randn(count, 20, 4, 3, generator=draw)
    maps[:, torch.randperm(20, generator=draw)[:dead]] -= 9
    return (maps,)


def _dead(maps: Tensor, dims: tuple[int, ...] = (0, 2, 3)) -> Tensor:
    """How many maxima over the dimensions are not above zero."""
    return (maps.amax(dims) <= 0).sum()


_DEAD_MISTAKES: dict[str, Callable[[Tensor], Any]] = {
    "It is counted for each image by itself: a channel is dead if no image of the whole batch excites it.": (
        lambda m: _dead(m, (2, 3))
    ),
    "Dead in some image is not enough: it must be so in all images of the batch.": (
        lambda m: (m.amax((2, 3)) <= 0).any(0).sum()
    ),
    "Only the first image is looked at: take all N images of the batch.": lambda m: _dead(m[:1]),
    "Only the last image is looked at: take all N images of the batch.": lambda m: _dead(m[-1:]),
    "Numbers below zero cancel others in the sum or mean: ask for the maximum.": (
        lambda m: (m.sum((0, 2, 3)) <= 0).sum()
    ),
    "Images cancel each other in the mean over the batch: ask for the maximum.": lambda m: _dead(m.sum(0)[None]),
    "Places cancel each other in the mean of a map: ask for the maximum.": lambda m: _dead(m.sum((2, 3), keepdim=True)),
    "Numbers below zero are not above zero either: ask for <= 0, not == 0.": lambda m: _dead(m.abs()),
    "A channel that is zero everywhere is dead, too: <= 0, not < 0.": lambda m: (m.amax((0, 2, 3)) < 0).sum(),
    "These are the living: count the dead.": lambda m: m.shape[1] - _dead(m),
    "It is a share: give the number, a count.": lambda m: _dead(m) / m.shape[1],
    "It says for each channel whether it is dead: count them (sum).": lambda m: m.amax((0, 2, 3)) <= 0,
    "These are the numbers of the channels: give how many they are.": (
        lambda m: (m.amax((0, 2, 3)) <= 0).nonzero().flatten()
    ),
    "One place at or below zero makes no channel dead: all must be (the maximum, not the minimum).": (
        lambda m: (m.amin((0, 2, 3)) <= 0).sum()
    ),
    "It counts values: reduce over N, H and W first, then count channels.": lambda m: (m <= 0).sum(),
    "It counts images: reduce over the dimensions 0, 2 and 3, and count channels.": lambda m: _dead(m, (1, 2, 3)),
    "It counts places: reduce over the dimensions 0, 2 and 3, and count channels.": lambda m: _dead(m, (0, 1)),
}


# --- Photographs to look for patches in -------------------------------------------------------------------------------

# Further photographs in the installed packages, by package: a name for each, and its file.
SHIPPED = {
    "skimage": {
        "cell": "data/cell.png",
        "clock": "data/clock_motion.png",
        "galaxies": "data/hubble_deep_field.jpg",
        "gravel": "data/gravel.png",
        "moon": "data/moon.png",
        "motorcycle": "data/motorcycle_left.png",
        "page": "data/page.png",
        "retina": "data/retina.jpg",
        "tissue": "data/ihc.png",
    },
    "matplotlib": {"admiral": "mpl-data/sample_data/grace_hopper.jpg"},
    "ndf": {"books": "tests/book-2020460_640.jpg"},
}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SIZE = 640  # pixels of a photograph's longer side, at most
CROP = 224


def photographs(source: str | Path | None = None, count: int = 200) -> dict[str, Tensor]:
    """Photographs to look for patches in, each ``(3, H, W)`` with at most 640 pixels on its longer side.

    Args:
        source: a folder with images of your own, at any depth; or ``"imagenette"``, 3,925 photographs of ten of
            ImageNet's classes, which torchvision fetches on first use (330 MB); by default those that come with the
            installed packages.
        count: at most so many of a folder, or of Imagenette, spread evenly over it.

    Raises:
        ValueError: there is no such folder, or no image in it.
        OSError: Imagenette could not be fetched.
    """
    check_whole(1, count=count)
    if source is None:
        return _shipped()
    if source == "imagenette":
        return _imagenette(count)
    folder = Path(source)
    if not folder.is_dir():
        raise ValueError(f"source must be a folder or 'imagenette', and there is no folder {str(source)!r:.80}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"source must hold images ({', '.join(sorted(SUFFIXES))}), and {str(source)!r:.80} has none")
    return {str(path.relative_to(folder)): images.read(path, SIZE) for path in _spread(paths, count)}


def _shipped() -> dict[str, Tensor]:
    found = {name: images.read(images.sample(name), SIZE) for name in images.SAMPLES}
    for package, of_package in SHIPPED.items():
        with suppress(ModuleNotFoundError):
            paths = {name: files.in_package(package, path) for name, path in of_package.items()}
            found |= {name: images.read(path, SIZE) for name, path in paths.items() if path.is_file()}
    return found


def _imagenette(count: int) -> dict[str, Tensor]:
    from torchvision.datasets import Imagenette

    here = (files.DATA / "imagenette2-320").is_dir()
    try:
        dataset = Imagenette(files.DATA, "val", "320px", download=not here)
    except (OSError, RuntimeError) as error:
        raise OSError(f"Imagenette could not be had: {error}. A folder of your own works as well.") from error
    numbers = _spread(range(len(dataset)), count)
    return {f"{dataset.classes[dataset[i][1]][0]} {i}": images.read(dataset[i][0], SIZE) for i in numbers}


def _spread(items: Sequence, count: int) -> Sequence:
    """So many of the items at most, evenly spread."""
    return items[:: math.ceil(len(items) / count)]


def crops_of(photos: Mapping[str, Tensor], across: int = 2) -> tuple[Tensor, list[str]]:
    """Pieces of 224 × 224 pixels, ``across`` × ``across`` from each photograph, none of which overlap.

    Each photograph is scaled first, so that its shorter side is ``across`` · 224 pixels long.

    Returns:
        the crops ``(N, 3, 224, 224)``, and for each the name of its photograph.
    """
    check_whole(1, 100, across=across)
    crops = torch.empty(len(photos) * across**2, 3, CROP, CROP, dtype=torch.float32)
    names = list[str]()
    for name, photo in photos.items():
        scale = across * CROP / min(photo.shape[1:])
        photo = images.resized(photo, [round(n * scale) for n in photo.shape[1:]]).clamp(0, 1)
        rows, columns = (torch.linspace(0, n - CROP, across).int().tolist() for n in photo.shape[1:])
        for top, left in itertools.product(rows, columns):
            crops[len(names)] = photo[:, top : top + CROP, left : left + CROP]
            names.append(name)
    return crops, names


def with_patches(crops: Tensor, patches: Sequence[Patch], change: Callable[[Tensor], Tensor]) -> Tensor:
    """For each patch its crop ``(3, H, W)`` with ``change`` made to the patch alone, ``(N, 3, H, W)``."""
    changed = crops[[patch.image for patch in patches]].clone()
    for one, patch in zip(changed, patches, strict=True):
        rows, columns = slice(patch.top, patch.top + patch.height), slice(patch.left, patch.left + patch.width)
        one[:, rows, columns] = change(one[:, rows, columns].clone())
    return changed


def projections(model: nn.Module, layer: str, channel: int, crops: Tensor, patches: Sequence[Patch]) -> list[Tensor]:
    """What the deconvnet finds of a channel in each patch, as an image of the patch's size; 0 is middle grey."""
    backs = (  # one at a time: all at once hold 60 MB more
        attribution.backpropagate(model, crops[[p.image]], (channel, *p.unit), "deconvnet", layer) for p in patches
    )
    return [as_image(replace(p, image=0).cut(back)) for p, back in zip(patches, backs, strict=True)]


def as_image(signed: Tensor) -> Tensor:
    """Values of both signs as colors: 0 is middle grey, and the largest hundredth of all sizes has full strength."""
    return (0.5 + signed / (2 * signed.abs().quantile(0.99))).clamp(0, 1)


def layer_figure(model: nn.Module, layer: str, channels: Sequence[int], crops: Tensor, count: int = 5) -> Figure:
    """For each channel a row with its image of the atlas and its strongest patches; below the first, its projections.

    What lies outside of a crop ``(3, H, W)`` is left white.
    """
    lists = features.strongest_patches(model, crops, layer, channels, count, batch_size=4, progress=False)
    tiles, titles = list[Tensor](), list[str]()
    for channel, patches in zip(channels, lists, strict=True):
        side = max(max(patch.height, patch.width) for patch in patches)
        nothing = torch.ones(3, side, side)
        made = atlas.image(layer, channel) if layer in atlas.LAYERS else nothing
        tiles += [made, *(_filled_up(patch.cut(crops), side) for patch in patches)]
        titles += [f"channel {channel}", *[""] * count]
        if channel == channels[0]:
            tiles += [nothing, *(_filled_up(t, side) for t in projections(model, layer, channel, crops, patches))]
            titles += ["", "projected", *[""] * (count - 1)]
    figure = image_grid(tiles, titles, count + 1, size=1.2)
    for ax, tile in zip(figure.axes, tiles, strict=True):
        ax.spines[:].set_visible(bool((tile < 1).any()))
    return figure


def _filled_up(image: Tensor, side: int) -> Tensor:
    return pad(image, (0, side - image.shape[2], 0, side - image.shape[1]), value=1)


# --- The explorer -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """How a layer is shown; together the explorer's data must stay below 700 kB.

    Attributes:
        step: of a large map every so many-th row and column is shown.
        levels: of brightness of a map.
        tile: pixels of an image of the atlas, if the layer has one.
    """

    step: int
    levels: int
    tile: int = 0


# Of the embedded network, from its first layer to its last before the class scores; all of them after ReLU.
LAYERS = {
    "features.1": Shown(4, 15),
    "features.3": Shown(3, 15, 20),
    "features.6": Shown(2, 15, 24),
    "features.9": Shown(1, 31, 40),
    "features.12": Shown(1, 31, 28),
}
PHOTOS = ("coins", "chelsea", "astronaut", "coffee")  # whose maps are shown
PATCHES = 5  # for each channel
RECORDED = 12  # channels of each layer and photo that are switched off beforehand: the brightest
NAMED = {"features.9": (120, 273, 300, 348)}  # and those that the lesson speaks of


class ChannelExplorer(Explorer):
    """What :func:`channel_explorer` gives."""

    lesson = "lesson_05"
    still = (
        "A photo of coins, bright where channel 120 is active: on the coins. Beside it the maps of all 384 "
        "channels of the layer, below patches that excite this one."
    )
    shown: dict[str, Tensor]  # the photos whose maps are shown

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """``photo`` by its name, ``layer`` by its number, and ``channel``: the class scores without that channel."""
        photo, layer = self.shown[request["photo"]], list(LAYERS)[request["layer"]]
        model = pretrained.load()
        maps, top = features.activations(model, photo, [layer])[layer], _top_five(model, photo[None])[1][0]
        return {"off": _switched_off(model, layer, maps, top, [request["channel"]])}


def channel_explorer(image: images.Source | None = None) -> ChannelExplorer:
    """Lesson 5: all channels of five layers of the embedded network, what each responds to, and what it is good for.

    Args:
        image: one of your own, as :func:`helpers.images.read` takes it; it comes before the four sample photos.
    """
    own = {"yours": images.read(image, SIZE)} if image is not None else {}
    pool = {name: images.square(photo) for name, photo in (own | photographs()).items()}
    shown = [*own, *PHOTOS]
    pool = {name: pool[name] for name in shown} | pool
    model, batch = pretrained.load(), torch.stack(list(pool.values()))
    maps = features.activations(model, batch, list(LAYERS))
    layers = [_layer_content(model, number, layer, maps[layer]) for number, layer in enumerate(LAYERS, start=1)]
    probabilities, top = _top_five(model, batch[: len(shown)])
    photos = [{"name": name, "file": image_file(photo, 55 if name in shown else 40)} for name, photo in pool.items()]
    for i in range(len(shown)):
        photos[i] |= _photo_content(model, {layer: m[i] for layer, m in maps.items()}, layers, top[i])
        photos[i]["scores"] = probabilities[i].tolist()
    content = {"kind": "channels", "photos": photos, "layers": layers, "side": CROP, "recorded": RECORDED}
    explorer = ChannelExplorer(content=content)
    explorer.shown = {name: pool[name] for name in shown}
    return explorer


def _layer_content(model: nn.Module, number: int, layer: str, maps: Tensor) -> dict[str, Any]:
    """What the page is told of a layer, from its maps ``(N, C, H, W)`` of all photos."""
    count, rows = maps.shape[1:3]
    how, across = LAYERS[layer], math.ceil(count**0.5)
    first = how.step // 2
    best = maps.flatten(2).max(dim=2)
    whites = best.values.amax(dim=0)
    order = best.values.topk(PATCHES, dim=0).indices  # (PATCHES, C)
    places, shares = (v.gather(0, order) for v in (best.indices, best.values / whites.clamp(min=1e-6)))
    patches = torch.stack([order, places // rows, places % rows, (255 * shares).round()], dim=2)  # (PATCHES, C, 4)
    return {
        "name": f"layer {number}",
        "module": layer,
        "channels": count,
        "rows": len(range(first, rows, how.step)),
        "first": first,
        "step": how.step,
        "across": across,
        **_fields_content(model, layer, rows, count),
        "whites": float_bytes(whites),
        "patches": patches.transpose(0, 1).to(torch.uint8).contiguous().numpy().tobytes(),
        "atlas": _atlas_file(layer, across) if how.tile else None,
        "tile": how.tile,
    }


def _fields_content(model: nn.Module, layer: str, rows: int, count: int) -> dict[str, Any]:
    """For each half of the channels (a Fire block has two branches) where the receptive field of unit 0 begins (below
    0, outside), pixels from one unit to the next, and its height; and where the pixels end that the layer sees."""
    field, middle, steps = features.receptive_fields(model, layer, (3, CROP, CROP)), rows // 2, []
    for channel in (0, count - 1):
        top, _, height, _ = field((middle, middle), channel)
        step = field((middle + 1, middle + 1), channel)[0] - top
        steps.append([top - middle * step, step, height])
    top, _, height, _ = field((rows - 1, rows - 1), count - 1)
    return {"fields": steps, "end": top + height}


def _atlas_file(layer: str, across: int) -> bytes:
    """The images of the atlas of a layer, small and side by side."""
    return image_file(side_by_side(images.resized(atlas.sheet(layer), (LAYERS[layer].tile,) * 2), across), 10)


def _photo_content(
    model: nn.Module, maps: Mapping[str, Tensor], layers: Sequence[Mapping[str, Any]], top: Tensor
) -> dict[str, Any]:
    """What the page is told of a photo: its maps, its five top classes, and how they move without a channel."""
    files_of_maps, off = [], []
    for layer, said in zip(maps, layers, strict=True):
        whites = torch.from_numpy(np.frombuffer(said["whites"], dtype="<f4").copy()).clamp(min=1e-6)
        shares = maps[layer][:, said["first"] :: said["step"], said["first"] :: said["step"]] / whites[:, None, None]
        levels = (shares.clamp(0, 1) * LAYERS[layer].levels).round() / LAYERS[layer].levels
        files_of_maps.append(image_file(side_by_side(levels[:, None], said["across"]), lossless=True))
        brightest = levels.sum(dim=(1, 2)).topk(RECORDED).indices.tolist()
        channels = brightest + [channel for channel in NAMED.get(layer, ()) if channel not in brightest]
        off.append(_switched_off(model, layer, maps[layer], top, channels))
    return {"maps": files_of_maps, "classes": [pretrained.CLASSES[i] for i in top.tolist()], "off": off}


def _top_five(model: nn.Module, photos: Tensor) -> tuple[Tensor, Tensor]:
    """The five largest probabilities of each photo, and their classes, each ``(N, 5)``."""
    with hooks.inference(model):
        return tuple(model(photos).softmax(dim=1).topk(5))  # type: ignore[return-value]


def _switched_off(
    model: nn.Module, layer: str, maps: Tensor, top: Tensor, channels: Sequence[int]
) -> dict[str, list[Any]]:
    """By channel: the probabilities of the classes ``top`` without it, the class that is first then, and its own."""
    batch = maps.repeat(len(channels), 1, 1, 1)
    batch[range(len(channels)), list(channels)] = 0
    with hooks.inference(model):
        rest = model.features[int(layer.partition(".")[2]) + 1 :]  # type: ignore[index]
        probabilities = model.classifier(rest(batch)).flatten(1).softmax(dim=1)  # type: ignore[operator]
    winners = zip(probabilities[:, top].tolist(), *(v.tolist() for v in probabilities.max(dim=1)), strict=True)
    return {
        str(channel): [*(round(p, 4) for p in of_top), pretrained.CLASSES[winner], round(largest, 4)]
        for channel, (of_top, largest, winner) in zip(channels, winners, strict=True)
    }
