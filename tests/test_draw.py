"""The style pictures that the course draws."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "data" / "images"


@pytest.fixture
def draw(monkeypatch):
    spec = importlib.util.spec_from_file_location("draw", FOLDER / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HEIGHT", 120)
    monkeypatch.setattr(module, "WIDTH", 160)
    return module


@pytest.mark.parametrize("name", ["swirls", "stained_glass", "woodcut", "pointillism"])
def test_a_seed_draws_the_same_again(draw, name):
    first, again, other = (draw.STYLES[name](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (240, 320, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.isfinite(first).all()
    assert first.std() > 20


def test_all_that_are_drawn_are_kept(draw):
    kept = {path.stem.removeprefix("style_"): cv2.imread(str(path)) for path in FOLDER.glob("style_*.jpg")}
    assert set(kept) == set(draw.STYLES)
    assert {picture.shape for picture in kept.values()} == {(480, 640, 3)}
