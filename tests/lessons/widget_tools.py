"""What the tests of the explorers share."""

import cv2
import numpy as np


def find(widget, description):
    """The control with this description, anywhere below ``widget``."""
    if getattr(widget, "description", None) == description:
        return widget
    return next(filter(None, (find(child, description) for child in getattr(widget, "children", ()))), None)


def decode(image):
    """The RGB pixels ``(H, W, 3)`` that an image widget shows."""
    return cv2.imdecode(np.frombuffer(image.value, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
