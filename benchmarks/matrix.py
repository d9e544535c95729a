"""The suite with the oldest and the newest packages that pyproject.toml allows: ``python -m benchmarks.matrix``.

The oldest with the oldest Python, the newest with each, every time in an environment of its own that is deleted
afterwards (7 GB). A run replaces its own rows in the record and leaves the others.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import setup_course
from benchmarks import timing
from helpers import files

ROOT = Path(__file__).resolve().parents[1]
RECORD = files.DATA / "matrix.json"
PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "jupyterlab")  # whose versions are recorded
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OF_THE_RECORD = "tests/test_setup.py::test_the_bounds_are_the_oldest_packages_that_were_seen_to_work"


def requirements(oldest: bool) -> list[str]:
    """What lessons, tests and book need; with ``oldest`` each bound as the version: ``numpy==2.0.*``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(line for e in ("test", "book") for line in project["optional-dependencies"][e]),
    ]
    return [re.sub(r">=([\d.]+)$", r"==\1.*", line) if oldest else line for line in lines]


def interpreter(python: str) -> str:
    """The path of a Python such as ``"3.12"``, empty where this machine has none that runs."""
    found = shutil.which(f"python{python}") or ""
    return found if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0 else ""


def row(python: str, oldest: bool, tests: list[str]) -> dict[str, Any]:
    """Install, run the tests, and give the versions and what came out.

    Raises:
        OSError: the packages cannot be installed together.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, listed = Path(folder, "report.xml"), Path(folder, "requirements.txt")
        listed.write_text("\n".join(requirements(oldest)), encoding="utf-8")
        environment = setup_course.Environment(Path(folder, "venv"), interpreter(python))
        if not environment.install("-r", str(listed)):
            raise OSError(f"with Python {python} the {'oldest' if oldest else 'newest'} packages cannot be installed")
        command = [str(environment.python), "-m"]
        # The checkout itself is not installed: that would change it under whoever works in it.
        given = os.environ | {"PYTHONPATH": str(ROOT)}
        options = ["--numprocesses=auto", "--dist=loadfile", f"--junitxml={report}", f"--deselect={OF_THE_RECORD}"]
        pytest = [*command, "pytest", "-q", *options, *tests]  # but the test of the record, which is written afterwards
        subprocess.run(pytest, cwd=ROOT, env=given)
        names = f"import sys, importlib.metadata as m; print(sys.version.split()[0], *map(m.version, {PACKAGES}))"
        version, *versions = subprocess.run([command[0], "-c", names], capture_output=True, text=True).stdout.split()
        return {
            "packages": "oldest" if oldest else "newest",
            "python": version,
            "versions": dict(zip(PACKAGES, versions, strict=True)),
            **outcome(report),
        }


def outcome(report: Path) -> dict[str, Any]:
    """Of a report of pytest's: how many passed and were skipped, and the names of those that failed.

    Raises:
        OSError: there is none, or no test ran.
    """
    cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    if not cases:
        raise OSError("no test ran")
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    names = sorted({f"{case.get('classname')}::{case.get('name')}" for case in failed})
    return {"passed": len(cases) - len(failed) - len(skipped), "skipped": len(skipped), "failed": names}


def merged(rows: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a record with one that replaces that for the same packages and the same Python; the oldest come first."""

    def key(row: dict[str, Any]) -> tuple[bool, list[int]]:
        return row["packages"] == "newest", [int(part) for part in row["python"].split(".")[:2]]

    return sorted([*(row for row in rows if key(row) != key(new)), new], key=key)


def main() -> None:
    """Run the rows one after the other, and write each to the record when it is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pythons", nargs="+", help="such as 3.11 3.12 (default: all that this machine has)")
    parser.add_argument("--packages", nargs="+", choices=("oldest", "newest"), default=["oldest", "newest"])
    parser.add_argument("--tests", nargs="+", default=[], help="files for pytest (default: the whole suite)")
    given = parser.parse_args()
    pythons = given.pythons or [python for python in PYTHONS if interpreter(python)]
    if absent := [python for python in pythons if not interpreter(python)]:
        parser.error(f"there is no python{absent[0]} on this machine")
    wanted = [(pythons[0], True)] * ("oldest" in given.packages)
    wanted += [(python, False) for python in pythons if "newest" in given.packages]
    failed = []
    for python, oldest in wanted:
        try:
            found = row(python, oldest, given.tests) | {"tests": given.tests or ["all"]}
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(str(error))
        rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"] if RECORD.exists() else []
        timing.keep(RECORD, "make matrix", rows=merged(rows, found))
        failed += found["failed"]
        print(f"{found['packages']}, Python {found['python']}: {found['passed']} passed, {len(found['failed'])} failed")
    sys.exit("\n".join(failed) or None)


if __name__ == "__main__":
    main()
