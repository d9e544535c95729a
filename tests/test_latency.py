"""The benchmark of the explorers' answers: the record that is kept."""

import json

import pytest

from benchmarks import latency


def test_middle_and_tail_are_median_and_95th_percentile():
    assert latency.middle_and_tail(range(1, 101)) == pytest.approx((50.5, 95.95))


def test_the_record_that_is_kept_says_how_it_was_made():
    record = json.loads(latency.RECORD.read_text())
    assert record["command"] == "make bench"
    assert record["machine"]
    assert record["first_edition"] == latency.FIRST_EDITION
    swept = [(row["explorer"], row["where"]) for row in record["results"]]
    static = [(f"{name}, {what}", "static page") for name, what, *_ in latency.SWEEPS]
    assert swept[: len(static)] == static
    assert [where for _, where in swept[len(static) :]] == ["JupyterLab", "JupyterLab, kernel busy"]


def test_explorers_answered_within_a_frame():
    for row in json.loads(latency.RECORD.read_text())["results"]:
        assert row["work"][1] < latency.FRAME, row["explorer"]
        if row["explorer"] == "kernel, pointing at the photo":  # in a page, in JupyterLab, and while its kernel is busy
            assert row["paint"][1] < latency.FRAME, row["where"]
