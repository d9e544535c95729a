"""What the benchmarks share: a way to do something, timed in a process of its own, so that its memory can be told."""

import multiprocessing
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from helpers import files
from helpers.devices import best_device

COURSE = "the course"
MEBIBYTE = 2**20 if sys.platform == "darwin" else 2**10  # in what ru_maxrss counts: bytes on a Mac, else kibibytes
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One way to do one thing: its time, the memory that it took at most, and the loss it came to, if it has one.

    The memory is how far the highest use of the process rose above what it was before.
    """

    task: str
    way: str
    seconds: float
    mebibytes: float
    loss: float | None = None


# Seconds, and the loss if there is one.
Work = Callable[[], tuple[float, float | None]]


def median_seconds(call: Callable[[], object], calls: int) -> float:
    """Of some calls after a first one that is not counted."""
    seconds = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def in_fresh_process(function: Callable[..., T], *arguments) -> T:
    """What a function gives in a process of its own, which holds nothing yet."""
    context = multiprocessing.get_context("forkserver")  # a spawned process would begin with its parent's peak
    context.set_forkserver_preload([])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def alone(task: str, way: str, prepare: Callable[..., Work], *arguments) -> Result:
    """What ``prepare(*arguments)`` gives, called in a fresh process; what comes before that call is not measured."""
    result = in_fresh_process(_measured, task, way, prepare, *arguments)
    print(f"{task}, {way}: {result.seconds:.3f} s, {result.mebibytes:.0f} MiB", flush=True)
    return result


def _measured(task: str, way: str, prepare: Callable[..., Work], *arguments) -> Result:
    import resource  # not on Windows, where what else is here is of use

    warnings.simplefilter("ignore")
    work = prepare(*arguments)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, loss = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(task, way, seconds, (peak - before) / MEBIBYTE, loss)


def table(results: list[Result]) -> str:
    """The results as a table of Markdown, each way beside ours."""
    lines = ["| | seconds | times ours | MiB | loss |", "|---|---|---|---|---|"]
    mine = {r.task: r.seconds for r in results if r.way == COURSE}
    for r in results:
        loss = "" if r.loss is None else f"{r.loss:.4g}"
        ratio = r.seconds / mine[r.task]
        lines.append(f"| {r.task}, {r.way} | {r.seconds:.3f} | {ratio:.2f} | {r.mebibytes:.0f} | {loss} |")
    return "\n".join(lines)


def machine() -> str:
    """The processor and the libraries that were measured on."""
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()}, PyTorch {torch.__version__}, on {best_device().type}"


def keep(path: Path, command: str = "make bench", **numbers) -> None:
    """Write the numbers down, whole or not at all, with the command and the machine that they were measured on."""
    record = {"command": command, "machine": machine(), **numbers}
    files.write(path, files.as_json(record))
