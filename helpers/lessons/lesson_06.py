"""Lesson 6, the last layer: the checks of its exercises, its explorer, and what only it uses."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize, pad

from helpers import arguments, features, files
from helpers.data import CLASSES, fashion_mnist
from helpers.lessons import checking
from helpers.lessons.checking import Case, compare
from helpers.lessons.explore import Explorer, image_file, side_by_side
from helpers.models import trained_fashion_net
from helpers.plotting import axes_grid


def on_grid(places: Tensor, rows: int, columns: int) -> Tensor:
    """A cell of a grid for each place in a plane, so that all of them together move as little as they can.

    Args:
        places: ``(N, 2)``, x to the right and y upwards, in any unit.
        rows, columns: of the grid; rows times columns must be N.

    Returns:
        Which place each cell gets, ``(rows, columns)``.
    """
    arguments.check_tensor((2,), places=places)
    arguments.check_whole(1, rows=rows, columns=columns)
    if rows * columns != len(places):
        raise ValueError(f"rows times columns must be {len(places)}, not {rows} times {columns}")
    if places.shape[1] != 2 or not places.isfinite().all():
        raise ValueError(f"places must have the shape (N, 2), not {tuple(places.shape)}, and be finite")
    low, high = places.min(dim=0).values, places.max(dim=0).values
    x, y = ((places - low) / (high - low).clamp(min=1e-9)).T
    cells = torch.cartesian_prod(torch.linspace(0, 1, rows), torch.linspace(0, 1, columns))
    squares = torch.cdist(cells, torch.stack([1 - y, x], dim=1).float()).square()
    return torch.from_numpy(linear_sum_assignment(squares.numpy())[1]).view(rows, columns)


def neighbour_probabilities(vectors: Tensor, perplexity: float) -> Tensor:
    """The first step of t-SNE: how probably each point picks each other one, ``(N, D)`` to ``(N, N)``.

    Row i sums to 1, and its perplexity, the exponential of its entropy, is the one that is asked for.
    """
    squares = torch.cdist(vectors, vectors).square()
    squares = (squares / squares.mean()).fill_diagonal_(torch.inf)  # in any unit
    low = squares.new_full((len(vectors), 1), -20)
    high = -low
    for _ in range(50):  # halve the interval in which the logarithm of the row's β must lie
        middle = (low + high) / 2
        p = (-squares * middle.exp()).softmax(dim=1)
        too_many = torch.special.entr(p).sum(dim=1, keepdim=True).exp() > perplexity
        low, high = torch.where(too_many, middle, low), torch.where(too_many, high, middle)
    return p


def neighbour_bars(images: Tensor, titles: Sequence[str], shares: Mapping[str, Tensor]) -> Figure:
    """An image and its neighbours ``(1 + N, 1, H, W)``; below each neighbour its bars, by name, on one scale."""
    tops = [float(values.max()) + 0.07 for values in shares.values()]  # room for the number over the highest bar
    figure = Figure(figsize=(0.95 * len(images), 1.4 + 3.5 * sum(tops)), layout="constrained")
    grid = figure.add_gridspec(1 + len(shares), len(images), height_ratios=[1.4, *(3.5 * top for top in tops)])
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        ax = figure.add_subplot(grid[0, i])
        ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
    for row, (name, values) in enumerate(shares.items(), 1):
        figure.add_subplot(grid[row, 0], frame_on=False, xticks=[], yticks=[]).text(0.5, 0.1, name, ha="center")
        ax = figure.add_subplot(grid[row, 1:])
        ax.bar_label(ax.bar(range(len(values)), values, color="0.55"), [f"{100 * v:.1f} %" for v in values], fontsize=9)
        ax.set(xticks=[], yticks=[], ylim=(0, tops[row - 1]), xlim=(-0.5, len(values) - 0.5))
        ax.spines[["top", "left", "right"]].set_visible(False)
    return figure


def class_scatter(
    maps: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str], columns: int | None = None, size: float = 4.2
) -> Figure:
    """Maps of points ``(N, 2)`` side by side: a colour and a mark for each class, its name amid or near its points."""
    figure, axes = axes_grid(len(maps), columns, size)
    for ax, (title, places) in zip(axes, maps.items(), strict=True):
        for i, name in enumerate(classes):
            x, y = places[labels == i].T
            look: dict[str, Any] = {"marker": "os^Dv<>PX*"[i % 10], "color": f"C{i}", "linewidths": 0}
            ax.scatter(x.numpy(), y.numpy(), s=12, alpha=0.7, label=name, **look)
            text = ax.text(x.median(), y.median(), name, fontsize=8, fontweight="bold", ha="center", in_layout=False)
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        ax.set_aspect("equal", "datalim")
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
    if len(classes) > 3:  # their names will lie over each other somewhere
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    _part_names(figure)
    return figure


def _part_names(figure: Figure) -> None:
    """Move the names on each map off its frame, and up or down where two lie over each other."""
    figure.draw_without_rendering()  # how large they are is known only now
    for ax in figure.axes:
        names = [text for text in ax.texts if text.get_text()]
        before = np.array([text.get_window_extent().get_points() for text in names]).reshape(-1, 2, 2)
        after, (low, high) = before.copy(), ax.bbox.get_points()  # (left, bottom), (right, top) of each
        for _ in range(100):
            for a, b in combinations(after, 2):
                width, height = np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]) + (4, 1)  # with some room between
                if min(width, height) > 0:
                    up = height / 2 if a[0, 1] >= b[0, 1] else -height / 2
                    a[:, 1] += up
                    b[:, 1] -= up
            after += np.maximum(low + 3 - after[:, :1], 0) + np.minimum(high - 3 - after[:, 1:], 0)
        for text, shift in zip(names, after[:, 0] - before[:, 0], strict=True):
            x, y = ax.transData.inverted().transform(ax.transData.transform(text.get_position()) + shift)
            text.set_position((x, y))


def check_nearest_others(answer: Callable) -> None:
    """Checks ``answer(vectors, k)``, ``(N, D)`` to the numbers ``(N, k)`` of each one's nearest others."""
    generator = checking.generator(6)
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
    generator, cases = checking.generator(204), []
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
    generator = checking.generator(6)
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


# --- The explorer -----------------------------------------------------------------------------------------------------

MAPS = files.DATA / "maps" / "fashion_maps.npz"
COUNT = 3_000  # items on the maps: the first ones of the test set
NEAR = 5  # neighbours that are shown
SHEET_ACROSS = 55  # items in a row of the sheet; lesson_06.js has the same number


class MapExplorer(Explorer):
    """What :func:`map_explorer` gives."""

    lesson = "lesson_06"
    still = (
        "3,000 items of clothing as a map, in the colours of their classes, which form islands; one ankle "
        "boot and its neighbours."
    )

    @property
    def item(self) -> int | None:
        """The number of the item that the reader has chosen last, if any."""
        return self.state.get("item", self.content.get("item"))


def map_explorer(item: int | None = None) -> MapExplorer:
    """Lesson 6: three thousand test items on four maps, each with its nearest neighbours in pixels and in features.

    The maps were drawn by ``make maps``; the neighbours are looked for here.

    Args:
        item: the number of an item to begin with, from 0 to 2,999.

    Raises:
        OSError: the maps are not there, or not those of their record.
    """
    if item is not None:
        arguments.check_whole(0, COUNT - 1, item=item)
    images, labels = (part[:COUNT] for part in fashion_mnist(train=False))
    orders = {space: neighbour_order(vectors) for space, vectors in map_spaces().items()}
    scores = features.embeddings(trained_fashion_net(), images, "classifier", progress=False)
    sure, guesses = scores.softmax(dim=1).max(dim=1)
    content = {
        "kind": "map",
        "item": item,
        "classes": list(CLASSES),
        "labels": labels.byte().numpy().tobytes(),
        "guesses": guesses.byte().numpy().tobytes(),
        "sure": (100 * sure).round().byte().numpy().tobytes(),
        "sheet": image_file(side_by_side(images, SHEET_ACROSS), quality=35),
        "places": {name: places.astype("<u2").tobytes() for name, places in _kept_maps().items()},
        "near": {space: _uint16(order[:, :NEAR]) for space, order in orders.items()},
        "sums": {a: _uint16(ranks_elsewhere(orders[a], orders[b])) for a, b in (SPACES, SPACES[::-1])},
    }
    return MapExplorer(content=content)


SPACES = ("pixels", "features")


def map_spaces(count: int = COUNT) -> dict[str, Tensor]:
    """The items of the maps as vectors: their pixels ``(N, 784)``, and the network's 64 features ``(N, 64)``."""
    images = fashion_mnist(train=False)[0][:count]
    vectors = features.embeddings(trained_fashion_net(), images, "classifier.2", progress=False)
    return {"pixels": images.flatten(1).double(), "features": vectors.double()}


def neighbour_order(vectors: Tensor) -> Tensor:
    """All others of each vector ``(N, D)``, the nearest first, ``(N, N - 1)`` as 16-bit numbers."""
    parts = []
    for rows in torch.arange(len(vectors)).split(500):  # all at once would be 200 MB for 3,000 vectors
        distances = torch.cdist(vectors[rows], vectors)
        distances[torch.arange(len(rows)), rows] = -1
        parts.append(distances.argsort(dim=1, stable=True)[:, 1:].short())
    return torch.cat(parts)


def ranks_elsewhere(order: Tensor, other: Tensor) -> Tensor:
    """The sum of the places, from 1, that the ``NEAR`` nearest of an order have in another one, ``(N,)``."""
    places = [(other == near[:, None]).byte().argmax(dim=1) + 1 for near in order.T[:NEAR]]
    return torch.stack(places).sum(dim=0)


def share_kept(vectors: Tensor, places: Tensor, k: int = 10) -> float:
    """The share of the k nearest neighbours of vectors ``(N, D)`` that are among the k nearest on a map ``(N, 2)``."""
    before, after = (_nearest(points.double(), k) for points in (vectors, places))
    return (before[:, :, None] == after[:, None, :]).any(dim=2).double().mean().item()


def _kept_maps() -> dict[str, np.ndarray]:
    again = "git checkout data/maps, or `make maps` draws them again"
    with files.intact(f"{MAPS} or its record", again):
        with np.load(io.BytesIO(files.read(MAPS, 10_000_000))) as kept:
            maps = dict(kept)
        if any(places.dtype != np.uint16 or places.shape != (COUNT, 2) for places in maps.values()) or len(maps) != 4:
            raise ValueError("it does not hold four maps")
    return maps


def _uint16(numbers: Tensor) -> bytes:
    return numbers.numpy().astype("<u2").tobytes()
