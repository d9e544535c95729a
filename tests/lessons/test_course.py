"""What is read out of a notebook, from a small one written here."""

from helpers.lessons import course


def cell(kind, source, *tags):
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}}


NOTEBOOK = {
    "cells": [
        cell("markdown", "[elsewhere](00_start_here.ipynb)", "navigation"),
        cell(
            "markdown", "# 7 · Kites\n\n**They fly.**\n\nAbout 20 minutes for the core path, and 5 more for the asides."
        ),
        cell("code", "x = 1  # not prose"),
        cell("markdown", "## Strings\n\n### Exercise 1: the `knot`\n\nTie one."),
        cell("code", "def my_knot(): ...", "exercise"),
        cell("code", "lesson_07.check_knot(my_knot)"),
        cell("code", "def my_knot(): return 1\n\n\nlesson_07.check_knot(my_knot)", "solution"),
        cell("markdown", "**Words of this lesson:** [string, cord](#Strings) · [tail](#The-tail)"),
    ]
}


def test_a_lesson_says_its_title_promise_and_minutes():
    assert course.title(NOTEBOOK) == "7 · Kites"
    assert course.promise(NOTEBOOK) == "They fly."
    assert course.minutes(NOTEBOOK) == (20, 5)
    assert "elsewhere" not in course.prose(NOTEBOOK)
    assert "not prose" not in course.prose(NOTEBOOK)


def test_minutes_may_be_without_asides_or_not_be_said():
    assert course.minutes({"cells": [cell("markdown", "About 30 minutes. It builds on lesson 1.")]}) == (30, 0)
    assert course.minutes({"cells": []}) == (0, 0)


def test_words_have_the_places_where_they_are_introduced():
    assert course.words(NOTEBOOK) == {"string": "Strings", "cord": "Strings", "tail": "The-tail"}


def test_exercises_have_the_heading_above_and_the_check_below():
    assert course.exercises(NOTEBOOK) == [("Exercise 1: the `knot`", "lesson_07.check_knot")]
    assert course.anchor("Exercise 1: the `knot`") == "Exercise-1:-the-knot"


def test_navigation_names_the_neighbours_and_the_stations_of_this_lesson():
    ways, _, here = course.navigation(course.LESSONS[1]).splitlines()
    assert ways.count("](") == 4
    assert f"]({course.LESSONS[0].name})" in ways
    assert f"]({course.LESSONS[2].name})" in ways
    assert "**pooling**" in here
    assert f"[loss]({course.LESSONS[2].name})" in here
    assert course.navigation(course.LESSONS[0]).splitlines()[0].count("](") == 3
    assert course.navigation(course.LESSONS[-1]).splitlines()[0].count("](") == 3


def test_each_station_belongs_to_a_lesson_and_each_lesson_has_one():
    assert {*course.STATIONS.values()} == {*range(1, len(course.LESSONS) + 1)}
