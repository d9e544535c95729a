"""Ctrl-C and Jupyter's stop button, at awkward moments."""

import signal
import threading
import time

import pytest
import torch
from torch import nn

from helpers import dream, hooks, pretrained, training
from helpers.lessons import lesson_03


def interrupt_after(seconds):
    threading.Timer(seconds, signal.raise_signal, [signal.SIGINT]).start()


def test_the_first_interrupt_ends_a_flight():
    model, photo = pretrained.load(), torch.rand(3, 120, 160)
    start = time.monotonic()
    interrupt_after(0.4)
    frames = dream.zoom(model, photo, frames=2000, progress=False)
    assert len(frames) < 500
    assert time.monotonic() - start < 20
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
        live.start(4, lambda: None)
        while live.is_training:
            with hooks.inference(live.shown):
                live.shown(live.test_set[0])
        live.thread.join()
    assert not failures
    assert len(live.losses) == 8
    assert live.losses[-1] < live.losses[0]
    assert all(p.requires_grad for p in live.model.parameters())


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
