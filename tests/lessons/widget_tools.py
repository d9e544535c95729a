"""What the tests of the explorers share."""

import cv2
import ipywidgets as ipw
import numpy as np


def every(widget, kind):
    """All widgets of a kind at or below ``widget``, in the order in which they are shown."""
    below = [part for child in getattr(widget, "children", ()) for part in every(child, kind)]
    return [widget, *below] if isinstance(widget, kind) else below


def find(widget, description):
    """The control with this description, anywhere below ``widget``."""
    return next((w for w in every(widget, ipw.Widget) if getattr(w, "description", None) == description), None)


def text(widget):
    """The HTML of all that is written below ``widget``."""
    return "\n".join(part.value for part in every(widget, ipw.HTML))


def decode(image):
    """The RGB pixels ``(H, W, 3)`` that an image widget shows."""
    return cv2.imdecode(np.frombuffer(image.value, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
