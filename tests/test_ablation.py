"""The experiment's record: complete, resumed where it was cut off, never half written, never mixed."""

import json

import pytest
import torch

from benchmarks import ablation
from helpers.training import History

PLAN = ablation.Plan((0, 1), 1, 8, (0,), 1, 8, (("SGD", (0.01, 0.1)), ("Adam", (0.001,))))


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    split = torch.rand(24, 1, 28, 28, generator=generator), torch.arange(24) % 10
    monkeypatch.setattr(ablation, "fashion_mnist", lambda train: split)


def settings(runs):
    return [(r["optimizer"], r.get("regularizer", r.get("learning_rate")), r["seed"]) for r in runs]


def test_runs_every_setting_once_and_resumes_after_an_interrupt(tmp_path, monkeypatch):
    path, whole = tmp_path / "cut.json", tmp_path / "whole.json"
    ablation.main(whole, PLAN)
    real, calls = ablation.one_run, []

    def cut_off(*arguments):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(ablation, "one_run", cut_off)
    with pytest.raises(KeyboardInterrupt):
        ablation.main(path, PLAN)
    assert len(json.loads(path.read_text())["runs"]) == 2
    ablation.main(path, PLAN)
    record = json.loads(path.read_text())
    assert len(calls) == 3 + 12 + 1
    assert settings(record["sweep"]) == [("SGD", 0.01, 0), ("SGD", 0.1, 0), ("Adam", 0.001, 0)]
    assert len(set(settings(record["runs"]))) == len(record["runs"]) == 2 * 3 * 2
    assert record == json.loads(whole.read_text())
    assert not list(tmp_path.glob("*.part"))


def test_an_interrupted_training_is_no_result(monkeypatch):
    monkeypatch.setattr(ablation, "train", lambda *_, **__: History(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        ablation.one_run("SGD", "none", 0.1, 0, 1, 8, ablation.fashion_mnist(True))


def test_chooses_the_rate_with_the_best_mean():
    runs = [
        {"optimizer": "SGD", "learning_rate": rate, "held_out_accuracy": score}
        for rate, scores in ((0.1, (0.9, 0.1)), (0.2, (0.6, 0.6)), (0.3, (0.5, 0.5)))
        for score in scores
    ]
    assert ablation.best_rates(runs) == {"SGD": 0.2}


def test_does_not_mix_two_experiments(tmp_path):
    path = tmp_path / "record.json"
    ablation.main(path, PLAN)
    with pytest.raises(SystemExit, match="made in another way"):
        ablation.main(path, ablation.Plan(epochs=7))


def test_the_record_that_is_kept_is_whole():
    record = json.loads(ablation.RECORD.read_text())
    seeds = record["made_with"]["seeds"]
    expected = {(o, r, s) for o in record["learning_rates"] for r in ablation.REGULARIZERS for s in seeds}
    assert set(settings(record["runs"])) == expected
    assert ablation.best_rates(record["sweep"]) == record["learning_rates"]
