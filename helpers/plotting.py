"""The figures that several lessons draw, and their looks: resolution, color maps, lines.

A function takes arrays and results, computes nothing of its own, and gives a Figure. ``show(figure, alt)`` puts it
into the notebook, with the text that stands in for it where it cannot be seen.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from helpers.arguments import check_number, check_whole
from helpers.images import to_array
from helpers.training import History

DPI = 90
GRAY, SIGNED = "gray", "PuOr"  # color maps: of images, and of values of both signs


def show(figure: Figure, alt: str, format: str = "png") -> None:
    """Display a figure in the notebook.

    Args:
        figure: any matplotlib figure.
        alt: what it shows, in words, for readers who cannot see it.
        format: ``"png"`` for charts, ``"jpeg"`` for photographs, which take a fifth of the space so.
    """
    from IPython.display import Image, display  # a notebook has it already; elsewhere it takes a while

    display(Image(render(figure, format), format=format, alt=alt))


def render(figure: Figure, format: str = "png") -> bytes:
    """A figure as the bytes of an image file."""
    file = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"quality": 85}} if format == "jpeg" else {}
    figure.savefig(file, format=format, dpi=DPI, bbox_inches="tight", **options)
    return file.getvalue()


def axes_grid(
    count: int, columns: int | None = None, size: float = 2.2, aspect: float = 1.0
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes in rows of ``columns``, each ``size`` inches wide and ``aspect`` times as high."""
    check_whole(1, 1000, count=count, columns=columns or count)
    check_number(0.1, 100, size=size)
    columns = min(columns or count, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(size * columns, (size * aspect + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.axis("off")
    return figure, list(axes[:count])


def image_grid(
    images: Sequence[Tensor | np.ndarray],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    *,
    cmap: str = GRAY,
    vmin: float | None = None,
    vmax: float | None = None,
    size: float = 2.2,
) -> Figure:
    """Images or maps side by side.

    Args:
        images: each ``(3, H, W)`` or as an array ``(H, W, 3)`` in [0, 1], or ``(1, H, W)`` or ``(H, W)``, any values.
        titles: one for each image.
        columns: images in a row; by default all of them.
        cmap: the color map for images of one channel.
        vmin, vmax: the values drawn in its first and last color; by default the smallest and the largest of each map.
        size: width of one image, in inches.
    """
    if not len(images):
        raise ValueError("images must hold at least one")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"titles must pair up with the images, but there are {len(titles)} and {len(images)}")
    arrays = [
        i if isinstance(i, np.ndarray) and i.ndim == 3 and i.shape[2] == 3 else to_array(torch.as_tensor(i))
        for i in images
    ]
    if not all(array.size for array in arrays):
        raise ValueError("images must have pixels, and one of these has none")
    figure, axes = axes_grid(len(arrays), columns, size, max(a.shape[0] / a.shape[1] for a in arrays))
    for ax, array, title in zip(axes, arrays, titles or [""] * len(arrays), strict=True):
        ax.imshow(array, cmap=cmap, vmin=vmin, vmax=vmax)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(title, fontsize=9)
    return figure


def number_grid(
    grids: Sequence[Tensor | np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    form: str = ".0f",
    size: float = 3.0,
    **options: Any,
) -> Figure:
    """Small 2-D grids as cells of gray or color with their numbers in them, black or white, whichever reads better.

    Args:
        grids: each ``(H, W)``.
        titles: one for each grid.
        form: how a number is written, as in ``format(number, form)``.
        size: width of one grid, in inches.
        options: cmap, vmin and vmax of :func:`image_grid`.
    """
    arrays = [np.asarray(g, dtype=float) for g in grids]
    figure = image_grid(arrays, titles, size=size, **options)
    for ax, array in zip(figure.axes, arrays, strict=True):
        ax.title.set_fontsize(10)
        red, green, blue, _ = np.moveaxis(ax.images[0].to_rgba(array), -1, 0)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        fontsize = 10 if array.shape[1] <= 8 else 5
        for row, column in np.ndindex(*array.shape):
            text, color = format(array[row, column], form), "white" if dark[row, column] else "black"
            ax.text(column, row, text, ha="center", va="center", color=color, fontsize=fontsize)
    return figure


def outline(ax: Axes, row: float, column: float, height: float, width: float) -> None:
    """Draw a box around cells (or pixels) of an image, given by its upper left one."""
    x, y = column - 0.5, row - 0.5
    ax.plot([x, x + width, x + width, x, x], [y, y, y + height, y + height, y], color="#d55e00", linewidth=2.5)


def _check_named(**values: Any) -> None:
    for name, given in values.items():
        if not isinstance(given, Mapping):
            raise ValueError(f"{name} must be a dictionary, by the names to show, not {given!r:.60}")


def _draw_line(ax: Axes, xs: Sequence[Any] | None, ys: Sequence[float], i: int, label: str, style: str = "-") -> None:
    ax.plot(
        *(range(1, len(ys) + 1) if xs is None else xs, ys, style),
        color=f"C{i}",
        marker="os^Dv"[i % 5],
        markevery=-(-len(ys) // 12),  # or many markers would hide the dashes
        markersize=4,
        label=label,
    )


def learning_curves(histories: Mapping[str, History]) -> Figure:
    """Loss and accuracy after each epoch, training dashed and test solid, one color for each run."""
    _check_named(histories=histories)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for ax, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            for part, style in (("train", "--"), ("test", "-")):
                if values := getattr(history, f"{part}_{quantity}"):
                    _draw_line(ax, None, values, i, f"{name}, {part}", style)
        ax.set(xlabel="epoch", ylabel=quantity)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure


def curves(
    values: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, xs: Sequence[Any] | None = None, log: bool = False
) -> Figure:
    """A line for each name.

    Args:
        values: by name, one for each place on the x axis.
        xlabel, ylabel: what the axes show, with the unit.
        xs: the places on the x axis, numbers or names; by default 1, 2, 3 …
        log: whether the y axis is logarithmic.
    """
    _check_named(values=values)
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    ax = figure.subplots()
    for i, (name, line) in enumerate(values.items()):
        _draw_line(ax, xs, line, i, name)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "235" else "")  # 6 to 9 stand too close
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=8)
    return figure


def bars(values: Mapping[str, float], xlabel: str, form: str = ".2f") -> Figure:
    """Horizontal bars with their names and values, the first on top."""
    _check_named(values=values)
    figure = Figure(figsize=(6, 0.3 * len(values) + 0.7), layout="constrained")
    ax = figure.subplots()
    drawn = ax.barh(list(values), list(values.values()), color="0.55")
    ax.bar_label(drawn, [format(v, form) for v in values.values()], padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
