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
from helpers.lessons.checking import CORRECT, Case, check_function, difference, report, verdict
from helpers.lessons.explorer import BOX_COLOR, connect, encode, png


def check_recorded_output(answer: Callable) -> None:
    """Checks ``answer(model, layer, pictures)``: the layer's own output, and no hook left behind."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 1, 6, 5, generator=generator)
    for inplace, hint in (
        (False, "It is the output that is wanted, what the hook gets as its third argument."),
        (True, "The next layer here is nn.ReLU(inplace=True), which overwrites what you recorded: keep a clone."),
    ):
        layer, below = nn.Conv2d(1, 3, 3), nn.AvgPool2d(2, stride=1)
        model, expected = nn.Sequential(below, layer, nn.ReLU(inplace=inplace)), layer(below(pictures)).detach()

        def fault(got: Any, expected: Tensor = expected, model: nn.Module = model, hint: str = hint) -> str:
            if isinstance(got, (list, tuple)):
                return "gave a list; give its first element, the tensor."
            if wrong := difference(got, expected):
                return f"{wrong} {hint}"
            left = sum(len(module._forward_hooks) for module in model.modules())
            return f"left {left} hook on the model: call handle.remove(), in a finally block." if left else ""

        if not verdict(partial(answer, model, layer, pictures), fault):
            return
    report(CORRECT, "the layer's own output, also where the next layer works in place, and no hook is left.")


def check_second_layer_map(answer: Callable) -> None:
    """Checks ``answer(maps, weight, bias, channel)`` for ``(C, H, W)`` against one channel of ``conv2d``."""
    generator, cases = torch.Generator().manual_seed(0), []
    for channels, out, bias, channel, hint in (
        (1, 1, 0.0, 0, "With one map and one filter it is one cross-correlation: no padding, no ReLU."),
        (1, 2, 1.0, 1, "Add the bias of this channel, bias[channel], once."),
        (3, 2, 0.0, 0, "Sum over all input maps: weight[channel, i] slides over maps[i]."),
        (4, 3, 1.0, 2, "The bias is added once, not once for each input map."),
    ):
        maps = torch.randn(channels, 6, 7, generator=generator)
        weight = torch.randn(out, channels, 3, 3, generator=generator)
        biases = bias * torch.randn(out, generator=generator)
        expected = conv2d(maps[None], weight, biases)[0, channel]
        cases.append(Case((maps, weight, biases, channel), expected, hint))
    check_function(answer, cases)


def check_dead_channels(answer: Callable) -> None:
    """Checks ``answer(maps)``: how many channels of ``(N, C, H, W)`` are above zero nowhere in any picture."""
    maps = torch.zeros(3, 4, 2, 2)
    cases = [Case((maps[:1, :1],), 1, "A channel that is zero everywhere is dead.")]
    maps[1, 0, 0, 1], maps[2, 3] = 0.5, 2
    cases.append(Case((maps,), 2, "A channel that answers to one picture, at one place, is alive."))
    cases.append(Case((maps[:, :, :1, :1] - 1,), 3, "Before ReLU, values below zero do not count as alive."))
    check_function(answer, cases)


# Of the embedded network, from its first layer to its last before the class scores; all of them after ReLU.
LAYERS = ("features.1", "features.3", "features.6", "features.9", "features.12")


def layer_explorer(photo: str = "chelsea", layer: str = "features.9") -> ipw.Widget:
    """Lesson 5: a channel's map laid over a photo, and what its strongest unit sees, in the embedded network."""
    for value, known in ((photo, images.SAMPLES), (layer, LAYERS)):
        if value not in known:
            raise ValueError(f"there is no {value!r}, only {', '.join(known)}")
    model, pictures = pretrained.load(), torch.stack([images.square(images.sample(name)) for name in images.SAMPLES])
    maps = features.activations(model, pictures, LAYERS)
    fields = {name: _field_steps(model, name, pictures.shape[1:], maps[name].shape) for name in LAYERS}
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
        return _layer_view(pictures[number], of_channel[number], of_channel.max().item(), *field)

    connect(controls, view, draw)
    titles = ("photo, lit by the map", "map", "what the strongest unit sees")
    narrow = ipw.Layout(width="236px", align_items="flex-start")
    shown = zip(titles, list(view.values())[:3], strict=True)
    columns = [ipw.VBox([ipw.HTML(title), picture], layout=narrow) for title, picture in shown]
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
