"""What lesson 6 shows: the maps that are kept, neighbours and their ranks, t-SNE's first step, a grid of images."""

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import _utils

from helpers.data import CLASSES, fashion_mnist
from helpers.lessons import lesson_06
from helpers.models import CHECKPOINT

SCRIPT = Path(__file__).parents[2] / "data" / "maps" / "draw.py"
RECORD = lesson_06.MAPS.with_suffix(".json")
GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def spaces():
    return lesson_06.map_spaces()


@pytest.fixture(scope="module")
def maps():
    """The places that are kept, each map's as ``(N, 2)``."""
    with np.load(lesson_06.MAPS) as kept:
        return {name: torch.from_numpy(places.astype(np.float64)) for name, places in kept.items()}


def test_the_kept_maps_are_those_of_the_kept_network():
    record = json.loads(RECORD.read_text())
    assert record["network_sha256"] == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    assert {"command", "items", "seed", "perplexity", "scikit-learn", "torch"} <= set(record)


@pytest.mark.parametrize("space", lesson_06.SPACES)
def test_the_pca_maps_are_computed_again(spaces, maps, space):
    again = torch.from_numpy(PCA(2).fit_transform(spaces[space].numpy()))
    for axis in (0, 1):  # up to the sign of the axis and one scale
        both = torch.stack([again[:, axis], maps[f"{space}, PCA"][:, axis]])
        assert abs(torch.corrcoef(both)[0, 1]) > 0.9999
    kept = maps[f"{space}, PCA"].std(dim=0)
    assert (kept[1] / kept[0]).item() == pytest.approx((again.std(dim=0)[1] / again.std(dim=0)[0]).item(), abs=0.001)


@pytest.mark.parametrize("space", lesson_06.SPACES)
def test_the_tsne_maps_keep_the_neighbours_that_their_record_says(spaces, maps, space):
    """A t-SNE map is not the same on two machines, but that it is one of these items shows in their neighbours."""
    record = json.loads(RECORD.read_text())["ten_nearest_kept"]
    for name in (f"{space}, t-SNE", f"{space}, PCA"):
        assert lesson_06.share_kept(spaces[space], maps[name]) == pytest.approx(record[name], abs=0.005)
    assert record[f"{space}, t-SNE"] > 0.45
    shuffled = maps[f"{space}, t-SNE"][torch.randperm(lesson_06.COUNT, generator=GENERATOR)]
    assert lesson_06.share_kept(spaces[space], shuffled) < 0.02


def test_the_maps_can_be_drawn_again(monkeypatch, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("maps_draw", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(lesson_06, "MAPS", tmp_path / "maps.npz")
    script.main(count=150)
    assert "150 items on 4 maps" in capsys.readouterr().out
    kept = json.loads((tmp_path / "maps.json").read_text())["ten_nearest_kept"]
    assert kept["features, t-SNE"] > kept["features, PCA"]
    with np.load(tmp_path / "maps.npz") as maps:
        for name, places in maps.items():
            assert places.min() == 0, name  # the longer side fills the square
            assert places.max() == 65_535, name
        turned = [np.corrcoef(maps[f"{space}, PCA"].T, maps[f"{space}, t-SNE"].T) for space in lesson_06.SPACES]
    assert all(matrix[0, 2] + matrix[1, 3] > 0 for matrix in turned)  # t-SNE's map lies as PCA's does


def test_the_item_that_the_lesson_names_leads_the_disagreements(spaces):
    orders = [lesson_06.neighbour_order(vectors) for vectors in spaces.values()]
    sums = lesson_06.ranks_elsewhere(*orders) + lesson_06.ranks_elsewhere(*orders[::-1])
    first, second = sums.topk(2).values.tolist()
    assert sums.argmax() == 2_419
    assert first > 1.02 * second  # by more than two machines differ
    labels = fashion_mnist(train=False)[1]
    near = [sorted(CLASSES[labels[i]] for i in order[2_419, : lesson_06.NEAR]) for order in orders]
    assert near == [["Dress", "Dress", "Shirt", "T-shirt/top", "T-shirt/top"], ["Dress"] * 5]


def test_a_map_that_is_not_one_is_refused_in_a_sentence(monkeypatch, tmp_path):
    wrong = tmp_path / "maps.npz"
    np.savez(wrong, only=np.zeros((3, 2)))
    monkeypatch.setattr(lesson_06, "MAPS", wrong)
    with pytest.raises(OSError, match="it does not hold four maps"):
        lesson_06.map_explorer()


def test_neighbours_and_their_places_in_another_list():
    a, b = torch.randn(40, 5, generator=GENERATOR), torch.randn(40, 3, generator=GENERATOR)
    orders = [lesson_06.neighbour_order(vectors) for vectors in (a, b)]
    for vectors, order in zip((a, b), orders, strict=True):
        for i in range(40):
            distances = (vectors - vectors[i]).norm(dim=1)
            assert order[i].tolist() == [j for j in distances.argsort().tolist() if j != i]
    sums = lesson_06.ranks_elsewhere(*orders)
    for i in range(40):
        other = orders[1][i].tolist()
        assert sums[i] == sum(other.index(j) + 1 for j in orders[0][i, : lesson_06.NEAR].tolist())


def test_equal_vectors_are_neighbours_of_each_other_and_not_of_themselves():
    order = lesson_06.neighbour_order(torch.tensor([[1.0, 1.0], [1.0, 1.0], [9.0, 9.0]]))
    assert order.tolist() == [[1, 2], [0, 2], [0, 1]]


def test_the_explorer_begins_with_the_item_that_is_asked_for():
    explorer = lesson_06.map_explorer(7)
    assert explorer.item == 7
    explorer.state = {"item": 12}
    assert explorer.item == 12
    assert lesson_06.map_explorer().item is None


def test_neighbour_probabilities_are_those_of_scikit_learn():
    vectors = torch.randn(80, 6, generator=GENERATOR).double()
    p = lesson_06.neighbour_probabilities(vectors, 12)
    squares = torch.cdist(vectors, vectors).square().numpy().astype(np.float32)
    theirs = torch.from_numpy(_utils._binary_search_perplexity(squares, 12, 0))
    assert (p - theirs).abs().max() < 1e-4
    assert torch.special.entr(p).sum(dim=1).exp().sub(12).abs().max() < 1e-3


def test_a_grid_gives_each_image_one_cell_near_its_place():
    rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
    places = torch.stack([columns.flatten(), -rows.flatten()], dim=1) + 0.1 * torch.rand(12, 2, generator=GENERATOR)
    shuffled = torch.randperm(12, generator=GENERATOR)
    assert shuffled[lesson_06.on_grid(places[shuffled], 3, 4)].flatten().tolist() == list(range(12))
    with pytest.raises(ValueError, match="rows times columns must be 12, not 3 times 5"):
        lesson_06.on_grid(places, 3, 5)


def test_names_on_a_map_lie_inside_its_frame_near_their_points_and_not_over_each_other():
    places = torch.tensor([[-10.0, 0.0], [10.0, 0.0], [0.0, 0.0], [0.1, 0.0], [0.0, 0.1]])
    figure = lesson_06.class_scatter({"one": places, "other": -places}, torch.arange(5), CLASSES[:5])
    figure.draw_without_rendering()
    for ax, sign in zip(figure.axes, (1, -1), strict=True):
        boxes = [text.get_window_extent() for text in ax.texts]
        assert len(boxes) == 5
        for box, point in zip(boxes, ax.transData.transform(sign * places.numpy()), strict=True):
            assert sum(box.overlaps(other) for other in boxes) == 1  # itself
            assert ax.bbox.contains(*box.min), box
            assert ax.bbox.contains(*box.max), box
            assert np.abs((box.min + box.max) / 2 - point).max() < 40
