"""Lesson 1, convolution filters: the checks of its exercises, its explorer, and what only it uses."""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, pad

from helpers import arguments, filters, images
from helpers.lessons import checking
from helpers.lessons.checking import CORRECT, NOT_ATTEMPTED, NOT_YET, Case, compare, drawn, integer, report, run
from helpers.lessons.explore import Explorer, gray_photo, grid
from helpers.plotting import GRAY


def window_places(settings: Sequence[tuple[int, int, int, int]]) -> Figure:
    """A row of pixels, drawn anew on a line of its own for each place of the window; one diagram for each setting.

    Args:
        settings: for each diagram W (pixels), F (kernel), S (stride) and P (padding).
    """
    for setting in settings:
        filters.output_size(*setting)  # or an error that says what is wrong with one
    figure = Figure(figsize=(2.6 * len(settings), 3), layout="constrained")
    axes = figure.subplots(1, len(settings), squeeze=False)[0]
    starts = [range(-p, w + p - f + 1, s) for w, f, s, p in settings]
    for ax, (w, f, s, p), places in zip(axes, settings, starts, strict=True):
        for line, start in enumerate(places):
            for pixel in range(-p, w + p):
                inside = pixel in range(w)
                colors = ("#0072b2", "#9ecbe8") if start <= pixel < start + f else ("0.85", "white")
                box = Rectangle((pixel + 0.04, line + 0.2), 0.92, 0.6, facecolor=colors[not inside], edgecolor="0.4")
                box.set_linestyle("-" if inside else ":")
                ax.add_patch(box)
        ax.set_yticks([line + 0.5 for line in range(len(places))], labels=range(1, len(places) + 1))
        ax.set(xticks=[], xlim=(-1.2, max(w + p for w, _, _, p in settings) + 0.9), ylim=(max(map(len, starts)), 0))
        ax.set_title(f"W = {w}, F = {f}, S = {s}, P = {p}", fontsize=9)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    return figure


def brightness_along(photo: Tensor, row: int) -> Figure:
    """A gray photo ``(H, W)`` with one of its rows marked, and the brightness of the pixels in that row."""
    arguments.check_tensor((2,), photo=photo)
    arguments.check_whole(0, len(photo) - 1, row=row)
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.4])
    left.imshow(photo, cmap=GRAY)
    left.axhline(row, color="#d55e00")
    left.axis("off")
    right.plot(photo[row], color="black", linewidth=1)
    right.set(xlabel="column", ylabel="brightness", title=f"row {row}")
    return figure


def wave_strengths(image: Tensor) -> Tensor:
    """The strength of each wave (Fourier transform) in an image ``(H, W)`` less its mean, slow waves in the middle."""
    arguments.check_tensor((2,), image=image)
    return torch.fft.fftshift(torch.fft.fft2(image - image.mean())).abs()


def check_output_size(answer: Callable) -> None:
    """Checks ``answer(size, kernel_size, stride, padding)`` against the shape of a real convolution."""

    def convolved_size(size: int, kernel_size: int, stride: int, padding: int) -> int:
        return conv1d(torch.ones(1, 1, size), torch.ones(1, 1, kernel_size), None, stride, padding).shape[-1]

    cases = {
        (5, 3, 1, 0): "Count the places at which a window of 3 can start in a row of 5.",
        (28, 3, 1, 1): "(28 − 3 + 2 · 1) / 1 + 1 is 28.",
        (7, 3, 2, 0): "The window starts at 0, 2 and 4.",
        (9, 4, 3, 0): "The window starts at 0 and 3; the next would stick out: round down.",
        (32, 5, 3, 2): "(32 − 5 + 2 · 2) / 3 is 10, rounded down; and one more.",
        (10, 3, 2, 1): "(10 − 3 + 2 · 1) / 2 is 4, rounded down; and one more.",
        (10, 2, 4, 0): "The window starts at 0, 4 and 8.",
        (3, 5, 1, 1): "A kernel as large as the padded image has one place.",
    }
    others = drawn(lambda g: (integer(7, 40, g), integer(1, 7, g), integer(1, 5, g), integer(0, 3, g)))
    compare(answer, convolved_size, [Case(*case) for case in cases.items()] + others, mistakes=SIZE_MISTAKES)


SIZE_MISTAKES: dict[str, Callable] = {
    "The padding is at both ends: 2 * padding.": lambda w, f, s, p: (w - f + p) // s + 1,
    "The padding is missing: add 2 * padding to the size.": lambda w, f, s, p: (w - f) // s + 1,
    "Padding makes the row longer: add it, don't subtract it.": lambda w, f, s, p: (w - f - 2 * p) // s + 1,
    "The padding belongs before the division by the stride.": lambda w, f, s, p: (w - f) // s + 2 * p + 1,
    "Brackets are missing: all of W - F + 2P is divided.": lambda w, f, s, p: w - f + 2 * p // s + 1,
    "It rounds up; a step that does not fit is not taken: round down.": lambda w, f, s, p: -((f - w - 2 * p) // s) + 1,
    "It rounds to the nearest number: round down.": lambda w, f, s, p: round((w - f + 2 * p) / s) + 1,
    "It keeps a fraction: round down to a whole number (//).": lambda w, f, s, p: (w - f + 2 * p) / s + 1,
    "The first position is missing: + 1.": lambda w, f, s, p: (w - f + 2 * p) // s,
    "The + 1 is for the first position: add it after the division.": lambda w, f, s, p: (w - f + 2 * p + 1) // s,
    "It is one too few where the stride divides evenly: + 1.": lambda w, f, s, p: (w - f + 2 * p - 1) // s + 1,
    "It adds 1 both before and after the division: after is right.": lambda w, f, s, p: (w - f + 2 * p + 1) // s + 1,
    "Each part is rounded down by itself: divide their sum, once.": lambda w, f, s, p: (w - f) // s + 2 * p // s + 1,
    "It takes half the kernel from both ends, right for odd ones only: subtract F.": lambda w, f, s, p: (
        (w + 2 * p - f // 2 * 2 - 1) // s + 1
    ),
    "size // stride is right for few paddings only: the kernel and the padding count, too.": lambda w, f, s, p: w // s,
    "Subtract the size of the kernel first.": lambda w, f, s, p: (w + 2 * p) // s + 1,
    "The stride is missing: divide by it.": lambda w, f, s, p: w - f + 2 * p + 1,
}


def check_convolution_parameters(answer: Callable) -> None:
    """Checks ``answer(in_channels, out_channels, kernel_size, bias)`` against the weights of ``nn.Conv2d``."""

    def parameters(inputs: int, outputs: int, side: int, bias: bool) -> int:
        return sum(p.numel() for p in nn.Conv2d(inputs, outputs, side, bias=bias, device="meta").parameters())

    cases = {
        (1, 1, 3, False): "One filter for one channel has a weight for each place of its kernel, rows times columns.",
        (1, 4, 3, False): "Each output channel has a filter of its own.",
        (3, 4, 3, False): "Each filter has a slice for each input channel.",
        (3, 4, 3, True): "Each filter has one bias, a single number.",
        (64, 128, 5, False): "Without a bias there are the weights only.",
        (7, 5, 1, True): "A kernel of 1 × 1 has one weight for each input channel.",
    }
    others = drawn(lambda g: (integer(1, 70, g), integer(1, 70, g), integer(1, 7, g), bool(integer(0, 1, g))))
    compare(answer, parameters, [Case(*case) for case in cases.items()] + others, mistakes=PARAMETER_MISTAKES)


PARAMETER_MISTAKES: dict[str, Callable] = {
    "^ is no power in Python (it is exclusive or): kernel_size ** 2.": lambda i, o, k, b: o * (i * (k ^ 2) + b),
    "Each filter has a slice for each of the in_channels.": lambda i, o, k, b: o * k * k + b * o,
    "Each of the out_channels has a filter of its own.": lambda i, o, k, b: i * k * k + b * o,
    "Each input channel meets each output channel: multiply them.": lambda i, o, k, b: (i + o) * k * k + b * o,
    "The kernel is a square: kernel_size * kernel_size.": lambda i, o, k, b: i * o * k + b * o,
    "The square of kernel_size is kernel_size ** 2, not 2 * kernel_size.": lambda i, o, k, b: i * o * 2 * k + b * o,
    "Without a bias (bias=False) nothing is added to the weights.": lambda i, o, k, b: i * o * k * k + o,
    "The biases are the other way round: bias=True adds them.": lambda i, o, k, b: i * o * k * k + (not b) * o,
    "The biases are missing: one for each filter where bias=True.": lambda i, o, k, b: i * o * k * k,
    "There is a bias for each output channel, not for each input channel.": lambda i, o, k, b: i * o * k * k + b * i,
    "There is a bias for each output channel, not one for all.": lambda i, o, k, b: i * o * k * k + b,
    "A filter has one bias for all its slices.": lambda i, o, k, b: i * o * (k * k + b),
    "A bias is one number, whatever the size of the kernel.": lambda i, o, k, b: (i + b) * o * k * k,
}


def check_diagonal_kernel(kernel: Tensor | None) -> None:
    """Checks a 3 × 3 kernel for edges that are dark at the upper left and bright at the lower right (A of four)."""
    kernel = run(kernel, ()).value if type(kernel) is FunctionType else kernel
    if kernel is None or kernel is ...:
        return report(NOT_ATTEMPTED)
    if not issubclass(type(kernel), Tensor):
        return report(NOT_YET, f"the kernel is of the type {type(kernel).__name__}; make a tensor: torch.tensor(...).")
    try:
        weights = checking.to_numbers(kernel)
    except Exception:
        return report(NOT_YET, "the kernel holds no plain numbers: torch.tensor(...) makes it from a list of lists.")
    if weights.shape != (3, 3):
        return report(NOT_YET, f"the kernel has the shape {tuple(weights.shape)}; expected (3, 3).")
    down, across = torch.meshgrid(torch.arange(3) - 1, torch.arange(3) - 1, indexing="ij")
    edges = {"A": down + across, "B": down, "C": across, "D": down - across, "equal pixels": torch.ones(3, 3)}
    answers = {name: (weights * edge.sign()).sum().item() for name, edge in edges.items()}
    said = ", ".join(f"{value:.4g} at {name}" for name, value in answers.items())
    fault = _kernel_fault(answers, 1e-3 * weights.abs().max().item())
    report(NOT_YET if fault else CORRECT, f"the kernel answers {said}. {fault}")


def _kernel_fault(answers: dict[str, float], small: float) -> str:
    a, b, c, d, flat = answers.values()
    if not abs(a) < float("inf"):
        return "Give finite numbers."
    if abs(flat) > small:
        return "Where all pixels are equal the answer must be 0: let the weights sum to 0."
    if abs(d) > max(abs(a), abs(b), abs(c)):
        return "It is made for D: mirror it."
    wanted = "negative weights at the upper left, positive ones at the lower right"
    if a <= small:
        return f"It {'does not see A' if abs(a) <= small else 'sees A with the wrong sign'}: put {wanted}."
    for name, value, darker, brighter in (("B", b, "left column", "right one"), ("C", c, "top row", "bottom one")):
        if value >= a - small:
            return f"At {name} it must answer less than at A: make the {darker} more negative, the {brighter} positive."
    return "At D the answer must be 0: what its bright and dark pixels add must cancel." if abs(d) > small else ""


def check_cross_correlation(answer: Callable) -> None:
    """Checks ``answer(image, kernel, stride, padding)`` for 2-D tensors against ``conv2d``."""
    generator = checking.generator(1)
    cases = []
    for image, kernel, stride, padding, hint in (
        ((3, 3), (2, 2), 1, 0, "Each value is a patch times the kernel as it stands, place by place, summed."),
        ((4, 7), (2, 3), 1, 0, "Rows come first; neither image nor kernel need be square."),
        ((3, 5), (3, 2), 1, 0, "A kernel as high as the image gives one row; the result stays a 2-D tensor."),
        ((7, 9), (3, 2), 2, 0, "With a stride, patch (i, j) starts at row i * stride and column j * stride."),
        ((5, 4), (3, 2), 1, 1, "Padding puts zeros around the image, on all four sides, before anything else."),
        ((6, 9), (2, 4), 3, 2, "The size takes the padding on both sides, and the stride, in each direction."),
        ((9, 5), (4, 2), 2, 1, "The result may have more rows than columns."),
    ):
        tensors = (torch.randint(-9, 10, shape, generator=generator) / 2 for shape in (image, kernel))
        cases.append(Case((*tensors, stride, padding), hint))
    compare(answer, _correlate, cases, mistakes=CORRELATION_MISTAKES, diagnose=_missing_windows)


def _missing_windows(got: Tensor, expected: Tensor, *_: Any) -> str:
    part = expected[: got.shape[0], : got.shape[1]]
    if got.shape != part.shape or got.shape == expected.shape or not torch.allclose(got, part):
        return ""
    return "The last windows are missing: there are (size - kernel + 2 * padding) // stride + 1 rows; columns alike."


def _correlate(image: Tensor, kernel: Tensor, stride: Any, padding: Any) -> Tensor:
    return conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]


def _padded(*sides: int, **options: Any) -> Callable[..., Tensor]:
    """A cross-correlation padded on the left, right, top and bottom so many times as wide; options are those of pad."""
    return lambda i, k, s, p: _correlate(pad(i[None], [side * p for side in sides], **options)[0], k, s, 0)


def _step_by_one(image: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    rows, columns = _correlate(image, kernel, stride, padding).shape
    return _correlate(image, kernel, 1, padding)[:rows, :columns]


def _multiply_in_place(image: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    windows = pad(image, (padding,) * 4).unfold(0, kernel.shape[0], stride).unfold(1, kernel.shape[1], stride)
    return torch.tensor([[window.mul_(kernel).sum() for window in row] for row in windows])


def _square(image: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    output = _correlate(image, kernel, stride, padding)
    return output[:, torch.arange(len(output))]


CORRELATION_MISTAKES: dict[str, Callable] = {
    "The kernel is turned by 180°: take it as it stands.": lambda i, k, s, p: _correlate(i, k.flip(0, 1), s, p),
    "The kernel is mirrored: take it as it stands.": lambda i, k, s, p: _correlate(i, k.flip(1), s, p),
    "The kernel is upside down: take it as it stands.": lambda i, k, s, p: _correlate(i, k.flip(0), s, p),
    "It gives the mean of the products: give their sum.": lambda i, k, s, p: _correlate(i, k, s, p) / k.numel(),
    "It loses the fractions: the output needs a float dtype.": lambda i, k, s, p: _correlate(i, k, s, p).trunc(),
    "The padding is missing.": _padded(0, 0, 0, 0),
    "It pads at the top and left only: pad all four sides.": _padded(1, 0, 1, 0),
    "It pads at the bottom and right only: pad all four sides.": _padded(0, 1, 0, 1),
    "It pads at the top and bottom only: pad all four sides.": _padded(0, 0, 1, 1),
    "It pads on the left and right only: pad all four sides.": _padded(1, 1, 0, 0),
    "The padding is twice as wide as it should be.": _padded(2, 2, 2, 2),
    "The border repeats the edge: pad with zeros.": _padded(1, 1, 1, 1, mode="replicate"),
    "The border mirrors the image: pad with zeros.": _padded(1, 1, 1, 1, mode="reflect"),
    "The border is of ones: pad with zeros.": _padded(1, 1, 1, 1, value=1.0),
    "It fails with padding 0: a slice like [0:-0] is empty.": lambda i, k, s, p: _correlate(i, k, s, p) if p else 1 / 0,
    "The stride is missing.": lambda i, k, s, p: _correlate(i, k, 1, p),
    "The stride is missing across: columns step, too.": lambda i, k, s, p: _correlate(i, k, (s, 1), p),
    "The stride is missing down: rows step, too.": lambda i, k, s, p: _correlate(i, k, (1, s), p),
    "The size is right, but the windows step by 1: they start at i * stride, j * stride.": _step_by_one,
    "It takes the number of rows for that of columns: compute the width, too.": _square,
    "Windows overlap, and multiplying one in place (*=) changes the next: use patch * kernel.": _multiply_in_place,
}


MAX_RATIO = 5  # of the sides of a photo that the explorer shows, 200 pixels high


class KernelExplorer(Explorer):
    """What :func:`kernel_explorer` gives."""

    lesson = "lesson_01"
    still = (
        "A photo in grey of a man with a camera, and beside it the edges that the kernel Sobel x finds, "
        "orange and purple."
    )

    @property
    def kernel(self) -> Tensor:
        """The kernel as the reader has left it, ``(size, size)``."""
        size = self.state.get("size", 3)
        return grid(size, size, self.state.get("kernel", self.content["kernels"][self.content["kernel"]]))


def kernel_explorer(photo: images.Source | None = None, kernel: str = "Sobel x") -> KernelExplorer:
    """Lesson 1: edit a kernel, and see a photo's response, and how each value of it is summed.

    Args:
        photo: an image of your own, as :func:`helpers.images.read` takes it; it comes before the sample photos.
        kernel: the one to begin with, by its name in :data:`helpers.filters.KERNELS`.
    """
    filters.kernel(kernel)  # or an error that names those there are
    photos = {"yours": images.read(photo)} if photo is not None else {}
    for height, width in (image.shape[1:] for image in photos.values()):
        if max(height, width) > MAX_RATIO * min(height, width):  # the page would hold millions of pixels, or none
            raise ValueError(
                f"photo is {height} × {width} pixels, and its longer side may be {MAX_RATIO} times the shorter one"
            )
    photos |= {name: images.sample(name) for name in ("camera", "chelsea", "china", "coffee", "coins", "flower")}
    kernels = {name: numbers.flatten().tolist() for name, numbers in filters.KERNELS.items()}
    content = {"kind": "kernel", "kernel": kernel, "kernels": kernels}
    return KernelExplorer(content=content | {"photos": [gray_photo(name, image) for name, image in photos.items()]})
