import cv2
import numpy as np
import pytest
import torch

from helpers import data
from helpers.data import CLASSES
from helpers.lessons import lesson_03
from helpers.models import FashionNet, trained_fashion_net
from helpers.training import evaluate

LABELS = torch.arange(40) % 10
IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 0.2
IMAGES[torch.arange(40), 0, LABELS * 2] = 1  # a white row, at a height that tells the class


def wait(live):
    live.thread.join(timeout=60)
    assert not live.thread.is_alive()


def test_trains_when_asked_goes_on_and_starts_again():
    live = lesson_03.LiveTraining((IMAGES, LABELS), (IMAGES, LABELS), seed=0)
    calls = []
    live.start(3, lambda: calls.append(len(live.losses)))
    wait(live)
    assert calls == [1, 2, 3, 3]
    assert live.losses[-1] < live.losses[0] < 3
    live.start(2, lambda: None)
    wait(live)
    assert len(live.accuracies) == 5
    assert live.accuracies[-1] > 0.9
    live.reset(1e-3)
    assert not live.losses


def test_stops_after_the_round_it_is_in():
    live = lesson_03.LiveTraining((IMAGES, LABELS), (IMAGES, LABELS), seed=0)
    live.start(1000, live.stopping.set)
    wait(live)
    assert len(live.losses) == 1


def test_the_explorer_trains_stops_and_begins_anew():
    explorer = lesson_03.training_explorer((IMAGES, LABELS), (IMAGES, LABELS), seed=5)
    explorer.obey({"what": "train"}, rounds=2)
    wait(explorer.live)
    assert explorer.round["images"] == 2 * 25 * 128
    assert explorer.round["accuracy"] > 0.5
    trained = explorer.model
    assert np.frombuffer(explorer.round["weights"], np.float32).tolist() == parameters_of(trained)
    explorer.obey({"what": "rate", "rate": 0.02})
    assert explorer.live.optimizer.param_groups[0]["lr"] == 0.02
    explorer.obey({"what": "new", "rate": 0.1})
    assert explorer.round["images"] == 0
    assert explorer.live.optimizer.param_groups[0]["lr"] == 0.1
    assert parameters_of(explorer.model) != parameters_of(trained)
    explorer.obey({"what": "train"}, rounds=10_000)
    explorer.obey({"what": "stop"})
    assert not explorer.live.thread.is_alive()


def parameters_of(model):
    return torch.cat([value.flatten() for value in model.state_dict().values()]).tolist()


def test_the_recorded_run_is_of_the_weights_that_are_shown():
    content = lesson_03.training_explorer((IMAGES, LABELS), (IMAGES, LABELS)).content
    images, labels = data.fashion_mnist(train=False)
    for moment in (content["run"][0], content["run"][-1]):
        levels = torch.frombuffer(bytearray(moment["weights"]), dtype=torch.int8).float()
        parts = [part * scale for part, scale in zip(levels.split(content["lengths"]), moment["scales"], strict=True)]
        model = FashionNet()
        shapes = [value.shape for value in model.state_dict().values()]
        state = zip(
            model.state_dict(), (part.view(shape) for part, shape in zip(parts, shapes, strict=True)), strict=True
        )
        model.load_state_dict(dict(state))
        accuracy = evaluate(model, data.Batches(images, labels, 500)).accuracy
        assert accuracy == pytest.approx(moment["accuracy"], abs=0.001)
    assert [moment["images"] for moment in content["run"]] == [0, 3200, 12800, 51200, 230400]


def test_the_network_explorer_takes_any_fashion_net_and_gives_the_drawing_back():
    torch.manual_seed(3)
    model = FashionNet()
    explorer = lesson_03.network_explorer(model)
    assert np.frombuffer(explorer.content["weights"], np.float32).tolist() == parameters_of(model)
    assert explorer.content["labels"] == [c for c in range(10) for _ in range(20)]
    assert len(lesson_03.network_explorer(model, items=5).content["labels"]) == 50
    assert explorer.drawing.shape == (1, 28, 28)
    explorer.state = {"drawing": [0.5] * 784}
    assert explorer.drawing.mean() == 0.5
    with pytest.raises(ValueError, match="model must be a FashionNet, not Linear"):
        lesson_03.network_explorer(torch.nn.Linear(1, 1))


def test_confusion_table_has_true_classes_in_rows():
    ax = lesson_03.confusion_table(torch.tensor([[5, 1], [0, 7]]), ["cat", "dog"]).axes[0]
    texts = {t.get_position(): t.get_text() for t in ax.texts}
    assert texts == {(0, 0): "5", (1, 0): "1", (0, 1): "0", (1, 1): "7"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]
    assert ax.get_ylabel() == "true class"
    assert np.asarray(ax.images[0].get_array()).tolist() == [[0, 1], [0, 0]]


def test_descent_figure_puts_each_path_on_the_same_parabola():
    figure = lesson_03.descent_figure({"slow": [0.0, 0.6], "wild": [0.0, 6.3, -0.6]})
    assert [ax.get_title() for ax in figure.axes] == ["slow", "wild"]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}) == 1
    places, losses = figure.axes[1].lines[1].get_data()
    assert list(places) == [0.0, 6.3, -0.6]
    assert list(losses) == pytest.approx([9, 10.89, 12.96])


@pytest.mark.parametrize(("weight", "text", "way"), [(0.0, "slope −6", 1), (5.0, "slope 4", -1)])
def test_slope_figure_has_the_tangent_and_points_downhill(weight, text, way):
    ax = lesson_03.slope_figure(weight).axes[0]
    places, losses = ax.lines[1].get_data()
    assert np.diff(losses) / np.diff(places) == pytest.approx(2 * (weight - 3))
    assert text in [t.get_text() for t in ax.texts]
    arrow = next(t for t in ax.texts if getattr(t, "arrow_patch", None))
    assert np.sign(arrow.xy[0] - weight) == way


def test_probability_loss_figure_marks_minus_the_logarithm():
    ax = lesson_03.probability_loss_figure({"a guess": 0.1}).axes[0]
    assert ax.lines[1].get_ydata() == pytest.approx([2.302585])
    assert [t.get_text() for t in ax.texts] == ["a guess: 2.30"]


def test_computation_graph_draws_slopes_on_the_way_back_only_where_there_are_any():
    nodes = {"x": (0, 0, "x = 2"), "w": (0, 1, "w = 3"), "y": (1, 0, "y = 6")}
    ax = lesson_03.computation_graph(nodes, [("x", "y", "×", ""), ("w", "y", "", "· 2")]).axes[0]
    arrows = [(t.xyann, t.xy) for t in ax.texts if getattr(t, "arrow_patch", None)]
    assert arrows == [((0, 0), (1, 0)), ((0, -1), (1, 0)), ((1, 0), (0, -1))]
    assert "· 2" in [t.get_text() for t in ax.texts]


# Corners (column, row) on the explorer's pad of 28 × 28, as one would draw and fill them.
OUTLINES = {
    "T-shirt/top": [
        (9, 3),
        (12, 5),
        (16, 5),
        (19, 3),
        (26, 8),
        (23, 12),
        (20, 10),
        (20, 25),
        (8, 25),
        (8, 10),
        (5, 12),
        (2, 8),
    ],
    "Trouser": [(9, 1), (19, 1), (20, 27), (16, 27), (14, 8), (12, 27), (8, 27)],
    "Pullover": [
        (10, 3),
        (18, 3),
        (23, 6),
        (26, 24),
        (22, 25),
        (20, 12),
        (20, 26),
        (8, 26),
        (8, 12),
        (6, 25),
        (2, 24),
        (5, 6),
    ],
    "Dress": [(11, 1), (17, 1), (17, 9), (20, 27), (8, 27), (11, 9)],
    "Coat": [
        (10, 1),
        (18, 1),
        (23, 4),
        (26, 24),
        (22, 25),
        (21, 12),
        (21, 27),
        (7, 27),
        (7, 12),
        (6, 25),
        (2, 24),
        (5, 4),
    ],
    "Sandal": [
        (1, 19),
        (8, 17),
        (14, 14),
        (20, 10),
        (26, 8),
        (27, 19),
        (24, 20),
        (24, 13),
        (18, 16),
        (14, 20),
        (1, 21),
    ],
    "Shirt": [
        (10, 2),
        (14, 6),
        (18, 2),
        (23, 5),
        (25, 22),
        (22, 23),
        (20, 11),
        (20, 26),
        (8, 26),
        (8, 11),
        (6, 23),
        (5, 5),
    ],
    "Sneaker": [(1, 16), (8, 14), (15, 10), (21, 9), (27, 11), (27, 20), (1, 20)],
    "Bag": [(3, 11), (25, 11), (26, 25), (2, 25)],
    "Ankle boot": [(15, 3), (25, 3), (26, 24), (2, 24), (1, 20), (4, 17), (12, 14)],
}


@pytest.mark.parametrize("shade", [0.6, 0.8, 1.0])
def test_filled_drawings_are_recognised(shade):
    """A drawing is unlike a photograph: coats and shirts without buttons are taken for pullovers."""
    model, recognised = trained_fashion_net(), []
    for name, corners in OUTLINES.items():
        large = cv2.fillPoly(np.zeros((280, 280), np.float32), [np.array(corners) * 10], shade)
        drawing = torch.from_numpy(cv2.resize(large, (28, 28), interpolation=cv2.INTER_AREA))
        recognised.append(CLASSES[model(drawing[None, None]).argmax()] == name)
    assert sum(recognised) >= 8
