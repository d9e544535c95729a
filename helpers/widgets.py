"""Explorers: ideas of the lessons to be played with. One function for each gives a widget to put last in a cell.

Pictures travel to the browser as small PNG files drawn by OpenCV, since drawing a whole figure takes a blink too long
for a slider.
"""

from collections.abc import Callable, Iterable, Mapping

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from helpers import filters, images
from helpers.models import output_size

BOX_COLOR = (213, 94, 0)
PHOTO_ROWS = 200  # small enough for an answer at once, large enough to see edges


def kernel_explorer(photo: str = "camera", preset: str = "Sobel x") -> ipw.Widget:
    """Lesson 1: edit a 3 × 3 kernel, and see a photo's response, and how one value of it comes about."""
    names = [name for name in images.SAMPLES if name not in ("brick", "grass")]
    photos = {name: _small_gray(name) for name in names}
    cells = [ipw.FloatText(step=1, layout=ipw.Layout(width="62px")) for _ in range(9)]
    presets = ipw.Dropdown(options=list(filters.KERNELS), description="preset")

    def fill(*_) -> None:
        for cell, value in zip(cells, filters.kernel(presets.value).ravel().tolist(), strict=True):
            cell.value = round(value, 3)

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

    presets.value = preset
    fill()
    view = {"photo": ipw.Image(format="png"), "response": ipw.Image(format="png"), "sum": ipw.HTML()}
    update = _connect(controls, view, draw)
    _observe(cells, update)

    def choose(*_) -> None:
        _unobserve(cells, update)  # nine numbers change, and one new picture is enough
        fill()
        _observe(cells, update)
        update()

    presets.observe(choose, "value")
    grid = ipw.GridBox(cells, layout=ipw.Layout(grid_template_columns="repeat(3, 66px)"))
    return ipw.VBox(
        [
            ipw.HBox([ipw.VBox([presets, *controls.values()]), ipw.VBox([ipw.HTML("kernel"), grid])]),
            ipw.HBox([view["photo"], view["response"]]),
            view["sum"],
        ]
    )


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


def _unobserve(controls: Iterable[ipw.Widget], update: Callable) -> None:
    for control in controls:
        control.unobserve(update, "value")


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
