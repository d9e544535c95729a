"""The network that the course keeps, and how it is made."""

import importlib.util
import json
import signal
from pathlib import Path

import pytest
import torch

from helpers import data, hooks, models, training
from helpers.data import Batches
from helpers.lessons import lesson_03

SCRIPT = Path(__file__).parents[1] / "data" / "checkpoints" / "train.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The module that trains, on a thousand images, with copies of the kept files."""
    spec = importlib.util.spec_from_file_location("checkpoint_train", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images, labels = data.fashion_mnist(train=False)
    monkeypatch.setattr(module, "fashion_mnist", lambda train: (images[:1000], labels[:1000]))
    copy = tmp_path / models.CHECKPOINT.name
    for suffix in (".safetensors", ".json"):
        copy.with_suffix(suffix).write_bytes(models.CHECKPOINT.with_suffix(suffix).read_bytes())
    for owner in (module, models):
        monkeypatch.setattr(owner, "CHECKPOINT", copy)
    return module


def test_the_kept_network_has_the_accuracy_of_its_record():
    record = json.loads(models.CHECKPOINT.with_suffix(".json").read_text())
    images, labels = data.fashion_mnist(train=False)
    with hooks.inference(model := models.trained_fashion_net()):
        right = torch.cat([model(x).argmax(dim=1) == y for x, y in Batches(images, labels, 500)])
    assert right.float().mean().item() == pytest.approx(
        record["test_accuracy"], abs=0.0005
    )  # where two scores are nearly the same
    assert record["test_accuracy"] > 0.905
    assert {"command", "network", "seed", "epochs", "torch"} <= set(record)


def test_the_kept_network_can_be_trained_again(script, tmp_path, capsys):
    script.main(epochs=2)
    assert "test images right" in capsys.readouterr().out
    record = json.loads((tmp_path / "fashion_net.json").read_text())
    again = training.evaluate(models.trained_fashion_net(), Batches(*script.fashion_mnist(train=False))).accuracy
    assert again == pytest.approx(record["test_accuracy"], abs=0.01)
    assert record["epochs"] == 2


def test_an_interrupt_leaves_the_kept_network_as_it_was(script, monkeypatch, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(script, "random_flip", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit, match=r"Interrupted: fashion_net\.safetensors is as it was"):
        script.main(epochs=500)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_whose_thread_dies_is_not_recorded(script, monkeypatch, tmp_path):
    monkeypatch.setattr(lesson_03, "RUN", tmp_path / "run.npz")
    calls = []

    def fail(live):
        calls.append(live)
        if len(calls) > 2:
            raise MemoryError("no memory")
        return train_round(live)

    train_round = lesson_03.LiveTraining._train_round
    monkeypatch.setattr(lesson_03.LiveTraining, "_train_round", fail)
    with pytest.raises(MemoryError, match="no memory"):
        script.record_run()
    assert not list(tmp_path.glob("run*"))


def test_a_changed_weight_is_noticed(script, tmp_path):
    path = tmp_path / models.CHECKPOINT.name
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        OSError, match=r"fashion_net\.safetensors or its record is damaged .*: git checkout data/checkpoints"
    ):
        models.trained_fashion_net()
    path.write_bytes(b"")
    with pytest.raises(OSError, match="record is damaged"):
        models.trained_fashion_net()


def test_loading_leaves_the_random_state_as_it_was():
    before = torch.get_rng_state()
    models.trained_fashion_net()
    assert torch.equal(before, torch.get_rng_state())
