"""The explorer of lesson 9: it shows the snapshots that it was given."""

import cv2
import ipywidgets as ipw
import numpy as np
import pytest
import torch
from widget_tools import decode, find

from helpers.lessons import lesson_09


def snapshot(step, colour, size=(3, 5)):
    losses = {"content": 0.5 * step, "style": 2.0, "variation": 0.125, "total": 0.5 * step + 2.125}
    return step, losses, torch.tensor(colour).view(3, 1, 1).expand(3, *size)


RUNS = {
    0.5: [snapshot(1, (1.0, 0.0, 0.0))],
    4: [snapshot(1, (0.0, 1.0, 0.0), (2, 3)), snapshot(6, (0.0, 0.0, 1.0), (4, 6))],
    20: [snapshot(1, (0.2, 0.4, 0.6)), snapshot(6, (0.0, 0.0, 0.0)), snapshot(11, (1.0, 1.0, 1.0))],
}


def text_and_image(explorer):
    return [child for child in explorer.children if isinstance(child, ipw.HTML | ipw.Image)]


@pytest.mark.parametrize(("ratio", "place"), [(4, 0), (4, 1), (20, 2), (20, 0), (0.5, 0)])
def test_shows_the_chosen_snapshot_and_its_losses(ratio, place):
    explorer = lesson_09.style_explorer(RUNS)
    find(explorer, "style weight").value, find(explorer, "snapshot").value = ratio, place
    text, shown = text_and_image(explorer)
    step, losses, expected = RUNS[ratio][place]
    assert f"Step {step}:" in text.value
    assert (
        f"content {losses['content']:.3f} + style 2.000 + variation 0.125 = <b>{losses['total']:.3f}</b>" in text.value
    )
    shown = decode(shown)
    assert shown.shape[1] == 480
    assert np.abs(shown.reshape(-1, 3) - 255 * expected[:, 0, 0].numpy()).max() < 1


def test_an_image_is_made_larger_and_not_turned():
    image = torch.rand(3, 12, 20, generator=torch.Generator().manual_seed(0))
    explorer = lesson_09.style_explorer({1: [(1, {"total": 1.0}, image)]})
    small = cv2.resize(decode(text_and_image(explorer)[1]).astype(np.uint8), (20, 12), interpolation=cv2.INTER_AREA)
    assert np.abs(small / 255 - image.permute(1, 2, 0).numpy()).mean() < 0.1


def test_a_shorter_run_stays_at_its_last_snapshot():
    explorer = lesson_09.style_explorer(RUNS)
    find(explorer, "snapshot").value = 2
    assert "Step 6:" in text_and_image(explorer)[0].value
    find(explorer, "style weight").value = 0.5
    assert "Step 1:" in text_and_image(explorer)[0].value


@pytest.mark.parametrize("runs", [{}, {1: []}])
def test_runs_without_snapshots_are_refused(runs):
    with pytest.raises(ValueError, match="at least one snapshot"):
        lesson_09.style_explorer(runs)
