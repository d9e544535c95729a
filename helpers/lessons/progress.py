"""Which exercises the reader has solved: a small file on this machine, of which nothing is sent anywhere.

It lies in the platform's folder for programs' data, or at the path in the environment variable ``COURSE_PROGRESS``;
deleting it forgets everything. A check that passes is noted where it is all that a cell does: running a folded
solution, which brings its check along, solves no exercise.
"""

import json
import os
import re
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

import filelock
import platformdirs

from helpers import files

CHECK = re.compile(r"\s*(lesson_\d\d\.check_\w+)\((?!.*lesson_\d\d\.check_).*\)\s*", re.S)
LARGEST = 100_000  # bytes; what is larger was not written here


def path() -> Path:
    """Where the progress is kept."""
    chosen = os.environ.get("COURSE_PROGRESS")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("convnet-course") / "progress.json"


def solved() -> dict[str, str]:
    """The checks that have passed, such as ``"lesson_01.check_output_size"``, each with the day of the first time."""
    try:
        return solved_in(path())
    except (OSError, ValueError, RuntimeError):  # no file, not one of ours, no home folder
        return {}


def note_check() -> None:
    """Note that the check passed which the running cell consists of; not where exercises are graded."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cell = CHECK.fullmatch(shell.user_ns.get("In", [""])[-1]) if shell else None
    if cell and "NBGRADER_EXECUTION" not in os.environ:
        note(cell[1])


def note(check: str) -> None:
    """Note that a check has passed, by its name. A file that cannot be written, or is not ours, stays as it is."""
    with suppress(OSError, ValueError, RuntimeError):
        path().parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path().with_name(path().name + ".lock"), timeout=5):  # two lessons may be open
            kept = solved_in(path()) if path().exists() else {}
            content = {"solved": {check: date.today().isoformat()} | kept}
            files.write(path(), json.dumps(content, indent=1).encode())


def solved_in(file: Path) -> dict[str, str]:
    """The checks that a file of progress says have passed, each with its day.

    Raises:
        OSError: it cannot be read, or is too large to be one.
        ValueError: it is no such file.
    """
    content = json.loads(files.read(file, LARGEST))
    if not isinstance(content, dict) or not isinstance(content.get("solved"), dict):
        raise ValueError(f"{file} is no file of progress")
    return {str(check): str(day) for check, day in content["solved"].items()}
