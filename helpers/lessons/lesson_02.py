"""Lesson 2, pooling, and the whole architecture: the checks of its exercises, its explorer, and what only it uses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as ipw
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, relu

from helpers import filters
from helpers.images import to_array
from helpers.lessons.checking import Case, check_function
from helpers.lessons.explorer import connect, html_row, png, small_gray
from helpers.plotting import GRAY


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


def check_max_pooling(answer: Callable) -> None:
    """Checks ``answer(picture, window, stride)`` for 2-D tensors against ``max_pool2d``."""
    generator = torch.Generator().manual_seed(2)
    cases = []
    for height, width, window, stride, hint in (
        (2, 2, 2, 2, "A maximum of negative numbers is negative: let no zero take part."),
        (4, 4, 2, 2, "With a stride, window (i, j) starts at row i * stride and column j * stride."),
        (4, 6, 2, 2, "Rows come first: the result has the shape (rows, columns)."),
        (7, 5, 3, 2, "With a stride, window (i, j) starts at row i * stride and column j * stride."),
        (7, 6, 2, 3, "Windows that do not fit any more are left out: use the formula for the size."),
    ):
        picture = torch.randn(height, width, generator=generator) - 2
        expected = max_pool2d(picture[None], window, stride)[0]
        cases.append(Case((picture, window, stride), expected, hint))
    check_function(answer, cases)


def check_global_average(answer: Callable) -> None:
    """Checks ``answer(maps)``, ``(N, C, H, W)`` to ``(N, C)``, against the mean of each map."""
    generator = torch.Generator().manual_seed(3)
    cases = []
    for shape, hint in (
        ((2, 3, 2, 2), "Each map of each picture gives one number: the mean over rows and columns, nothing else."),
        ((4, 2, 3, 5), "Divide by rows times columns, which need not be equal."),
        ((1, 3, 4, 4), "A batch of one picture keeps its first dimension."),
        ((2, 1, 1, 1), "One map of one pixel is still a map: the result has the shape (N, C)."),
    ):
        maps = torch.randn(shape, generator=generator)
        cases.append(Case((maps,), maps.mean(dim=(2, 3)), hint))
    check_function(answer, cases)


def check_softmax(answer: Callable) -> None:
    """Checks ``answer(scores, dim)`` against ``torch.softmax``, with scores whose exponential overflows."""
    square = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    generator = torch.Generator().manual_seed(4)
    wrong_dim = "Sum along dim, and keep that dimension (keepdim=True), so that the division meets the right numbers."
    questions = [
        (torch.tensor([0.0, 1.0, 2.0]), 0, "Exponentials divided by their sum."),
        (square, 1, wrong_dim),
        (square, 0, wrong_dim),
        (torch.tensor([1000.0, 1001.0]), 0, "exp(1000) overflows: subtract the maximum first, it changes nothing."),
        (torch.tensor([[0.0, 0.0], [-1000.0, -1001.0]]), 1, "Subtract the maximum along dim, not that of all scores."),
        (torch.randn(2, 3, 2, 2, generator=generator), 1, wrong_dim),
    ]
    check_function(answer, [Case((x, dim), torch.softmax(x, dim), hint) for x, dim, hint in questions])


def check_dense_inputs(answer: Callable) -> None:
    """Checks ``answer(size, channels, layers)``: the numbers that a stack of layers leaves for a dense layer."""
    questions = [
        (8, 32, [(5, 1), (2, 2)], "Channels times rows times columns; each layer makes (size − F) / S + 1 of them."),
        (28, 32, [(5, 1), (2, 2)], "The maps are two-dimensional: channels · side · side."),
        (30, 20, [(3, 1), (2, 2), (3, 1), (2, 2)], "Each layer starts from the size that the one before it left."),
        (10, 4, [(3, 2)], "A step that does not fit any more is not taken: round down."),
        (5, 3, [], "Without layers the picture stays as it is."),
    ]
    cases = []
    for size, channels, layers, hint in questions:
        x = torch.zeros(1, channels, size, size)
        for kernel_size, stride in layers:
            x = max_pool2d(x, kernel_size, stride)
        cases.append(Case((size, channels, layers), x.numel(), hint))
    check_function(answer, cases)


# The grid of lesson 2, which pools it by hand.
POOL_NUMBERS = torch.tensor([int(n) for n in "132051427102061384210923504117382602"]).float().view(6, 6)


def pooling_explorer(photo: str = "camera") -> ipw.Widget:
    """Lesson 2: move a pooling window over 6 × 6 numbers and over a feature map after ReLU."""
    maps = relu(conv2d(small_gray(photo)[None, None], filters.step_filters()[:, None]))[0]
    controls = {
        "kind": ipw.Dropdown(options=["max", "average"], description="kind"),
        "window": ipw.IntSlider(2, 1, 6, description="window"),
        "stride": ipw.IntSlider(2, 1, 6, description="stride"),
        "row": ipw.FloatSlider(0.35, min=0, max=1, step=0.005, description="row", readout=False),
        "column": ipw.FloatSlider(0.5, min=0, max=1, step=0.005, description="column", readout=False),
        "channel": ipw.Dropdown(options=[(f"of filter {i}", i) for i in range(4)], description="map"),
    }
    view = {"numbers": ipw.HTML(), "map": ipw.Image(), "pooled": ipw.Image(), "sizes": ipw.HTML()}

    def draw(kind: str, window: int, stride: int, row: float, column: float, channel: int) -> dict[str, bytes | str]:
        place = (kind, window, stride, row, column)
        return {"numbers": _pooled_numbers(*place), **_pooled_map(maps[channel], *place)}

    connect(controls, view, draw)
    return ipw.VBox(
        [
            ipw.HBox([ipw.VBox(list(controls.values()), layout=ipw.Layout(min_width="320px")), view["numbers"]]),
            ipw.HBox([view["map"], view["pooled"]]),
            view["sizes"],
        ]
    )


def _pool(grid: Tensor, kind: str, window: int, stride: int, row: float, column: float) -> tuple[Tensor, int, int]:
    """The pooled map, and which of its values the sliders choose."""
    pooled = (max_pool2d if kind == "max" else avg_pool2d)(grid[None, None], window, stride)[0, 0]
    return pooled, round(row * (pooled.shape[0] - 1)), round(column * (pooled.shape[1] - 1))


def _pooled_numbers(kind: str, window: int, stride: int, row: float, column: float) -> str:
    pooled, i, j = _pool(POOL_NUMBERS, kind, window, stride, row, column)
    top, left = i * stride, j * stride
    seen = {start + k for start in range(0, 6 - window + 1, stride) for k in range(window)}
    unseen = [(r, c) for r in range(6) for c in range(6) if r not in seen or c not in seen]
    styles = dict.fromkeys(unseen, "color:#777;background:#ccc")
    patch = POOL_NUMBERS[top : top + window, left : left + window]
    styles |= {(top + r, left + c): "background:#f7c59f" for r in range(window) for c in range(window)}
    if kind == "max":
        r, c = divmod(int(patch.argmax()), window)
        styles[top + r, left + c] = "background:#d55e00;color:white;font-weight:bold"
    tables = [
        ("6 × 6 numbers", _marked_table(POOL_NUMBERS, styles)),
        ("→", ""),
        (f"{kind} pooled", _marked_table(pooled, {(i, j): "background:#f7c59f;font-weight:bold"})),
    ]
    left_out = f"{len(unseen)} of 36 numbers are in no window (grey)." if unseen else "Each number is in some window."
    return (
        html_row(tables)
        + f"<p>{kind} of the {window} × {window} window = pooled[{i}, {j}] = <b>{pooled[i, j].item():.4g}</b>. "
        f"Rows: (6 − {window}) / {stride} + 1{_remark(6, window, stride)} = <b>{len(pooled)}</b>. {left_out}</p>"
    )


def _pooled_map(grid: Tensor, kind: str, window: int, stride: int, row: float, column: float) -> dict[str, bytes | str]:
    pooled, i, j = _pool(grid, kind, window, stride, row, column)
    scale = grid.max()
    zoomed = interpolate((pooled / scale)[None, None], scale_factor=stride, mode="nearest")[0, 0]
    (height, width), (rows, columns) = grid.shape, pooled.shape
    return {
        "map": png(grid / scale, (i * stride, j * stride, window, window)),
        "pooled": png(zoomed, (i * stride, j * stride, stride, stride)),
        "sizes": f"<p>Feature map {height} × {width}, pooled to {rows} × {columns} "
        f"({pooled.numel() / grid.numel():.1%} of the numbers; drawn {stride} times as large). "
        f"Rows: ({height} − {window}) / {stride} + 1{_remark(height, window, stride)} = {rows}.</p>",
    }


def _remark(size: int, window: int, stride: int) -> str:
    """Whether the windows end at the edge; if not, how many rows and columns beyond the last one are lost."""
    rest = (size - window) % stride
    lost = "row and column" if rest == 1 else f"{rest} rows and columns"
    return f", rounded down (the last {lost} do not fit)" if rest else ""


def _marked_table(numbers: Tensor, styles: Mapping[tuple[int, int], str]) -> str:
    cell = "width:26px;height:26px;text-align:center;border:1px solid #888;color:black;background:white;"
    rows = [
        "".join(f"<td style='{cell}{styles.get((r, c), '')}'>{n:.3g}</td>" for c, n in enumerate(row))
        for r, row in enumerate(numbers.tolist())
    ]
    return f"<table style='border-collapse:collapse;margin:auto'><tr>{'</tr><tr>'.join(rows)}</tr></table>"
