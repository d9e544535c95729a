"""Lesson 7, what the network looks at: the checks of its exercises, its explorer, and what only it uses."""

import functools
import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor, nn

from helpers import arguments, attribution, images, pretrained
from helpers.hooks import inference
from helpers.images import to_array
from helpers.lessons.checking import Case, compare, normal
from helpers.lessons.explorer import connect, encode
from helpers.plotting import SIGNED


def overlay(image: Tensor, heat: Tensor) -> np.ndarray:
    """A map of what speaks for something (purple) and against it (orange) over a pale grey image, ``(H, W, 3)``.

    Args:
        image: ``(3, H, W)`` or ``(1, H, W)``.
        heat: ``(H, W)`` or ``(1, H, W)``, of either sign. The strongest 200th of its pixels have the darkest colour,
            so that a few dots do not leave the others pale.
    """
    arguments.check_tensor((2, 3), image=image, heat=heat)
    gray = to_array(image.mean(dim=0))[..., None]
    values = to_array(heat)
    strength = np.clip(values / max(np.quantile(np.abs(values), 0.995), 1e-12), -1, 1)
    alpha = np.abs(strength)[..., None]
    return (1 - alpha) * (0.4 + 0.6 * gray) + alpha * colormaps[SIGNED](0.5 + 0.5 * strength)[..., :3]


class Score(nn.Module):
    """A number for an image of any size; each value counts with a weight of its own, of either sign."""

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        weights = torch.arange(image.numel(), dtype=image.dtype).cos().view(image.shape)
        return (weights * (image + image.square())).sum()


def _drops(score: Callable, image: Tensor, size: int, stride: int, value: float, **wrong: Any) -> Tensor:
    """The drop of the score at each place of the square; the keywords ask for well-known mistakes."""
    steps, beyond = wrong.get("steps", (stride, stride)), wrong.get("beyond", 0)
    rows, columns = (
        range(0, min(n - size + 1 + beyond, n), step) for n, step in zip(image.shape[1:], steps, strict=True)
    )
    covered, found = image.clone(), []
    for top, left in itertools.product(rows, columns):
        covered = covered if "pile" in wrong else image.clone()
        square = covered[: wrong.get("channels"), top : top + size, left : left + size]
        wrong.get("paint", Tensor.fill_)(square, value)
        found.append(score(image) - score(covered))
    return torch.stack(found).view(len(rows), len(columns))


OCCLUSION_MISTAKES: dict[str, Callable] = {
    "This is the rise; the drop is the score before, minus the score when covered.": lambda *a: -_drops(*a),
    "Scores when covered: the drop is the score before, minus that.": lambda f, i, *a: f(i) - _drops(f, i, *a),
    "The drop is a difference; do not divide it by the score.": lambda f, i, *a: _drops(f, i, *a) / f(i),
    "Negative drops are set to 0; keep them: there, covering raised the score.": lambda *a: _drops(*a).relu(),
    "The sign is lost (abs): where covering raises the score, the drop is negative.": lambda *a: _drops(*a).abs(),
    "The last place in each direction is missing: range(0, H - size + 1, stride).": partial(_drops, beyond=-1),
    "Places where the square sticks out are left out: range(0, H - size + 1, stride).": partial(_drops, beyond=99),
    "Earlier squares are still there: cover a fresh copy, image.clone(), at each place.": partial(_drops, pile=True),
    "Only the first channel is covered; cover all channels: [:, rows, columns].": partial(_drops, channels=1),
    "The stride is forgotten for the columns: it counts across, too.": lambda *a: _drops(*a, steps=(a[3], 1)),
    "The stride is forgotten for the rows: it counts down, too.": lambda *a: _drops(*a, steps=(1, a[3])),
    "The stride is forgotten: the square moves by stride, not by 1.": partial(_drops, steps=(1, 1)),
    "The square begins at i, j; it should begin at i * stride, j * stride.": lambda f, i, n, stride, value: _drops(
        f, i, n, 1, value
    )[: (i.shape[1] - n) // stride + 1, : (i.shape[2] - n) // stride + 1],
    "The square moves by its own size, not by stride.": lambda f, i, n, _, value: _drops(f, i, n, n, value),
    "value is added to the pixels; put it in their place.": partial(_drops, paint=Tensor.add_),
    "The height is taken for the width: W - size for the columns.": lambda *a: _drops(*a)[:, : len(_drops(*a))],
    "The square is filled with 0; put value into it.": lambda f, i, n, stride, _: _drops(f, i, n, stride, 0),
    "The drops are in one long row; give the shape (rows, columns).": lambda *a: _drops(*a).flatten(),
}


def check_occlusion(answer: Callable) -> None:
    """Checks ``answer(score, image, size, stride, value)``: the drops of a score under a covering square."""
    cases = [
        Case((Score(), normal(*shape).sigmoid(), size, stride, value), hint)
        for shape, size, stride, value, hint in (
            ((1, 3, 4), 2, 1, 0.5, "value is put into one square of size × size pixels at a time; rows come first."),
            ((3, 4, 6), 2, 2, 0.1, "All channels are covered, and the square moves by stride, down and across."),
            ((2, 8, 6), 3, 2, 1.0, "It has (H - size) // stride + 1 rows and (W - size) // stride + 1 columns."),
            ((2, 5, 9), 2, 3, 0.25, "Size and stride are independent: there may be gaps between the squares."),
        )
    ]
    compare(answer, _drops, cases, mistakes=OCCLUSION_MISTAKES)


def check_guided_rule(answer: Callable) -> None:
    """Checks ``answer(gradient, x)``, what guided backpropagation passes back at a ReLU with the input ``x``."""
    small = torch.tensor([2.0, -1.0, 3.0, -4.0, 0.5]), torch.tensor([0.5, 3.0, -2.0, -0.5, 4.0])
    zeros = torch.tensor([[-1.0, 2.0, 5.0], [0.5, 0.0, 3.0]]), torch.tensor([[-2.0, -1.0, 0.25], [4.0, 1.0, 0.0]])
    cases = [
        Case(small, "Only where gradient > 0 and x > 0, the gradient passes, unchanged."),
        Case(zeros, "x = 0 is not positive: nothing passes there."),
        Case((normal(1, 2, 3, 4), -normal(1, 2, 3, 4).flip(3)), "Any shape may come, and the result has it too."),
    ]
    mistakes: dict[str, Callable] = {
        "Negative gradients pass (the plain rule): it needs gradient > 0, too.": lambda g, x: g * (x > 0),
        "The input x is ignored (the deconvnet's rule): it needs x > 0, too.": lambda g, x: g.relu(),
        "The product of two negatives is positive: each must be, g > 0 and x > 0.": lambda g, x: g * (g * x > 0),
        "One of the two is enough here; both must be positive.": lambda g, x: g * ((g > 0) | (x > 0)),
        "It is multiplied by x; x is only a mask, the gradient passes unchanged.": lambda g, x: g.relu() * x.relu(),
        "What passes here is x; pass the gradient.": lambda g, x: x * ((g > 0) & (x > 0)),
        "This is a ReLU's forward pass, of x; pass the gradient back.": lambda g, x: x.relu(),
        "This is only the mask, zeros and ones; multiply the gradient by it.": lambda g, x: (g > 0) & (x > 0),
        "A flat list of what passes: keep the shape, with zeros elsewhere.": lambda g, x: g[(g > 0) & (x > 0)],
        "Negative gradients are made positive (abs); they should give 0.": lambda g, x: g.abs() * (x > 0),
        "The gradient is cut off at 1 (clamp); large ones pass unchanged.": lambda g, x: g.clamp(0, 1) * (x > 0),
        "x = 0 is not positive: ask for x > 0, not x >= 0.": lambda g, x: g.relu() * (x >= 0),
        "The condition on x is the wrong way round: ask for x > 0.": lambda g, x: g.relu() * (x <= 0),
        "The condition on the gradient is the wrong way round: g > 0.": lambda g, x: g.clamp(max=0) * (x > 0),
    }
    compare(answer, lambda gradient, x: gradient.relu() * (x > 0), cases, mistakes=mistakes)


def check_grad_cam_map(answer: Callable) -> None:
    """Checks ``answer(maps, gradient)``: the maps' weighted sum, and what is negative cut off."""

    mean = partial(torch.mean, dim=(1, 2), keepdim=True)

    def heat(weights: Tensor | float, maps: Tensor) -> Tensor:
        return (weights * maps).sum(0).relu()

    cases = [
        Case((normal(3, 2, 2), normal(3, 2, 2) - 0.2), "Weigh each map, sum, and cut off what is negative."),
        Case((normal(3, 2, 4), normal(3, 4, 2).mT), "C, H and W may differ: one weight for each of the C maps."),
        Case((normal(2, 5, 3), normal(2, 3, 5).mT - 1), "Both maps and weights may be negative."),
    ]
    axis = "The mean runs over the channels (wrong axis); one weight for each map is the mean over its places"
    mistakes: dict[str, Callable] = {
        "The ReLU is missing: negative values of the sum become 0.": lambda m, g: (mean(g) * m).sum(0),
        "It multiplies place by place; one weight for each map is the mean of its gradient.": lambda m, g: heat(g, m),
        "The weights are sums over the places, not means.": lambda m, g: heat(g.sum((1, 2), True), m),
        "The ReLU comes before the sum; it belongs after the sum.": lambda m, g: (mean(g) * m).relu().sum(0),
        "Negative weights are dropped; the ReLU belongs on the sum.": lambda m, g: heat(mean(g).relu(), m),
        "Negative gradients are dropped; a weight is the mean of all.": lambda m, g: heat(mean(g.relu()), m),
        "It averages over the channels instead of summing.": lambda m, g: heat(mean(g), m) / len(m),
        f"{axis}.": lambda m, g: heat(g.mean(0), m),
        f"{axis}; sum the weighted maps then.": lambda m, g: (g.mean(0) * m.mean(0)).relu(),
        "Maps and gradient are exchanged: the weights are means of the gradient.": lambda m, g: heat(mean(m), g),
        "There are no weights: each map has one, the mean of its gradient.": lambda m, g: heat(1, m),
        "The weights' sign is lost (abs): a negative weight counts against.": lambda m, g: heat(mean(g).abs(), m),
        "Negative values are made positive (abs); a ReLU makes them 0.": lambda m, g: (mean(g) * m).sum(0).abs(),
        "A weight is the mean of the gradient, not its maximum.": lambda m, g: heat(g.amax((1, 2), True), m),
        "It is scaled to a maximum of 1; leave it.": lambda m, g: heat(mean(g), m) / heat(mean(g), m).max(),
        "The maps are not summed; the result is one map, (H, W).": lambda m, g: (mean(g) * m).relu(),
    }
    compare(answer, lambda maps, gradient: heat(mean(gradient), maps), cases, mistakes=mistakes)


def check_sign_step(answer: Callable) -> None:
    """Checks ``answer(image, gradient, epsilon)``: each value by epsilon uphill on the loss, within [0, 1]."""

    def moved(image: Tensor, step: Tensor, minimum: float = 0, maximum: float = 1) -> Tensor:
        return (image + step).clamp(minimum, maximum)

    def stretched(image: Tensor) -> Tensor:
        return (image - image.min()) / (image.max() - image.min())

    x, slope = torch.tensor([[0.4, 0.6, 0.3, 0.7, 0.5, 0.2], [2.0, -0.01, 0.5, 0.25, 3.0, -0.5]]).view(2, 3, 1, 2)
    cases = [
        Case((x, slope, 0.1), "Each value moves by epsilon: up where its gradient is positive, down where negative."),
        Case((x, torch.where(slope == 0.5, 0.0, slope), 0.05), "Where the gradient is 0, nothing moves."),
        Case((normal(3, 4, 5).sigmoid().round(), normal(3, 5, 4).mT, 0.2), "The result stays in [0, 1]."),
        Case((normal(1, 6, 4).sigmoid(), 1e-4 * normal(1, 4, 6).mT, 0.3), "A small gradient moves a value as far."),
    ]
    mistakes: dict[str, Callable] = {
        "It goes downhill; to raise the loss, add the step.": lambda i, g, e: moved(i, -e * g.sign()),
        "The result leaves [0, 1]: limit it with clamp(0, 1).": lambda i, g, e: i + e * g.sign(),
        "Values below 0 are left: limit both ends, clamp(0, 1).": lambda i, g, e: moved(i, e * g.sign(), -1),
        "Values above 1 are left: limit both ends, clamp(0, 1).": lambda i, g, e: moved(i, e * g.sign(), 0, 2),
        "It uses the gradient itself, not its sign: each value moves by epsilon.": lambda i, g, e: moved(i, e * g),
        "It divides by the gradient's norm; take the sign instead.": lambda i, g, e: moved(i, e * g / g.norm()),
        "It divides by the largest gradient; take the sign instead.": lambda i, g, e: moved(i, e * g / g.abs().max()),
        "It clamps the gradient; take its sign, also of a small one.": lambda i, g, e: moved(i, e * g.clamp(-1, 1)),
        "It moves by a share of the value itself; each value moves by epsilon.": lambda i, g, e: moved(
            i, e * i * g.sign()
        ),
        "The result is stretched to [0, 1]; cut it off with clamp(0, 1).": lambda i, g, e: stretched(i + e * g.sign()),
        "A value stays where its step would leave [0, 1]; it goes up to the border, clamp(0, 1).": lambda i, g, e: (
            torch.where((i + e * g.sign() - 0.5).abs() > 0.5, i, i + e * g.sign())
        ),
        "All channels get one sign; each value has its own.": lambda i, g, e: moved(i, e * g.mean(0).sign()),
        "epsilon is divided by 255; move by epsilon itself.": lambda i, g, e: moved(i, e / 255 * g.sign()),
        "Where the gradient is 0, nothing moves, not up.": lambda i, g, e: moved(i, e * (2.0 * (g >= 0) - 1)),
        "Where the gradient is 0, nothing moves, not down.": lambda i, g, e: moved(i, e * (2.0 * (g > 0) - 1)),
        "The sign is lost: where the gradient is negative, go down.": lambda i, g, e: moved(i, e * g.sign().abs()),
        "Where the gradient is negative, move, too: down by epsilon.": lambda i, g, e: moved(i, e * (g > 0)),
        "This is only the step; add it to the image.": lambda i, g, e: e * g.sign(),
    }
    compare(answer, lambda i, g, epsilon: moved(i, epsilon * g.sign()), cases, mistakes=mistakes)


ATTRIBUTIONS: dict[str, Callable[..., Tensor]] = {
    "occlusion": lambda model, image, index, patch: attribution.occlusion(
        model, image, index, (patch, patch), (patch // 2, patch // 2), progress=False
    ),
    "saliency": lambda model, image, index, patch: attribution.saliency(model, image, index).amax(0),
    "SmoothGrad": lambda model, image, index, patch: attribution.smooth_grad(model, image, index, 10).amax(0),
    "guided": lambda model, image, index, patch: attribution.backpropagate(model, image, index, "guided").abs().amax(0),
    "deconvnet": lambda model, image, index, patch: (
        attribution.backpropagate(model, image, index, "deconvnet").abs().amax(0)
    ),
    "Grad-CAM": lambda model, image, index, patch: attribution.grad_cam(model, image, index, layer="features.12"),
}


def attribution_explorer(photo: str = "coffee", method: str = "occlusion") -> ipw.Widget:
    """Lesson 7: what the class score of one of the ImageNet network's three best classes depends on, by six methods."""
    names = ("chelsea", "coffee", "china")
    arguments.check_choice(names, photo=photo)
    arguments.check_choice(ATTRIBUTIONS, method=method)
    model = pretrained.load()
    photos = {name: images.square(images.sample(name)) for name in names}
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
        image, (classes, scores, shares) = photos[photo], best_of(photo)
        heat = ATTRIBUTIONS[method](model, image, classes[rank], patch)
        names = [f"{pretrained.CLASSES[c]} {share:.0%}" for c, share in zip(classes, shares, strict=True)]
        names[rank] = f"<b>{names[rank]}, class score {scores[rank]:.1f}</b>"
        note = f", drop from {heat.min():z.1f} to {heat.max():z.1f}" if method == "occlusion" else ""
        drawn = {"photo": to_array(image), "map": overlay(image, heat)}
        shown = {name: encode((255 * pixels).round().astype(np.uint8)) for name, pixels in drawn.items()}
        return {**shown, "text": f"<p>{' · '.join(names)}</p><p>{method}{note}</p>"}

    def chosen(**values: Any) -> Mapping[str, bytes | str]:
        return draw(**values) if values["method"] == "occlusion" else draw(**values | {"patch": 0})

    connect(controls, view, chosen)
    return ipw.VBox([ipw.HBox(list(controls.values())), view["text"], ipw.HBox([view["photo"], view["map"]])])
