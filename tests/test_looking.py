import json

from benchmarks import looking


def test_each_way_stands_beside_ours():
    results = [looking.Result("a", "the course", 2.0, 10), looking.Result("a", "other", 5.0, 20)]
    assert "| a, other | 5.000 | 2.50 | 20 |" in looking.table(results, {"a": 1e-6})


def test_the_record_that_is_kept_says_how_it_was_made():
    record = json.loads(looking.RECORD.read_text())
    assert record["command"] == "make bench"
    assert record["machine"]
    assert max(record["gaps"].values()) < 1e-4
    ways = {(r["task"], r["way"]) for r in record["results"]}
    assert {(task, "the course") for task, _ in ways} <= ways
