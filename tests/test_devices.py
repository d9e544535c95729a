"""The precision that a processor is good at, and how many of its cores a lesson takes."""

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
def running(monkeypatch, tmp_path):
    """Says how many threads run on a machine of four cores."""
    before, file = torch.get_num_threads(), tmp_path / "loadavg"
    monkeypatch.setattr(devices, "RUNNING", file)
    monkeypatch.setattr(devices, "ALL_CORES", 4)
    for name in ("OMP_NUM_THREADS", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    yield lambda threads: file.write_text(f"0.52 0.58 0.59 {threads}/467 11206")
    torch.set_num_threads(before)


@pytest.mark.parametrize(("threads", "free"), [(1, 4), (2, 3), (4, 1), (5, 1), (40, 1)])
def test_a_lesson_takes_the_cores_that_are_free(running, threads, free):
    running(threads)
    devices.share_cores()
    assert torch.get_num_threads() == free


def test_on_a_hub_each_has_one_thread(running, monkeypatch):
    running(1)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    devices.share_cores()
    assert torch.get_num_threads() == 1


def test_what_a_person_has_set_stays(running, monkeypatch):
    running(9)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    devices.share_cores()
    assert torch.get_num_threads() == 3


def test_cores_are_shared_anew_before_each_cell():
    cells = ["import torch; from helpers import devices; torch.set_num_threads(devices.ALL_CORES + 5)"]
    cells += ["print(torch.get_num_threads() <= devices.ALL_CORES)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        NotebookClient(notebook, resources={"metadata": {"path": str(Path(__file__).parents[1])}}).execute()
    assert notebook.cells[1].outputs[0].text == "True\n"
