"""The cases that only grading tries: no right answer is refused, and one that only knows the shown ones is."""

import io
from contextlib import redirect_stdout

import pytest
import torch
from test_answers import CHECKS, RIGHT, names

from helpers.lessons import checking

SEEDS = range(1, 4)  # as many as grading tries
# What is judged by its properties, what is written down by hand, and what draws from a seed that does not change.
FIXED = {
    "check_diagonal_kernel",
    "check_octave_sizes",
}


def verdict(check, answer):
    with redirect_stdout(io.StringIO()) as said:
        CHECKS[check](answer)
    return said.getvalue()


@pytest.mark.parametrize(("check", "i", "answer"), RIGHT, ids=names(RIGHT))
def test_a_right_answer_is_right_whatever_the_numbers(check, i, answer):
    for seed in SEEDS:
        with checking.other_cases(seed):
            assert verdict(check, answer).startswith(checking.CORRECT), seed


class Memory:
    """An answer that knows the results of the shown cases by heart, in their order, and no others."""

    def __init__(self, right):
        self.right, self.results, self.is_learning, self.place = right, [], True, 0

    def __call__(self, *arguments):
        if self.is_learning:
            self.results.append(self.right(*arguments))
            return self.results[-1]
        result = self.results[self.place % len(self.results)]
        self.place += 1
        return result


@pytest.mark.parametrize("check", sorted(CHECKS.keys() - FIXED))
def test_an_answer_that_knows_only_the_shown_cases_is_refused(check):
    memory = Memory(next(answer for name, _, answer in RIGHT if name == check))
    assert verdict(check, memory).startswith(checking.CORRECT)
    memory.is_learning = False
    for seed in SEEDS:
        memory.place = 0
        with checking.other_cases(seed):
            said = verdict(check, memory)
        assert said.startswith(checking.NOT_YET)
        assert f"other numbers than the lesson shows; these are set {seed}.)" in said


def test_the_shown_cases_come_back_and_a_seed_gives_the_same_numbers():
    shown = checking.normal(2, 3)
    with checking.other_cases(1):
        first = checking.normal(2, 3)
        with checking.other_cases(2):
            second = checking.normal(2, 3)
        assert torch.equal(first, checking.normal(2, 3))
    assert not torch.equal(first, second)
    assert not torch.equal(first, shown)
    assert torch.equal(shown, checking.normal(2, 3))
    with pytest.raises(ZeroDivisionError), checking.other_cases(3):
        raise ZeroDivisionError
    assert torch.equal(shown, checking.normal(2, 3))


def test_cases_are_drawn_in_grading_only():
    def arguments(draw):
        return checking.integer(2, 4, draw), checking.integer(0, 1, draw)

    assert checking.drawn(arguments) == []
    with checking.other_cases(1):
        cases = [case.arguments for case in checking.drawn(arguments, count=100)]
    assert {case[0] for case in cases} == {2, 3, 4}
    assert {case[1] for case in cases} == {0, 1}
    assert len(cases) == 100


@pytest.mark.parametrize("seed", [0, -1])
def test_a_seed_below_1_is_none(seed):
    with pytest.raises(ValueError, match="seed must be 1 or more, not"), checking.other_cases(seed):
        pass
