import pytest
import torch

from helpers import checks


def verdict(capsys, check, answer):
    check(answer)
    return capsys.readouterr().out


def test_not_attempted(capsys):
    def stub(*arguments): ...

    assert verdict(capsys, checks.output_size, stub).startswith("Not attempted yet")
    assert verdict(capsys, checks.diagonal_kernel, None).startswith("Not attempted yet")


def test_an_error_in_the_answer_is_reported_not_raised(capsys):
    out = verdict(capsys, checks.output_size, lambda *a: 1 / 0)
    assert out.startswith("Not yet: with 5, 3, 1, 0, your function raised ZeroDivisionError")


def test_the_arguments_are_named_as_the_reader_named_them(capsys):
    out = verdict(capsys, checks.output_size, lambda w, f, s, p: 7)
    assert out.startswith("Not yet: with w=5, f=3, s=1, p=0, your function gave 7; expected 3. Count the places")
    assert verdict(capsys, checks.output_size, max).startswith("Not yet: with 5, 3, 1, 0, your function gave 5")


def test_grading_raises_on_anything_but_correct(monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="Not attempted"):
        checks.output_size(lambda *a: None)
    with pytest.raises(AssertionError, match="Not yet"):
        checks.output_size(lambda *a: 0)
    assert "Correct" in verdict(capsys, checks.output_size, lambda w, f, s, p: (w - f + 2 * p) // s + 1)


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
    found = checks.difference(got, expected)
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
    assert verdict(capsys, checks.output_size, wrong).startswith("Not yet")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda i, o, k, bias: o * k * k + o * bias,  # forgets the input channels
        lambda i, o, k, bias: i * o * k * k,  # forgets the bias
        lambda i, o, k, bias: i * o * k * k + i * o * bias,
    ],
)
def test_parameters_refuse(capsys, wrong):
    assert verdict(capsys, checks.convolution_parameters, wrong).startswith("Not yet")


def correlate(picture, kernel, stride, padding, *, turned=False, one_side=False):
    before = 0 if one_side else padding
    padded = torch.nn.functional.pad(picture, (before, padding, before, padding))
    kernel = kernel.flip(0, 1) if turned else kernel
    patches = padded.unfold(0, kernel.shape[0], stride).unfold(1, kernel.shape[1], stride)
    return (patches * kernel).sum((2, 3))


def test_cross_correlation_knows_right_from_wrong(capsys):
    check = checks.cross_correlation
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
    assert words in verdict(capsys, checks.diagonal_kernel, torch.tensor(kernel))
