"""Explorers: ideas of the lessons to be played with. One function for each gives a widget to put last in a cell.

Pictures travel to the browser as small PNG files drawn by OpenCV, since drawing a whole figure takes a blink too long
for a slider.
"""

import base64
import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, pad, relu

from helpers import attribution, dream, features, filters, images, pretrained
from helpers.data import CLASSES, Batches
from helpers.models import FashionNet, inference, output_size, run_to
from helpers.plotting import overlay
from helpers.training import History, descend, hollows, train

BOX_COLOR = (213, 94, 0)
PHOTO_ROWS = 200  # small enough for an answer at once, large enough to see edges


def kernel_explorer(photo: str = "camera", preset: str = "Sobel x") -> ipw.Widget:
    """Lesson 1: edit a 3 × 3 kernel, and see a photo's response, and how one value of it comes about."""
    names = [name for name in images.SAMPLES if name not in ("brick", "grass")]
    photos = {name: _small_gray(name) for name in names}
    presets = ipw.Dropdown(options=list(filters.KERNELS), value=preset, description="preset")
    cells = [ipw.FloatText(value, step=1, layout=ipw.Layout(width="62px")) for value in _preset_numbers(preset)]
    controls = {
        "photo": ipw.Dropdown(options=names, value=photo, description="photo"),
        "stride": ipw.IntSlider(1, 1, 4, description="stride"),
        "padding": ipw.IntSlider(0, 0, 3, description="padding"),
        "row": ipw.FloatSlider(0.35, min=0, max=1, step=0.005, description="row", readout=False),
        "column": ipw.FloatSlider(0.5, min=0, max=1, step=0.005, description="column", readout=False),
    }

    def draw(photo: str, stride: int, padding: int, row: float, column: float) -> dict[str, bytes | str]:
        kernel = torch.tensor([cell.value for cell in cells]).view(3, 3)
        return _kernel_response(photos[photo], kernel, stride, padding, row, column)

    view = {"photo": ipw.Image(format="png"), "response": ipw.Image(format="png"), "sum": ipw.HTML()}
    update = _connect(controls, view, draw)
    _observe(cells, update)
    presets.observe(lambda change: _fill(cells, _preset_numbers(change.new), update), "value")
    grid = ipw.GridBox(cells, layout=ipw.Layout(grid_template_columns="repeat(3, 66px)"))
    return ipw.VBox(
        [
            ipw.HBox([ipw.VBox([presets, *controls.values()]), ipw.VBox([ipw.HTML("kernel"), grid])]),
            ipw.HBox([view["photo"], view["response"]]),
            view["sum"],
        ]
    )


def _preset_numbers(preset: str) -> list[float]:
    return [round(value, 3) for value in filters.kernel(preset).ravel().tolist()]


def _fill(cells: list[ipw.FloatText], numbers: list[float], update: Callable[..., None]) -> None:
    """Put a number into each cell; nine numbers change, and one new picture is enough."""
    for cell, number in zip(cells, numbers, strict=True):
        cell.unobserve(update, "value")
        cell.value = number
    _observe(cells, update)
    update()


def _kernel_response(
    photo: Tensor, kernel: Tensor, stride: int, padding: int, row: float, column: float
) -> dict[str, bytes | str]:
    response = conv2d(photo[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
    height, width = response.shape
    i, j = round(row * (height - 1)), round(column * (width - 1))
    top, left = i * stride, j * stride
    padded = pad(photo, (padding,) * 4)
    patch = padded[top : top + 3, left : left + 3]
    bound = response.abs().max().clamp(min=1e-6)
    zoomed = interpolate((response / (2 * bound) + 0.5)[None, None], scale_factor=stride, mode="nearest")[0, 0]
    rows = output_size(photo.shape[0], 3, stride, padding)
    return {
        "photo": _png(padded, (top, left, 3, 3)),
        "response": _png(zoomed, (i * stride, j * stride, stride, stride)),
        "sum": _html_row(
            [
                ("patch", _html_table(patch)),
                ("×", ""),
                ("kernel", _html_table(kernel)),
                ("=", ""),
                ("products", _html_table(patch * kernel)),
                (f"sum = response[{i}, {j}] = {response[i, j].item():.3f}", ""),
            ]
        )
        + f"<p>rows: ({photo.shape[0]} − 3 + 2·{padding}) / {stride} + 1, rounded down: <b>{rows}</b>. "
        f"In the response, middle grey is 0; black is −{bound:.2f}, white {bound:.2f}.</p>",
    }


# --- Lesson 3 --------------------------------------------------------------------------------------------------------

ROUND = 25  # batches between two points of the live curve: about a sixth of a second on two quiet cores
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda x: x,
    "mirrored": lambda x: x.flip(-1),
    "upside down": lambda x: x.flip(-2),
    "black and white exchanged": lambda x: 1 - x,
}


class _LiveTraining:
    """A network that trains in a thread of its own, a round of batches at a time, until it is told to stop."""

    def __init__(self, train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor], seed: int) -> None:
        self.train_set, self.seed = train_set, seed
        self.test = Batches(*test_set, 500)
        self.stopping, self.thread = threading.Event(), threading.Thread()
        self.reset(1e-3)

    def reset(self, rate: float) -> None:
        """A fresh network, with the same first weights each time, and empty curves."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.model = FashionNet()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        batches = Batches(*self.train_set, 128, shuffle=True, seed=self.seed)
        self.stream = itertools.chain.from_iterable(itertools.repeat(batches))
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def __len__(self) -> int:
        return ROUND

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.islice(self.stream, ROUND)

    def start(self, rounds: int, report: Callable[[], None]) -> None:
        """Train for some rounds in the background; ``report`` is called after each, and at the end."""

        def note(_epoch: int, history: History) -> None:
            self.losses.append(history.train_loss[-1])
            self.accuracies.append(history.test_accuracy[-1])
            report()
            if self.stopping.is_set():
                raise KeyboardInterrupt  # which train() takes for the stop button

        def run() -> None:
            train(self.model, self, self.optimizer, rounds, test_batches=self.test, callback=note, progress=False)
            self.stopping.set()
            report()

        self.stopping.clear()
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the training after the round it is in, and wait for that."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()


def training_explorer(
    train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor], seed: int = 0, rounds: int = 200
) -> ipw.Widget:
    """Lesson 3: train a network, watch its curves, stop it, and see what it makes of a garment of the test set.

    Args:
        train_set, test_set: ``(images, labels)``; the accuracy shown is of the first 1,000 test pictures.
        seed: of the weights and of the order of the batches.
        rounds: of 25 batches of 128 pictures, after which it stops by itself.
    """
    images, labels = test_set
    live = _LiveTraining(train_set, (images[:1000], labels[:1000]), seed)
    rate = ipw.Dropdown(options=[1e-4, 1e-3, 1e-2, 1e-1], value=1e-3, description="rate")
    button, fresh = ipw.Button(description="Train"), ipw.Button(description="New network")
    controls = _garment_controls()
    square = ipw.Layout(width="224px", height="224px", align_self="flex-start")
    view = {"curves": ipw.HTML(), "picture": ipw.Image(format="png", layout=square), "bars": ipw.HTML()}

    def draw(garment: int, number: int, change: str) -> dict[str, bytes | str]:
        of_class = (labels == garment).nonzero().flatten()
        picture = CHANGES[change](images[of_class[number % len(of_class)]])
        with inference(live.model):
            probabilities = live.model(picture[None]).softmax(dim=1)[0].tolist()
        button.description = "Stop" if live.thread.is_alive() and not live.stopping.is_set() else "Train"
        bars = _html_bars(dict(zip(CLASSES, probabilities, strict=True)), CLASSES[garment])
        return {"curves": _curves(live.losses, live.accuracies), "picture": _png(picture[0], zoom=8), "bars": bars}

    update = _connect(controls, view, draw)

    def press(_button: ipw.Button) -> None:
        if live.thread.is_alive():
            live.stop()
        else:
            live.start(rounds, update)
            update()

    def renew(*_) -> None:
        live.stop()
        live.reset(rate.value)
        update()

    button.on_click(press)
    fresh.on_click(renew)
    rate.observe(renew, "value")
    rows = [ipw.HBox([button, fresh, rate]), view["curves"], ipw.HBox(list(controls.values()))]
    return ipw.VBox([*rows, ipw.HBox([view["picture"], view["bars"]])])


def _garment_controls() -> dict[str, ipw.Widget]:
    return {
        "garment": ipw.Dropdown(options=[(name, i) for i, name in enumerate(CLASSES)], description="garment"),
        "number": ipw.IntSlider(0, 0, 999, description="number"),
        "change": ipw.Dropdown(options=list(CHANGES), description="shown"),
    }


def _curves(losses: list[float], accuracies: list[float]) -> str:
    """Training loss and test accuracy side by side, as SVG; one point for each round."""
    last = f": {losses[-1]:.3f}" if losses else ""
    percent = f": {accuracies[-1]:.1%}" if accuracies else ""
    lines = _svg_line(losses, 2.5, f"training loss{last}") + _svg_line(accuracies, 1, f"test accuracy{percent}")
    return f"{lines}<p>{len(losses) * ROUND * 128:,} pictures seen</p>"


def _svg_line(values: list[float], top: float, title: str) -> str:
    width, height, step = 300, 120, 300 / max(len(values), 20)
    points = " ".join(f"{(i + 0.5) * step:.1f},{height * (1 - min(v / top, 1)):.1f}" for i, v in enumerate(values))
    return (
        f"<svg width='{width + 60}' height='{height + 36}' font-size='12' fill='currentColor'>"
        f"<text x='32' y='14'>{title}</text><text x='4' y='32'>{top}</text><text x='14' y='{height + 26}'>0</text>"
        f"<g transform='translate(32 24)' fill='none' stroke='currentColor'>"
        f"<rect width='{width}' height='{height}' stroke-opacity='0.3'/>"
        f"<polyline points='{points}' stroke-width='2'/></g></svg>"
    )


def _html_bars(values: Mapping[str, float], marked: str) -> str:
    """Shares from 0 to 1 as bars with their names; the name of the true one is bold."""
    bar = "display:inline-block;height:11px;background:#888;width"
    rows = "".join(
        f"<tr><td style='padding:0 8px;font-weight:{'bold' if name == marked else 'normal'}'>{name}</td>"
        f"<td><div style='{bar}:{220 * value:.0f}px'></div> {value:.1%}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


EXTENT = (-4.0, 4.5, -2.2, 2.2)  # of the marble's surface: least x, largest x, least y, largest y
PIXELS = 80  # for a length of 1
START = (-3.2, 1.0)
LEVELS = (0.02, 0.1, 0.2, 0.29, 0.33, 0.5, 1, 2, 4, 8, 16, 32)  # heights of the contour lines


def momentum_explorer(optimizer: str = "momentum", learning_rate: float = 0.15, momentum: float = 0.9) -> ipw.Widget:
    """Lesson 4: a marble rolls down a surface with two hollows, moved by torch.optim; press play, or drag anything."""
    controls = {
        "optimizer": ipw.Dropdown(options=list(MARBLES), value=optimizer, description="optimiser"),
        "learning_rate": ipw.FloatLogSlider(learning_rate, min=-2.5, max=0, step=0.02, description="rate"),
        "momentum": ipw.FloatSlider(momentum, min=0, max=0.99, step=0.01, description="momentum"),
        "steps": ipw.IntSlider(60, 0, 100, description="steps"),
    }
    background = _contour_picture()

    def draw(optimizer: str, learning_rate: float, momentum: float, steps: int) -> dict[str, bytes | str]:
        path = descend(hollows, START, lambda points: MARBLES[optimizer](points, learning_rate, momentum), steps)
        return {"map": _encode(_draw_path(background, path)), "text": _where(path[-1], steps)}

    play = ipw.Play(value=60, min=0, max=100, interval=120)
    ipw.jslink((play, "value"), (controls["steps"], "value"))
    view = {"map": ipw.Image(format="png", layout=ipw.Layout(max_width="680px")), "text": ipw.HTML()}
    _connect(controls, view, draw)
    optimizers, *sliders = controls.values()
    return ipw.VBox([ipw.HBox([ipw.VBox([optimizers, play]), ipw.VBox(sliders)]), *view.values()])


MARBLES: dict[str, Callable[[list[Tensor], float, float], torch.optim.Optimizer]] = {
    "plain": lambda points, rate, momentum: torch.optim.SGD(points, rate),
    "momentum": lambda points, rate, momentum: torch.optim.SGD(points, rate, momentum),
    "Nesterov": lambda points, rate, momentum: torch.optim.SGD(points, rate, momentum, nesterov=momentum > 0),
    "Adam": lambda points, rate, momentum: torch.optim.Adam(points, rate, betas=(momentum, 0.999)),
}


def _contour_picture() -> np.ndarray:
    """The surface from above, ``(H, W, 3)``: low ground dark, a line wherever the height passes a level."""
    left, right, bottom, top = EXTENT
    ys = torch.linspace(top, bottom, round((top - bottom) * PIXELS))
    xs = torch.linspace(left, right, round((right - left) * PIXELS))
    heights = hollows(torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)).clamp(min=0).numpy()
    bands = np.searchsorted(LEVELS, heights)
    line = (np.diff(bands, axis=0, prepend=bands[:1]) != 0) | (np.diff(bands, axis=1, prepend=bands[:, :1]) != 0)
    pixels = cv2.cvtColor(np.where(line, 120, 165 + 6 * bands).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    for label, x, y in (("shallow", -1.25, -0.75), ("deep", 1.7, -0.45)):
        place = round((x - left) * PIXELS), round((top - y) * PIXELS)
        cv2.putText(pixels, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
    return pixels


def _draw_path(background: np.ndarray, path: Tensor) -> np.ndarray:
    """A copy of the map with the path on it, a dot for each step and the marble at its end."""
    left, _, _, top = EXTENT
    places = (path - torch.tensor([left, top])) * torch.tensor([PIXELS, -PIXELS])
    # A marble that has flown off has coordinates without bounds, which OpenCV's 16 bits do not hold.
    dots = places.nan_to_num(1e4).clamp(-1e4, 1e4).round().int().numpy()
    pixels = background.copy()
    cv2.polylines(pixels, [dots], isClosed=False, color=BOX_COLOR, thickness=2, lineType=cv2.LINE_AA)
    for x, y in dots.tolist():
        cv2.circle(pixels, (x, y), 3, BOX_COLOR, -1, cv2.LINE_AA)
    cv2.circle(pixels, dots[-1].tolist(), 8, (0, 0, 0), -1, cv2.LINE_AA)
    return pixels


def _where(point: Tensor, steps: int) -> str:
    x, y = point.tolist()
    left, right, bottom, top = EXTENT
    if not (left <= x <= right and bottom <= y <= top):
        return f"<p>after {steps} steps the marble has left the map</p>"
    return f"<p>after {steps} steps: x = {x:.2f}, y = {y:.2f}, height {hollows(point).item():.3f}</p>"


# The grid of lesson 2, which pools it by hand.
POOL_NUMBERS = torch.tensor([int(n) for n in "132051427102061384210923504117382602"]).float().view(6, 6)


def pooling_explorer(photo: str = "camera") -> ipw.Widget:
    """Lesson 2: move a pooling window over 6 × 6 numbers and over a feature map after ReLU."""
    maps = relu(conv2d(_small_gray(photo)[None, None], filters.step_filters()[:, None]))[0]
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

    _connect(controls, view, draw)
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
        _html_row(tables)
        + f"<p>{kind} of the {window} × {window} window = pooled[{i}, {j}] = <b>{pooled[i, j].item():.4g}</b>. "
        f"Rows: (6 − {window}) / {stride} + 1{_remark(6, window, stride)} = <b>{len(pooled)}</b>. {left_out}</p>"
    )


def _pooled_map(grid: Tensor, kind: str, window: int, stride: int, row: float, column: float) -> dict[str, bytes | str]:
    pooled, i, j = _pool(grid, kind, window, stride, row, column)
    scale = grid.max()
    zoomed = interpolate((pooled / scale)[None, None], scale_factor=stride, mode="nearest")[0, 0]
    (height, width), (rows, columns) = grid.shape, pooled.shape
    return {
        "map": _png(grid / scale, (i * stride, j * stride, window, window)),
        "pooled": _png(zoomed, (i * stride, j * stride, stride, stride)),
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


# --- Lesson 5 --------------------------------------------------------------------------------------------------------

# Of the embedded network, from its first layer to its last before the class scores; all of them after ReLU.
LAYERS = ("features.1", "features.3", "features.6", "features.9", "features.12")


def layer_explorer(photo: str = "chelsea", layer: str = "features.9") -> ipw.Widget:
    """Lesson 5: a channel's map laid over a photo, and what its strongest unit sees, in the embedded network."""
    for value, known in ((photo, images.SAMPLES), (layer, LAYERS)):
        if value not in known:
            raise ValueError(f"there is no {value!r}, only {', '.join(known)}")
    model, pictures = pretrained.load(), torch.stack([images.square(images.sample(name)) for name in images.SAMPLES])
    maps = features.activations(model, pictures, LAYERS)
    fields = {name: _field_steps(model, name, pictures.shape[1:], maps[name].shape) for name in LAYERS}
    numbers = {name: i for i, name in enumerate(images.SAMPLES)}
    controls = {
        "number": ipw.Dropdown(options=numbers, value=numbers[photo], description="photo"),
        "layer": ipw.Dropdown(options=LAYERS, value=layer, description="layer"),
        "channel": ipw.IntSlider(0, 0, maps[layer].shape[1] - 1, description="channel"),
    }
    view = {"overlay": ipw.Image(), "map": ipw.Image(), "patch": ipw.Image(), "text": ipw.HTML()}

    def draw(number: int, layer: str, channel: int) -> dict[str, bytes | str]:
        controls["channel"].max = maps[layer].shape[1] - 1
        channel = min(channel, controls["channel"].max)
        of_channel, field = maps[layer][:, channel], fields[layer][2 * channel // maps[layer].shape[1]]
        return _layer_view(pictures[number], of_channel[number], of_channel.max().item(), *field)

    _connect(controls, view, draw)
    titles = ("photo, lit by the map", "map", "what the strongest unit sees")
    narrow = ipw.Layout(width="236px", align_items="flex-start")
    shown = zip(titles, list(view.values())[:3], strict=True)
    columns = [ipw.VBox([ipw.HTML(title), picture], layout=narrow) for title, picture in shown]
    return ipw.VBox([ipw.HBox(list(controls.values())), ipw.HBox(columns), view["text"]])


def _field_steps(model: nn.Module, layer: str, shape: Sequence[int], maps: Sequence[int]) -> list[tuple[int, int, int]]:
    """For each half of the channels (a Fire block has two branches) where the receptive field of unit 0 begins (below
    0, outside), pixels from one to the next, and its height."""
    steps, middle = [], maps[2] // 2
    for channel in (0, maps[1] - 1):
        top, _, height, _ = features.receptive_field(model, layer, shape, (middle, middle), channel)
        step = features.receptive_field(model, layer, shape, (middle + 1, middle + 1), channel)[0] - top
        steps.append((top - middle * step, step, height))
    return steps


def _layer_view(photo: Tensor, grid: Tensor, white: float, start: int, step: int, field: int) -> dict[str, bytes | str]:
    size, (row, column) = photo.shape[1], divmod(int(grid.argmax()), grid.shape[1])
    (top, bottom), (left, right) = (
        (max(0, start + step * i), min(size, start + step * i + field)) for i in (row, column)
    )
    pixels, scaled = np.ascontiguousarray(images.to_array(photo)), (grid / max(white, 1e-6)).numpy()
    middle = start + (field - 1) / 2  # a unit's value is drawn at the middle of what it sees
    to_pixels = np.array([[step, 0, middle], [0, step, middle]], dtype=float)
    light = cv2.warpAffine(scaled, to_pixels, (size, size), borderMode=cv2.BORDER_REPLICATE)
    overlay = (255 * pixels * (0.2 + 0.8 * light[..., None].clip(0, 1))).round().astype(np.uint8)
    cv2.rectangle(overlay, (left, top), (right - 1, bottom - 1), BOX_COLOR, 2)
    patch = (255 * pixels[top:bottom, left:right]).round().astype(np.uint8)
    zoom = size / max(patch.shape[:2])
    return {
        "overlay": _encode(overlay),
        "map": _png(torch.from_numpy(scaled), (row, column, 1, 1), zoom=size // len(grid)),
        "patch": _encode(cv2.resize(patch, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)),
        "text": f"<p>Map of {len(grid)} × {len(grid)}: {(grid > 0).float().mean():.0%} of its places are above zero. "
        f"Strongest: <b>{grid.max():.2f}</b> at row {row}, column {column}; this unit sees "
        f"{bottom - top} × {right - left} pixels. White in the map is {white:.2f}, "
        "the most that this channel reaches on any of the photos.</p>",
    }


# --- Lesson 6 --------------------------------------------------------------------------------------------------------

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
    drawn = {name: images.collage(1 - garments, places, width=640) for name, places in maps.items()}
    controls = {
        "name": ipw.Dropdown(options=list(maps), description="map"),
        "garment": ipw.IntSlider(0, 0, len(garments) - 1, description="garment", layout=ipw.Layout(width="480px")),
    }

    def draw(name: str, garment: int) -> dict[str, bytes | str]:
        near = {space: _nearest_others(points, garment, 6) for space, points in spaces.items()}
        rows = {s: _thumbnails(garments, labels, [garment, *near[s]], f"nearest in {s}") for s in spaces}
        canvas, middles = drawn[name]
        return {"map": _encode(_marked(canvas, middles[[garment, *near["features"]]])), **rows}

    narrow = ipw.Layout(max_width="600px")
    view = {"map": ipw.Image(format="png", layout=narrow), "features": ipw.HTML(), "pixels": ipw.HTML()}
    _connect(controls, view, draw)
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
        source = base64.b64encode(_png(garments[i, 0])).decode()
        picture = f"<img src='data:image/png;base64,{source}' style='display:block;margin:auto'>"
        cells.append((f"<div style='width:76px;font-weight:{weight}'>{CLASSES[labels[i]]}</div>", picture))
    return _html_row([cells[0], (f"<div style='width:130px'>{title}</div>", ""), *cells[1:]])


def _marked(canvas: Tensor, middles: Tensor) -> np.ndarray:
    """The map as RGB pixels ``(H, W, 3)``: a box at the first of the places (row, column), a ring at each other one."""
    pixels = cv2.cvtColor((canvas[0] * 255).byte().numpy(), cv2.COLOR_GRAY2RGB)
    (row, column), *others = middles.tolist()
    for y, x in others:
        cv2.circle(pixels, (x, y), 9, NEAR_COLOR, 3, cv2.LINE_AA)
    cv2.rectangle(pixels, (column - 16, row - 16), (column + 16, row + 16), BOX_COLOR, 4)
    return pixels


# --- Lesson 7 --------------------------------------------------------------------------------------------------------

ATTRIBUTIONS: dict[str, Callable[..., Tensor]] = {
    "occlusion": lambda model, x, index, patch: attribution.occlusion(
        model, x, index, (patch, patch), (patch // 2, patch // 2), progress=False
    ),
    "saliency": lambda model, x, index, patch: attribution.saliency(model, x, index).amax(0),
    "SmoothGrad": lambda model, x, index, patch: attribution.smooth_grad(model, x, index, 10).amax(0),
    "guided": lambda model, x, index, patch: attribution.backpropagate(model, x, index, "guided").abs().amax(0),
    "deconvnet": lambda model, x, index, patch: attribution.backpropagate(model, x, index, "deconvnet").abs().amax(0),
    "Grad-CAM": lambda model, x, index, patch: attribution.grad_cam(model, x, index, layer="features.12"),
}


def attribution_explorer(photo: str = "coffee", method: str = "occlusion") -> ipw.Widget:
    """Lesson 7: what the ImageNet network's score for one of its three best classes depends on, by six methods."""
    model = pretrained.load()
    photos = {name: images.square(images.sample(name)) for name in ("chelsea", "coffee", "china")}
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
        picture, (classes, scores, shares) = photos[photo], best_of(photo)
        heat = ATTRIBUTIONS[method](model, picture, classes[rank], patch)
        names = [f"{pretrained.CLASSES[c]} {share:.0%}" for c, share in zip(classes, shares, strict=True)]
        names[rank] = f"<b>{names[rank]}, score {scores[rank]:.1f}</b>"
        note = f", drop from {heat.min():z.1f} to {heat.max():z.1f}" if method == "occlusion" else ""
        pictures = {"photo": images.to_array(picture), "map": overlay(picture, heat)}
        shown = {name: _encode((255 * pixels).round().astype(np.uint8)) for name, pixels in pictures.items()}
        return {**shown, "text": f"<p>{' · '.join(names)}</p><p>{method}{note}</p>"}

    def chosen(**values: Any) -> Mapping[str, bytes | str]:
        return draw(**values) if values["method"] == "occlusion" else draw(**values | {"patch": 0})

    _connect(controls, view, chosen)
    return ipw.VBox(
        [ipw.HBox(list(controls.values())), view["text"], ipw.HBox([view["photo"], view["map"]])],
    )


# --- Lesson 8 --------------------------------------------------------------------------------------------------------


def dream_explorer(photo: str = "chelsea", layer: str = "features.7") -> ipw.Widget:
    """Lesson 8: a small photo and what a layer of the ImageNet network dreams into it, with the objective of both."""
    model = pretrained.load()
    names = ("chelsea", "coffee", "china", "flower", "astronaut", "rocket")
    photos = {name: images.read(images.sample(name), size=160) for name in names}
    layers = [f"features.{i}" for i in (3, 4, 6, 7, 9, 10, 11, 12)]
    released: dict[str, Any] = {"continuous_update": False}
    controls = {
        "photo": ipw.Dropdown(options=list(photos), value=photo, description="photo"),
        "layer": ipw.Dropdown(options=layers, value=layer, description="layer"),
        "octaves": ipw.IntSlider(4, 1, 4, description="octaves", **released),
        "steps": ipw.IntSlider(8, 1, 10, description="steps", **released),
        "strength": ipw.FloatSlider(
            0.015, min=0.005, max=0.04, step=0.005, description="strength", readout_format=".3f", **released
        ),
    }

    def objective(picture: Tensor, layer: str) -> float:
        with inference(model):
            return dream.half_squared_norm(run_to(model, picture[None], [layer])[layer]).item()

    @functools.cache
    def draw(photo: str, layer: str, octaves: int, steps: int, strength: float) -> dict[str, bytes | str]:
        picture = photos[photo]
        options: dict[str, Any] = {"octaves": octaves, "steps": steps, "step_size": strength, "progress": False}
        dreamt = dream.deep_dream(model, picture, layer, **options)
        before, after = objective(picture, layer), objective(dreamt, layer)
        pictures = {"photo": picture, "dream": dreamt}
        shown = {n: _encode((255 * images.to_array(p)).round().astype(np.uint8)) for n, p in pictures.items()}
        numbers = f"{before / 1e6:.2f} million before, {after / 1e6:.2f} million after"
        text = f"<p>Objective: {numbers}, <b>{after / before:.1f} times as much</b></p>"
        return {**shown, "text": text}

    wide = ipw.Layout(width="360px")
    view = {"photo": ipw.Image(layout=wide), "dream": ipw.Image(layout=wide), "text": ipw.HTML()}
    _connect(controls, view, draw)
    rows = [ipw.HBox(list(controls.values())[:2]), ipw.HBox(list(controls.values())[2:])]
    return ipw.VBox([*rows, view["text"], ipw.HBox([view["photo"], view["dream"]])])


# --- Lesson 9 --------------------------------------------------------------------------------------------------------


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
            "picture": _encode(cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)),
            "text": f"<p>Step {step}: {parts} = <b>{losses['total']:.3f}</b></p>",
        }

    view = {"text": ipw.HTML(), "picture": ipw.Image(**wide)}
    _connect(controls, view, draw)
    return ipw.VBox([*controls.values(), *view.values()])


# --- Shared by the explorers -----------------------------------------------------------------------------------------


def _connect(
    controls: Mapping[str, ipw.Widget],
    view: Mapping[str, ipw.Widget],
    draw: Callable[..., Mapping[str, bytes | str]],
) -> Callable[..., None]:
    """Draw now, and again whenever a control moves; ``draw`` gives a value for each widget of the view."""

    def update(*_) -> None:
        for name, value in draw(**{name: control.value for name, control in controls.items()}).items():
            view[name].value = value

    _observe(controls.values(), update)
    update()
    return update


def _observe(controls: Iterable[ipw.Widget], update: Callable) -> None:
    for control in controls:
        control.observe(update, "value")


def _small_gray(name: str) -> Tensor:
    photo = images.to_array(images.to_gray(images.sample(name)))
    width = round(photo.shape[1] * PHOTO_ROWS / photo.shape[0])
    return torch.from_numpy(cv2.resize(photo, (width, PHOTO_ROWS), interpolation=cv2.INTER_AREA))


def _png(gray: Tensor, box: tuple[int, int, int, int] | None = None, zoom: int = 2) -> bytes:
    """A grey picture ``(H, W)`` in [0, 1] as PNG, ``zoom`` times as large; ``box`` is (row, column, height, width)."""
    small = (gray.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
    large = cv2.resize(small, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    pixels = cv2.cvtColor(large, cv2.COLOR_GRAY2RGB)
    if box:
        top, left, height, width = (zoom * n for n in box)
        cv2.rectangle(pixels, (left - 3, top - 3), (left + width + 2, top + height + 2), BOX_COLOR, 2)
    return _encode(pixels)


def _encode(pixels: np.ndarray) -> bytes:
    """RGB pixels ``(H, W, 3)`` as PNG."""
    return cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _html_table(numbers: Tensor) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td style='padding:2px 8px;text-align:right'>{n:.2f}</td>" for n in row) + "</tr>"
        for row in numbers.tolist()
    )
    return f"<table style='border:1px solid #888;border-collapse:collapse'>{rows}</table>"


def _html_row(parts: list[tuple[str, str]]) -> str:
    cells = "".join(f"<td style='text-align:center;padding:0 8px'>{label}{table}</td>" for label, table in parts)
    return f"<table><tr>{cells}</tr></table>"
