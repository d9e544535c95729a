"""Lesson 7, what the network looks at: the checks of its exercises, its explorer, and what only it uses."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor
from torch.nn.functional import conv2d

from helpers import attribution, images, pretrained
from helpers.hooks import inference
from helpers.images import to_array
from helpers.lessons.checking import Case, check_function
from helpers.lessons.explorer import connect, encode
from helpers.plotting import SIGNED


def overlay(picture: Tensor, heat: Tensor) -> np.ndarray:
    """A map of what speaks for something (purple) and against it (orange) over a pale grey picture, ``(H, W, 3)``.

    Args:
        picture: ``(3, H, W)`` or ``(1, H, W)``.
        heat: ``(H, W)`` or ``(1, H, W)``, of either sign. The strongest 200th of its pixels have the darkest colour,
            so that a few dots do not leave the others pale.
    """
    gray = to_array(picture.mean(dim=0))[..., None]
    values = to_array(heat)
    strength = np.clip(values / max(np.quantile(np.abs(values), 0.995), 1e-12), -1, 1)
    alpha = np.abs(strength)[..., None]
    return (1 - alpha) * (0.4 + 0.6 * gray) + alpha * colormaps[SIGNED](0.5 + 0.5 * strength)[..., :3]


def check_occlusion(answer: Callable) -> None:
    """Checks ``answer(score, picture, size, stride, value)``: the drops of a score under a covering square."""

    def weigh(picture: Tensor) -> Tensor:
        return (picture * torch.arange(1.0, picture.numel() + 1).view(picture.shape)).sum()

    def drops(picture: Tensor, size: int, stride: int, value: float) -> Any:
        before = picture.clone()
        got = answer(weigh, picture, size, stride, value)
        changed = isinstance(got, Tensor) and not torch.equal(picture, before)
        return "a picture that is no longer the same: cover a copy of it, picture.clone()" if changed else got

    cases, generator = [], torch.Generator().manual_seed(0)
    for shape, size, stride, value, hint in (
        ((1, 2, 2), 2, 1, 0.0, "One place. The drop is the score before, less the score when covered."),
        ((1, 2, 2), 1, 1, 0.5, "Put value into the square, and cover one place at a time."),
        ((3, 8, 6), 3, 2, 0.5, "All channels are covered; a square that would stick out is left out."),
    ):
        picture = torch.rand(shape, generator=generator)
        products = (picture - value) * torch.arange(1.0, picture.numel() + 1).view(shape)
        expected = conv2d(products.sum(0)[None, None], torch.ones(1, 1, size, size), stride=stride)[0, 0]
        cases.append(Case((picture, size, stride, value), expected, hint))
    check_function(drops, cases)


def check_guided_rule(answer: Callable) -> None:
    """Checks ``answer(gradient, x)``, what guided backpropagation hands down at a ReLU with the input ``x``."""
    cases = []
    for gradient, x, expected, hint in (
        ([1.0, 2.0], [3.0, -1.0], [1.0, 0.0], "Nothing passes where the input was not positive."),
        ([1.0, -2.0], [3.0, 2.0], [1.0, 0.0], "A negative gradient never passes."),
        ([[-1.0, 2.0], [0.5, 3.0]], [[-2.0, -1.0], [4.0, 0.0]], [[0.0, 0.0], [0.5, 0.0]], "0 is not positive."),
    ):
        cases.append(Case((torch.tensor(gradient), torch.tensor(x)), torch.tensor(expected), hint))
    check_function(answer, cases)


def check_grad_cam_map(answer: Callable) -> None:
    """Checks ``answer(maps, gradient)``: the maps' weighted sum, and what is negative cut off."""
    maps = torch.tensor([[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [0.0, 1.0]]])
    slope = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    cases = []
    for gradient, hint in (
        (torch.ones(2, 2, 2), "With all gradients 1, it is the sum of the maps."),
        (torch.stack([slope, 2 * slope]), "One weight for each map: the mean of its gradients over all places."),
        (torch.stack([slope, -slope]), "What is negative in the sum, not in the weights, is cut off."),
    ):
        cases.append(Case((maps, gradient), (gradient.mean((1, 2))[:, None, None] * maps).sum(0).relu(), hint))
    check_function(answer, cases)


def check_sign_step(answer: Callable) -> None:
    """Checks ``answer(picture, gradient, epsilon)``: each pixel by epsilon uphill on the loss, within [0, 1]."""
    cases = []
    for picture, gradient, hint in (
        ([0.5, 0.5], [2.0, -0.01], "Each pixel moves by epsilon, whatever the gradient's size; up where it is > 0."),
        ([0.99, 0.02], [1.0, -3.0], "Stay within 0 and 1."),
        ([0.3, 0.7], [0.0, 1.0], "Where the gradient is 0, nothing moves."),
    ):
        moved = [min(max(p + 0.1 * ((g > 0) - (g < 0)), 0), 1) for p, g in zip(picture, gradient, strict=True)]
        cases.append(Case((torch.tensor(picture), torch.tensor(gradient), 0.1), torch.tensor(moved), hint))
    check_function(answer, cases)


ATTRIBUTIONS: dict[str, Callable[..., Tensor]] = {
    "occlusion": lambda model, x, index, patch: attribution.occlusion(
        model, x, index, (patch, patch), (patch // 2, patch // 2), progress=False
    ),
    "saliency": lambda model, x, index, patch: attribution.saliency(model, x, index).amax(0),
    "SmoothGrad": lambda model, x, index, patch: attribution.smooth_grad(model, x, index, 10).amax(0),
    "guided": lambda model, x, index, patch: attribution.backpropagate(model, x, index, "guided").abs().amax(0),
    "deconvnet": lambda model, x, index, patch: attribution.backpropagate(model, x, index, "deconvnet").abs().amax(0),
    "Grad-CAM": lambda model, x, index, patch: attribution.grad_cam(model, x, index, layer="features.12"),
}


def attribution_explorer(photo: str = "coffee", method: str = "occlusion") -> ipw.Widget:
    """Lesson 7: what the ImageNet network's score for one of its three best classes depends on, by six methods."""
    model = pretrained.load()
    photos = {name: images.square(images.sample(name)) for name in ("chelsea", "coffee", "china")}
    controls = {
        "photo": ipw.Dropdown(options=list(photos), value=photo, description="photo"),
        "rank": ipw.Dropdown(options=[("first", 0), ("second", 1), ("third", 2)], description="class"),
        "method": ipw.Dropdown(options=list(ATTRIBUTIONS), value=method, description="method"),
        "patch": ipw.IntSlider(48, 32, 112, step=16, description="patch", continuous_update=False),
    }
    square = ipw.Layout(width="336px", height="336px")
    view = {"photo": ipw.Image(layout=square), "map": ipw.Image(layout=square), "text": ipw.HTML()}

    @functools.cache
    def best_of(photo: str) -> tuple[list[int], list[float], list[float]]:
        with inference(model):
            scores = model(photos[photo][None])[0]
        classes = scores.topk(3).indices
        return classes.tolist(), scores[classes].tolist(), scores.softmax(0)[classes].tolist()

    @functools.cache
    def draw(photo: str, rank: int, method: str, patch: int) -> dict[str, bytes | str]:
        picture, (classes, scores, shares) = photos[photo], best_of(photo)
        heat = ATTRIBUTIONS[method](model, picture, classes[rank], patch)
        names = [f"{pretrained.CLASSES[c]} {share:.0%}" for c, share in zip(classes, shares, strict=True)]
        names[rank] = f"<b>{names[rank]}, score {scores[rank]:.1f}</b>"
        note = f", drop from {heat.min():z.1f} to {heat.max():z.1f}" if method == "occlusion" else ""
        pictures = {"photo": images.to_array(picture), "map": overlay(picture, heat)}
        shown = {name: encode((255 * pixels).round().astype(np.uint8)) for name, pixels in pictures.items()}
        return {**shown, "text": f"<p>{' · '.join(names)}</p><p>{method}{note}</p>"}

    def chosen(**values: Any) -> Mapping[str, bytes | str]:
        return draw(**values) if values["method"] == "occlusion" else draw(**values | {"patch": 0})

    connect(controls, view, chosen)
    return ipw.VBox(
        [ipw.HBox(list(controls.values())), view["text"], ipw.HBox([view["photo"], view["map"]])],
    )
