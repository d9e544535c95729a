"""The engine of the checks: what it notices, what it names, and what it leaves alone."""

import random
import re
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import max_pool2d

from helpers.lessons import checking
from helpers.lessons.checking import Case


def pool(image, window, stride):
    return max_pool2d(image[None], window, stride)[0]


def cases(*hints):
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 2, 2, 2), (4, 6, 2, 2), (8, 7, 3, 2))
    hints = hints or ("One window gives one number.", "Rows come first.", "What does not fill a window is left out.")
    return [
        Case((torch.randn(height, width, generator=generator) - 2, window, stride), hint)
        for (height, width, window, stride), hint in zip(sizes, hints, strict=True)
    ]


MISTAKES = {
    "A zero takes part.": lambda image, window, stride: pool(image, window, stride).clamp(min=0),
    "The stride is left out.": lambda image, window, stride: pool(image, window, window),
}


@pytest.fixture
def said(capsys):
    def check(answer, **options):
        checking.compare(answer, pool, cases(), **{"mistakes": MISTAKES} | options)
        return capsys.readouterr().out

    return check


@pytest.mark.parametrize(
    "kind",
    [
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: x.double(),
        lambda x: x.half(),
        lambda x: x.bfloat16(),
        lambda x: nn.Parameter(x),
        lambda x: x + 1e-6,
    ],
)
def test_a_right_result_may_come_in_any_kind_of_numbers(said, kind):
    assert said(lambda *a: kind(pool(*a))) == "Correct: 3 of 3 cases.\n"


def test_the_arguments_are_named_as_the_reader_named_them(said):
    out = said(lambda photo, size, step: pool(photo, size, step) + torch.rand(()))
    assert out.startswith(
        "Not yet: with photo=[[-0.459, -2.2934], [-4.1788, -1.4316]], size=2, step=2, your function gave"
    )
    assert "One window gives one number." in out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda *a: pool(*a).clamp(min=0), "A zero takes part."),
        (
            lambda image, window, stride: pool(image, window, window),
            "gave the shape (2, 2); expected the shape (3, 3). The str",
        ),
        (lambda *a: pool(*a).T, "Rows and columns are exchanged"),
        (lambda *a: -pool(*a), "The sign is wrong."),
        (lambda *a: 3 * pool(*a), "It is 3 times what is expected."),
        (lambda *a: pool(*a)[None], "an axis of length 1 is too many"),
        (lambda *a: pool(*a) / 0 * 0, "gave NaN; expected finite numbers only."),
        (lambda *a: pool(*a) * 1j, "complex numbers"),
        (lambda *a: pool(*a).to_sparse(), "a sparse or quantised tensor"),
        (lambda *a: pool(*a).to("meta"), "on the device meta"),
        (lambda *a: "text", "gave text; expected numbers."),
        (lambda *a: True, "gave True; expected a number."),
        (lambda *a: [1, [2]], "whose parts have different shapes"),
        (lambda *a: nn.Linear(1, 1), "gave a Linear; expected numbers."),
        (lambda *a: np.array(["a"]), "numbers of the type <U1"),
        (lambda image: image, "leave the parameters of the stub as they are"),
        (lambda *a: pool(*a) if a[1] == 2 else None, "one of its branches has no return"),
        (lambda *a: exit(), "raised SystemExit"),
    ],
)
def test_what_is_wrong_is_named(said, answer, words):
    out = said(answer)
    assert out.startswith("Not yet: with ")
    assert words in out


def test_an_error_comes_with_the_readers_line_and_the_hint(said):
    def answer(image, window, stride):
        return image / (window - 2)[0]

    assert "your function raised TypeError in the line `return image / (window - 2)[0]`" in said(answer)
    assert said(answer).endswith("One window gives one number.\n")


def test_a_hint_is_not_given_where_it_is_not_about_what_is_wrong(said):
    for answer in (lambda *a: "text", lambda *a: pool(*a).T, lambda *a: pool(*a).to("meta"), lambda *a: -pool(*a)):
        out = said(answer)
        assert not any(case.hint in out for case in cases())


def test_a_mistake_that_fits_only_partly_is_not_named_where_another_fits_too(said):
    both = {"One.": lambda *a: pool(*a) + a[0][0, 0], "Two.": lambda *a: pool(*a) + a[0][0, 0] * (len(a[0]) < 5)}
    out = said(lambda *a: pool(*a) + a[0][0, 0] * (len(a[0]) < 3), mistakes=both)
    assert "One window gives one number." in out
    assert "One. " not in out
    assert "Two." not in out


def test_a_diagnosis_comes_before_the_hint_and_may_fail(said):
    wrong = lambda *a: pool(*a) + torch.rand(())  # noqa: E731
    assert "Seen 1 number of a 2 × 2 image." in said(
        wrong, diagnose=lambda got, expected, image, *_: f"Seen {got.numel()} number of a {len(image)} × 2 image."
    )
    assert "One window gives" in said(wrong, diagnose=lambda *_: 1 / 0)


def change(image, window, stride):
    result = pool(image, window, stride)
    image[0, 0] = 0
    return result


def seed(*arguments):
    torch.manual_seed(0)
    return pool(*arguments)


def no_grad(*arguments):
    torch.set_grad_enabled(False)
    return pool(*arguments)


def ask_for_gradient(image, window, stride):
    image.requires_grad_()
    return pool(image, window, stride)


def keep_gradient(image, window, stride):
    image.requires_grad_()
    pool(image, window, stride).sum().backward()
    image.requires_grad_(False)
    return pool(image, window, stride)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (change, "changes image, which it was given: work on a copy, image.clone()."),
        (seed, "sets the random seed of the whole program"),
        (no_grad, "leaves gradients switched off"),
        (ask_for_gradient, "sets requires_grad on image"),
        (keep_gradient, "leaves a gradient in image"),
    ],
)
def test_what_an_answer_changes_is_the_finding(said, answer, words):
    assert words in said(answer)
    assert torch.is_grad_enabled()


def leave_hook(model, x):
    model[0].register_forward_hook(lambda *_: None)
    return model(x)


def leave_mode(model, x):
    return model.eval()(x)


def leave_gradients(model, x):
    model(x).sum().backward()
    return model(x)


def move_weights(model, x):
    result = model(x)
    with torch.no_grad():
        model[0].weight.mul_(2)
    return result


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda model, x: model(x), "Correct"),
        (leave_hook, "remove yours"),
        (leave_mode, "in another mode"),
        (leave_gradients, "leaves gradients at the weights"),
        (move_weights, "changes the weights"),
    ],
)
def test_a_model_comes_back_as_it_was(capsys, answer, words):
    given = Case((nn.Sequential(nn.Linear(3, 2)), torch.ones(4, 3)))
    checking.compare(answer, lambda model, x: model(x), [given])
    assert words in capsys.readouterr().out
    assert given.arguments[0].training
    assert given.arguments[0][0].weight.grad is None


@pytest.mark.parametrize("container", [list, tuple, lambda values: dict(enumerate(values))])
def test_containers_are_looked_into(capsys, container):
    def double(values):
        for value in values.values() if isinstance(values, dict) else values:
            value.mul_(2)
        return 0

    checking.compare(double, lambda values: 0, [Case((container([torch.ones(2)]),))])
    assert "changes values" in capsys.readouterr().out


def test_random_states_stay_as_they_were(said):
    def draw(*arguments):
        torch.rand(3), np.random.rand(3), random.random()
        return pool(*arguments)

    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    assert said(draw).startswith("Correct")
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert (states[2] == np.random.get_state()[1]).all()


def test_results_of_two_parts_are_compared_one_by_one(capsys):
    for answer, words in (
        (lambda a: [a, 2 * a], "Correct"),
        (lambda a: (a, a), "gave 3; expected 6. (the second result)"),
        (lambda a: a, "gave one result; expected 2"),
    ):
        checking.compare(answer, lambda a: (a, 2 * a), [Case((3,))])
        assert words in capsys.readouterr().out


def test_tolerance_goes_with_the_size_of_the_numbers(capsys):
    for factor, verdict in ((1.00001, "Correct"), (1.01, "Not yet")):
        checking.compare(lambda x, f=factor: f * x, lambda x: x, [Case((1e-6 * torch.arange(5.0),))])
        assert capsys.readouterr().out.startswith(verdict)


@pytest.mark.parametrize("fault_of", [lambda got: "gave something odd.", lambda got: got.shape])
def test_judge_reports_what_it_finds(capsys, fault_of):
    assert not checking.judge(lambda x: [x], (1,), fault_of)
    assert capsys.readouterr().out.startswith("Not yet: your function gave")
    assert checking.judge(lambda x: [x], (1,), lambda got: "")
    assert not capsys.readouterr().out


def test_a_message_has_ten_lines_at_most(capsys):
    checking.report(checking.NOT_YET, "\n".join("a" * 10_000 for _ in range(100)))
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_grading_raises_on_anything_but_correct(monkeypatch, said):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    for answer, words in ((None, "Not attempted"), (lambda *a: None, "Not attempted"), (lambda *a: 0, "Not yet")):
        with pytest.raises(AssertionError, match=words):
            said(answer)
    assert said(pool).startswith("Correct")


def graph(model, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).sum(), x)[0]


def test_a_right_answer_is_right_whatever_the_reader_has_switched_on(capsys):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        given = Case((nn.Sequential(nn.Linear(3, 300), nn.Linear(300, 2)), torch.arange(12.0).view(4, 3)))
        checking.compare(graph, lambda model, x: model[1].weight @ model[0].weight + 0 * x[0].sum(), [given])
        assert "gave the shape (4, 3)" in capsys.readouterr().out
        checking.compare(graph, lambda m, x: (m[1].weight @ m[0].weight).sum(0).repeat(len(x), 1), [given])
        assert capsys.readouterr().out.startswith("Correct")
        assert checking.judge(graph, given.arguments, lambda got: "" if got.dtype == torch.float32 else "is not.")
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")


def dtype(*arguments):
    torch.set_default_dtype(torch.float64)


def device(*arguments):
    torch.set_default_device("meta")


def deterministic(*arguments):
    torch.use_deterministic_algorithms(True, warn_only=True)


def anomaly(*arguments):
    torch.autograd.set_detect_anomaly(True)


def threads(*arguments):
    torch.set_num_threads(torch.get_num_threads() + 1)


def numpy_errors(*arguments):
    np.seterr(all="raise")


def warning_filters(*arguments):
    warnings.simplefilter("error")


def recursion(*arguments):
    sys.setrecursionlimit(sys.getrecursionlimit() + 100)


def all_settings():
    return (
        *(torch.get_default_dtype(), torch.get_default_device(), torch.are_deterministic_algorithms_enabled()),
        *(torch.is_deterministic_algorithms_warn_only_enabled(), torch.is_anomaly_enabled(), torch.get_num_threads()),
        *(np.geterr(), list(warnings.filters), sys.getrecursionlimit()),
    )


@pytest.mark.parametrize(
    "setting", [dtype, device, deterministic, anomaly, threads, numpy_errors, warning_filters, recursion]
)
def test_settings_of_the_whole_program_are_put_back(said, setting):
    before = all_settings()

    def answer(*arguments):
        result = pool(*arguments)
        setting()
        return result

    assert said(answer).startswith("Correct")
    assert all_settings() == before


class NoAttributes:
    def __getattr__(self, name):
        raise RuntimeError(name)

    def __call__(self, *arguments):
        return pool(*arguments)


class NoAttributesWrong(NoAttributes):
    def __call__(self, *arguments):
        raise KeyError


class Exits(Exception):
    def __str__(self):
        raise SystemExit


def endless():
    values = []
    values.append(values)
    return values


def raise_(error):
    raise error


CRASHING = [
    NoAttributesWrong(),
    lambda *a: sys.stdout.close(),
    lambda *a: sys.stdout.close() or 0,
    lambda *a: endless(),
    lambda *a: tuple(endless()),
    lambda *a: raise_(ValueError("\ud800")),
    lambda *a: print("\ud800") or 0,
    lambda *a: "\ud800",
    lambda *a: raise_(Exits()),
    lambda *a: type("", (), {})(),
    lambda *a: type("", (), {}),
    lambda *a: type("\ud800", (), {})(),
    lambda *a: NoAttributes(),
    lambda *a: nn.LazyConv2d(1, 3).weight,
    lambda *a: (nn.LazyConv2d(1, 3).weight,) * 2,
    lambda *a: nn.Linear(1, 1, device="meta"),
    lambda *a: nn.Linear(1, 1, device="meta").weight,
    lambda *a: nn.LazyLinear(1),
]


@pytest.mark.parametrize("i", range(len(CRASHING)))
@pytest.mark.parametrize("reference", [pool, lambda *a: (pool(*a), 1)])
def test_nothing_that_an_answer_is_or_gives_crashes_a_check(capfd, i, reference):
    answer = CRASHING[i]
    checking.compare(answer, reference, cases(), mistakes=MISTAKES)
    assert capfd.readouterr().out.startswith("Not")
    checking.judge(answer, cases()[0].arguments, lambda got: f"gave {got.shape}.")
    assert capfd.readouterr().out.startswith("Not")


def test_a_right_answer_may_be_an_object_that_cannot_be_asked(said):
    assert said(NoAttributes()).startswith("Correct")


def to_meta(model, values):
    model.to("meta")
    return 0


def to_lazy(model, values):
    model[0] = nn.LazyLinear(2)
    return 0


def to_endless(model, values):
    values.append(values)
    return 0


def to_hostile(model, values):
    values[0] = NoAttributes()
    return 0


def to_lazy_weight(model, values):
    values[0] = nn.LazyConv2d(1, 3).weight
    return 0


@pytest.mark.parametrize("answer", [to_meta, to_lazy, to_endless, to_hostile, to_lazy_weight])
def test_what_an_answer_makes_of_its_arguments_is_told(capsys, answer):
    checking.compare(answer, lambda *_: 0, [Case((nn.Sequential(nn.Linear(3, 2)), [1, 2]))])
    assert re.match("Not yet: .*change", capsys.readouterr().out)


def test_an_error_of_the_checks_own_words_is_a_verdict_and_an_interrupt_none(capsys):
    checking.judge(lambda: 0, (), lambda got: raise_(SystemExit()))
    assert capsys.readouterr().out.startswith("Not yet")
    with pytest.raises(KeyboardInterrupt):
        checking.judge(lambda: raise_(KeyboardInterrupt()), (), lambda got: "")


def test_networks_that_a_check_makes_are_usual_ones_whatever_the_reader_has_switched_on(capsys):
    @checking.own_random_state
    def check(answer):
        net = nn.Linear(3, 2)
        assert checking.judge(lambda x: answer(net, x), (torch.ones(1, 3),), lambda got: "")

    with torch.inference_mode():
        check(graph)
    assert not capsys.readouterr().out
