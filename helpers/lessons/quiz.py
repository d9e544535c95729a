"""The quiz at a lesson's end, answered in the page; its questions are JSON files in ``notebooks/quizzes``."""

import json
from pathlib import Path

from helpers.lessons.explore import Explorer

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "quizzes"


class Quiz(Explorer):
    """What :func:`quiz` gives."""

    lesson = "quiz"


def quiz(lesson: int) -> Quiz:
    """The quiz of a lesson, by its number."""
    path = FOLDER / f"{lesson:02}.json"
    if not path.is_file():
        raise ValueError(f"lesson must be the number of a lesson that has a quiz, not {lesson!r:.60}")
    return Quiz(content={"questions": json.loads(path.read_text(encoding="utf-8"))})
