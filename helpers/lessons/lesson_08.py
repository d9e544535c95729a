"""Lesson 8, deep dream: the checks of its exercises, its explorer, and what only it uses."""

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np
import PIL.Image
import torch
from IPython.display import Image, display
from torch import Tensor
from torch.nn.functional import conv2d

from helpers import dream, images, pretrained
from helpers.hooks import inference, run_to
from helpers.images import to_array
from helpers.lessons.checking import Case, check_function
from helpers.lessons.explorer import connect, encode


def show_animation(pictures: Sequence[Tensor], alt: str, milliseconds: int = 80) -> None:
    """Play pictures ``(3, H, W)`` in the notebook, over and over.

    Args:
        pictures: the frames, all of one size.
        alt: what is seen, in words.
        milliseconds: for each frame.
    """
    frames = [PIL.Image.fromarray((255 * to_array(picture)).round().astype(np.uint8)) for picture in pictures]
    file = io.BytesIO()
    frames[0].save(
        file, "webp", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, quality=40, method=4
    )
    display(Image(file.getvalue(), format="webp", alt=alt))


def check_total_variation(answer: Callable) -> None:
    """Checks ``answer(picture)``, ``(C, H, W)``: mean square of the differences to the right, plus of those down."""
    cases = []
    for picture, expected, hint in (
        (
            [[[1.0, 1.0], [1.0, 1.0]]],
            0.0,
            "Where all pixels are equal, nothing differs. The first axis is the channels.",
        ),
        ([[[0.0, 3.0, 3.0], [0.0, 3.0, 3.0]]], 4.5, "Squares; a mean for each direction; nothing across the edge."),
        ([[[0.0, 1.0, 1.0], [2.0, 1.0, 1.0]]], 11 / 6, "The mean is 2/4 across and 4/3 down."),
        ([[[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]], 0.5, "Channels are not neighbours of each other."),
    ):
        cases.append(Case((torch.tensor(picture),), expected, hint))
    check_function(answer, cases)


def check_octave_sizes(answer: Callable) -> None:
    """Checks ``answer(height, width, octaves, scale)``: a list of (rows, columns), the smallest first."""
    cases = []
    for height, width, octaves, scale, hint in (
        (100, 200, 1, 2, "One octave is the picture at its own size, (rows, columns): the height first."),
        (100, 200, 3, 2, "The smallest first, each scale times as large as the one before, the full size last."),
        (160, 240, 4, 1.4, "Divide the full size by a power of scale, and round once, at the end."),
    ):
        sizes = [(round(height / scale**k), round(width / scale**k)) for k in reversed(range(octaves))]
        cases.append(Case((height, width, octaves, scale), sizes, hint))
    check_function(answer, cases)


def check_guide_similarity(answer: Callable) -> None:
    """Checks ``answer(maps, guide)``, ``(C, H, W)`` and ``(C, h, w)``: best dot products with the guide, summed."""
    generator, cases = torch.Generator().manual_seed(8), []
    for size, guide_size, hint in (
        ((2, 1, 1), (2, 1, 1), "With one place each, it is the dot product over the channels."),
        ((2, 1, 1), (2, 1, 3), "Of the guide's places, the one whose dot product is largest: a maximum, not a sum."),
        ((3, 2, 4), (3, 3, 1), "Each place of the maps finds its own best place; then sum over the maps' places."),
    ):
        maps, guide = torch.randn(size, generator=generator), torch.randn(guide_size, generator=generator)
        best = torch.einsum("chw,cij->hwij", maps, guide).flatten(2).amax(dim=2).sum()
        cases.append(Case((maps, guide), best, hint))
    check_function(answer, cases)


def check_dream(answer: Callable) -> None:
    """Checks ``answer(maps_of, picture, steps, step_size)``: steps of equal size up half the squared norm of maps."""
    generator, cases = torch.Generator().manual_seed(8), []
    weight = torch.randn(4, 3, 3, 3, generator=generator)

    def maps_of(picture: Tensor) -> Tensor:
        return conv2d(picture, weight).relu()

    def dream(maps_of: Callable, picture: Tensor, steps: int, step_size: float) -> Any:
        before = picture.clone()
        got = answer(maps_of, picture, steps, step_size)
        if not isinstance(got, Tensor) or got.shape != before.shape:
            return got
        if not torch.equal(picture, before):
            return "a picture that has changed the one it was given: begin with picture.clone()"
        downhill = maps_of(got).square().sum() < maps_of(before).square().sum()
        return "a picture that lies downhill: add the gradient, do not subtract it" if downhill else got

    for size, steps, step_size, hint in (
        (
            *((3, 6, 6), 1, 0.01),
            "One step: follow the maps back to the picture, divide by the root mean square, times step_size, and add.",
        ),
        ((3, 7, 9), 4, 0.02, "Each step needs the maps and the gradient of the picture as it is by then."),
        ((3, 6, 6), 6, 0.2, "Keep the picture within [0, 1] after each step."),
    ):
        x = start = 0.3 + 0.4 * torch.rand(size, generator=generator)
        for _ in range(steps):
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(maps_of(x).square().sum() / 2, x)
            x = (x + step_size * slope / slope.square().mean().sqrt()).clamp(0, 1)
        cases.append(Case((maps_of, start, steps, step_size), x.detach(), hint))
    check_function(dream, cases)


def dream_explorer(photo: str = "chelsea", layer: str = "features.7") -> ipw.Widget:
    """Lesson 8: a small photo and what a layer of the ImageNet network dreams into it, with the objective of both."""
    model = pretrained.load()
    names = ("chelsea", "coffee", "china", "flower", "astronaut", "rocket")
    photos = {name: images.read(images.sample(name), size=160) for name in names}
    layers = [f"features.{i}" for i in (3, 4, 6, 7, 9, 10, 11, 12)]
    released: dict[str, Any] = {"continuous_update": False}
    controls = {
        "photo": ipw.Dropdown(options=list(photos), value=photo, description="photo"),
        "layer": ipw.Dropdown(options=layers, value=layer, description="layer"),
        "octaves": ipw.IntSlider(4, 1, 4, description="octaves", **released),
        "steps": ipw.IntSlider(8, 1, 10, description="steps", **released),
        "strength": ipw.FloatSlider(
            0.015, min=0.005, max=0.04, step=0.005, description="strength", readout_format=".3f", **released
        ),
    }

    def objective(picture: Tensor, layer: str) -> float:
        with inference(model):
            return dream.half_squared_norm(run_to(model, picture[None], [layer])[layer]).item()

    @functools.cache
    def draw(photo: str, layer: str, octaves: int, steps: int, strength: float) -> dict[str, bytes | str]:
        picture = photos[photo]
        options: dict[str, Any] = {"octaves": octaves, "steps": steps, "step_size": strength, "progress": False}
        dreamt = dream.deep_dream(model, picture, layer, **options)
        before, after = objective(picture, layer), objective(dreamt, layer)
        pictures = {"photo": picture, "dream": dreamt}
        shown = {n: encode((255 * images.to_array(p)).round().astype(np.uint8)) for n, p in pictures.items()}
        numbers = f"{before / 1e6:.2f} million before, {after / 1e6:.2f} million after"
        text = f"<p>Objective: {numbers}, <b>{after / before:.1f} times as much</b></p>"
        return {**shown, "text": text}

    wide = ipw.Layout(width="360px")
    view = {"photo": ipw.Image(layout=wide), "dream": ipw.Image(layout=wide), "text": ipw.HTML()}
    connect(controls, view, draw)
    rows = [ipw.HBox(list(controls.values())[:2]), ipw.HBox(list(controls.values())[2:])]
    return ipw.VBox([*rows, view["text"], ipw.HBox([view["photo"], view["dream"]])])
