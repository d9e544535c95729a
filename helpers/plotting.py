"""Every figure of the course. A function takes arrays and results, computes nothing of its own, and gives a Figure.

``show(figure, alt)`` puts it into the notebook, with the text that stands in for it where it cannot be seen.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from helpers.images import to_array
from helpers.training import History

DPI = 90


GRAY, SIGNED, HEAT = "gray", "PuOr", "viridis"  # colour maps: pictures, values of both signs, amounts


def show(figure: Figure, alt: str, format: str = "png") -> None:
    """Display a figure in the notebook.

    Args:
        figure: any matplotlib figure.
        alt: what it shows, in words, for readers who cannot see it.
        format: ``"png"`` for charts, ``"jpeg"`` for photographs, which take a fifth of the space so.
    """
    display(Image(render(figure, format), format=format, alt=alt))


def render(figure: Figure, format: str = "png") -> bytes:
    """A figure as the bytes of a picture file."""
    file = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"quality": 85}} if format == "jpeg" else {}
    figure.savefig(file, format=format, dpi=DPI, bbox_inches="tight", **options)
    return file.getvalue()


def axes_grid(
    count: int, columns: int | None = None, size: float = 2.2, aspect: float = 1.0
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes in rows of ``columns``, each ``size`` inches wide and ``aspect`` times as high."""
    columns = min(columns or count, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(size * columns, (size * aspect + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.axis("off")
    return figure, list(axes[:count])


def image_grid(
    pictures: Sequence[Tensor | np.ndarray],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    *,
    cmap: str = GRAY,
    vmin: float | None = None,
    vmax: float | None = None,
    colorbar: bool = False,
    size: float = 2.2,
) -> Figure:
    """Pictures or maps side by side.

    Args:
        pictures: each ``(3, H, W)`` in [0, 1], or ``(1, H, W)`` or ``(H, W)`` with any values.
        titles: one for each picture.
        columns: pictures in a row; by default all of them.
        cmap: the colour map for pictures of one channel.
        vmin, vmax: the values drawn in its first and last colour; by default the least and the largest of each map.
        colorbar: whether to draw the scale of each map.
        size: width of one picture, in inches.
    """
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"titles must pair up with the pictures, but there are {len(titles)} and {len(pictures)}")
    arrays = [to_array(p) if isinstance(p, Tensor) else p for p in pictures]
    figure, axes = axes_grid(len(arrays), columns, size, max(a.shape[0] / a.shape[1] for a in arrays))
    for i, (ax, array) in enumerate(zip(axes, arrays, strict=True)):
        drawn = ax.imshow(array, cmap=cmap, vmin=vmin, vmax=vmax)
        ax.set_xticks([])
        ax.set_yticks([])
        if titles:
            ax.set_title(titles[i], fontsize=9)
        if colorbar:
            figure.colorbar(drawn, ax=ax, shrink=0.8)
    return figure


def number_grid(
    grids: Sequence[Tensor | np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    form: str = ".0f",
    cmap: str = GRAY,
    vmin: float | None = None,
    vmax: float | None = None,
    boxes: Sequence[tuple[int, int, int, int] | None] | None = None,
    size: float = 3.0,
) -> Figure:
    """Small 2-D grids as cells of grey or colour with their numbers in them.

    Args:
        grids: each ``(H, W)``.
        titles: one for each grid.
        form: how a number is written, as in ``format(number, form)``.
        cmap, vmin, vmax: as in :func:`image_grid`.
        boxes: for each grid ``(row, column, height, width)`` of a part to outline, or None.
        size: width of one grid, in inches.
    """
    arrays = [np.asarray(g, dtype=float) for g in grids]
    figure, axes = axes_grid(len(arrays), size=size, aspect=max(a.shape[0] / a.shape[1] for a in arrays))
    for i, (ax, array) in enumerate(zip(axes, arrays, strict=True)):
        draw_numbers(ax, array, form=form, cmap=cmap, vmin=vmin, vmax=vmax)
        if titles:
            ax.set_title(titles[i], fontsize=10)
        if boxes and (box := boxes[i]):
            outline(ax, *box)
    return figure


def draw_numbers(ax: Axes, array: np.ndarray, *, form: str, cmap: str, vmin: float | None, vmax: float | None) -> None:
    """One grid of :func:`number_grid` on ``ax``; each number is black or white, whichever reads better on its cell."""
    drawn = ax.imshow(array, cmap=cmap, vmin=vmin, vmax=vmax)
    red, green, blue, _ = np.moveaxis(drawn.to_rgba(array), -1, 0)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
    fontsize = 10 if array.shape[1] <= 8 else 5
    for row, column in np.ndindex(*array.shape):
        text, colour = format(array[row, column], form), "white" if dark[row, column] else "black"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=fontsize)
    ax.set_xticks([])
    ax.set_yticks([])


def outline(ax: Axes, row: float, column: float, height: float, width: float, color: str = "#d55e00") -> None:
    """Draw a box around cells (or pixels) of a picture, given by its upper left one."""
    x, y = column - 0.5, row - 0.5
    ax.plot([x, x + width, x + width, x, x], [y, y, y + height, y + height, y], color=color, linewidth=2.5)


def learning_curves(histories: Mapping[str, History]) -> Figure:
    """Loss and accuracy after each epoch, training dashed and test solid, one colour for each run."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for ax, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            for part, line in (("train", "--"), ("test", "-")):
                values = getattr(history, f"{part}_{quantity}")
                if values:
                    epochs = range(1, len(values) + 1)
                    ax.plot(
                        epochs,
                        values,
                        line,
                        marker="os^Dv"[i % 5],
                        markevery=-(-len(values) // 12),  # or many markers would hide the dashes
                        markersize=4,
                        color=f"C{i}",
                        label=f"{name}, {part}",
                    )
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
        xs: those places, numbers or names; by default 1, 2, 3 …
        log: whether the y axis is logarithmic.
    """
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    ax = figure.subplots()
    for i, (name, line) in enumerate(values.items()):
        look: dict[str, Any] = {"marker": "os^Dv"[i % 5], "markevery": -(-len(line) // 12), "markersize": 4}
        ax.plot(range(1, len(line) + 1) if xs is None else xs, line, color=f"C{i}", label=name, **look)
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
    figure = Figure(figsize=(6, 0.3 * len(values) + 0.7), layout="constrained")
    ax = figure.subplots()
    drawn = ax.barh(list(values), list(values.values()), color="0.55")
    ax.bar_label(drawn, [format(v, form) for v in values.values()], padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
