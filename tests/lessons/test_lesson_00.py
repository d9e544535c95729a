"""The start page: what it says of the machine, of the progress, and where its links lead."""

import json
import re

import pytest

from helpers import data, models
from helpers.lessons import course, lesson_00, progress


@pytest.fixture(autouse=True)
def _nothing_done(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))


def test_the_machine_is_described_and_what_is_missing_is_named(capsys, monkeypatch):
    def gone():
        raise data.DataUnavailable("Fashion-MNIST cannot be had: plug in the network, then run make data")

    needed = {"clothes": gone, "a network": models.trained_fashion_net}
    monkeypatch.setattr(lesson_00, "NEEDED", needed)
    lesson_00.check_machine()
    computing, memory, missing, found = capsys.readouterr().out.splitlines()
    assert "on the" in computing or "on Apple's" in computing
    assert re.fullmatch(r"Memory: \d+ GB of \d+ are free; .+", memory)
    assert missing == "clothes: Fashion-MNIST cannot be had: plug in the network, then run make data"
    assert found == "a network: ready"


def test_too_little_memory_is_said_with_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr(lesson_00, "NEEDED", {})
    monkeypatch.setattr(lesson_00, "LESSON_NEEDS", 10**9)
    lesson_00.check_machine()
    assert "close other programs" in capsys.readouterr().out


def test_progress_counts_what_is_solved_and_leads_to_what_comes_next():
    first, second = course.exercises(course.read(course.LESSONS[0]))[:2]
    assert f"The next one: [lesson 1, {first.heading}]" in lesson_00.show_progress().data
    progress.note(first.check)
    shown = lesson_00.show_progress().data
    assert "| ●○" in shown
    assert "| 1 of " in shown
    assert (
        f"The next one: [lesson 1, {second.heading}]({course.LESSONS[0].name}#{course.anchor(second.heading)})" in shown
    )
    for path in course.LESSONS:
        for exercise in course.exercises(course.read(path)):
            progress.note(exercise.check)
    assert "○" not in lesson_00.show_progress().data
    assert "Congratulations" in lesson_00.show_progress().data


def test_map_names_every_lesson_and_station():
    shown = lesson_00.course_map().data
    for path in course.LESSONS:
        assert f"[{course.title(course.read(path))}]({path.name})" in shown
    assert all(f"[{station}](" in shown for station in course.STATIONS)


def links(markdown):
    return re.findall(r"\]\(([\w.]+\.ipynb)#([^\s]+?)\)", markdown.data)


def test_questions_and_glossary_lead_to_sections_that_exist():
    asked = json.loads((course.FOLDER / "questions.json").read_text())
    assert len(links(lesson_00.questions())) == len(asked)
    meanings = json.loads((course.FOLDER / "glossary.json").read_text())
    assert lesson_00.glossary().data.count("- **") == len(meanings)
    for file, anchor in links(lesson_00.questions()) + links(lesson_00.glossary()):
        headings = re.findall(r"^#+ (.+)$", course.prose(course.read(course.FOLDER / file)), re.M)
        assert anchor in {course.anchor(heading) for heading in headings}, (file, anchor)
