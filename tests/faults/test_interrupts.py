"""Ctrl-C and Jupyter's stop button, at awkward moments."""

import signal
import threading

import pytest
import torch
from interrupting import interrupted_at
from torch import nn

from helpers import dream, hooks, pretrained, training
from helpers.lessons import lesson_03


def test_the_first_interrupt_ends_a_flight(monkeypatch):
    octave_sizes, begun = dream._octave_sizes, []

    def interrupting(*args):
        begun.append(args)
        if len(begun) == 3:
            signal.raise_signal(signal.SIGINT)
        return octave_sizes(*args)

    monkeypatch.setattr(dream, "_octave_sizes", interrupting)
    model = pretrained.load()
    assert len(dream.zoom(model, torch.rand(3, 120, 160), frames=20, progress=False)) == 2
    assert len(begun) == 3
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("when", ["epoch", "evaluation", "callback"])
def test_a_history_is_never_ragged(when):
    class Interrupting:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield torch.rand(4, 1, 4, 4), torch.zeros(4, dtype=torch.long)
            if self.passes == 3:
                raise KeyboardInterrupt

        def __len__(self):
            return 1

    class Calm(Interrupting):
        passes = 99

    def stop(epoch, history):
        if when == "callback" and epoch == 2:
            raise KeyboardInterrupt

    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    batches, test = (Interrupting() if when == name else Calm() for name in ("epoch", "evaluation"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = training.train(model, batches, optimizer, 9, test_batches=test, callback=stop, progress=False)
    assert history.interrupted
    assert {name: len(x) for name, x in vars(history).items() if name != "interrupted"} == dict.fromkeys(
        ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"), 2
    )


def test_a_history_is_ragged_after_no_line():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.rand(4, 1, 2, 2), torch.zeros(4, dtype=torch.long))]
    interrupted = 0
    for line in range(20, 400, 3):
        try:
            with interrupted_at(line, training.__file__):
                history = training.train(model, batches, optimizer, 3, test_batches=batches, progress=False)
        except KeyboardInterrupt:  # before the first epoch, or after the last
            continue
        interrupted += history.interrupted
        assert len({len(x) for name, x in vars(history).items() if name != "interrupted"}) == 1, line
    assert interrupted > 20


# --- Lesson 3's explorer, which trains in the background --------------------------------------------------------------


@pytest.fixture
def live():
    images, labels = torch.rand(500, 1, 28, 28), torch.arange(500) % 10
    live = lesson_03.LiveTraining((images, labels), (images[:50], labels[:50]), seed=0)
    yield live
    live.stop()


@pytest.fixture
def failures(monkeypatch):
    """What has ended a thread."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    return seen


def test_the_network_may_be_used_while_it_trains(live, failures):
    for _ in range(2):
        live.start(2, lambda: None)
        while live.is_training:
            with hooks.inference(live.shown):
                live.shown(live.test_set[0][:5])
        live.thread.join()
    assert not failures
    assert len(live.losses) == 4
    assert live.losses[-1] < live.losses[0]
    assert all(p.requires_grad for p in live.model.parameters())


def test_what_ends_the_training_is_told(live, failures):
    live.train_set[1].fill_(-1)
    live.start(3, lambda: None)
    with pytest.raises(IndexError, match="Target -1"):
        live.wait()
    assert not live.is_training
    live.train_set[1].zero_()
    live.start(1, lambda: None)
    live.wait()
    assert len(live.losses) == 1

    def broken():
        raise RuntimeError("nobody listens")

    live.start(3, broken)
    with pytest.raises(RuntimeError, match="nobody listens"):
        live.wait()


def test_the_explorer_shows_what_has_ended_its_training(live, failures):
    explorer = lesson_03.training_explorer(live.train_set, live.test_set)
    explorer.live.train_set[1].fill_(-1)
    explorer.obey({"what": "train"})
    explorer.live.thread.join()
    assert "Target -1 is out of bounds" in explorer.round["error"]
    explorer.obey({"what": "new", "rate": 0.1})
    assert explorer.round["error"] == ""
    assert not failures


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf"), "0.1", None])
def test_a_rate_that_is_none_leaves_all_as_it_was(rate, live):
    explorer = lesson_03.training_explorer(live.train_set, live.test_set)
    before = explorer.live.model, explorer.live.optimizer, explorer.live.stream
    with pytest.raises(ValueError, match=r"^rate must be a number of at least 0"):
        explorer.obey({"what": "new", "rate": rate})
    assert (explorer.live.model, explorer.live.optimizer, explorer.live.stream) == before


@pytest.mark.parametrize("message", [None, {}, [], "train", {"what": ["train"]}, {"rate": 1}])
def test_a_message_that_is_none_is_ignored(message, live):
    explorer = lesson_03.training_explorer(live.train_set, live.test_set)
    explorer.obey(message)
    assert not explorer.live.is_training


def test_a_report_may_stop_the_training(live, failures):
    live.start(100, live.stop)
    live.wait()
    assert len(live.losses) == 1
    assert not failures


@pytest.mark.parametrize(("rounds", "report"), [(-1, print), (1.5, print), ("3", print), (3, None), (3, "report")])
def test_a_start_that_is_none(rounds, report, live):
    with pytest.raises(ValueError, match=r"^(rounds|report) must be"):
        live.start(rounds, report)
    assert not live.is_training


LABELS = torch.arange(20) % 10


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (None, "train_set must be a pair"),
        (torch.rand(2, 1, 28, 28), "train_set must be a pair"),
        ((torch.zeros(20, 1, 28, 28, dtype=torch.uint8), LABELS), "images hold floating-point numbers"),
        ((torch.rand(20, 1, 32, 32), LABELS), r"\(N, 1, 28, 28\), not \(20, 1, 32, 32\)"),
        ((torch.rand(20, 28, 28), LABELS), r"\(N, 1, 28, 28\), not \(1, 20, 28, 28\)"),
        ((torch.rand(0, 1, 28, 28), LABELS[:0]), "none of these 0"),
        ((torch.rand(20, 1, 28, 28) / 0, LABELS), "NaN or infinite"),
        *(
            ((torch.rand(20, 1, 28, 28), labels), "the labels of train_set must be int64, from 0 to 9")
            for labels in (LABELS[:3], LABELS + 1, LABELS - 1, LABELS.float(), LABELS.tolist(), None)
        ),
    ],
)
def test_odd_data_are_refused_before_a_thread_begins(items, words, live):
    with pytest.raises(ValueError, match=words):
        lesson_03.training_explorer(items, live.test_set)
    assert lesson_03.LiveTraining.latest is live


def test_other_precisions_train(live, failures):
    images, labels = live.train_set
    explorer = lesson_03.training_explorer((images.double(), labels), (images.half(), labels))
    explorer.live.start(1, explorer.report)
    explorer.live.wait()


def test_a_new_explorer_ends_the_training_of_the_one_before(live):
    live.start(10_000, lambda: None)
    lesson_03.LiveTraining(live.train_set, live.test_set, seed=0)
    assert not live.thread.is_alive()


def test_random_numbers_go_on_while_it_trains(live):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    live.start(2, lambda: None)
    live.thread.join()
    assert torch.equal(torch.rand(3), wanted)
