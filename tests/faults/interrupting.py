"""An interrupt at a moment of one's choice."""

import sys
from contextlib import contextmanager

import torch


@contextmanager
def interrupted_at(count, filename):
    """Inside, the line of that file that is the ``count``-th to run is not run: Ctrl-C comes just before it."""
    left = count

    def trace(frame, event, _argument):
        nonlocal left
        if frame.f_code.co_filename != filename:
            return None
        if event == "line":
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        # Python leaves a context without its exit where an interrupt comes at the very line of the ``with``.
        for device in ("cpu", "cuda"):
            torch.set_autocast_enabled(device, False)
