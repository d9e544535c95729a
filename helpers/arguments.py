"""What people pass, numbers most of all: refused in one sentence where they are no use, before any work is done."""

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any

from torch import Tensor


def check_whole(minimum: int, maximum: int = 10**9, **values: Any) -> None:
    """Each must be a whole number from ``minimum`` to ``maximum``.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < minimum:
            raise ValueError(f"{name} must be a whole number of at least {minimum}, not {value!r:.80}")
        if int(value) > maximum:
            raise ValueError(f"{name} must be at most {maximum:,}, not {value:,}")


def check_pair(**values: Any) -> None:
    """Each must be two whole numbers, rows and columns.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        if not isinstance(value, tuple | list) or len(value) != 2 or not all(type(n) is int for n in value):
            raise ValueError(f"{name} must be two whole numbers, rows and columns, not {value!r:.80}")


def check_number(minimum: float = 0.0, maximum: float = math.inf, **values: Any) -> None:
    """Each must be a finite number from ``minimum`` to ``maximum``.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        # Of whole numbers larger than that torch makes none of its own.
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
        if not is_number or not minimum <= value <= maximum:
            most = f", at most {maximum:,.12g}" if math.isfinite(maximum) else ""
            raise ValueError(f"{name} must be a number of at least {minimum:g}{most}, not {value!r:.80}")


def check_choice(choices: Iterable[str], **values: Any) -> None:
    """Each must be one of the names.

    Raises:
        ValueError: with the argument's name, the choices, and what was given.
    """
    names = list(choices)
    for name, value in values.items():
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"{name} must be one of {', '.join(names)}, not {value!r:.60}")


def check_tensor(axes: Iterable[int], **values: Any) -> None:
    """Each must be a tensor of floating-point numbers, not empty, that has so many axes.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        is_tensor = isinstance(value, Tensor)
        if not is_tensor or not value.is_floating_point() or value.ndim not in axes or not value.numel():
            given = f"{value.dtype} {tuple(value.shape)}" if is_tensor else f"{value!r:.60}"
            wanted = " or ".join(map(str, axes))
            raise ValueError(f"{name} must be a tensor of floating-point numbers with {wanted} axes, not {given}")


def check_seed(seed: Any) -> None:
    """A seed must be a whole number that a generator takes.

    Raises:
        ValueError: with what was given.
    """
    check_whole(0, 2**63 - 1, seed=seed)
