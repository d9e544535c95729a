"""The quizzes for a learning platform: GIFT files for Moodle, and QTI packages for Canvas and others.

Moodle takes a GIFT file at *Question bank → Import*; Canvas takes a QTI package at *Settings → Import Course Content*.
``make classroom`` writes both to ``build/classroom/quizzes``.
"""

import io
import json
import re
import string
import zipfile
from pathlib import Path
from typing import Any

from helpers import files
from helpers.lessons import course

FOLDER = course.FOLDER / "quizzes"
Question = dict[str, Any]


def read(path: Path) -> list[Question]:
    """The questions of a lesson's quiz, with the answers to choose from in alphabetical order.

    Args:
        path: the lesson's notebook.
    """
    questions = json.loads((FOLDER / f"{path.name[:2]}.json").read_text(encoding="utf-8"))
    for question in questions:
        question["answers"].sort(key=lambda answer: answer.get("answer", ""))  # in the files the right one comes first
    return questions


def gift(title: str, questions: list[Question]) -> str:
    """The questions in Moodle's GIFT format, in a category of their own that has the lesson's title."""
    blocks = [f"$CATEGORY: $course$/{title.replace('/', '//')}"]
    for number, question in enumerate(questions, 1):
        is_number = question["type"] == "numeric"
        name, text = _gift(f"{title}, {number}"), _gift(question["question"])
        answers = [_gift_answer(answer, is_number) for answer in question["answers"]]
        blocks.append("\n".join([f"::{name}::[plain]{text} {{{'#' if is_number else ''}", *answers, "}"]))
    return "\n\n".join(blocks) + "\n"


def _gift_answer(answer: dict[str, Any], is_number: bool) -> str:
    feedback = _gift(answer["feedback"])
    if not is_number:
        return f"{'=' if answer['correct'] else '~'}{_gift(answer['answer'])}#{feedback}"
    if answer["type"] == "default":
        return f"~#{feedback}"  # of any other number; Moodle wants it last
    return f"={'' if answer.get('correct') else '%0%'}{answer['value']}:0#{feedback}"


def _gift(text: str) -> str:
    return re.sub(r"([\\~=#{}:])", r"\\\1", text)


def qti(title: str, questions: list[Question]) -> bytes:
    """The questions as a QTI package, as Canvas imports it: a zip file, the same for the same questions.

    Raises:
        ModuleNotFoundError: text2qti, which writes it, is not installed.
    """
    from text2qti.config import Config
    from text2qti.qti import QTI
    from text2qti.quiz import Quiz

    lines = [f"Quiz title: {title}", "Shuffle answers: true"]
    for number, question in enumerate(questions, 1):
        lines += ["", f"{number}. {_plain(question['question'])}"]
        lines += _qti_answers(question)
    written = io.BytesIO()
    QTI(Quiz("\n".join(lines), config=Config())).write(written)
    return _our_own(written)


def _qti_answers(question: Question) -> list[str]:
    """The lines of text2qti's own format, in which a number closes its question, and wrong ones are told the same."""
    answers = question["answers"]
    if question["type"] == "numeric":
        right = next(answer for answer in answers if answer.get("correct"))
        other = next(answer for answer in answers if answer["type"] == "default")
        margin = 0 if right["value"] else 0.5  # text2qti refuses 0 alone
        feedback = [f"+ {_plain(right['feedback'])}", f"- {_plain(other['feedback'])}"]
        return [*feedback, f"= {right['value']} +- {margin}"]
    lines = []
    for letter, answer in zip(string.ascii_lowercase, answers, strict=False):
        lines.append(f"{'*' if answer['correct'] else ''}{letter}) {_plain(answer['answer'])}")
        lines.append(f"... {_plain(answer['feedback'])}")
    return lines


def _plain(text: str) -> str:
    """Text of which Markdown makes nothing else: all punctuation but commas as character references."""
    return re.sub(r"[!-+\--/:-@[-`{-~]", lambda sign: f"&#{ord(sign[0])};", text)


def _our_own(package: io.BytesIO) -> bytes:
    """The same zip file without the time at which it was made, nor text2qti's word that it is under copyright."""
    result = io.BytesIO()
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(result, "w") as target:
        for entry in source.infolist():
            content = re.sub(rb"\s*<imsmd:lom>.*</imsmd:lom>", b"", source.read(entry), flags=re.S)
            target.writestr(zipfile.ZipInfo(entry.filename), content, zipfile.ZIP_DEFLATED)
    return result.getvalue()


def make(folder: Path) -> None:
    """Write all quizzes to ``moodle`` and ``canvas`` in a folder; without text2qti, those for Moodle alone."""
    for path in course.LESSONS:
        title, questions = course.title(course.read(path)), read(path)
        write(folder / "moodle" / f"{path.stem}.txt", gift(title, questions).encode())  # Moodle takes no other ending
        try:
            write(folder / "canvas" / f"{path.stem}.zip", qti(title, questions))
        except ModuleNotFoundError:
            print(f"{path.stem}: no quiz for Canvas without text2qti (pip install text2qti)")


def write(path: Path, content: bytes) -> None:
    """Write a file, and the folder that it belongs in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, content)
