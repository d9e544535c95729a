"""Lesson 9, style transfer: the checks of its exercises, its explorer, and what only it uses."""

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from helpers import images
from helpers.images import to_gray
from helpers.lessons.checking import CORRECT, Case, check_function, difference, report, verdict
from helpers.lessons.explorer import connect, encode


def check_gram_matrices(answer: Callable) -> None:
    """Checks ``answer(maps)``, ``(N, C, H, W)`` to the Gram matrices ``(N, C, C)``, divided by C·H·W."""
    generator, cases = torch.Generator().manual_seed(9), []
    for shape, hint in (
        ((1, 1, 1, 2), "With one channel it is the mean of its squares."),
        ((1, 2, 2, 3), "Multiply two channels place by place and sum; then divide by C · H · W."),
        ((3, 4, 3, 5), "Each picture has a matrix of its own: keep N, and divide by C · H · W only."),
    ):
        maps = torch.randn(shape, generator=generator)
        cases.append(Case((maps,), torch.einsum("nihw,njhw->nij", maps, maps) / maps[0].numel(), hint))
    check_function(answer, cases)


def check_weighted_style_loss(answer: Callable) -> None:
    """Checks ``answer(grams, targets, weights)``, dictionaries by layer: the weighted mean of the relative losses."""
    near, far, big, cases = torch.eye(2), torch.tensor([[3.0, 1.0], [1.0, 0.0]]), torch.full((3, 3), 40.0), []
    for grams, targets, weights, hint in (
        ({"a": 0 * far}, {"a": far}, {"a": 1}, "With a Gram matrix of zeros, the relative loss is 1."),
        ({"a": near}, {"a": far}, {"a": 7}, "Divide by the sum of the weights."),
        ({"a": near, "b": 0.5 * big}, {"a": far, "b": big}, {"a": 1, "b": 3}, "Relative first, layer by layer."),
        ({"a": 5 * far, "b": near}, {"a": far, "b": far}, {"b": 2}, "A layer not in weights does not count."),
    ):
        losses = [w * mse_loss(grams[k], targets[k]) / targets[k].square().mean() for k, w in weights.items()]
        cases.append(Case((grams, targets, weights), sum(losses) / sum(weights.values()), hint))
    check_function(answer, cases)


def check_keep_colors(answer: Callable) -> None:
    """Checks ``answer(painted, photo)``, both ``(3, H, W)``: luma of one, chrominance of the other, in [0, 1]."""
    grey, red, cases = torch.full((3, 1, 1), 0.5), torch.tensor([0.6, 0.3, 0.3]).view(3, 1, 1), []
    for painted, photo, hint in (
        (grey, red, "The luma is that of the first picture, the chrominance that of the second."),
        (red, grey, "A grey photo has no chrominance: what was painted becomes grey."),
        (torch.ones(3, 1, 1), red, "Keep the result within [0, 1]."),
        (*torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(9)), ""),
    ):
        cases.append(Case((painted, photo), (to_gray(painted) + photo - to_gray(photo)).clamp(0, 1), hint))
    check_function(answer, cases)


def check_image_step(answer: Callable) -> None:
    """Checks ``answer(loss_of, picture, rate)``: one step downhill on the picture, and nothing else changed."""
    weight = torch.linspace(-1, 2, 12, requires_grad=True)
    picture, start = torch.full((12,), 0.4), torch.full((12,), 0.4)

    def fault(got: Any, rate: float) -> str:
        if isinstance(got, Tensor) and got.requires_grad:
            return "gave a picture that still has a graph: detach it."
        if not torch.equal(picture, start) or picture.requires_grad:
            return "changed the picture it was given: work on picture.detach().clone()."
        if weight.grad is not None:
            return "left a gradient at the network's weights: torch.autograd.grad(loss, picture) stores none."
        wrong = difference(got, (start - rate * weight.detach()).clamp(0, 1))
        return wrong and f"with rate {rate} {wrong} Downhill: less rate times gradient, then within [0, 1]."

    for rate in (0.1, 1.0):
        weight.grad = None
        if not verdict(partial(answer, lambda x: (weight * x).sum(), picture, rate), partial(fault, rate=rate)):
            return
    report(CORRECT, "a step downhill, within [0, 1], and nothing else has changed.")


def style_explorer(runs: Mapping[float, Sequence[tuple[int, Mapping[str, float], Tensor]]]) -> ipw.Widget:
    """Lesson 9: move through snapshots of style transfer that were taken before, for several weights of the style.

    Args:
        runs: for each ``style_weight`` its snapshots: the step, the weighted losses, and the picture ``(3, H, W)``.
    """
    if not runs or not all(runs.values()):
        raise ValueError("runs must have at least one snapshot for each style_weight")
    ratios, middle = [(f"{ratio:g}", ratio) for ratio in runs], list(runs)[len(runs) // 2]
    wide: dict[str, Any] = {"layout": ipw.Layout(width="480px")}
    controls = {
        "ratio": ipw.SelectionSlider(options=ratios, value=middle, description="style weight", **wide),
        "snapshot": ipw.IntSlider(0, 0, max(map(len, runs.values())) - 1, description="snapshot", **wide),
    }

    @functools.cache
    def draw(ratio: float, snapshot: int) -> dict[str, bytes | str]:
        step, losses, picture = runs[ratio][min(snapshot, len(runs[ratio]) - 1)]
        pixels = (255 * images.to_array(picture)).round().astype(np.uint8)
        zoom = 480 / max(pixels.shape[:2])
        parts = " + ".join(f"{name} {value:.3f}" for name, value in losses.items() if name != "total")
        return {
            "picture": encode(cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)),
            "text": f"<p>Step {step}: {parts} = <b>{losses['total']:.3f}</b></p>",
        }

    view = {"text": ipw.HTML(), "picture": ipw.Image(**wide)}
    connect(controls, view, draw)
    return ipw.VBox([*controls.values(), *view.values()])
