"""Lesson 5, what the layers see: the checks of its exercises, its explorer, and what only it uses."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from helpers import features, images, pretrained
from helpers.lessons.checking import Case, compare, own_random_state
from helpers.lessons.explorer import BOX_COLOR, connect, encode, png


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
    generator = torch.Generator().manual_seed(0)
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
    generator, cases = torch.Generator().manual_seed(0), []
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
    generator = torch.Generator().manual_seed(0)
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
    compare(answer, _dead, cases, mistakes=_DEAD_MISTAKES)


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


# Of the embedded network, from its first layer to its last before the class scores; all of them after ReLU.
LAYERS = ("features.1", "features.3", "features.6", "features.9", "features.12")


def layer_explorer(photo: str = "chelsea", layer: str = "features.9") -> ipw.Widget:
    """Lesson 5: a channel's map laid over a photo, and what its strongest unit sees, in the embedded network."""
    for value, known in ((photo, images.SAMPLES), (layer, LAYERS)):
        if value not in known:
            raise ValueError(f"there is no {value!r}, only {', '.join(known)}")
    model, photos = pretrained.load(), torch.stack([images.square(images.sample(name)) for name in images.SAMPLES])
    maps = features.activations(model, photos, LAYERS)
    fields = {name: _field_steps(model, name, photos.shape[1:], maps[name].shape) for name in LAYERS}
    numbers = {name: i for i, name in enumerate(images.SAMPLES)}
    controls = {
        "number": ipw.Dropdown(options=numbers, value=numbers[photo], description="photo"),
        "layer": ipw.Dropdown(options=LAYERS, value=layer, description="layer"),
        "channel": ipw.IntSlider(0, 0, maps[layer].shape[1] - 1, description="channel"),
    }
    view = {"overlay": ipw.Image(), "map": ipw.Image(), "patch": ipw.Image(), "text": ipw.HTML()}

    def draw(number: int, layer: str, channel: int) -> dict[str, bytes | str]:
        controls["channel"].max = maps[layer].shape[1] - 1
        channel = min(channel, controls["channel"].max)
        of_channel, field = maps[layer][:, channel], fields[layer][2 * channel // maps[layer].shape[1]]
        return _layer_view(photos[number], of_channel[number], of_channel.max().item(), *field)

    connect(controls, view, draw)
    titles = ("photo, lit by the map", "map", "what the strongest unit sees")
    narrow = ipw.Layout(width="236px", align_items="flex-start")
    shown = zip(titles, list(view.values())[:3], strict=True)
    columns = [ipw.VBox([ipw.HTML(title), image], layout=narrow) for title, image in shown]
    return ipw.VBox([ipw.HBox(list(controls.values())), ipw.HBox(columns), view["text"]])


def _field_steps(model: nn.Module, layer: str, shape: Sequence[int], maps: Sequence[int]) -> list[tuple[int, int, int]]:
    """For each half of the channels (a Fire block has two branches) where the receptive field of unit 0 begins (below
    0, outside), pixels from one to the next, and its height."""
    steps, middle = [], maps[2] // 2
    for channel in (0, maps[1] - 1):
        top, _, height, _ = features.receptive_field(model, layer, shape, (middle, middle), channel)
        step = features.receptive_field(model, layer, shape, (middle + 1, middle + 1), channel)[0] - top
        steps.append((top - middle * step, step, height))
    return steps


def _layer_view(photo: Tensor, grid: Tensor, white: float, start: int, step: int, field: int) -> dict[str, bytes | str]:
    size, (row, column) = photo.shape[1], divmod(int(grid.argmax()), grid.shape[1])
    (top, bottom), (left, right) = (
        (max(0, start + step * i), min(size, start + step * i + field)) for i in (row, column)
    )
    pixels, scaled = np.ascontiguousarray(images.to_array(photo)), (grid / max(white, 1e-6)).numpy()
    middle = start + (field - 1) / 2  # a unit's value is drawn at the middle of what it sees
    to_pixels = np.array([[step, 0, middle], [0, step, middle]], dtype=float)
    light = cv2.warpAffine(scaled, to_pixels, (size, size), borderMode=cv2.BORDER_REPLICATE)
    overlay = (255 * pixels * (0.2 + 0.8 * light[..., None].clip(0, 1))).round().astype(np.uint8)
    cv2.rectangle(overlay, (left, top), (right - 1, bottom - 1), BOX_COLOR, 2)
    patch = (255 * pixels[top:bottom, left:right]).round().astype(np.uint8)
    zoom = size / max(patch.shape[:2])
    return {
        "overlay": encode(overlay),
        "map": png(torch.from_numpy(scaled), (row, column, 1, 1), zoom=size // len(grid)),
        "patch": encode(cv2.resize(patch, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)),
        "text": f"<p>Map of {len(grid)} × {len(grid)}: {(grid > 0).float().mean():.0%} of its places are above zero. "
        f"Strongest: <b>{grid.max():.2f}</b> at row {row}, column {column}; this unit sees "
        f"{bottom - top} × {right - left} pixels. White in the map is {white:.2f}, "
        "the most that this channel reaches on any of the photos.</p>",
    }
