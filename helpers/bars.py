"""The bar that shows how far something is; where it cannot be shown, the work goes on without it."""

from typing import Any

from tqdm.auto import tqdm as _tqdm

FAILURES = (OSError, ValueError, AttributeError)  # standard error is closed, a pipe that nobody reads, or None


class tqdm(_tqdm):
    """tqdm's bar, as its package chooses it; no failure to draw it reaches the work that it is about."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except FAILURES:
            super().__init__(*arguments, **options | {"disable": True})

    def display(self, *arguments: Any, **options: Any) -> Any:
        """Draw it, if it can be drawn."""
        try:
            return super().display(*arguments, **options)
        except FAILURES:
            self.disable = True

    def close(self) -> None:
        """End it."""
        try:
            super().close()
        except FAILURES:
            self.disable = True
