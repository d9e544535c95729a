"""The engine of the exercise checks: it calls the reader's answer, and says what is right or wrong with it.

A check never raises in a lesson; with NBGRADER_EXECUTION set it raises on anything but correct.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
            return report("Not yet", f"{_call(answer, case)} {_raised(error)}")
        if got is None or got is ...:
            return report(
                NOT_ATTEMPTED, "the function gives nothing back so far (is there a return?)." if count == 0 else ""
            )
        if fault := difference(got, case.expected):
            return report("Not yet", f"{_call(answer, case)} {fault}" + (f" {case.hint}" if case.hint else ""))
        count += 1
    return report(CORRECT, f"{count} of {count} cases.")


def _raised(error: Exception) -> str:
    """The error in words, with a hint where torch's own message does not say what is missing."""
    hint = " What it was computed from needs requires_grad_()." if "does not require grad" in str(error) else ""
    return f"raised {type(error).__name__}: {error}{hint}"


def difference(got: Any, expected: Any, tolerance: float = 1e-4) -> str:
    """How ``got`` differs from ``expected`` in words, empty where they are the same but for rounding."""
    try:
        actual, wanted = torch.as_tensor(got), torch.as_tensor(expected)
    except (TypeError, ValueError, RuntimeError):
        return "" if type(got) is type(expected) and got == expected else f"gave {got!r}; expected {expected!r}."
    if actual.shape != wanted.shape:
        return f"gave {_shape(actual)}; expected {_shape(wanted)}."
    wrong = ~torch.isclose(actual.double(), wanted.double(), rtol=tolerance, atol=tolerance)
    if not wrong.any():
        return ""
    if wanted.ndim == 0:
        return f"gave {_number(actual)}; expected {_number(wanted)}."
    place = tuple(wrong.nonzero()[0].tolist())
    numbers = f"at {list(place)} there is {_number(actual[place])}; expected {_number(wanted[place])}"
    return f"has the right shape, but {int(wrong.sum())} of {wrong.numel()} values are off: {numbers}."


def _shape(value: Tensor) -> str:
    return f"the shape {tuple(value.shape)}" if value.ndim else "a single number"


def _number(value: Tensor) -> str:
    return f"{value.item():.6g}"


def _call(answer: Callable, case: Case) -> str:
    try:
        names = list(inspect.signature(answer).bind(*case.arguments).arguments)
    except (TypeError, ValueError):  # a built-in function, or one with other parameters
        names = []
    words = [_short(a) for a in case.arguments]
    if len(names) == len(words):
        words = [f"{name}={word}" for name, word in zip(names, words, strict=True)]
    return f"with {', '.join(words)}, your function"


def _short(argument: Any) -> str:
    if not isinstance(argument, Tensor):
        return argument.__name__ if inspect.isfunction(argument) else repr(argument)
    if argument.numel() <= 9:
        rounded = argument.double().round(decimals=3) if argument.is_floating_point() else argument
        return f"tensor({rounded.tolist()})"
    return f"a tensor of shape {tuple(argument.shape)}"


def verdict(call: Callable[[], Any], fault_of: Callable[[Any], str]) -> bool:
    """Call the answer, and report what is wrong with what comes back; True where nothing is."""
    try:
        got = call()
    except Exception as error:
        report("Not yet", f"your function {_raised(error)}")
        return False
    if got is None or got is ...:
        report(NOT_ATTEMPTED, "the function gives nothing back so far (is there a return?).")
    elif fault := fault_of(got):
        report("Not yet", f"your function {fault}")
    else:
        return True
    return False
