"""The precision that a processor is good at, and how many of its cores a lesson takes."""

import os
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from helpers import devices


def test_precision_asks_the_processor(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_f": True})
    assert not devices.has_fast_bf16(cpu)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert devices.has_fast_bf16(cpu)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of four cores, of which this one is told how many threads run, and how long its cores were busy."""
    before, clock = torch.get_num_threads(), [1000.0]
    monkeypatch.setattr(devices, "PROC", tmp_path)
    monkeypatch.setattr(devices, "ALL_CORES", 4)
    monkeypatch.setattr(devices, "LATELY", {"time": 0.0, "busy": 0.0, "cores": 0.0})
    monkeypatch.setattr(devices.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(devices.time, "process_time", lambda: 0.0)
    for name in ("OMP_NUM_THREADS", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)

    def threads(running, busy_seconds, after=10.0):
        clock[0] += after
        ticks = round(busy_seconds * os.sysconf("SC_CLK_TCK"))
        (tmp_path / "loadavg").write_text(f"0.52 0.58 0.59 {running}/467 11206")
        (tmp_path / "stat").write_text(f"cpu  {ticks} 0 0 1 2 3 4 5\n")
        devices.share_cores()
        return torch.get_num_threads()

    threads(1, 0.0)
    yield threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("running", "free"), [(1, 4), (2, 3), (4, 1), (5, 1), (40, 1)])
def test_a_lesson_takes_the_cores_that_are_free_now(machine, running, free):
    assert machine(running, 0.0) == free


@pytest.mark.parametrize(("busy", "free"), [(0.0, 4), (0.3, 4), (1.0, 3), (2.9, 1), (8.0, 1)])
def test_a_lesson_takes_the_cores_that_others_left_free_of_late(machine, busy, free):
    assert machine(1, 10 * busy) == free
    assert machine(1, 10 * busy + 0.5, after=0.1) == free  # too soon to tell anew


def test_on_a_hub_each_has_one_thread(machine, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert machine(1, 0.0) == 1


def test_what_a_person_has_set_stays(machine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    assert machine(9, 90.0) == 3


def test_cores_are_shared_anew_before_each_cell():
    cells = ["import torch; from helpers import devices; torch.set_num_threads(devices.ALL_CORES + 5)"]
    cells += ["print(torch.get_num_threads() <= devices.ALL_CORES)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        NotebookClient(notebook, resources={"metadata": {"path": str(Path(__file__).parents[1])}}).execute()
    assert notebook.cells[1].outputs[0].text == "True\n"
