"""Answers to the exercises: right ones pass in any style, a wrong one is told its mistake, nothing crashes a check."""

import importlib
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from helpers.lessons import checking

LESSONS = {number: importlib.import_module(f"helpers.lessons.lesson_{number:02}") for number in range(1, 10)}
ANSWERS = {number: importlib.import_module(f"answers_{number:02}") for number in range(1, 10)}
CHECKS = {
    name: value
    for lesson in LESSONS.values()
    for name, value in vars(lesson).items()
    if name.startswith("check_") and value.__module__ == lesson.__name__
}
RIGHT = [
    (name, i, answer) for a in ANSWERS.values() for name, group in a.RIGHT.items() for i, answer in enumerate(group)
]
WRONG = [
    (name, i, *wrong) for a in ANSWERS.values() for name, group in a.WRONG.items() for i, wrong in enumerate(group)
]


def names(cases):
    return [f"{name.removeprefix('check_')}-{i}" for name, i, *_ in cases]


@pytest.mark.parametrize(("check", "i", "answer"), RIGHT, ids=names(RIGHT))
def test_a_right_answer_passes(check, i, answer, capsys):
    CHECKS[check](answer)
    assert capsys.readouterr().out.startswith(checking.CORRECT)


@pytest.mark.parametrize(("check", "i", "answer", "named"), WRONG, ids=names(WRONG))
def test_a_wrong_answer_is_told_its_mistake(check, i, answer, named, capsys):
    CHECKS[check](answer)
    said = capsys.readouterr().out
    assert said.startswith(checking.NOT_YET)
    assert re.search(named, said, re.IGNORECASE), said


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "nothing", [None, ..., lambda *_: None, lambda *_: ...], ids=["None", "...", "to None", "to ..."]
)
def test_a_stub_is_not_attempted(check, nothing, capsys):
    CHECKS[check](nothing)
    assert capsys.readouterr().out.startswith(checking.NOT_ATTEMPTED)


class Hostile:
    """An object that cannot be compared, printed, measured or asked for anything."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    __eq__ = __len__ = __iter__ = __repr__ = __bool__ = __float__ = lambda self, *_: 1 / 0
    __hash__ = None


ODD = {
    "text": "a",
    "complex": 1j,
    "NaN": float("nan"),
    "a NaN tensor": torch.full((2, 2), float("nan")),
    "sparse": torch.eye(3).to_sparse(),
    "on meta": torch.zeros(2, device="meta"),
    "a module": nn.Linear(1, 1),
    "a class": nn.Linear,
    "an array of objects": np.array([None, "a"], dtype=object),
    "a ragged list": [1, [2, 3]],
    "a dictionary": {"a": 1},
    "a generator": (x for x in ()),
    "empty": torch.zeros(0),
    "huge": torch.zeros(1, 1, 1, 1, 1, 1, 1),
    "bytes": b"a",
    "hostile": Hostile(),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("odd", ODD)
def test_nothing_crashes_a_check(check, odd, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for answer in (ODD[odd], lambda *_: ODD[odd], lambda *_: (ODD[odd], ODD[odd]))[: 3 if odd == "hostile" else 2]:
            CHECKS[check](answer)
            said = capsys.readouterr().out
            assert said.startswith(checking.NOT_YET)
            assert len(said.splitlines()) <= 10


def test_every_check_has_right_and_wrong_answers():
    right, wrong = ({name for a in ANSWERS.values() for name in getattr(a, kind)} for kind in ("RIGHT", "WRONG"))
    assert right == wrong == CHECKS.keys()
    assert all(len(group) >= 3 for a in ANSWERS.values() for group in a.RIGHT.values())
    assert all(len(group) >= 6 for a in ANSWERS.values() for group in a.WRONG.values())
