import json

import pytest
import torch
from torch import nn

from benchmarks import recipe


def test_matmul_rate_is_that_of_a_processor():
    assert 1e8 < recipe.matmul_rate(torch.float32, size=256) < 1e15


def test_summary_of_two_seeds(monkeypatch):
    monkeypatch.setattr(recipe, "matmul_rate", lambda precision: 1e9)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    curves = [[(1.0, 0.5), (2.0, 0.88)], [(1.0, 0.9), (4.0, 0.91)]]
    result = recipe.summarise("x", model, curves, torch.float32)
    assert result.seconds_to_target == [2.0, 1.0]
    assert result.accuracies == [0.88, 0.91]
    assert result.epochs == 2
    assert result.images_per_second == 60_000 * 2 / 3
    assert result.share_of_matmul_rate == pytest.approx(40_000 * 2 * 2 * 7840 / 1e9)


def test_a_target_never_reached_takes_for_ever(monkeypatch):
    monkeypatch.setattr(recipe, "matmul_rate", lambda precision: 1e9)
    result = recipe.summarise("x", recipe.original_net(), [[(1.0, 0.5)]], torch.float32)
    assert result.seconds_to_target == [float("inf")]


def test_flops_are_counted_forward_and_backward():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    # One product and one sum for each weight, forward; and again for the gradient of the weights.
    assert recipe.flops_per_image(model) == 2 * 2 * 784 * 10


def test_the_record_that_is_kept_says_how_it_was_made():
    record = json.loads(recipe.RECORD.read_text())
    assert record["command"] == "make bench"
    assert record["machine"]
    original, quick, best = record["results"]
    assert len(best["accuracies"]) == len(quick["accuracies"]) == len(record["seeds"])
    assert max(best["seconds"]) <= original["seconds"][0]
    assert sum(best["mirrored"]) / len(record["seeds"]) > 0.94
