"""How far a figure drawn now is from the one that a notebook holds.

Measured on 110 figures of lessons 1, 2, 4, 5, 6 and 7, stored with Matplotlib 3.11.2 (FreeType 2.14.3) and drawn again
with 3.9.4 (FreeType 2.6.1), and on those of lessons 1 and 2 drawn with a fault:

- other version, same size: 0.028 at most; other size, as letters are wider: 0.05 at most, but 0.13, 0.13 and 0.14 for
  three whose titles have several lines, which takes room from the axes. (t-SNE maps, which differ by themselves: 1.)
- another color map: 0.18 at least; mirrored colors or a changed sign: 0.10; a range a fifth wider: 0.047; a box moved
  by six pixels of the figure: 0.036. One digit of a number: 0.004 to 0.022, which passes.
"""

import io
from itertools import product

import numpy as np
from PIL import Image
from scipy import ndimage

BLUR, NEAR, SHIFT, BLOCK = 1.0, 1, 4, 16  # in pixels

# Another size means that another version laid the figure out anew; a fault seldom changes the size.
TOLERANCE, TOLERANCE_OF_ANOTHER_SIZE = 0.03, 0.16


def compare(stored: bytes, new: bytes) -> tuple[float, float]:
    """The largest difference in color between two image files over all blocks of 16 × 16 pixels, and what is tolerated.

    Both are blurred a little; a block may lie up to four pixels away, and a pixel in it one pixel further. If sizes
    differ, the second is scaled first.

    Returns:
        Both between 0, the same, and 1, black instead of white.
    """
    first, second = (Image.open(io.BytesIO(file)).convert("RGB") for file in (stored, new))
    resized = second.resize(first.size)
    a, b = (ndimage.gaussian_filter(np.asarray(image, np.float32) / 255, (BLUR, BLUR, 0)) for image in (first, resized))
    tolerance = TOLERANCE if first.size == second.size else TOLERANCE_OF_ANOTHER_SIZE
    return max(missing(a, b), missing(b, a)), tolerance


def missing(image: np.ndarray, other: np.ndarray) -> float:
    """How far the colors of ``image`` are from those near by in ``other``, each ``(H, W, 3)``, in the worst block."""
    height, width, _ = image.shape
    window, margin = (2 * NEAR + 1, 2 * NEAR + 1, 1), ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
    darkest = np.pad(ndimage.minimum_filter(other, window), margin, mode="edge")
    lightest = np.pad(ndimage.maximum_filter(other, window), margin, mode="edge")
    nearest = np.inf
    for y, x in sorted(product(range(0, 2 * SHIFT + 1, 2), repeat=2), key=lambda at: np.hypot(*np.subtract(at, SHIFT))):
        part = slice(y, y + height), slice(x, x + width)
        outside = np.maximum(darkest[part] - image, image - lightest[part]).max(axis=2)
        nearest = np.minimum(nearest, block_means(np.maximum(outside, 0)))
        if nearest.max() < TOLERANCE / 2:  # as good as the same: it need not be looked for any further
            break
    return float(nearest.max())


def block_means(values: np.ndarray) -> np.ndarray:
    """The mean of each block of an array ``(H, W)``."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
    return padded.reshape(len(padded) // BLOCK, BLOCK, -1, BLOCK).mean(axis=(1, 3))
