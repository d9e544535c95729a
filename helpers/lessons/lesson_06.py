"""Lesson 6, the last layer: the checks of its exercises, its explorer, and what only it uses."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from helpers.data import CLASSES
from helpers.lessons.checking import Case, check_function
from helpers.lessons.explorer import BOX_COLOR, connect, encode, html_row, png
from helpers.plotting import axes_grid


def collage(pictures: Tensor, places: Tensor, width: int = 720) -> tuple[Tensor, Tensor]:
    """Small pictures at their places in a plane, on white. One that would lie over an earlier one is left out.

    Args:
        pictures: ``(N, C, h, w)``.
        places: ``(N, 2)``, x to the right and y upwards, in any unit; both are scaled alike.
        width: of the canvas, in pixels.

    Returns:
        The canvas ``(C, H, width)``, and row and column of the middle of each picture, left out or not, ``(N, 2)``.
    """
    if places.shape != (len(pictures), 2):
        raise ValueError(f"places must have the shape ({len(pictures)}, 2), not {tuple(places.shape)}")
    least, span = places.min(dim=0).values, places.max(dim=0).values - places.min(dim=0).values
    x, y = ((places - least) * (width - pictures.shape[3]) / span[0].clamp(min=1e-9)).round().long().T
    corners = torch.stack([y.max() - y, x], dim=1)
    canvas = pictures.new_ones(pictures.shape[1], int(y.max()) + pictures.shape[2], width)
    free = torch.ones(canvas.shape[1:], dtype=torch.bool)
    for picture, (top, left) in zip(pictures, corners.tolist(), strict=True):
        rows, columns = slice(top, top + pictures.shape[2]), slice(left, left + pictures.shape[3])
        if free[rows, columns].all():
            canvas[:, rows, columns], free[rows, columns] = picture, False
    return canvas, corners + torch.tensor(pictures.shape[2:]) // 2


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
    line, corner = torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([[0.0, 0.0], [3.0, 3.0], [0.0, 5.0]])
    twins = torch.tensor([[5.0, 5.0], [0.0, 0.0], [0.0, 0.0], [6.0, 5.0]])
    cases = []
    for vectors, k, hint in (
        (line, 1, "Give the numbers (indices); each point is nearest to itself, so give that distance infinity."),
        (corner, 1, "The distance is Euclidean: squares, summed, and a root."),
        (line, 3, "The nearest comes first."),
        (twins, 1, "Equal points are each other's nearest: leave out a point by its number, not the first in line."),
        (torch.randn(12, 5, generator=torch.Generator().manual_seed(6)), 4, ""),
    ):
        far = (vectors[:, None] - vectors).norm(dim=2).fill_diagonal_(torch.inf)
        cases.append(Case((vectors, k), far.topk(k, largest=False).indices, hint))
    check_function(answer, cases)


def check_weighted_vote(answer: Callable) -> None:
    """Checks ``answer(vectors, labels, queries, k)``: the class with the largest sum of 1 / distance among k."""
    line, queries = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0], [11.0], [13.0]]), torch.tensor([[0.1], [12.2]])
    cases = []
    for labels, k, expected, hint in (
        ([0, 1, 2, 1, 4, 5, 6], 1, [0, 6], "With k = 1 it is the label of the nearest vector: largest=False in topk."),
        ([0, 1, 1, 0, 2, 0, 2], 3, [0, 2], "Count 1 / distance for each neighbour: one very near may outvote two."),
        ([1, 3, 3, 3, 9, 9, 5], 3, [1, 9], "Weights of the same label add up, each 1 / distance."),
        ([8, 8, 8, 0, 0, 8, 0], 5, [8, 0], ""),
        ([1, 2, 3, 3, 3, 3, 0], 2, [1, 0], "Only the k nearest vote."),
    ):
        cases.append(Case((line, torch.tensor(labels), queries, k), torch.tensor(expected), hint))
    check_function(answer, cases)


def check_variance_shares(answer: Callable) -> None:
    """Checks ``answer(x)``, ``(N, D)`` to the share of the variance along each of the D principal axes, ``(D,)``."""
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    cases = []
    for x, hint in (
        (cross, "A share is the square of a singular value over the sum of squares: they sum to 1, largest first."),
        (cross + torch.tensor([5.0, -3.0]), "Variance is measured from the mean: subtract it from each column first."),
        (torch.randn(9, 3, generator=torch.Generator().manual_seed(6)) * torch.tensor([1.0, 4.0, 2.0]) + 1, ""),
    ):
        variances = torch.linalg.eigvalsh(x.T.cov()).flip(0)
        cases.append(Case((x,), variances / variances.sum(), hint))
    check_function(answer, cases)


NEAR_COLOR = (0, 114, 178)


def neighbour_explorer(garments: Tensor, labels: Tensor, vectors: Tensor, maps: Mapping[str, Tensor]) -> ipw.Widget:
    """Lesson 6: choose a garment, and see it on a map, and its neighbours in feature space and in pixels.

    Args:
        garments: ``(N, 1, 28, 28)``.
        labels: ``(N,)``.
        vectors: their feature vectors, ``(N, D)``.
        maps: by name, places in the plane ``(N, 2)``.
    """
    spaces = {"features": vectors, "pixels": garments.flatten(1)}
    drawn = {name: collage(1 - garments, places, width=640) for name, places in maps.items()}
    controls = {
        "name": ipw.Dropdown(options=list(maps), description="map"),
        "garment": ipw.IntSlider(0, 0, len(garments) - 1, description="garment", layout=ipw.Layout(width="480px")),
    }

    def draw(name: str, garment: int) -> dict[str, bytes | str]:
        near = {space: _nearest_others(points, garment, 6) for space, points in spaces.items()}
        rows = {s: _thumbnails(garments, labels, [garment, *near[s]], f"nearest in {s}") for s in spaces}
        canvas, middles = drawn[name]
        return {"map": encode(_marked(canvas, middles[[garment, *near["features"]]])), **rows}

    narrow = ipw.Layout(max_width="600px")
    view = {"map": ipw.Image(format="png", layout=narrow), "features": ipw.HTML(), "pixels": ipw.HTML()}
    connect(controls, view, draw)
    return ipw.VBox([ipw.HBox(list(controls.values())), ipw.VBox([view["features"], view["pixels"]]), view["map"]])


def _nearest_others(points: Tensor, index: int, count: int) -> list[int]:
    distances = (points - points[index]).norm(dim=1)
    distances[index] = torch.inf
    return distances.topk(count, largest=False).indices.tolist()


def _thumbnails(garments: Tensor, labels: Tensor, chosen: list[int], title: str) -> str:
    """The chosen garments in a row with their classes, bold where it is that of the first."""
    cells = []
    for i in chosen:
        weight = "bold" if labels[i] == labels[chosen[0]] else "normal"
        source = base64.b64encode(png(garments[i, 0])).decode()
        picture = f"<img src='data:image/png;base64,{source}' style='display:block;margin:auto'>"
        cells.append((f"<div style='width:76px;font-weight:{weight}'>{CLASSES[labels[i]]}</div>", picture))
    return html_row([cells[0], (f"<div style='width:130px'>{title}</div>", ""), *cells[1:]])


def _marked(canvas: Tensor, middles: Tensor) -> np.ndarray:
    """The map as RGB pixels ``(H, W, 3)``: a box at the first of the places (row, column), a ring at each other one."""
    pixels = cv2.cvtColor((canvas[0] * 255).byte().numpy(), cv2.COLOR_GRAY2RGB)
    (row, column), *others = middles.tolist()
    for y, x in others:
        cv2.circle(pixels, (x, y), 9, NEAR_COLOR, 3, cv2.LINE_AA)
    cv2.rectangle(pixels, (column - 16, row - 16), (column + 16, row + 16), BOX_COLOR, 4)
    return pixels
