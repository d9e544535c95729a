"""How the suite runs: one worker for each core, each with one thread, or the threads would wait for each other."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when PyTorch is loaded, here and in the notebooks' kernels

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell starts in the background; some tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    """Say how many of what passed are cells of notebooks."""
    passed = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    cells = sum(".ipynb::" in report.nodeid for report in passed)
    terminalreporter.write_line(f"{cells} notebook cells ran as stored, and {len(passed) - cells} tests passed")
