"""The quiz at a lesson's end, answered in the page; its questions are JSON files in ``notebooks/quizzes``."""

import html
import json
from numbers import Integral
from pathlib import Path
from typing import Any

from helpers import files
from helpers.lessons.explore import Explorer

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "quizzes"


class Quiz(Explorer):
    """What :func:`quiz` gives."""

    lesson = "quiz"

    def at_rest(self) -> str:
        """The questions with their answers, each of which is folded."""
        return f"<ol>{''.join(map(_item, self.content['questions']))}</ol>"


def _item(question: dict[str, Any]) -> str:
    answers = question["answers"]
    right = next(answer for answer in answers if answer.get("correct"))
    choices = "".join(f"<li>{html.escape(text)}</li>" for text in sorted(a["answer"] for a in answers if "answer" in a))
    solution = html.escape(f"{right.get('answer', right.get('value'))}. {right['feedback']}")
    return (
        f"<li><p>{html.escape(question['question'])}</p>{f'<ul>{choices}</ul>' if choices else ''}"
        f"<details><summary>Answer</summary><p>{solution}</p></details></li>"
    )


def quiz(lesson: int) -> Quiz:
    """The quiz of a lesson, by its number."""
    path = FOLDER / f"{lesson:02}.json" if isinstance(lesson, Integral) else FOLDER
    if not path.is_file():
        raise ValueError(f"lesson must be the number of a lesson that has a quiz, not {lesson!r:.60}")
    with files.intact(str(path), f"git checkout {path}"):
        questions = json.loads(files.read(path, 1_000_000))
        if not isinstance(questions, list) or not all(isinstance(question, dict) for question in questions):
            raise ValueError("it is no list of questions")
    return Quiz(content={"questions": questions})
