"""Exercise checks that explain. Each takes the reader's answer and says what is right or wrong with it.

A check compares the answer with PyTorch, or with a formula, on several cases, so that an answer that is right once by
luck does not pass. It never raises in a lesson; with NBGRADER_EXECUTION set it raises on anything but correct.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

CORRECT, NOT_ATTEMPTED = "Correct", "Not attempted yet"


@dataclass(frozen=True)
class Case:
    """One question put to the reader's function, and its answer."""

    arguments: Sequence[Any]
    expected: Any
    hint: str = ""  # the likely misunderstanding, where this case is the first that fails


def report(verdict: str, detail: str = "") -> None:
    """Print a verdict; where exercises are graded, raise on anything but correct."""
    text = f"{verdict}: {detail}" if detail else f"{verdict}."
    if os.environ.get("NBGRADER_EXECUTION") and verdict != CORRECT:
        raise AssertionError(text)
    print(text)


def check_function(answer: Callable, cases: Iterable[Case]) -> None:
    """Call the reader's function with each case in turn, smallest first, and report the first that fails."""
    count = 0
    for case in cases:
        try:
            got = answer(*case.arguments)
        except Exception as error:
            return report("Not yet", f"{_call(case)} raised {type(error).__name__}: {error}")
        if got is None or got is ...:
            return report(NOT_ATTEMPTED, "the function gives nothing back so far." if count == 0 else "")
        if fault := difference(got, case.expected):
            return report("Not yet", f"{_call(case)} {fault}" + (f" {case.hint}" if case.hint else ""))
        count += 1
    return report(CORRECT, f"{count} of {count} cases.")


def difference(got: Any, expected: Any, tolerance: float = 1e-4) -> str:
    """How ``got`` differs from ``expected`` in words, empty where they are the same but for rounding."""
    try:
        actual, wanted = torch.as_tensor(got), torch.as_tensor(expected)
    except (TypeError, ValueError, RuntimeError):
        return "" if type(got) is type(expected) and got == expected else f"gave {got!r}; expected {expected!r}."
    if actual.shape != wanted.shape:
        return f"gave the shape {_shape(actual)}; expected {_shape(wanted)}."
    wrong = ~torch.isclose(actual.double(), wanted.double(), rtol=tolerance, atol=tolerance)
    if not wrong.any():
        return ""
    if wanted.ndim == 0:
        return f"gave {_number(actual)}; expected {_number(wanted)}."
    place = tuple(wrong.nonzero()[0].tolist())
    numbers = f"at {list(place)} there is {_number(actual[place])}; expected {_number(wanted[place])}"
    return f"has the right shape, but {int(wrong.sum())} of {wrong.numel()} values are off: {numbers}."


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape)) if value.ndim else "of a single number"


def _number(value: Tensor) -> str:
    return f"{value.item():.6g}"


def _call(case: Case) -> str:
    return f"with {', '.join(_short(a) for a in case.arguments)}, your function"


def _short(argument: Any) -> str:
    if not isinstance(argument, Tensor):
        return repr(argument)
    if argument.numel() <= 9:
        return f"tensor({argument.tolist()})"
    return f"a tensor of shape {tuple(argument.shape)}"


# --- Lesson 1 --------------------------------------------------------------------------------------------------------


def output_size(answer: Callable) -> None:
    """Checks ``answer(size, kernel_size, stride, padding)`` against the shape of a real convolution."""
    questions = [(5, 3, 1, 0), (28, 3, 1, 1), (7, 3, 2, 0), (8, 3, 2, 0), (32, 5, 3, 2), (6, 6, 1, 0), (224, 7, 2, 3)]
    hint = "Padding is added on both sides, and a step that does not fit any more is not taken: round down."
    check_function(answer, [Case(q, _convolved_size(*q), hint) for q in questions])


def _convolved_size(size: int, kernel_size: int, stride: int, padding: int) -> int:
    return conv2d(
        torch.ones(1, 1, size, size), torch.ones(1, 1, kernel_size, kernel_size), None, stride, padding
    ).shape[-1]


def convolution_parameters(answer: Callable) -> None:
    """Checks ``answer(in_channels, out_channels, kernel_size, bias)`` against the weights of ``nn.Conv2d``."""
    questions = [(1, 4, 4, False), (1, 4, 4, True), (3, 1, 1, True), (3, 64, 3, True), (64, 128, 5, False)]
    hint = "Each filter reaches through all the input channels, and has one bias of its own."
    layers = [nn.Conv2d(i, o, k, bias=bias, device="meta") for i, o, k, bias in questions]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    check_function(answer, [Case(q, count, hint) for q, count in zip(questions, counts, strict=True)])


def cross_correlation(answer: Callable) -> None:
    """Checks ``answer(picture, kernel, stride, padding)`` for 2-D tensors against ``conv2d``."""
    generator = torch.Generator().manual_seed(1)
    cases = []
    for height, width, side, stride, padding, hint in (
        (3, 3, 2, 1, 0, "Multiply each patch with the kernel as it stands, without turning it, and sum."),
        (4, 6, 3, 1, 0, "Rows come first: the result has the shape (rows, columns)."),
        (7, 6, 3, 2, 0, "With a stride, patch (i, j) starts at row i * stride and column j * stride."),
        (5, 4, 3, 1, 1, "Padding puts zeros around the picture, on all four sides, before anything else."),
        (6, 9, 2, 3, 2, "Use the formula for the size with the size, stride and padding of each direction."),
    ):
        picture = torch.randn(height, width, generator=generator)
        kernel = torch.randn(side, side, generator=generator)
        expected = conv2d(picture[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
        cases.append(Case((picture, kernel, stride, padding), expected, hint))
    check_function(answer, cases)


def diagonal_kernel(kernel: Tensor | None) -> None:
    """Checks a 3 × 3 kernel for edges that are dark at the upper left and bright at the lower right."""
    if kernel is None or kernel is ...:
        return report(NOT_ATTEMPTED)
    kernel = torch.as_tensor(kernel, dtype=torch.float32)
    if kernel.shape != (3, 3):
        return report("Not yet", f"the kernel has the shape {tuple(kernel.shape)}; expected (3, 3).")
    if abs(kernel.sum()) > 1e-5:
        return report(
            "Not yet", f"on a flat grey wall it answers {kernel.sum():.3g} times the grey: let its weights sum to 0."
        )
    rows, columns = torch.meshgrid(torch.arange(3) - 1, torch.arange(3) - 1, indexing="ij")
    answers = {
        "wanted": (kernel * (rows + columns).sign()).sum().item(),
        "other diagonal": (kernel * (rows - columns).sign()).sum().item(),
        "downward edge": (kernel * rows.sign()).sum().item(),
        "rightward edge": (kernel * columns.sign()).sum().item(),
    }
    if answers["wanted"] <= 0:
        return report(
            "Not yet", f"at the edge wanted it answers {answers['wanted']:.3g}: bright belongs at the lower right."
        )
    for name in ("downward edge", "rightward edge", "other diagonal"):
        if abs(answers[name]) >= answers["wanted"] or (name == "other diagonal" and abs(answers[name]) > 1e-5):
            numbers = f"answers {answers[name]:.3g} at the {name} and {answers['wanted']:.3g} at the edge wanted"
            return report("Not yet", f"it {numbers}: mirror the weights at the diagonal, with the sign changed.")
    return report(CORRECT, f"it answers {answers['wanted']:.3g} at its edge, and 0 at the other diagonal.")
