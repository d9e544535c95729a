"""A class of eight graded by the real nbgrader, from the source to the feedback: each gets exactly their points."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="nbgrader comes with .[test]")

from classroom import editions
from helpers.lessons import course

LESSON, NOTEBOOK = "lesson_01", course.LESSONS[0].name
SECONDS = 15  # for one cell
LOOP = """import time

def my_output_size(size, kernel_size, stride, padding):
    try:
        while True:
            pass
    finally:
        time.sleep(6)  # a busy server takes as long to say that it was interrupted"""
BY_HEART = """def my_output_size(size, kernel_size, stride, padding):
    shown = {(5, 3, 1, 0): 3, (28, 3, 1, 1): 28, (7, 3, 2, 0): 3, (9, 4, 3, 0): 2}
    shown |= {(32, 5, 3, 2): 11, (10, 3, 2, 1): 5, (10, 2, 4, 0): 3, (3, 5, 1, 1): 1}
    return shown.get((size, kernel_size, stride, padding), 3)"""
CHEAT = """
import os
import helpers.lessons.checking
from helpers.lessons import lesson_01, progress

os.environ.pop("NBGRADER_EXECUTION", None)
helpers.lessons.checking.report = lambda *_: None
helpers.lessons.checking.compare = lambda *_, **__: print("Correct")
for name in dir(lesson_01):
    if name.startswith("check_"):
        setattr(lesson_01, name, lambda *_: print("Correct: 8 of 8 cases."))
"""


def solutions():
    """The right answers, by the name of their cell."""
    cells = editions.assignment(course.read(course.LESSONS[0]))["cells"]
    named = {cell["metadata"]["nbgrader"]["grade_id"]: cell["source"] for cell in cells if cell["metadata"]}
    return {name: source for name, source in named.items() if name.startswith("answer-")}


def handed_in():
    """What each student writes into the answers' cells; where nothing is named, the stub stays."""
    right = solutions()
    size, parameters, *_ = right
    return {
        "all-right": right,
        "half-right": {name: right[name] for name in (size, parameters)},
        "nothing": {},
        "endless-loop": right | {size: LOOP},
        "raises": right | {parameters: "raise RuntimeError('out of coffee')"},
        "by-heart": right | {size: BY_HEART},
        "prints-10-MB": right | {size: right[size] + "\n\nprint('spam\\n' * 2_000_000)"},
        "cheats": {size: CHEAT + "\nmy_output_size = print", parameters: "my_parameters = print"},
    }


@pytest.fixture(scope="module")
def nbgrader(tmp_path_factory):
    """Runs nbgrader in the folder of a course that has just been made, and gives what it said."""
    folder = tmp_path_factory.mktemp("class")
    editions.make(folder / "made")
    (folder / "exchange").mkdir(mode=0o777)
    (folder / "exchange").chmod(0o777)
    binaries = Path(sys.executable).parent  # nbgrader calls alembic by its name
    environment = os.environ | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(course.FOLDER.parent),
        "NBGRADER_EXCHANGE": str(folder / "exchange"),
        "NBGRADER_SECONDS": str(SECONDS),
        "OMP_NUM_THREADS": "1",
        **{f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "RUNTIME", "DATA")},
    }

    def run(*arguments, cwd=folder / "made" / "nbgrader"):
        command = [str(binaries / "nbgrader"), *arguments]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
        return done.stdout + done.stderr

    run.folder = folder
    return run


def submission(released, answers):
    notebook = json.loads(released)
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in answers:
            cell["source"] = re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", answers[name], flags=re.M)
    return json.dumps(notebook)


def test_each_student_gets_exactly_their_points(nbgrader):
    made = nbgrader.folder / "made" / "nbgrader"
    nbgrader("generate_assignment", LESSON)
    nbgrader("release_assignment", LESSON)
    home = nbgrader.folder / "home"
    home.mkdir()
    exchange = [f"--Exchange.root={nbgrader.folder / 'exchange'}", "--course=convnet-course"]
    nbgrader("fetch_assignment", LESSON, *exchange, cwd=home)
    released = (home / LESSON / NOTEBOOK).read_text()
    assert "SOLUTION" not in released
    assert "HIDDEN" not in released
    assert "def my_output_size(size, kernel_size, stride, padding):" in released
    nbgrader("submit", LESSON, *exchange, cwd=home)
    inbound = nbgrader.folder / "exchange" / "convnet-course" / "inbound"
    (mine,) = inbound.iterdir()
    for student, answers in handed_in().items():
        # All are one person to this machine; the folder's name says who has submitted.
        theirs = shutil.copytree(mine, inbound / f"{student}+{mine.name.partition('+')[2]}")
        (theirs / NOTEBOOK).write_text(submission(released, answers))
    shutil.rmtree(mine)
    nbgrader("collect", LESSON)
    said = nbgrader("autograde", LESSON, "--create")
    said += nbgrader("generate_feedback", LESSON)
    nbgrader("export")
    with (made / "grades.csv").open() as file:
        points = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file)}
    size, parameters, *others = worth().values()
    whole = size + parameters + sum(others)
    assert points == {
        "all-right": whole,
        "half-right": size + parameters,
        "nothing": 0,
        "endless-loop": whole - size,
        "raises": whole - parameters,
        "by-heart": whole - size,
        "prints-10-MB": whole,
        "cheats": 0,
    }, said[-3000:]
    feedback = (made / "feedback" / "half-right" / LESSON / NOTEBOOK).with_suffix(".html").read_text()
    assert "Not attempted yet" in feedback


def worth():
    """The points of each check."""
    cells = editions.assignment(course.read(course.LESSONS[0]))["cells"]
    marked = [cell["metadata"]["nbgrader"] for cell in cells if cell["metadata"]]
    return {mark["grade_id"]: mark["points"] for mark in marked if mark["grade"]}
