"""Lessons on one machine: what three at once cost beside one, and the memory that each lesson takes.

Three people run the same cells of lesson 9, each in a kernel of its own, at once. The course decides how many threads
PyTorch uses (``helpers.devices``); PyTorch by itself uses as many as there are cores, whoever else computes.
"""

import multiprocessing
import os
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

import nbformat
import torch
from nbclient import NotebookClient

from benchmarks.timing import COURSE, MEBIBYTE, in_fresh_process, keep

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "data" / "benchmark_sharing.json"
START = """\
from helpers import images, pretrained, style
net = pretrained.load()
photo = images.read(images.sample("coffee"), size=200)
painting = images.read("data/images/style_swirls.jpg", size=200)
def paint(steps):
    style.stylize(net, photo, painting, steps=steps, progress=False)
paint(2)"""
CELLS = ["paint(5)"] * 3
PEAK = f"import resource; resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // {MEBIBYTE}"
WAYS = {"PyTorch by itself": {"OMP_NUM_THREADS": str(torch.get_num_threads())}, COURSE: {}}


def _run(environment: dict[str, str], starting, barrier, seconds) -> None:
    """One reader: the cells, timed from when all of them are ready to when this one is done."""
    os.environ.pop("OMP_NUM_THREADS", None)
    os.environ.update(environment)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (START, *CELLS)])
    client = NotebookClient(notebook, resources={"metadata": {"path": str(ROOT)}})
    with ExitStack() as stack:
        with starting:  # one after the other: two kernels that start at once may be given the same port
            stack.enter_context(client.setup_kernel())
        client.execute_cell(client.nb.cells[0], 0)
        barrier.wait(timeout=300)  # or for ever, if another one has died
        start = time.perf_counter()
        for i, cell in enumerate(client.nb.cells[1:], start=1):
            client.execute_cell(cell, i)
        seconds.put(time.perf_counter() - start)


def seconds_at_once(readers: int, environment: dict[str, str]) -> float:
    """The time of the slowest of so many readers, who all begin at the same moment."""
    context = multiprocessing.get_context("spawn")
    shared = context.Lock(), context.Barrier(readers), context.Queue()
    processes = [context.Process(target=_run, args=(environment, *shared)) for _ in range(readers)]
    for process in processes:
        process.start()
    times = [shared[-1].get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return max(times)


def peak_memory(path: Path) -> int:
    """The most that the kernel of a lesson holds while it runs from top to bottom, in MiB."""
    return in_fresh_process(_peak_memory, path)


def _peak_memory(path: Path) -> int:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    return int(notebook.cells[-1].outputs[0].data["text/plain"])


def main(rounds: int = 3) -> None:
    """Measure in turns, print, and keep the numbers."""
    times: dict[str, dict[int, list[float]]] = {way: {1: [], 3: []} for way in WAYS}
    for _ in range(rounds):
        for way, environment in WAYS.items():
            for readers in (1, 3):
                times[way][readers].append(seconds_at_once(readers, environment))
    print("| | one lesson | three at once | times one |\n|---|---|---|---|")
    for way, by_readers in times.items():
        one, three = (statistics.median(by_readers[readers]) for readers in (1, 3))
        print(f"| {way} | {one:.1f} s | {three:.1f} s | {three / one:.1f} |", flush=True)
    memory = {path.stem: peak_memory(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    print("\n| lesson | MiB at its peak |\n|---|---|")
    print("\n".join(f"| {name} | {mebibytes:,} |" for name, mebibytes in memory.items()))
    keep(RECORD, seconds=times, peak_mebibytes=memory)


if __name__ == "__main__":
    main()
