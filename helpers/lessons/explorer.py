"""What the explorers share: controls that redraw a view, and images as small PNG files.

OpenCV draws them, since drawing a whole figure takes a blink too long for a slider.
"""

from collections.abc import Callable, Iterable, Mapping

import cv2
import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor

from helpers import images

BOX_COLOR = (213, 94, 0)


PHOTO_ROWS = 200  # small enough for an answer at once, large enough to see edges


def connect(
    controls: Mapping[str, ipw.Widget],
    view: Mapping[str, ipw.Widget],
    draw: Callable[..., Mapping[str, bytes | str]],
) -> Callable[..., None]:
    """Draw now, and again whenever a control moves; ``draw`` gives a value for each widget of the view."""

    def update(*_) -> None:
        for name, value in draw(**{name: control.value for name, control in controls.items()}).items():
            view[name].value = value

    observe(controls.values(), update)
    update()
    return update


def observe(controls: Iterable[ipw.Widget], update: Callable) -> None:
    """Call ``update`` whenever one of the controls moves."""
    for control in controls:
        control.observe(update, "value")


def small_gray(name: str) -> Tensor:
    """A sample photo in grey, ``(H, W)``, 200 rows high."""
    photo = images.to_array(images.to_gray(images.sample(name)))
    width = round(photo.shape[1] * PHOTO_ROWS / photo.shape[0])
    return torch.from_numpy(cv2.resize(photo, (width, PHOTO_ROWS), interpolation=cv2.INTER_AREA))


def png(gray: Tensor, box: tuple[int, int, int, int] | None = None, zoom: int = 2) -> bytes:
    """A grey image ``(H, W)`` in [0, 1] as PNG, ``zoom`` times as large; ``box`` is (row, column, height, width)."""
    small = (gray.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
    large = cv2.resize(small, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    pixels = cv2.cvtColor(large, cv2.COLOR_GRAY2RGB)
    if box:
        top, left, height, width = (zoom * n for n in box)
        cv2.rectangle(pixels, (left - 3, top - 3), (left + width + 2, top + height + 2), BOX_COLOR, 2)
    return encode(pixels)


def encode(pixels: np.ndarray) -> bytes:
    """RGB pixels ``(H, W, 3)`` as PNG."""
    return cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def html_table(numbers: Tensor) -> str:
    """Numbers ``(H, W)`` as a table."""
    rows = "".join(
        "<tr>" + "".join(f"<td style='padding:2px 8px;text-align:right'>{n:.2f}</td>" for n in row) + "</tr>"
        for row in numbers.tolist()
    )
    return f"<table style='border:1px solid #888;border-collapse:collapse'>{rows}</table>"


def html_row(parts: list[tuple[str, str]]) -> str:
    """Tables side by side, each below its label."""
    cells = "".join(f"<td style='text-align:center;padding:0 8px'>{label}{table}</td>" for label, table in parts)
    return f"<table><tr>{cells}</tr></table>"
