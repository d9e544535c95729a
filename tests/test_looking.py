"""The benchmark of looking into networks: the record that is kept."""

import json

from benchmarks import looking


def test_the_record_that_is_kept_says_how_it_was_made():
    record = json.loads(looking.RECORD.read_text())
    assert record["command"] == "make bench"
    assert record["machine"]
    assert max(record["gaps"].values()) < 1e-4
    ways = {(r["task"], r["way"]) for r in record["results"]}
    assert {(task, "the course") for task, _ in ways} <= ways
