"""Lesson 6, the last layer: the checks of its exercises, its explorer, and what only it uses."""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor
from torch.nn.functional import normalize, pad

from helpers import arguments
from helpers.data import CLASSES
from helpers.lessons.checking import Case, compare
from helpers.lessons.explorer import BOX_COLOR, connect, encode, html_row, png
from helpers.plotting import axes_grid


def collage(images: Tensor, places: Tensor, width: int = 720) -> tuple[Tensor, Tensor]:
    """Small images at their places in a plane, on white. One that would lie over an earlier one is left out.

    Args:
        images: ``(N, C, h, w)``.
        places: ``(N, 2)``, x to the right and y upwards, in any unit; both are scaled alike.
        width: of the canvas, in pixels.

    Returns:
        The canvas ``(C, H, width)``, and row and column of the middle of each image, left out or not, ``(N, 2)``.
    """
    arguments.check_tensor((4,), images=images)
    arguments.check_tensor((2,), places=places)
    arguments.check_whole(images.shape[3], 10_000, width=width)
    if places.shape != (len(images), 2) or not places.isfinite().all():
        raise ValueError(f"places must have the shape ({len(images)}, 2), not {tuple(places.shape)}, and be finite")
    smallest, span = places.min(dim=0).values, places.max(dim=0).values - places.min(dim=0).values
    x, y = ((places - smallest) * (width - images.shape[3]) / span[0].clamp(min=1e-9)).round().long().T
    corners = torch.stack([y.max() - y, x], dim=1)
    canvas = images.new_ones(images.shape[1], int(y.max()) + images.shape[2], width)
    free = torch.ones(canvas.shape[1:], dtype=torch.bool)
    for image, (top, left) in zip(images, corners.tolist(), strict=True):
        rows, columns = slice(top, top + images.shape[2]), slice(left, left + images.shape[3])
        if free[rows, columns].all():
            canvas[:, rows, columns], free[rows, columns] = image, False
    return canvas, corners + torch.tensor(images.shape[2:]) // 2


def class_scatter(
    maps: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str], columns: int | None = None, size: float = 4.2
) -> Figure:
    """Maps of points ``(N, 2)`` side by side: a colour and a mark for each class, its name amid its points."""
    figure, axes = axes_grid(len(maps), columns, size)
    for ax, (title, places) in zip(axes, maps.items(), strict=True):
        for i, name in enumerate(classes):
            x, y = places[labels == i].T
            look: dict[str, Any] = {"marker": "os^Dv<>PX*"[i % 10], "color": f"C{i}", "linewidths": 0}
            ax.scatter(x.numpy(), y.numpy(), s=12, alpha=0.7, label=name, **look)
            text = ax.text(x.median(), y.median(), name, fontsize=8, fontweight="bold", ha="center")
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        ax.set_aspect("equal", "datalim")
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
    if len(classes) > 3:  # their names will lie over each other somewhere
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    return figure


def check_nearest_others(answer: Callable) -> None:
    """Checks ``answer(vectors, k)``, ``(N, D)`` to the numbers ``(N, k)`` of each one's nearest others."""
    generator = torch.Generator().manual_seed(6)
    few = torch.tensor([[1.0, 1.0], [4.0, 4.5], [1.5, 6.0], [-3.0, 0.5], [7.0, -2.0]])
    twins = torch.tensor([[5.0, 5.0], [1.0, 0.0], [1.0, 0.0], [6.0, 5.0]])
    cases = [
        Case((few, 1), "Give the number (index) of the nearest other vector, by Euclidean distance, as (N, k)."),
        Case((few, 3), "The nearest comes first, then the second nearest."),
        Case((twins, 1), "Equal vectors are each other's nearest: leave out a vector by its number alone."),
        Case((1e4 * few, 2), "Distances may be large."),
        Case((torch.randn(12, 5, generator=generator) + 1, 4), "Any N, D and k < N must do."),
    ]
    compare(answer, _nearest, cases, mistakes=_NEAREST_MISTAKES)


def _nearest(vectors: Tensor, k: int, distances: Tensor | None = None) -> Tensor:
    distances = _distances(vectors) if distances is None else distances
    return distances.fill_diagonal_(torch.inf).topk(k, largest=False).indices


def _distances(vectors: Tensor, p: float = 2) -> Tensor:
    return torch.cdist(vectors, vectors, p=p)


_NEAREST_MISTAKES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "Each vector is among its own neighbours: give the distance to itself, on the diagonal, infinity.": (
        lambda v, k: _distances(v).argsort(stable=True)[:, :k]
    ),
    "The first column is dropped, but with equal vectors that may be the twin: exclude the diagonal.": (
        lambda v, k: _distances(v).argsort(stable=True)[:, 1 : k + 1]
    ),
    "An equal vector at distance 0 is lost: exclude the diagonal, not all zeros.": (
        lambda v, k: _distances(v).where(_distances(v) > 0, torch.inf).argsort(stable=True)[:, :k]
    ),
    "These are the farthest: largest=False in topk.": lambda v, k: _nearest(v, k, -_distances(v)),
    "These are distances: give the indices of the neighbours.": lambda v, k: _distances(v).sort().values[:, 1 : k + 1],
    "The numbers are shifted: where a vector was taken out, those behind it count one too low.": (
        lambda v, k: _nearest(v, k) - (_nearest(v, k) > torch.arange(len(v))[:, None]).long()
    ),
    "They are sorted by number: the nearest must come first.": lambda v, k: _nearest(v, k).sort(1).values,
    "The order is reversed: the nearest must come first.": lambda v, k: _nearest(v, k).flip(1),
    "They count from 1: the numbers begin at 0.": lambda v, k: _nearest(v, k) + 1,
    "These are the vectors: give their numbers, (N, k).": lambda v, k: v[_nearest(v, k)],
    "The dot product is no distance; it favours long vectors.": lambda v, k: _nearest(v, k, -v @ v.T),
    "Cosine similarity is no distance: take the Euclidean one.": (
        lambda v, k: _nearest(v, k, -normalize(v) @ normalize(v).T)
    ),
    "It is the sum of absolute differences: the Euclidean distance sums squares.": (
        lambda v, k: _nearest(v, k, _distances(v, p=1))
    ),
    "It is the largest difference in a coordinate: the Euclidean distance sums squares of all.": (
        lambda v, k: _nearest(v, k, _distances(v, p=torch.inf))
    ),
    "Differences of both signs cancel: square each before the sum.": (
        lambda v, k: _nearest(v, k, (v.sum(1)[:, None] - v.sum(1)).abs())
    ),
}


def check_weighted_vote(answer: Callable) -> None:
    """Checks ``answer(vectors, labels, queries, k)``: the class with the largest sum of 1 / distance among k."""
    # With this seed no two of the mistakes below look alike.
    generator, cases = torch.Generator().manual_seed(204), []
    for classes, k, hint in (
        ([0, 1, 2, 3, 4, 5, 6], 1, "With k = 1 it is the label of the nearest vector."),
        ([0, 1], 5, "Each of the k nearest adds 1 / distance to its class; the class with the largest sum wins."),
        ([0, 1, 2], 7, "Each of the k nearest adds 1 / distance to its class; the class with the largest sum wins."),
        ([3, 7, 40], 5, "Labels may be any class numbers, and some classes may not occur."),
        ([2, 0, 5, 1], 20, "With k = N, all vote."),
    ):
        vectors, queries = torch.randn(20, 2, generator=generator), torch.randn(24, 2, generator=generator)
        labels = torch.tensor(classes)[torch.randint(len(classes), (20,), generator=generator)]
        cases.append(Case((vectors, labels, queries, k), hint))
    mistakes = {say: wrong if callable(wrong) else partial(_vote, **wrong) for say, wrong in _VOTE_MISTAKES.items()}
    compare(answer, _vote, cases, mistakes=mistakes)


def _vote(
    *given: Any,
    weigh: Callable[[Tensor], Tensor] = torch.reciprocal,
    total: Callable[[Tensor, Tensor], Tensor] = lambda weights, one_hot: weights.sum(1),
    winner: Callable[..., Tensor] = torch.argmax,
    voters: Callable[[int], slice] = slice,
    largest: bool = False,
    p: float = 2,
) -> Tensor:
    vectors, labels, queries, k = given
    distances, near = torch.cdist(queries, vectors, p=p).sort(descending=largest)
    one_hot = labels[near[:, voters(k)], None] == torch.arange(int(labels.max()) + 1)
    return winner(total(weigh(distances[:, voters(k)])[..., None] * one_hot, one_hot), dim=1)


_VOTE_MISTAKES: dict[str, Any] = {  # what they change in `_vote`, or a function of their own
    "The weight is the distance, so that far ones count most: take 1 / distance.": {"weigh": torch.clone},
    "All neighbours count alike, without weights (a majority): count 1 / distance.": {"weigh": torch.ones_like},
    "The weight is 1 / distance squared: take the root.": {"weigh": lambda d: d**-2},
    "The weight falls off as exp(−distance): take 1 / distance.": {"weigh": lambda d: (-d).exp()},
    "The weight is 1 / (1 + distance): take 1 / distance.": {"weigh": lambda d: 1 / (1 + d)},
    "The weight is 1 / rank: take 1 / distance.": {"weigh": lambda d: 1 / torch.ones_like(d).cumsum(1)},
    "The nearest alone decides: the weights of all k must be summed for each class.": {"voters": lambda k: slice(1)},
    "Weights of the same class overwrite each other instead of adding up: scatter_add_, not =.": {
        "total": lambda w, hot: w.masked_fill(~hot, torch.inf).amin(1).where(hot.any(1), 0)
    },
    "It is the mean weight of each class: take the sum.": {"total": lambda w, hot: w.sum(1) / hot.sum(1).clamp(min=1)},
    "All the vectors vote: only the k nearest may.": {"voters": lambda k: slice(None)},
    "One neighbour too many votes: take k.": {"voters": lambda k: slice(k + 1)},
    "The nearest is left out, as if it were the query itself: no query is among the vectors.": {
        "voters": lambda k: slice(1, k + 1)
    },
    "The farthest vote: largest=False in topk.": {"largest": True},
    "Distances are sums of absolute differences: take the Euclidean distance.": {"p": 1},
    "It is the position of the class among those that occur: give the label itself.": (
        lambda v, y, q, k: torch.searchsorted(y.unique(), _vote(v, y, q, k))
    ),
    "It is the number of a vector: give its label, labels[...].": lambda v, y, q, k: torch.cdist(q, v).argmin(1),
    "It is the largest sum of weights: give its class (argmax, not max).": {"winner": torch.amax},
}


def check_variance_shares(answer: Callable) -> None:
    """Checks ``answer(x)``, ``(N, D)`` to the share of the variance along each of the D principal axes, ``(D,)``."""
    generator = torch.Generator().manual_seed(6)
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    spread = torch.randn(9, 3, generator=generator) @ torch.tensor([[1.0, 2.0, 0.0], [0.0, 4.0, 1.0], [0.5, 0.0, 2.0]])
    column, wide = torch.randn(7, 1, generator=generator), torch.randn(3, 5, generator=generator)
    squares = "A share is the square of a singular value over the sum of the squares, the largest first."
    cases = [
        Case((cross,), squares),
        Case((cross + torch.tensor([5.0, -3.0]),), "Variance is measured from the mean: subtract each column's."),
        Case((spread + torch.tensor([1.0, -2.0, 3.0]),), f"Subtract each column's mean first. {squares}"),
        Case((column,), "With D = 1 the only axis holds everything."),
        Case((wide,), "With N < D, svdvals gives N values: fill up to D with zeros."),
    ]
    mistakes = {say: wrong if callable(wrong) else partial(_shares, **wrong) for say, wrong in _SHARE_MISTAKES.items()}
    compare(answer, _shares, cases, mistakes=mistakes)


def _shares(
    x: Tensor,
    center: Callable[[Tensor], Tensor] = lambda x: x - x.mean(0),
    values: Callable[[Tensor], Tensor] = torch.linalg.svdvals,
    power: int = 2,
    total: Callable[[Tensor], Tensor] = torch.sum,
) -> Tensor:
    powers = values(center(x)) ** power
    return pad(powers / total(powers), (0, x.shape[1] - len(powers)))


_SHARE_MISTAKES: dict[str, Any] = {  # what they change in `_shares`, or a function of their own
    "The mean is not subtracted: give each column the mean 0 first.": {"center": torch.clone},
    "The mean of each row is subtracted: it must be that of each column (dim=0).": {
        "center": lambda x: x - x.mean(1, keepdim=True)
    },
    "One mean of all numbers is subtracted: each column has its own mean (dim=0).": {"center": lambda x: x - x.mean()},
    "Each column is divided by its standard deviation, too: subtract the mean only.": {
        "center": lambda x: (x - x.mean(0)) / x.std(0)
    },
    "The singular values must be squared.": {"power": 1},
    "The singular values are squared twice.": {"power": 4},
    "These are the variances: divide by their sum, for shares that sum to 1.": (
        lambda x: _shares(x, total=lambda squares: torch.tensor(len(x) - 1))
    ),
    "These are the squares of the singular values: divide by their sum, for shares that sum to 1.": {
        "total": torch.ones_like
    },
    "They are divided by the largest: divide by the sum, so that shares sum to 1.": {"total": torch.amax},
    "The sum must be that of the squares, not the square of the sum.": {"total": lambda s: s.sqrt().sum() ** 2},
    "They are summed up from the first on: give the share of each axis (no cumsum).": lambda x: _shares(x).cumsum(0),
    "The order is reversed: the largest comes first.": lambda x: _shares(x).flip(0),
    "These are the columns' own variances: the axes are principal ones, from svdvals.": {"values": lambda x: x.std(0)},
    "These are the columns' own variances, sorted: the axes are principal ones, from svdvals.": {
        "values": lambda x: x.std(0).sort(descending=True).values
    },
    "With N < D, svdvals gives only N values: fill up with zeros to D.": lambda x: _shares(x)[: len(x)],
}


NEAR_COLOR = (0, 114, 178)


def neighbor_explorer(items: Tensor, labels: Tensor, vectors: Tensor, maps: Mapping[str, Tensor]) -> ipw.Widget:
    """Lesson 6: choose an item, and see it on a map, and its neighbours in feature space and in pixels.

    Args:
        items: ``(N, 1, 28, 28)``.
        labels: ``(N,)``.
        vectors: their feature vectors, ``(N, D)``.
        maps: by name, places in the plane ``(N, 2)``.
    """
    arguments.check_whole(7, **{"the number of items": len(items)})  # one, and the six nearest to it
    spaces = {"features": vectors, "pixels": items.flatten(1)}
    drawn = {name: collage(1 - items, places, width=640) for name, places in maps.items()}
    controls = {
        "name": ipw.Dropdown(options=list(maps), description="map"),
        "item": ipw.IntSlider(0, 0, len(items) - 1, description="item", layout=ipw.Layout(width="480px")),
    }

    def draw(name: str, item: int) -> dict[str, bytes | str]:
        near = {space: _nearest_others(points, item, 6) for space, points in spaces.items()}
        rows = {s: _thumbnails(items, labels, [item, *near[s]], f"nearest in {s}") for s in spaces}
        canvas, middles = drawn[name]
        return {"map": encode(_marked(canvas, middles[[item, *near["features"]]])), **rows}

    narrow = ipw.Layout(max_width="600px")
    view = {"map": ipw.Image(format="png", layout=narrow), "features": ipw.HTML(), "pixels": ipw.HTML()}
    connect(controls, view, draw)
    return ipw.VBox([ipw.HBox(list(controls.values())), ipw.VBox([view["features"], view["pixels"]]), view["map"]])


def _nearest_others(points: Tensor, index: int, count: int) -> list[int]:
    distances = (points - points[index]).norm(dim=1)
    distances[index] = torch.inf
    return distances.topk(count, largest=False).indices.tolist()


def _thumbnails(items: Tensor, labels: Tensor, chosen: list[int], title: str) -> str:
    """The chosen items in a row with their classes, bold where it is that of the first."""
    cells = []
    for i in chosen:
        weight = "bold" if labels[i] == labels[chosen[0]] else "normal"
        source = base64.b64encode(png(items[i, 0])).decode()
        image = f"<img src='data:image/png;base64,{source}' style='display:block;margin:auto'>"
        cells.append((f"<div style='width:76px;font-weight:{weight}'>{CLASSES[labels[i]]}</div>", image))
    return html_row([cells[0], (f"<div style='width:130px'>{title}</div>", ""), *cells[1:]])


def _marked(canvas: Tensor, middles: Tensor) -> np.ndarray:
    """The map as RGB pixels ``(H, W, 3)``: a box at the first of the places (row, column), a ring at each other one."""
    pixels = cv2.cvtColor((canvas[0] * 255).byte().numpy(), cv2.COLOR_GRAY2RGB)
    (row, column), *others = middles.tolist()
    for y, x in others:
        cv2.circle(pixels, (x, y), 9, NEAR_COLOR, 3, cv2.LINE_AA)
    cv2.rectangle(pixels, (column - 16, row - 16), (column + 16, row + 16), BOX_COLOR, 4)
    return pixels
