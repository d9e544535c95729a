"""Lesson 7, what the network looks at: the checks of its exercises, its explorer, and what only it uses."""

import difflib
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from helpers import arguments, attribution, images, pretrained
from helpers.files import DATA
from helpers.hooks import inference
from helpers.images import to_array
from helpers.lessons.checking import Case, compare, normal
from helpers.lessons.explore import Explorer, image_file
from helpers.plotting import SIGNED, axes_grid

# --- Figures ----------------------------------------------------------------------------------------------------------

OPACITY = 0.65  # of a map over its image, at each pixel


def overlay(image: Tensor, heat: Tensor, limit: float | None = None) -> np.ndarray:
    """A map over a pale grey image: purple where it is above zero, orange below, white at zero, ``(H, W, 3)``.

    Args:
        image: ``(3, H, W)`` or ``(1, H, W)``.
        heat: ``(H, W)`` or ``(1, H, W)``, of either sign.
        limit: the value of the darkest color; by default that of :func:`limit_of`.
    """
    arguments.check_tensor((2, 3), image=image, heat=heat)
    gray = to_array(image.mean(dim=0))[..., None]
    share = to_array(heat) / (limit_of(heat) if limit is None else limit)
    color = colormaps[SIGNED](0.5 + 0.5 * np.clip(share, -1, 1))[..., :3]
    return (1 - OPACITY) * (0.4 + 0.6 * gray) + OPACITY * color


def limit_of(heat: Tensor) -> float:
    """Where the color bar of a map ends: at most one value in two hundred is larger, or a few would pale the others."""
    return max(heat.abs().flatten().quantile(0.995).item(), 1e-12)


def overlays(image: Tensor, heats: Mapping[str, Tensor], columns: int | None = None, size: float = 2.6) -> Figure:
    """Maps over one image, each with its color bar.

    Args:
        image: ``(3, H, W)``.
        heats: by title, each ``(1, H, W)``; a map without negative values has a bar that begins at zero.
        columns: maps in a row.
        size: width of one, in inches.
    """
    figure, axes = axes_grid(len(heats), columns, size, 0.95)
    for ax, (title, heat) in zip(axes, heats.items(), strict=True):
        limit = limit_of(heat)
        ax.imshow(overlay(image, heat, limit))
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
        colors = ScalarMappable(Normalize(-limit, limit), SIGNED)
        bar = figure.colorbar(colors, ax=ax, shrink=0.85, pad=0.02, aspect=18)
        bar.ax.set_ylim(-limit if heat.min() < 0 else 0, limit)
        bar.ax.tick_params(labelsize=7)
    return figure


def randomisation_figure(agreement: Tensor, stages: Sequence[str], names: Sequence[str]) -> Figure:
    """Rank correlation with the trained network's map while more and more layers are random; a dotted line halfway.

    Args:
        agreement: ``(runs, stages, methods)``; each run is a thin line, the mean a thick one.
        stages: what was made random last, at each stage.
        names: of the methods.
    """
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.set_xticks(range(len(stages)), stages, rotation=35, ha="right", rotation_mode="anchor", fontsize=11)
    ax.set(ylim=(-0.5, 1.05))
    ax.set_xlabel("random down to this layer", fontsize=12)
    ax.set_ylabel("rank correlation", fontsize=12)
    ax.axvline((len(stages) - 1) / 2, color="0.4", linestyle=":")
    for k, name in enumerate(names):
        for run in agreement[:, :, k]:
            ax.plot(run, color=f"C{k}", linewidth=0.5)
        ax.plot(agreement[:, :, k].mean(0), "os^Dv"[k] + "-", color=f"C{k}", linewidth=2, label=name)
    ax.grid(alpha=0.3)
    ax.legend(loc="lower left", ncols=3)
    return figure


def heights_figure(heights: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Mean heights of insertion and deletion curves: a row for each method, a dot for each photo, a bar at the mean.

    ``heights`` has, by method, the two heights of each photo.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    titles = ("insertion: higher is better", "deletion: lower is better")
    for ax, title, which in zip(figure.subplots(1, 2, sharey=True), titles, range(2), strict=True):
        for row, pairs in enumerate(heights.values()):
            values = [pair[which] for pair in pairs]
            ax.plot(values, [row] * len(values), "o", color="0.45", alpha=0.7)
            ax.plot([np.mean(values)] * 2, [row - 0.35, row + 0.35], color="#d55e00", linewidth=3)
        ax.set_yticks(range(len(heights)), heights)
        ax.set(title=title, xlabel="mean height of the curve")
        ax.grid(axis="x", alpha=0.3)
    ax.invert_yaxis()
    return figure


def cat_and_cup() -> Tensor:
    """The cat with a small cup of coffee in the lower right corner (13 % of the area), ``(3, 224, 224)``."""
    both = images.square(images.sample("chelsea")).clone()
    both[:, 140:220, 140:220] = images.square(images.sample("coffee"), 80)
    return both


# Places of fur on the cat's photo, (row, column) of 32 × 32 pixels without an eye.
FUR = ((0, 0), (0, 32), (0, 64), (0, 96), (20, 0), (20, 32), (20, 64), (112, 0), (120, 48))


def covers(cat: Tensor, top: int, left: int) -> dict[str, Tensor]:
    """What 32 × 32 pixels of the cat may be covered with: smooth covers, noise, and pieces of its own fur."""
    part = (slice(None), slice(top, top + 32), slice(left, left + 32))
    found = {f"grey {value}": torch.tensor(value) for value in (0.0, 0.5, 1.0)}
    found |= {"its mean colour": cat[part].mean(dim=(1, 2), keepdim=True), "blur": blurred(cat)[part]}
    found["noise"] = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    return found | {
        f"fur, row {row}, column {column}": cat[:, row : row + 32, column : column + 32] for row, column in FUR
    }


def planted_network() -> tuple[nn.Sequential, Tensor]:
    """A network whose score for an image ``(1, 28, 28)`` depends on two patches, and what each pixel counts, 1 or −1.

    Patch A, 6 × 6 pixels, raises the score where it is bright; patch B, 4 × 4, lowers it.
    """
    importance = torch.zeros(28, 28)
    importance[4:10, 4:10] = 1
    importance[18:22, 16:20] = -1
    same, weigh = nn.Conv2d(1, 1, 1), nn.Linear(784, 1)
    same.load_state_dict({"weight": torch.ones(1, 1, 1, 1), "bias": torch.zeros(1)})
    weigh.load_state_dict({"weight": importance.view(1, 784), "bias": torch.zeros(1)})
    return nn.Sequential(same, nn.ReLU(), nn.Flatten(), weigh), importance


def signed_maps(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Seven methods on the score of a network without other classes, with signs; Grad-CAM at its layer ``"0"``."""
    return {
        "occlusion": attribution.occlusion(model, image, 0, (2, 2), (2, 2), 0.0, progress=False),
        "gradient": attribution.saliency(model, image, 0, abs=False),
        "SmoothGrad": attribution.smooth_grad(model, image, 0, abs=False),
        "integrated": attribution.integrated_gradients(model, image, 0),
        "deconvnet": attribution.backpropagate(model, image, 0, "deconvnet"),
        "guided": attribution.backpropagate(model, image, 0, "guided"),
        "Grad-CAM": attribution.grad_cam(model, image, 0, layer="0"),
    }


# --- Checks -----------------------------------------------------------------------------------------------------------


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
        Case(
            (normal(3, 2, 2), normal(3, 2, 2) - 0.2),
            "Weigh each map, sum, and cut off what is negative in the sum (not in the weights).",
        ),
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


# --- The explorer: maps -----------------------------------------------------------------------------------------------

LAYER = "features.12"
PATCHES = (16, 32, 56, 112)
RECORD = DATA / "attribution" / "recorded.npz"

# The maps of the explorer: how each is computed at the image's size, and how many pixels a side make one of its cells.
METHODS: dict[str, tuple[Callable[[nn.Module, Tensor, int], Tensor], int]] = {
    **{
        f"occlusion {patch}": (
            lambda model, image, index, patch=patch: attribution.occlusion(  # type: ignore[misc]
                model, image, index, (patch, patch), (patch // 2, patch // 2), progress=False
            ),
            patch // 2,
        )
        for patch in PATCHES
    },
    "saliency": (lambda model, image, index: _sizes(attribution.saliency(model, image, index)), 2),
    "SmoothGrad": (lambda model, image, index: _sizes(attribution.smooth_grad(model, image, index)), 2),
    "integrated gradients": (
        lambda model, image, index: 4 * attribution.integrated_gradients(model, image, index).sum(0, keepdim=True),
        2,
    ),
    "deconvnet": (lambda model, image, index: _sizes(attribution.backpropagate(model, image, index, "deconvnet")), 2),
    "guided": (lambda model, image, index: _sizes(attribution.backpropagate(model, image, index, "guided")), 2),
    "Grad-CAM": (lambda model, image, index: attribution.grad_cam(model, image, index, layer=LAYER), 4),
}
# What a value of each says, for the note below the map.
SAYS = {
    "saliency": "size of the gradient",
    "SmoothGrad": "size of the mean gradient of 25 noisy copies",
    "integrated gradients": "contribution of these 2 × 2 pixels to the score",
    "deconvnet": "what the deconvnet rule passes back",
    "guided": "what the guided rule passes back",
    "Grad-CAM": "sum of the weighted maps",
}


def _sizes(gradient: Tensor) -> Tensor:
    return gradient.abs().amax(0, keepdim=True)


def explorer_maps(model: nn.Module, image: Tensor, index: int) -> dict[str, Tensor]:
    """The explorer's maps of a class of an image ``(3, 224, 224)``, each ``(rows, columns)``: means over its cells."""
    return {name: F.avg_pool2d(make(model, image, index), cell)[0] for name, (make, cell) in METHODS.items()}


def levels(heat: Tensor) -> tuple[np.ndarray, float]:
    """A map as 8-bit numbers, 128 for zero, and the value of 252; what is beyond that is cut off.

    Large maps have 63 levels, small ones 249.
    """
    limit = limit_of(heat) if heat.numel() > 5000 else max(heat.abs().max().item(), 1e-12)
    step = 4 if heat.numel() > 5000 else 1
    rounded = (heat / limit).clamp(-1, 1).mul(124 / step).round() * step
    return (rounded + 128).to(torch.uint8).numpy(), limit


def _lossless(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "webp", lossless=True, method=6)
    return file.getvalue()


def _class_content(name: str, score: float, share: float, maps: Mapping[str, tuple[np.ndarray, float]]) -> dict:
    """A class of an image for the module: its name, score and probability, and its maps as files."""
    files = {
        key: {"rows": len(array), "columns": array.shape[1], "limit": limit, "file": _lossless(array)}
        for key, (array, limit) in maps.items()
    }
    return {"name": name, "score": score, "share": share, "maps": files}


def _scores(model: nn.Module, batch: Tensor) -> Tensor:
    with inference(model):
        return model(batch.contiguous(memory_format=torch.channels_last))


def _looked_at(model: nn.Module, image: Tensor, index: int) -> dict[str, Any]:
    scores = _scores(model, image[None])[0]
    maps = {key: levels(heat) for key, heat in explorer_maps(model, image, index).items()}
    share = scores.softmax(0)[index].item()
    return _class_content(pretrained.CLASSES[index], scores[index].item(), share, maps)


# --- The explorer: which patches to keep ------------------------------------------------------------------------------

CELLS, MOST = 4, 5  # patches along a side; how many of them may be kept


def blurred(image: Tensor) -> Tensor:
    """An image ``(3, 224, 224)`` in which nothing but large shapes is left."""
    return gaussian_blur(gaussian_blur(image, [91, 1], [20.0]), [1, 91], [20.0])  # by rows and columns: much faster


def kept_patches(image: Tensor, choices: Sequence[Sequence[int]]) -> Tensor:
    """Copies that are sharp in the chosen ones of 4 × 4 patches, counted row by row, and blurred elsewhere.

    Shape ``(len(choices), 3, 224, 224)``.
    """
    keep = torch.zeros(len(choices), CELLS**2)
    for row, choice in zip(keep, choices, strict=True):
        row[list(choice)] = 1
    cell = image.shape[1] // CELLS
    mask = keep.view(-1, 1, CELLS, CELLS).repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    return torch.where(mask > 0, image, blurred(image))


def all_choices() -> list[tuple[int, ...]]:
    """Every choice of up to five of 16 patches, as the module counts them: by size, then by the alphabet."""
    return [choice for size in range(MOST + 1) for choice in itertools.combinations(range(CELLS**2), size)]


def choice_scores(model: nn.Module, image: Tensor, choices: Sequence[Sequence[int]], index: int) -> list[float]:
    """The score of a class for each choice of patches that are kept."""
    return _scores(model, kept_patches(image, choices))[:, index].tolist()


def patch_order(model: nn.Module, image: Tensor, index: int) -> list[int]:
    """The 16 patches, those with the highest mean of Grad-CAM first."""
    heat = attribution.grad_cam(model, image, index, layer=LAYER)
    return F.avg_pool2d(heat, image.shape[1] // CELLS).flatten().argsort(descending=True).tolist()


# --- The explorer: all together ---------------------------------------------------------------------------------------


class AttributionExplorer(Explorer):
    """What :func:`attribution_explorer` gives."""

    lesson = "lesson_07"
    still = (
        "The face of a cat under a purple map, darkest around an eye; beside it the same face in sixteen "
        "patches to choose from."
    )
    photos: dict[str, Tensor]

    @property
    def kept(self) -> list[int]:
        """The patches that the reader has chosen to keep, counted row by row from 0."""
        return list(self.state.get("kept", []))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Maps of another class, or the score of a choice of patches that was not recorded."""
        model, image = pretrained.load(), self.photos[request["photo"]]
        if "class" in request:
            return _looked_at(model, image, _class_index(request["class"]))
        return {"scores": choice_scores(model, image, request["choices"], pretrained.CLASSES.index(request["of"]))}


def _class_index(name: str) -> int:
    known = {known.lower(): index for index, known in reversed(list(enumerate(pretrained.CLASSES)))}
    if (wanted := name.strip().lower()) in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, 3)
    raise ValueError(
        f"The network has no class “{name.strip()}”" + (f"; near it are {', '.join(near)}." if near else ".")
    )


def attribution_explorer(photo: images.Source | None = None) -> AttributionExplorer:
    """Lesson 7: where the network looks, by seven methods; and which patches to keep, you against Grad-CAM.

    Args:
        photo: an image of your own, as :func:`helpers.images.read` takes it. Its maps take some seconds, and the score
            of a choice of patches is computed by the kernel; what is needed for the other photos was recorded
            (``make attribution``).
    """
    with np.load(RECORD) as record:
        recorded = dict(record)
    photos = {name: sample_photo(name) for name in PHOTOS}
    shown = [_recorded_content(name, photos[name], recorded) for name in photos]
    if photo is not None:
        photos["yours"] = images.square(images.read(photo))
        shown.insert(0, _own_content(photos["yours"]))
    content = {"kind": "attribution", "photos": shown, "says": SAYS, "patches": list(PATCHES), "most": MOST}
    explorer = AttributionExplorer(content=content)
    explorer.photos = photos
    return explorer


def standing(explorer: AttributionExplorer, name: str, count: int) -> tuple[float, int, int]:
    """Grad-CAM's choice of so many patches of a photo: its score, its place among all such choices, their number."""
    photo = next(p for p in explorer.content["photos"] if p["name"] == name)
    scores = dict(zip(all_choices(), np.frombuffer(photo["scores"], "<i2") / 100, strict=True))
    same = [score for choice, score in scores.items() if len(choice) == count]
    score = scores[tuple(sorted(photo["order"][:count]))]
    return float(score), sum(bool(other > score) for other in same) + 1, len(same)


# Each photo of the explorer with its classes: the best two, and one that is not there.
PHOTOS = {
    "chelsea": ("tiger cat", "Egyptian cat", "espresso"),
    "coffee": ("espresso", "consomme", "tiger cat"),
    "china": ("stupa", "palace", "tiger cat"),
    "cat and cup": ("tiger cat", "espresso"),
}


def sample_photo(name: str) -> Tensor:
    """One of the explorer's photos, ``(3, 224, 224)``."""
    return cat_and_cup() if name == "cat and cup" else images.square(images.sample(name))


def _recorded_content(name: str, image: Tensor, recorded: Mapping[str, np.ndarray]) -> dict[str, Any]:
    classes = []
    for label in PHOTOS[name]:
        keys = [f"{name}/{label}/{method}" for method in METHODS]
        maps = {m: (recorded[key], float(recorded[f"{key}/limit"])) for m, key in zip(METHODS, keys, strict=True)}
        score, share = recorded[f"{name}/{label}"].tolist()
        classes.append(_class_content(label, score, share, maps))
    game = {"order": recorded[f"{name}/order"].tolist(), "scores": recorded[f"{name}/scores"].tobytes()}
    return _photo_content(name, image, classes, game)


def _own_content(image: Tensor) -> dict[str, Any]:
    model = pretrained.load()
    best = _scores(model, image[None])[0].topk(2).indices.tolist()
    classes = [_looked_at(model, image, index) for index in best]
    return _photo_content("yours", image, classes, {"order": patch_order(model, image, best[0]), "scores": b""})


def _photo_content(name: str, image: Tensor, classes: list[dict], game: dict[str, Any]) -> dict[str, Any]:
    files = {"file": image_file(image), "blurred": image_file(blurred(image))}
    return {"name": name, **files, "classes": classes, **game}
