"""Every figure of the course. A function takes arrays and results, computes nothing of its own, and gives a Figure.

``show(figure, alt)`` puts it into the notebook, with the text that stands in for it where it cannot be seen.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
from IPython.display import Image, display
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Affine2D
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


def descent_paths(
    heights: Tensor,
    extent: tuple[float, float, float, float],
    paths: Mapping[str, Tensor],
    levels: Sequence[float],
    columns: int = 2,
) -> Figure:
    """Paths down a surface, each on its own map of contour lines, a dot for each step.

    Args:
        heights: ``(H, W)``, row 0 at the least y.
        extent: of ``heights``: least x, largest x, least y, largest y.
        paths: by name, each ``(steps + 1, 2)`` of x and y; they begin at a square and end at a star.
        levels: the heights of the contour lines.
        columns: maps in a row.
    """
    left, right, bottom, top = extent
    figure, axes = axes_grid(len(paths), columns, size=4.2, aspect=(top - bottom) / (right - left))
    xs, ys = np.linspace(left, right, heights.shape[1]), np.linspace(bottom, top, heights.shape[0])
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        ax.contour(xs, ys, heights.numpy(), levels, colors="0.7", linewidths=0.8)
        ax.plot(*path.T.numpy(), "o-", color="#d55e00", markersize=3.5, linewidth=1.2)
        ax.plot(*path[0].tolist(), "s", color="black", markersize=7)
        ax.plot(*path[-1].tolist(), "*", color="black", markersize=14)
        ax.set(xlim=(left, right), ylim=(bottom, top))
        ax.set_title(name, fontsize=9)
    return figure


def dots_and_means(values: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str) -> Figure:
    """Every run as a dot and their mean as a bar: a block of rows for each group, a row for each of its settings."""
    rows = [(group, name, runs) for group, settings in values.items() for name, runs in settings.items()]
    figure = Figure(figsize=(7.5, 0.34 * len(rows) + 0.8), layout="constrained")
    ax = figure.subplots()
    groups = list(values)
    for i, (group, _, runs) in enumerate(rows):
        y, average = i + 0.6 * groups.index(group), float(np.mean(runs))
        ax.plot(runs, [y] * len(runs), "o", color="black", markersize=5, markerfacecolor="none")
        ax.plot([average] * 2, [y - 0.35, y + 0.35], color="#d55e00", linewidth=3)
    ticks = [i + 0.6 * groups.index(group) for i, (group, _, _) in enumerate(rows)]
    ax.set_yticks(ticks, [f"{group}, {name}" for group, name, _ in rows], fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.4)
    ax.set_xlabel(xlabel)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_table(confusion: Tensor, classes: Sequence[str]) -> Figure:
    """A confusion matrix ``(K, K)`` with its counts: row = true class, column = predicted class."""
    array = confusion.numpy()
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    ax = figure.subplots()
    # The colours show the mistakes: on a common scale the diagonal would drown them.
    mistakes = array - np.diag(np.diag(array))
    ax.imshow(mistakes, cmap="Greys", vmax=max(1, 1.5 * mistakes.max()))
    for row, column in np.ndindex(*array.shape):
        bold = "bold" if row == column else "normal"
        ax.text(column, row, str(array[row, column]), ha="center", va="center", fontsize=8, fontweight=bold)
    ax.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(len(classes)), classes, fontsize=8)
    ax.set(xlabel="predicted class", ylabel="true class")
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


def computation_graph(nodes: Mapping[str, tuple[float, float, str]], edges: Sequence[tuple[str, str, str]]) -> Figure:
    """Values as boxes, and arrows from each to what is computed from it.

    Args:
        nodes: for each name the column and row of its box, and the text in it.
        edges: ``(from, to, operation)``; the operation is written on the arrow, and may be empty.
    """
    columns, rows = max(x for x, _, _ in nodes.values()) + 1, max(y for _, y, _ in nodes.values()) + 1
    figure = Figure(figsize=(1.45 * columns, 1.15 * rows), layout="constrained")
    ax = figure.subplots()
    boxes = {
        name: ax.text(x, -y, text, ha="center", va="center", fontsize=9, bbox={"boxstyle": "round", "fc": "0.94"})
        for name, (x, y, text) in nodes.items()
    }
    for start, end, operation in edges:
        (x0, y0, _), (x1, y1, _) = nodes[start], nodes[end]
        arrow = {"arrowstyle": "->", "patchA": boxes[start].get_bbox_patch(), "patchB": boxes[end].get_bbox_patch()}
        ax.annotate("", (x1, -y1), (x0, -y0), arrowprops=arrow)
        ax.text((x0 + x1) / 2, -(y0 + y1) / 2 + 0.08, operation, ha="center", va="bottom", fontsize=9)
    ax.set(xlim=(-0.55, columns - 0.45), ylim=(0.5 - rows, 0.55))
    ax.axis("off")
    return figure


def pancakes(stacks: Mapping[str, Tensor]) -> Figure:
    """Stacks of feature maps ``(C, H, W)`` drawn as lying sheets, to scale with each other; crumbs stay visible."""
    figure = Figure(figsize=(2.6 * len(stacks), 2.4), layout="constrained")
    widest = max(maps.shape[-1] for maps in stacks.values())
    for ax, (title, maps) in zip(figure.subplots(1, len(stacks), squeeze=False)[0], stacks.items(), strict=True):
        side = max(maps.shape[-1] / widest, 0.05)
        gap = 0.32 * max(side, 0.3)
        for level, sheet in enumerate(maps.flip(0)):
            lying = Affine2D().scale(side, 0.42 * side).skew_deg(40, 0).translate(-0.7 * side, gap * level)
            where: dict[str, Any] = {"transform": lying + ax.transData, "zorder": level}
            ax.imshow(to_array(sheet), cmap=GRAY, vmin=0, vmax=maps.max() / 2, extent=(0, 1, 0, 1), **where)
            ax.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="#d55e00", linewidth=1, **where)
        ax.set(xlim=(-0.8, 0.8), ylim=(-0.1, 0.32 * len(maps) + 0.15), aspect="equal")
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    return figure


def architecture(layers: Sequence[tuple[str, tuple[int, ...]]], labels: Sequence[str]) -> Figure:
    """A network from left to right, a box for each layer: as high as its maps, and the wider, the more there are.

    Args:
        layers: the kind of each (``"Conv2d"``, ``"MaxPool2d"``, ``"Linear"``) and the shape of its output without N.
        labels: what to write under each; an empty one for none.
    """
    colours = {"Conv2d": "0.8", "MaxPool2d": "#d55e00", "Linear": "0.35"}
    highest = max(shape[-1] for kind, shape in layers if kind != "Linear")
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    ax, x = figure.subplots(), 0.0
    for (kind, shape), label in zip(layers, labels, strict=True):
        width, height = shape[0] ** 0.5 / 40, shape[-1] / highest if len(shape) > 1 else 0.02
        ax.add_patch(Rectangle((x, -height / 2), width, height, facecolor=colours[kind], edgecolor="black"))
        ax.text(x + width / 2, -height / 2 - 0.03, label, ha="center", va="top", fontsize=8)
        x += width + 0.07
    ax.legend([Rectangle((0, 0), 1, 1, facecolor=c, edgecolor="black") for c in colours.values()], colours, fontsize=8)
    ax.set(xlim=(-0.2, x + 0.1), ylim=(-0.72, 0.52))
    ax.axis("off")
    return figure
