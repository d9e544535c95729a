"""Numbers that people pass: refused in one sentence where they are no use, before any work is done."""

import math
from typing import Any


def check_whole(minimum: int, maximum: int = 10**9, **values: Any) -> None:
    """Each must be a whole number from ``minimum`` to ``maximum``.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(f"{name} must be a whole number of at least {minimum}, not {value!r:.80}")
        if value > maximum:
            raise ValueError(f"{name} must be at most {maximum:,}, not {value:,}")


def check_pair(**values: Any) -> None:
    """Each must be two whole numbers, rows and columns.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        if not isinstance(value, tuple | list) or len(value) != 2 or not all(isinstance(n, int) for n in value):
            raise ValueError(f"{name} must be two whole numbers, rows and columns, not {value!r:.80}")


def check_number(minimum: float = 0.0, maximum: float = math.inf, **values: Any) -> None:
    """Each must be a finite number from ``minimum`` to ``maximum``.

    Raises:
        ValueError: with the argument's name, and what was given.
    """
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not minimum <= value <= maximum:
            most = f", at most {maximum:g}" if math.isfinite(maximum) else ""
            raise ValueError(f"{name} must be a number of at least {minimum:g}{most}, not {value!r:.80}")


def check_seed(seed: Any) -> None:
    """A seed must be a whole number that a generator takes.

    Raises:
        ValueError: with what was given.
    """
    check_whole(0, 2**63 - 1, seed=seed)
