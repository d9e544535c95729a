"""The quizzes for Moodle and Canvas, read back: the same questions, answers and feedback, and the same is right."""

import builtins
import html
import io
import re
import xml.etree.ElementTree as ET
import zipfile

import pytest

from classroom import quizzes
from helpers.lessons import course

LESSONS = pytest.mark.parametrize("path", course.LESSONS, ids=lambda path: path.stem)
ODD = [
    {
        "question": 'Is a*b*c_d_e = {f} ~ #1: `x` < y & \\n $z$ "q" [u](v)?',
        "type": "multiple_choice",
        "answers": [
            {"answer": "- no: 1. *never*", "correct": False, "feedback": "# a {b} = c ~ d"},
            {"answer": "x -> y = {z}", "correct": True, "feedback": "<b>Yes</b>: it's so..."},
        ],
    },
    {
        "question": "How much?",
        "type": "numeric",
        "answers": [
            {"type": "value", "value": -0.25, "correct": True, "feedback": "Yes: −1/4 = −0.25."},
            {"type": "value", "value": 0.25, "correct": False, "feedback": "The sign: ~."},
            {"type": "default", "feedback": "No: {not} #that."},
        ],
    },
]


def content(questions, of_numbers=lambda answer: True):
    """What a learner is to see: of each question its text, and of each answer its text, whether right, its feedback."""
    result = []
    for question in questions:
        answers = [a for a in question["answers"] if question["type"] != "numeric" or of_numbers(a)]
        told = [(str(a.get("answer", a.get("value", ""))), bool(a.get("correct")), a["feedback"]) for a in answers]
        result.append((question["question"], told))
    return result


# --- Moodle: a reader of the part of GIFT that is used ---


def unescaped(text):
    return re.sub(r"\\(.)", r"\1", text)


def split(text, sign):
    """At a sign that has no backslash before it."""
    return re.split(rf"(?<!\\)(?:\\\\)*{sign}", text)


def from_gift(text):
    category, *blocks = text.strip().split("\n\n")
    read = []
    for block in blocks:
        parts = re.fullmatch(r"::.+?(?<!\\)::\[plain\](.+) \{(#?)\n(.+)\n\}", block, re.S)
        question, numeric, answers = parts.groups()
        found = []
        for line in answers.splitlines():
            answer, feedback = split(line[1:], "#")
            is_right = line[0] == "=" and not answer.startswith("%0%")
            answer = re.sub(r"^%0%|:0$", "", answer) if numeric else answer
            found.append((unescaped(answer), is_right, unescaped(feedback)))
        read.append((unescaped(question), found))
    return category, read


@LESSONS
def test_moodle_gets_the_questions_of_the_lesson(path):
    questions = quizzes.read(path)
    category, read = from_gift(quizzes.gift(course.title(course.read(path)), questions))
    assert read == content(questions)
    assert category == f"$CATEGORY: $course$/{course.title(course.read(path))}"


def test_signs_that_mean_something_in_gift_are_escaped():
    text = quizzes.gift("A/B: the test", ODD)
    category, read = from_gift(text)
    assert category == "$CATEGORY: $course$/A//B: the test"
    assert read == content(ODD)
    assert r"Is a*b*c_d_e \= \{f\} \~ \#1\: `x` < y & \\n $z$" in text
    assert "::A/B\\: the test, 1::" in text


# --- Canvas ---


def from_qti(package):
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        path = next(n for n in archive.namelist() if n.endswith(".xml") and "/text2qti_assessment_" in n)
        root = ET.fromstring(re.sub(rb' xmlns="[^"]+"', b"", archive.read(path)))
    return root.find("assessment").get("title"), [question_of(item) for item in root.iter("item")]


def shown(element):
    """The text that a browser would show."""
    return html.unescape(re.sub(r"</?p>", "", element.find(".//mattext").text.strip()))


def question_of(item):
    feedback = {each.get("ident"): shown(each) for each in item.iter("itemfeedback")}
    scored = next(c for c in item.iter("respcondition") if c.find("setvar") is not None)
    right = scored.find(".//varequal").text
    if item.find(".//render_fib") is not None:
        low, high = float(scored.find(".//vargte").text), float(scored.find(".//varlte").text)
        assert (low, high) == ((-0.5, 0.5) if float(right) == 0 else (float(right), float(right)))
        said = [(f"{float(right):g}", True, feedback["correct_fb"]), ("", False, feedback["general_incorrect_fb"])]
        return shown(item.find("presentation")), said
    labels = [(label.get("ident"), shown(label)) for label in item.iter("response_label")]
    answers = [(text, ident == right, feedback[f"{ident}_fb"]) for ident, text in labels]
    return shown(item.find("presentation")), answers


def told_in_canvas(answer):
    """Wrong numbers that have feedback of their own in the lesson are told the same as all others."""
    return answer.get("correct") or answer["type"] == "default"


@LESSONS
def test_canvas_gets_the_questions_of_the_lesson(path):
    pytest.importorskip("text2qti", reason="text2qti comes with .[test]")
    questions, title = quizzes.read(path), course.title(course.read(path))
    assert from_qti(quizzes.qti(title, questions)) == (title, content(questions, told_in_canvas))


def test_signs_that_mean_something_in_markdown_stay_as_they_are():
    pytest.importorskip("text2qti", reason="text2qti comes with .[test]")
    package = quizzes.qti("Odd signs", ODD)
    assert from_qti(package) == ("Odd signs", content(ODD, told_in_canvas))
    assert package == quizzes.qti("Odd signs", ODD)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        manifest = archive.read("imsmanifest.xml").decode()
    ET.fromstring(manifest)
    assert "opyright" not in manifest
    assert "<schema>IMS Content</schema>" in manifest


def test_the_right_answer_does_not_always_come_first():
    for path in course.LESSONS:
        for question in quizzes.read(path):
            if question["type"] == "multiple_choice":
                texts = [answer["answer"] for answer in question["answers"]]
                assert texts == sorted(texts)


def test_without_text2qti_moodle_gets_its_quizzes_all_the_same(tmp_path, monkeypatch, capsys):
    usual = builtins.__import__

    def without(name, *rest):
        if name.startswith("text2qti"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    quizzes.make(tmp_path)
    assert len(list(tmp_path.rglob("*.txt"))) == len(course.LESSONS)
    assert not list(tmp_path.rglob("*.zip"))
    assert "pip install text2qti" in capsys.readouterr().out
