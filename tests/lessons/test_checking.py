"""The checks of the exercises: right answers pass, typical wrong ones get the hint that they need."""

import importlib

import answers_05
import pytest
import torch

from helpers.lessons import checking, lesson_01, lesson_05

LESSONS = [importlib.import_module(f"answers_{number:02}") for number in range(2, 10)]
RIGHT = [case for lesson in LESSONS for case in lesson.RIGHT]
WRONG = [case for lesson in LESSONS for case in lesson.WRONG]


def verdict(capsys, check, answer):
    check(answer)
    return capsys.readouterr().out


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_passes(check, answer, capsys):
    assert verdict(capsys, check, answer).startswith(checking.CORRECT)


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_a_wrong_answer_gets_its_hint(check, answer, hint, capsys):
    said = verdict(capsys, check, answer)
    assert said.startswith("Not yet")
    assert hint in said


@pytest.mark.parametrize("check", {check for check, _ in RIGHT})
@pytest.mark.parametrize("nothing", [None, ...])
def test_a_stub_is_not_attempted(check, nothing, capsys):
    assert verdict(capsys, check, lambda *_: nothing).startswith(checking.NOT_ATTEMPTED)


def test_a_hook_also_records_where_gradients_are_off(capsys):
    with torch.no_grad():
        assert verdict(capsys, lesson_05.check_recorded_output, answers_05.record).startswith(checking.CORRECT)


def test_every_check_has_right_and_wrong_answers():
    modules = [importlib.import_module(f"helpers.lessons.lesson_{number:02}") for number in range(2, 10)]
    every = {name for module in modules for name in dir(module) if name.startswith("check_")} - {"check_function"}
    assert {check.__name__ for check, _ in RIGHT} == {check.__name__ for check, *_ in WRONG} == every


def test_not_attempted(capsys):
    def stub(*arguments): ...

    assert verdict(capsys, lesson_01.check_output_size, stub).startswith("Not attempted yet")
    assert verdict(capsys, lesson_01.check_diagonal_kernel, None).startswith("Not attempted yet")


def test_an_error_in_the_answer_is_reported_not_raised(capsys):
    out = verdict(capsys, lesson_01.check_output_size, lambda *a: 1 / 0)
    assert out.startswith("Not yet: with 5, 3, 1, 0, your function raised ZeroDivisionError")


def test_the_arguments_are_named_as_the_reader_named_them(capsys):
    out = verdict(capsys, lesson_01.check_output_size, lambda w, f, s, p: 7)
    assert out.startswith("Not yet: with w=5, f=3, s=1, p=0, your function gave 7; expected 3. Count the places")
    assert verdict(capsys, lesson_01.check_output_size, max).startswith(
        "Not yet: with 5, 3, 1, 0, your function gave 5"
    )


def test_grading_raises_on_anything_but_correct(monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="Not attempted"):
        lesson_01.check_output_size(lambda *a: None)
    with pytest.raises(AssertionError, match="Not yet"):
        lesson_01.check_output_size(lambda *a: 0)
    assert "Correct" in verdict(capsys, lesson_01.check_output_size, lambda w, f, s, p: (w - f + 2 * p) // s + 1)


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (3, 3, ""),
        (3.00001, 3, ""),
        (torch.tensor([1, 2]), [1, 2], ""),
        (4, 3, "gave 4; expected 3."),
        (torch.zeros(2, 3), torch.zeros(3, 2), "gave the shape (2, 3); expected the shape (3, 2)."),
        (torch.tensor([1.0, 9.0]), torch.tensor([1.0, 2.0]), "1 of 2 values are off: at [1] there is 9; expected 2."),
        (torch.tensor([float("nan")]), torch.tensor([1.0]), "at [0] there is nan"),
        ("a", 3, "gave 'a'; expected 3."),
        ("a", "a", ""),
    ],
)
def test_difference(got, expected, words):
    found = checking.difference(got, expected)
    assert words in found
    assert bool(words) == bool(found)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda w, f, s, p: (w - f + p) // s + 1,  # padding on one side only
        lambda w, f, s, p: -(-(w - f + 2 * p) // s) + 1,  # rounded up
        lambda w, f, s, p: (w - f + 2 * p) / s + 1,  # not rounded
        lambda w, f, s, p: (w - f + 2 * p) // s,  # one short
    ],
)
def test_output_size_refuses(capsys, wrong):
    assert verdict(capsys, lesson_01.check_output_size, wrong).startswith("Not yet")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda i, o, k, bias: o * k * k + o * bias,  # forgets the input channels
        lambda i, o, k, bias: i * o * k * k,  # forgets the bias
        lambda i, o, k, bias: i * o * k * k + i * o * bias,
    ],
)
def test_parameters_refuse(capsys, wrong):
    assert verdict(capsys, lesson_01.check_convolution_parameters, wrong).startswith("Not yet")


def correlate(picture, kernel, stride, padding, *, turned=False, one_side=False):
    before = 0 if one_side else padding
    padded = torch.nn.functional.pad(picture, (before, padding, before, padding))
    kernel = kernel.flip(0, 1) if turned else kernel
    patches = padded.unfold(0, kernel.shape[0], stride).unfold(1, kernel.shape[1], stride)
    return (patches * kernel).sum((2, 3))


def test_cross_correlation_knows_right_from_wrong(capsys):
    check = lesson_01.check_cross_correlation
    assert "Correct: 5 of 5" in verdict(capsys, check, correlate)
    turned = verdict(capsys, check, lambda *a: correlate(*a, turned=True))
    assert "not turned" in turned
    square = verdict(capsys, check, lambda p, k, s, pad: correlate(p, k[:, : len(k)], s, pad))
    assert "need not be square" in square
    one_side = verdict(capsys, check, lambda *a: correlate(*a, one_side=True))
    assert "Padding puts zeros" in one_side
    assert "With a stride" in verdict(capsys, check, lambda p, k, s, pad: correlate(p, k, 1, pad))


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], "Correct"),
        ([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], "Correct"),
        ([[-1, 0, 0], [0, 0, 0], [0, 0, 1]], "2 at B and 2 at A: give weight to the cells beside"),
        ([[2, 1, 0], [1, 0, -1], [0, -1, -2]], "large weights belong at the lower right"),
        ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "at D, where the two bright corners must cancel"),
        ([[0, 0, 0], [0, 0, 0], [0, 0, 1]], "sum to 0"),
        ([[1, 2], [3, 4]], r"(2, 2)"),
    ],
)
def test_diagonal_kernel(capsys, kernel, words):
    assert words in verdict(capsys, lesson_01.check_diagonal_kernel, torch.tensor(kernel))
