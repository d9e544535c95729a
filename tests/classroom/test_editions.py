"""The editions: nothing of a solution is left where it should not be, and everything that is needed is there."""

import ast
import json
import re

import nbformat
import pytest

from classroom import editions
from helpers.lessons import checking, course

LESSONS = pytest.mark.parametrize("path", course.LESSONS, ids=lambda path: path.stem)


def tags(notebook):
    return {tag for cell in notebook["cells"] for tag in cell["metadata"].get("tags", [])}


def sources(notebook, kind="code"):
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == kind]


def solutions(notebook):
    """The lines that only solutions have."""
    text = "\n".join(c["source"] for c in notebook["cells"] if not course.has_tag(c, "solution"))
    lines = [line for c in notebook["cells"] if course.has_tag(c, "solution") for line in c["source"].splitlines()]
    return [line for line in lines if line.strip() and line not in text]


@LESSONS
def test_students_get_all_but_solutions_and_claims(path):
    notebook = course.read(path)
    made = editions.student(notebook)
    text = json.dumps([c["source"] for c in made["cells"]])
    assert solutions(notebook)
    assert not [line for line in solutions(notebook) if json.dumps(line)[1:-1] in text]
    assert tags(made) == tags(notebook) - {"solution", "claim"}
    assert not re.search(r"solution is folded", text)
    left_out = [c for c in notebook["cells"] if course.has_tag(c, "solution") or course.has_tag(c, "claim")]
    assert len(made["cells"]) == len(notebook["cells"]) - len(left_out)
    assert len([c for c in made["cells"] if course.has_tag(c, "exercise")]) == len(course.exercises(notebook))
    nbformat.validate(nbformat.from_dict(made))


@LESSONS
def test_teachers_see_everything_open_with_the_notes_at_their_headings(path):
    notebook = course.read(path)
    notes = json.loads(editions.NOTES.read_text()).get(path.name, {})
    made = editions.teacher(notebook, notes)
    assert not [c for c in made["cells"] if {"jupyter", "jp-MarkdownHeadingCollapsed"} & c["metadata"].keys()]
    assert tags(made) == tags(notebook)
    assert len(made["cells"]) == len(notebook["cells"]) + len(notes)
    for heading, written in notes.items():
        above = next(i for i, cell in enumerate(made["cells"]) if heading in cell["source"])
        assert all(note in "".join(sources(made | {"cells": made["cells"][above:]}, "markdown")) for note in written)


def test_each_lesson_has_notes():
    assert json.loads(editions.NOTES.read_text()).keys() == {path.name for path in course.LESSONS}


def test_a_note_for_a_heading_that_is_gone_is_an_error():
    with pytest.raises(ValueError, match="no heading 'Kites'"):
        editions.teacher(course.read(course.LESSONS[0]), {"Kites": ["They fly."]})


@LESSONS
def test_a_handout_runs_by_itself_and_its_answers_can_all_be_right(path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")  # so that a check that is not passed raises
    notebook = course.read(path)
    made, assignment = editions.handout(notebook), editions.assignment(notebook)
    assert len(made["cells"]) == len(assignment["cells"])
    assert not any(cell.get("outputs") for cell in made["cells"])
    names = {}
    for cell in assignment["cells"]:
        if cell["cell_type"] == "code":
            shown, _, hidden = cell["source"].partition("### BEGIN HIDDEN TESTS")
            exec(shown, names)
            exec(hidden[hidden.find("for seed in") :] if hidden else "", names | {"checking": checking})
    for stub in (cell for cell in notebook["cells"] if course.has_tag(cell, "exercise")):
        assert stub["source"] in sources(made)


@LESSONS
def test_an_assignment_has_points_for_each_check_and_no_solution_outside_its_markers(path):
    notebook = course.read(path)
    cells = editions.assignment(notebook)["cells"]
    marked = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    assert [m["points"] for m in marked if m["grade"]] == [
        15 if "(harder)" in exercise.heading else 10 for exercise in course.exercises(notebook)
    ]
    assert len({m["grade_id"] for m in marked}) == len(marked) == 2 * len(course.exercises(notebook))
    for cell in cells:
        outside = re.sub(r"### BEGIN (SOLUTION|HIDDEN TESTS).*?### END \1", "...", cell["source"], flags=re.S)
        assert not [line for line in solutions(notebook) if line in outside]
        if cell["cell_type"] == "code":
            ast.parse(outside)
            ast.parse(cell["source"])


def test_the_cases_that_only_grading_tries_follow_the_seed():
    notebook = course.read(course.LESSONS[0])
    for seed in (1, 40):
        hidden = [source for source in sources(editions.assignment(notebook, seed)) if "HIDDEN" in source]
        assert len(hidden) == len(course.exercises(notebook))
        assert all(f"for seed in range({seed}, {seed + 3}):\n    with checking.other_cases(seed):" in s for s in hidden)


def test_made_twice_they_are_the_same_and_nothing_old_is_left(tmp_path):
    editions.make(tmp_path)
    first = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    (tmp_path / "student" / "99_old.ipynb").touch()
    editions.make(tmp_path)
    assert first == {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(first) == 6 * len(course.LESSONS) + 3  # four editions, two quizzes; two start pages, nbgrader's settings
