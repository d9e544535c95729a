"""Editions of the lessons for a class, all made from the notebooks themselves: ``python -m classroom.editions``.

- **student**: without solutions and claims;
- **teacher**: both open, with notes on where readers stumble, what to ask and what to show;
- **handout**: the exercises alone;
- **nbgrader**: the same as assignments, in the folder structure that nbgrader works in;
- **quizzes**: for Moodle and Canvas, see :mod:`classroom.quizzes`.
"""

import argparse
import ast
import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from classroom import quizzes
from helpers.lessons import course

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "build" / "classroom"
NOTES = HERE / "notes.json"
SETS = 3  # of cases that only grading tries
POINTS, POINTS_HARDER = 10, 15  # of an exercise, and of one whose heading says that it is harder
Notebook = dict[str, Any]
Cell = dict[str, Any]


# --- Editions ---------------------------------------------------------------------------------------------------------


def student(notebook: Notebook) -> Notebook:
    """Without solutions and claims, and without the sentences that promise a solution."""
    hidden = [c for c in notebook["cells"] if course.has_tag(c, "solution") or course.has_tag(c, "claim")]
    return _with_cells(notebook, [_without_promise(c) for c in notebook["cells"] if c not in hidden])


def teacher(notebook: Notebook, notes: dict[str, list[str]]) -> Notebook:
    """Everything open, and each section's notes below its heading.

    Args:
        notebook: a lesson.
        notes: by heading, as in ``notes.json``; those of the lesson as a whole are at its title.

    Raises:
        ValueError: a note is for a heading that the lesson does not have.
    """
    cells, waiting = [], dict(notes)
    for cell in notebook["cells"]:
        folds = {"jupyter", "jp-MarkdownHeadingCollapsed"}
        cells.append(cell | {"metadata": {k: v for k, v in cell["metadata"].items() if k not in folds}})
        for heading in _headings(cell):
            if heading in waiting:
                cells.append(_markdown("\n".join(f"> - {note}" for note in waiting.pop(heading))))
    if waiting:
        raise ValueError(f"{course.title(notebook)} has no heading {next(iter(waiting))!r}, for which there is a note")
    return _with_cells(notebook, cells)


def handout(notebook: Notebook) -> Notebook:
    """The exercises alone, with the imports that they need; no outputs."""
    cells = _beginning(notebook)
    for task, stub, check, _ in _exercises(notebook):
        cells += [*task, _code(stub), _code(check)]
    return _with_cells(notebook, cells)


def assignment(notebook: Notebook, seed: int = 1) -> Notebook:
    """The handout as a source of nbgrader: solutions between its markers, checks that give points.

    Args:
        notebook: a lesson.
        seed: for the cases that only grading tries, of which there are three sets, from ``seed`` on.
    """
    cells = _beginning(notebook)
    for task, stub, check, solution in _exercises(notebook):
        lesson, name = re.match(r"(\w+)\.check_(\w+)\(", check).groups()  # type: ignore[union-attr]
        points = POINTS_HARDER if "(harder)" in task[0]["source"].partition("\n")[0] else POINTS
        answer = {"grade": False, "solution": True, "locked": False, "grade_id": f"answer-{name}"}
        graded = {"grade": True, "solution": False, "locked": True, "grade_id": f"check-{name}", "points": points}
        hidden = HIDDEN.format(lesson=lesson, check=check, first=seed, end=seed + SETS)
        cells += [*task, _code(_with_markers(stub, solution), answer), _code(f"{check}\n{hidden}", graded)]
    return _with_cells(notebook, cells)


# In grading, the check runs once more in modules that are read anew: an answer may have replaced what it is judged by.
# Then it runs with other numbers than the lesson shows: an answer may know the results of those by heart.
HIDDEN = """### BEGIN HIDDEN TESTS
import os
import sys

os.environ["NBGRADER_EXECUTION"] = "autograde"
for name in [name for name in sys.modules if name.partition(".")[0] == "helpers"]:
    del sys.modules[name]
from helpers.lessons import checking, {lesson}

{check}
for seed in range({first}, {end}):
    with checking.other_cases(seed):
        {check}
### END HIDDEN TESTS"""


def _with_cells(notebook: Notebook, cells: list[Cell]) -> Notebook:
    """The same notebook with other cells, named by their places, so that the same lesson gives the same file."""
    return notebook | {"cells": [cell | {"id": f"cell-{i:03}"} for i, cell in enumerate(cells)]}


def _without_promise(cell: Cell) -> Cell:
    return cell | {"source": re.sub(r" ?A solution is folded[^.]*\.", "", cell["source"])}


def _headings(cell: Cell) -> list[str]:
    return re.findall(r"^#+ (.+)$", cell["source"], re.M) if cell["cell_type"] == "markdown" else []


def _exercises(notebook: Notebook) -> Iterator[tuple[list[Cell], str, str, str]]:
    """Of each exercise the cells of its task, the stub, the check, and the solution without its check."""
    task: list[Cell] = []
    cells = notebook["cells"]
    for cell, *following in zip(cells, cells[1:], cells[2:], strict=False):
        begins = re.search(r"^#+ Exercise .*", cell["source"], re.M | re.S) if _headings(cell) else None
        if begins:
            task = [_without_promise(_markdown(begins[0]))]
        elif course.has_tag(cell, "exercise"):
            check, solution = (each["source"] for each in following)
            yield task, cell["source"], check, solution.removesuffix(check).rstrip()
        else:
            task.append(cell | {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell)


def _beginning(notebook: Notebook) -> list[Cell]:
    """A title, and a cell with the lesson's imports that its exercises use."""
    lines: dict[str, str] = {}  # for each name the import that gives it
    for cell in notebook["cells"]:
        for node in ast.parse(cell["source"]).body if cell["cell_type"] == "code" else []:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    one = copy.copy(node)
                    one.names = [alias]
                    lines[(alias.asname or alias.name).split(".")[0]] = ast.unparse(one)
    used: set[str] = set()
    for task, *sources in _exercises(notebook):
        sources += [cell["source"] for cell in task if cell["cell_type"] == "code"]
        used |= {node.id for node in ast.walk(ast.parse("\n".join(sources))) if isinstance(node, ast.Name)}
    imports = "\n".join(sorted(lines[name] for name in used & lines.keys()))
    return [_markdown(f"# {course.title(notebook)}: exercises"), _code(imports)]


def _with_markers(stub: str, solution: str) -> str:
    """The solution with nbgrader's markers around what the reader is to write: a function keeps its signature."""
    lines, place = solution.splitlines(), ast.parse(solution).body[0]
    if isinstance(place, ast.FunctionDef):
        start = place.body[0].lineno - 1
        return "\n".join([*lines[:start], "    ### BEGIN SOLUTION", *lines[start:], "    ### END SOLUTION"])
    return "\n".join([stub, "### BEGIN SOLUTION", *lines, "### END SOLUTION"])


def _markdown(source: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str, nbgrader: dict[str, Any] | None = None) -> Cell:
    schema = {"schema_version": 3, "task": False, "cell_type": "code"}
    metadata = {"nbgrader": {**schema, **nbgrader}} if nbgrader else {}
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": source}


# --- Files ------------------------------------------------------------------------------------------------------------


def make(target: Path = TARGET, seed: int = 1) -> None:
    """All editions of all lessons, in a folder that is made anew; the seed is that of :func:`assignment`."""
    notes = json.loads(NOTES.read_text(encoding="utf-8"))
    editions: dict[str, Callable[[Notebook, Path], Notebook]] = {
        "student": lambda notebook, _: student(notebook),
        "teacher": lambda notebook, path: teacher(notebook, notes.get(path.name, {})),
        "handout": lambda notebook, _: handout(notebook),
        "nbgrader/source": lambda notebook, _: assignment(notebook, seed),
    }
    for name, edition in editions.items():
        shutil.rmtree(target / name, ignore_errors=True)
        for path in course.LESSONS:
            folder = target / name / (f"lesson_{path.name[:2]}" if name == "nbgrader/source" else "")
            made = edition(course.read(path), path)
            quizzes.write(folder / path.name, json.dumps(made, indent=1, ensure_ascii=False).encode() + b"\n")
    for name in ("student", "teacher"):
        shutil.copy(course.START, target / name)
    shutil.copy(HERE / "nbgrader_config.py", target / "nbgrader")
    shutil.rmtree(target / "quizzes", ignore_errors=True)
    quizzes.make(target / "quizzes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="?", type=Path, default=TARGET, help="folder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the cases that only grading tries (default: 1)")
    given = parser.parse_args()
    if given.seed < 1:
        parser.error(f"--seed must be 1 or more, not {given.seed}")
    make(given.target, given.seed)
    print(f"The editions are in {given.target}")
