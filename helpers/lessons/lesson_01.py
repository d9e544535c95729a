"""Lesson 1, convolution filters: the checks of its exercises, its explorer, and what only it uses."""

from collections.abc import Callable

import ipywidgets as ipw
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from helpers import filters, images
from helpers.filters import output_size
from helpers.lessons.checking import CORRECT, NOT_ATTEMPTED, Case, check_function, report
from helpers.lessons.explorer import connect, html_row, html_table, observe, png, small_gray


def check_output_size(answer: Callable) -> None:
    """Checks ``answer(size, kernel_size, stride, padding)`` against the shape of a real convolution."""
    questions = {
        (5, 3, 1, 0): "Count the places at which a window of 3 can start in a row of 5.",
        (28, 3, 1, 1): "Padding is added on both sides.",
        (7, 3, 2, 0): "With a stride of 2, the window starts at every second place.",
        (8, 3, 2, 0): "A step that does not fit any more is not taken: round down.",
        (32, 5, 3, 2): "Add the padding before you divide by the stride.",
        (6, 6, 1, 0): "A window as large as the picture has one place.",
    }
    check_function(answer, [Case(q, _convolved_size(*q), hint) for q, hint in questions.items()])


def _convolved_size(size: int, kernel_size: int, stride: int, padding: int) -> int:
    return conv2d(
        torch.ones(1, 1, size, size), torch.ones(1, 1, kernel_size, kernel_size), None, stride, padding
    ).shape[-1]


def check_convolution_parameters(answer: Callable) -> None:
    """Checks ``answer(in_channels, out_channels, kernel_size, bias)`` against the weights of ``nn.Conv2d``."""
    questions = {
        (1, 1, 3, False): "One filter for one channel has a weight for each place of its kernel, rows times columns.",
        (1, 4, 3, False): "Each output channel has a filter of its own.",
        (1, 4, 3, True): "Each filter has one bias, a single number.",
        (3, 4, 3, True): "Each filter reaches through all the input channels, and still has one bias.",
        (64, 128, 5, False): "",
    }
    cases = []
    for (inputs, outputs, side, bias), hint in questions.items():
        layer = nn.Conv2d(inputs, outputs, side, bias=bias, device="meta")
        cases.append(Case((inputs, outputs, side, bias), sum(p.numel() for p in layer.parameters()), hint))
    check_function(answer, cases)


def check_cross_correlation(answer: Callable) -> None:
    """Checks ``answer(picture, kernel, stride, padding)`` for 2-D tensors against ``conv2d``."""
    generator = torch.Generator().manual_seed(1)
    cases = []
    for height, width, rows, columns, stride, padding, hint in (
        (
            3,
            3,
            2,
            2,
            1,
            0,
            "One value for each place of the kernel: patch times kernel as it stands, not turned, summed.",
        ),
        (4, 7, 2, 3, 1, 0, "Rows come first, and a kernel need not be square."),
        (7, 6, 3, 2, 2, 0, "With a stride, patch (i, j) starts at row i * stride and column j * stride."),
        (5, 4, 3, 3, 1, 1, "Padding puts zeros around the picture, on all four sides, before anything else."),
        (6, 9, 2, 4, 3, 2, "Use the formula for the size with the size, stride and padding of each direction."),
    ):
        picture = torch.randn(height, width, generator=generator)
        kernel = torch.randn(rows, columns, generator=generator)
        expected = conv2d(picture[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
        cases.append(Case((picture, kernel, stride, padding), expected, hint))
    check_function(answer, cases)


def check_diagonal_kernel(kernel: Tensor | None) -> None:
    """Checks a 3 × 3 kernel for edges that are dark at the upper left and bright at the lower right (A of four)."""
    if kernel is None or kernel is ...:
        return report(NOT_ATTEMPTED)
    kernel = torch.as_tensor(kernel, dtype=torch.float32)
    if kernel.shape != (3, 3):
        return report("Not yet", f"the kernel has the shape {tuple(kernel.shape)}; expected (3, 3).")
    if abs(kernel.sum()) > 1e-5:
        flat = f"where all pixels are 1 it answers {kernel.sum():.3g}"
        return report("Not yet", f"{flat}: let its weights sum to 0.")
    down, across = torch.meshgrid(torch.arange(3) - 1, torch.arange(3) - 1, indexing="ij")
    edges = {"A": down + across, "B": down, "C": across, "D": down - across}
    answers = {name: (kernel * edge.sign()).sum().item() for name, edge in edges.items()}
    if answers["A"] <= 0:
        return report("Not yet", f"it answers {answers['A']:.3g} at A: the large weights belong at the lower right.")
    if abs(answers["D"]) > 1e-5:
        return report("Not yet", f"it answers {answers['D']:.3g} at D, where the two bright corners must cancel.")
    for name in "BC":
        if answers[name] >= answers["A"] - 1e-5:
            both = f"it answers {answers[name]:.3g} at {name} and {answers['A']:.3g} at A"
            return report("Not yet", f"{both}: give weight to the cells beside the corners too, which tell them apart.")
    return report(CORRECT, f"it answers {answers['A']:.3g} at A, less at B and C, and 0 at D.")


def kernel_explorer(photo: str = "camera", preset: str = "Sobel x") -> ipw.Widget:
    """Lesson 1: edit a 3 × 3 kernel, and see a photo's response, and how one value of it comes about."""
    names = [name for name in images.SAMPLES if name not in ("brick", "grass")]
    photos = {name: small_gray(name) for name in names}
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
    update = connect(controls, view, draw)
    observe(cells, update)
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
    observe(cells, update)
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
        "photo": png(padded, (top, left, 3, 3)),
        "response": png(zoomed, (i * stride, j * stride, stride, stride)),
        "sum": html_row(
            [
                ("patch", html_table(patch)),
                ("×", ""),
                ("kernel", html_table(kernel)),
                ("=", ""),
                ("products", html_table(patch * kernel)),
                (f"sum = response[{i}, {j}] = {response[i, j].item():.3f}", ""),
            ]
        )
        + f"<p>rows: ({photo.shape[0]} − 3 + 2·{padding}) / {stride} + 1, rounded down: <b>{rows}</b>. "
        f"In the response, middle grey is 0; black is −{bound:.2f}, white {bound:.2f}.</p>",
    }
