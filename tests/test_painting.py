"""The benchmark of deep dream and style transfer: that both sides of it measure the same."""

import json

import pytest
import torch
from torch.nn.functional import mse_loss

from benchmarks import painting
from helpers import pretrained


@pytest.mark.parametrize("recipe", painting.RECIPES)
def test_the_loss_is_the_recipes_formula(recipe):
    content, example = painting.image_pair(64)
    loss = painting.RecipeLoss(pretrained.load(), content, example, recipe)
    with torch.no_grad():
        maps = loss.maps(content)
        by_hand = 0.0
        for name, target in loss.grams.items():
            rows = maps[name][0].flatten(1)
            gram = torch.einsum("ip,jp->ij", rows, rows)
            numbers = maps[name].numel()
            if recipe == "L-BFGS":
                by_hand += 1e6 * mse_loss(gram / numbers, target)
            else:
                by_hand += 1e6 * painting.STYLE_LAYERS[name] * mse_loss(gram, target) / numbers
        assert loss(content).item() == pytest.approx(by_hand.item(), rel=1e-4)
        assert loss(content) > loss(example) - 1e-6


@pytest.mark.parametrize("recipe", painting.RECIPES)
def test_ours_comes_to_what_is_wanted_and_no_further(recipe):
    content, example = painting.image_pair(64)
    with torch.no_grad():
        start = painting.RecipeLoss(pretrained.load(), content, example, recipe)(content).item()
    seconds, reached = painting.our_way(recipe, 64, start / 3)
    assert seconds > 0
    assert start / 100 < reached <= start / 3


def test_the_plain_dream_climbs_too():
    image = painting.plain_dream(80, "features.7", frozen=True, octaves=2, steps=2)
    assert image.shape == (1, 3, 53, 80)
    assert 0 <= image.min() <= image.max() <= 1
    model, (photo, _) = pretrained.load(), painting.image_pair(80)
    before, after = (model.features[:8](x).square().sum() for x in (photo, image))
    assert after > 2 * before
    assert painting.plain_dream(80, "features.7", frozen=False, octaves=2, steps=2).equal(image)


def test_the_record_that_is_kept_says_how_it_was_made():
    record = json.loads(painting.RECORD.read_text())
    assert record["command"] == "make bench"
    assert record["machine"]
    ways = {(r["task"], r["way"]) for r in record["results"]}
    assert {(task, "the course") for task, _ in ways} <= ways
    losses = {(r["task"], r["way"]): r["loss"] for r in record["results"] if r["loss"] is not None}
    for (task, way), loss in losses.items():
        assert way == "the recipe" or loss <= losses[task, "the recipe"]
