"""The explorer of lesson 8."""

import io
import re
import time

import ipywidgets as ipw
import numpy as np
import pytest
import torch
from PIL import Image
from widget_tools import decode, find

from helpers import dream, hooks, images, pretrained
from helpers.lessons import lesson_08


@pytest.fixture(scope="module")
def explorer():
    return lesson_08.dream_explorer()


def find_all(widget, *kinds):
    found = [widget] if isinstance(widget, kinds) else []
    return found + [w for child in getattr(widget, "children", ()) for w in find_all(child, *kinds)]


def set_to(explorer, **values):
    for control, value in values.items():
        find(explorer, control).value = value


@pytest.mark.parametrize(
    ("photo", "layer", "octaves", "steps", "strength"),
    [
        ("chelsea", "features.7", 4, 8, 0.015),
        ("coffee", "features.4", 2, 3, 0.03),
        ("rocket", "features.12", 1, 1, 0.005),
    ],
)
def test_shows_what_a_direct_computation_gives(explorer, photo, layer, octaves, steps, strength):
    set_to(explorer, photo=photo, layer=layer, octaves=octaves, steps=steps, strength=strength)
    model, image = pretrained.load(), images.read(images.sample(photo), size=160)
    options = {"octaves": octaves, "steps": steps, "step_size": strength, "progress": False}
    dreamt = dream.deep_dream(model, image, layer, **options)
    before, after = (
        dream.half_squared_norm(hooks.run_to(model, p[None], [layer])[layer]).item() for p in (image, dreamt)
    )
    text, shown, drawn = find_all(explorer, ipw.HTML, ipw.Image)
    assert np.abs(decode(shown).astype(float) - 255 * images.to_array(image)).max() < 1
    assert np.abs(decode(drawn).astype(float) - 255 * images.to_array(dreamt)).mean() < 1
    numbers = [float(n) for n in re.findall(r"\d+\.\d+", text.value)]
    assert numbers == pytest.approx([before / 1e6, after / 1e6, after / before], rel=0.02, abs=0.06)
    assert after > before


def test_sliders_wait_for_their_release_and_what_was_drawn_is_kept(explorer):
    assert not any(find(explorer, name).continuous_update for name in ("octaves", "steps", "strength"))
    set_to(explorer, octaves=1, steps=2)
    set_to(explorer, steps=3)
    start = time.process_time()
    set_to(explorer, steps=2)
    set_to(explorer, steps=3)
    assert time.process_time() - start < 0.05


def test_an_animation_plays_its_frames(monkeypatch):
    shown = []
    monkeypatch.setattr(lesson_08, "display", shown.append)
    frames = [torch.full((3, 20, 30), value) for value in (0.0, 0.5, 1.0)]
    lesson_08.show_animation(frames, "from black to white", milliseconds=50)
    with Image.open(io.BytesIO(shown[0].data)) as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (3, (30, 20), 0)
        for i, grey in enumerate((0, 127, 255)):
            film.seek(i)
            assert abs(int(np.asarray(film)[10, 10, 0]) - grey) < 4
    assert shown[0].alt == "from black to white"
