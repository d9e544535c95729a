"""The table of what a class has done, from files as the lessons write them and from others."""

import pytest

from classroom import overview
from helpers.lessons import course, progress

FIRST, SECOND = (exercise.check for exercise in course.exercises(course.read(course.LESSONS[0]))[:2])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, checks in {"ana": [FIRST, SECOND], "ben & co": [FIRST], "eve": []}.items():
        monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / f"{name}.json"))
        (tmp_path / f"{name}.json").write_text('{"solved": {}}')
        for check in checks:
            progress.note(check)
    return tmp_path


def test_each_reader_has_a_row_and_each_exercise_a_count(folder):
    page = overview.overview(folder)
    lines = page.splitlines()
    assert next(line for line in lines if ">ana<" in line).count("●") == 2
    assert next(line for line in lines if "ben &amp; co" in line).count("●") == 1
    assert next(line for line in lines if ">eve<" in line).count("●") == 0
    assert "<th>2 1 0 0</th>" in page
    assert "http" not in page


def test_a_file_that_is_none_of_ours_is_named_and_the_others_are_shown(folder):
    (folder / "zoe.json").write_text("[")
    page = overview.overview(folder)
    assert "cannot be read" in next(line for line in page.splitlines() if ">zoe<" in line)
    assert page.count("●") == 3


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no files"):
        overview.overview(tmp_path)
