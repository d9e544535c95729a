"""What the benchmarks share: time and memory of work in a process of its own, and the table."""

import json
import time
from dataclasses import asdict

import nbformat
import pytest
import torch

from benchmarks import sharing, timing


def filled(mebibytes):
    """Work that fills so much memory, sleeps, and says so."""
    spare = torch.ones(40 * 2**18)  # before the work, so not counted

    def work():
        torch.ones(mebibytes * 2**18)
        return timing.median_seconds(lambda: time.sleep(0.02), 3), float(len(spare))

    return work


def test_work_is_measured_in_a_process_of_its_own(capsys):
    torch.ones(400 * 2**18)  # the peak of this process is not that of the other
    result = timing.alone("sleep", "a way", filled, 64)
    assert (result.task, result.way, result.loss) == ("sleep", "a way", 40 * 2**18)
    assert 0.02 <= result.seconds < 1
    assert 60 < result.mebibytes < 100
    assert "sleep, a way: 0.0" in capsys.readouterr().out


def test_a_lesson_is_not_said_to_hold_what_the_process_does_that_measures_it(tmp_path):
    torch.ones(1000 * 2**18)
    cell = nbformat.v4.new_code_cell("kept = bytearray(100 * 2**20)")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "lesson.ipynb")
    assert 100 < sharing.peak_memory(tmp_path / "lesson.ipynb") < 1000


def test_the_first_call_does_not_count():
    calls = iter([0.2, 0.0, 0.0, 0.0])
    assert timing.median_seconds(lambda: time.sleep(next(calls)), 3) < 0.1


def test_each_way_stands_beside_ours():
    results = [timing.Result("a", timing.COURSE, 2.0, 10), timing.Result("a", "other", 5.0, 20, 1234.5)]
    assert "| a, other | 5.000 | 2.50 | 20 | 1234 |" in timing.table(results)
    assert "| a, the course | 2.000 | 1.00 | 10 |  |" in timing.table(results)


def test_what_is_kept_says_how_it_was_made(tmp_path):
    results = [asdict(timing.Result("a", "b", 1.0, 2))]
    timing.keep(tmp_path / "record.json", results=results, gaps={"a": 0.1})
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["command"] == "make bench"
    assert record["machine"] == timing.machine()
    assert record["results"] == [{"task": "a", "way": "b", "seconds": 1.0, "mebibytes": 2, "loss": None}]
    assert record["gaps"] == {"a": pytest.approx(0.1)}
