"""The benchmark of looking into networks: what it compares, and the record that is kept."""

import json

import pytest

from benchmarks import looking


@pytest.mark.parametrize("task", ["saliency", "guided backpropagation", "Grad-CAM", "integrated gradients"])
def test_both_ways_give_the_same(task):
    theirs = looking.captums(task, channels_last=True)()
    assert theirs.abs().max() > 0.01
    assert (looking.ours(task)() - theirs).abs().max() < 2e-3 * theirs.abs().max()


def test_the_record_that_is_kept_says_how_it_was_made():
    record = json.loads(looking.RECORD.read_text())
    assert record["command"] == "make bench"
    assert record["machine"]
    assert max(record["gaps"].values()) < 1e-3  # points a rounding apart may lie on two sides of a ReLU
    ways = {(r["task"], r["way"]) for r in record["results"]}
    assert {(task, "the course") for task, _ in ways} <= ways
