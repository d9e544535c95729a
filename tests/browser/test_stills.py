"""The stills that stand in for the explorers where nothing runs: each is what its explorer looks like."""

import importlib.util

import numpy as np
import PIL.Image
import pytest

from benchmarks import latency
from helpers.lessons import explore

SCRIPT = explore.STILLS / "draw.py"
NAMES = [*latency.MADE_BY, "training"]


@pytest.fixture(scope="module")
def draw():
    spec = importlib.util.spec_from_file_location("stills_draw", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def coarse(image):
    """Brightness in [0, 1] of places so large that it matters little which font a machine has."""
    sheet = PIL.Image.new("L", (640, 480), "white")
    sheet.paste(image.convert("L"))
    return np.asarray(sheet.resize((32, 24), PIL.Image.Resampling.BOX), dtype=float) / 255


def difference(a, b):
    return np.abs(coarse(a) - coarse(b)).mean()


@pytest.mark.parametrize("name", NAMES)
def test_a_still_is_what_the_explorer_looks_like(browser, draw, name):
    stills = {other: PIL.Image.open(explore.STILLS / f"{other}.webp") for other in NAMES}
    drawn = draw.drawn(browser, name)
    assert abs(drawn.height - stills[name].height) < 25
    differences = {other: difference(drawn, still) for other, still in stills.items()}
    own = differences.pop(name)
    assert own < 0.02
    assert own < min(differences.values()) / 2
