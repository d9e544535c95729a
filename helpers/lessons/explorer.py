"""What the explorers of lessons 5 to 9 share: controls that redraw a view, and images as small PNG files.

OpenCV draws them, since drawing a whole figure takes a blink too long for a slider.
"""

from collections.abc import Callable, Mapping

import cv2
import ipywidgets as ipw
import numpy as np
from torch import Tensor

BOX_COLOR = (213, 94, 0)


def connect(
    controls: Mapping[str, ipw.Widget],
    view: Mapping[str, ipw.Widget],
    draw: Callable[..., Mapping[str, bytes | str]],
) -> None:
    """Draw now, and again whenever a control moves; ``draw`` gives a value for each widget of the view."""

    def update(*_) -> None:
        for name, value in draw(**{name: control.value for name, control in controls.items()}).items():
            view[name].value = value

    for control in controls.values():
        control.observe(update, "value")
    update()


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


def html_row(parts: list[tuple[str, str]]) -> str:
    """Tables side by side, each below its label."""
    cells = "".join(f"<td style='text-align:center;padding:0 8px'>{label}{table}</td>" for label, table in parts)
    return f"<table><tr>{cells}</tr></table>"
