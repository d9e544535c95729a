import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d, max_pool2d

from helpers import filters, images
from helpers.lessons import lesson_02
from helpers.models import LayerRow


def test_pooling_explorer_gives_the_numbers_back():
    explorer = lesson_02.pooling_explorer()
    assert torch.equal(explorer.numbers, lesson_02.POOL_NUMBERS)
    explorer.state = {"numbers": list(range(36))}
    assert torch.equal(explorer.numbers, torch.arange(36.0).view(6, 6))


def test_pooling_explorer_begins_with_ones_own_photo():
    ramp = torch.linspace(0, 1, 100).expand(3, 50, 100)
    content = lesson_02.pooling_explorer(ramp).content
    photo = content["photos"][0]
    assert (content["on"], photo["name"], photo["rows"], photo["columns"]) == ("feature map", "yours", 120, 240)
    shown = np.frombuffer(photo["pixels"], np.uint8).reshape(120, 240) / 255
    wanted = images.to_gray(images.resized(images.read(ramp), (120, 240)))[0]
    np.testing.assert_allclose(shown, wanted, atol=0.003)
    assert lesson_02.pooling_explorer().content["on"] == "grid of numbers"


def test_the_filters_are_named_for_what_they_answer_to():
    bright = torch.zeros(8, 8)
    bright[:, 4:] = 1
    pictures = {"right": bright, "left": bright.flip(1), "below": bright.T, "above": bright.T.flip(0)}
    for name, kernel in lesson_02.pooling_explorer().content["filters"].items():
        weight = torch.tensor(kernel).view(1, 1, 4, 4)
        answers = {side: conv2d(picture[None, None], weight).max().item() for side, picture in pictures.items()}
        assert max(answers, key=answers.__getitem__) == name.split()[-1]


@settings(deadline=None)  # the first example warms PyTorch up
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=4))
def test_receptive_field_is_what_a_gradient_reaches(layers):
    field = filters.receptive_field(layers)
    x = torch.ones(1, 1, 2 * field, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel_size, stride in layers:
        y = nn.functional.conv1d(y, torch.ones(1, 1, kernel_size, dtype=torch.float64), stride=stride)
    y[0, 0, 0].backward()
    reached = x.grad[0, 0].nonzero().ravel()
    assert reached.max() + 1 == field


def test_shuffled_blocks_keep_their_pixels_and_change_the_order():
    image = torch.arange(24.0 * 16).view(24, 16)
    shuffled = lesson_02.shuffled_blocks(image, 8)
    for top, left in ((0, 0), (8, 8), (16, 0)):
        block = slice(top, top + 8), slice(left, left + 8)
        assert torch.equal(shuffled[block].flatten().sort().values, image[block].flatten().sort().values)
        assert not torch.equal(shuffled[block], image[block])
    assert torch.equal(max_pool2d(shuffled[None], 8), max_pool2d(image[None], 8))
    assert torch.equal(shuffled, lesson_02.shuffled_blocks(image, 8))
    assert not torch.equal(shuffled, lesson_02.shuffled_blocks(image, 8, seed=1))


@settings(deadline=None)  # the first example warms PyTorch up
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 4))
def test_times_seen_is_the_gradient_of_a_sum_over_windows(window, stride, more):
    size = window + more
    x = torch.zeros(1, 1, size, size, requires_grad=True)
    conv2d(x, torch.ones(1, 1, window, window), stride=stride).sum().backward()
    assert torch.equal(lesson_02.times_seen(size, window, stride), x.grad[0, 0])


def test_pixels_seen_is_a_square_as_wide_as_the_receptive_field():
    layers = [(3, 1), (2, 2), (3, 1)]
    seen = lesson_02.pixels_seen(layers)
    assert seen.shape == (24, 24)
    assert seen.any(dim=0).sum() == seen.any(dim=1).sum() == filters.receptive_field(layers) == 8
    assert seen.sum() == seen[8:16, 8:16].sum() == 64  # around the middle


def test_training_goes_on_until_all_is_right_and_not_beyond_its_limit():
    x = torch.eye(6)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    torch.manual_seed(0)
    net = nn.Linear(6, 3)
    assert lesson_02.share_right(net, x, labels) < 1
    assert lesson_02.train_until_perfect(net, x, labels) == lesson_02.share_right(net, x, labels) == 1
    weights = []
    for limit in (300, 400):
        torch.manual_seed(0)
        lesson_02.train_until_perfect(net := nn.Linear(6, 3), x, labels, limit=limit)
        weights.append(net.weight)
    assert torch.equal(*weights)  # it stopped before either limit
    same = torch.ones(4, 6)  # cannot be told apart
    assert lesson_02.train_until_perfect(net, same, torch.tensor([0, 1, 0, 1]), limit=3) == 0.5


def test_score_parts_names_sums_that_add_up_and_draws_on_one_scale():
    maps = torch.arange(16.0).view(2, 2, 2, 2)
    weights = torch.tensor([1.0, -1.0]).view(2, 1, 1).expand(2, 2, 2)
    figure = lesson_02.score_parts({"one": torch.rand(1, 4, 4), "two": torch.rand(1, 4, 4)}, maps, weights)
    titles = [ax.get_title() for ax in figure.axes[:6]]
    assert titles == ["one: −16.00", "map 0: +6.00", "map 1: −22.00", "two: −16.00", "map 0: +38.00", "map 1: −54.00"]
    assert {figure.axes[i].images[0].get_clim() for i in (1, 2, 4, 5)} == {(0, 15)}


def test_costs_are_summed_up_to_each_pooling():
    kinds = ["Conv2d", "Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d", "Linear", "Linear"]
    rows = [LayerRow(f"l{i}", kind, (10,), 10**i, 2 * 10**i) for i, kind in enumerate(kinds)]
    assert lesson_02.costs_by_part(rows) == {
        "block 1": (111, 222),
        "block 2": (11000, 22000),
        "dense 1": (10**5, 2 * 10**5),
        "dense 2": (10**6, 2 * 10**6),
    }


def test_pancakes_are_drawn_on_one_scale():
    figure = lesson_02.pancakes({"large": torch.rand(3, 8, 8), "small": torch.rand(3, 2, 2) / 10})
    drawn = [[sheet.get_clim() for sheet in ax.images] for ax in figure.axes]
    assert [len(sheets) for sheets in drawn] == [3, 3]
    assert len({scale for sheets in drawn for scale in sheets}) == 1


def test_architecture_draws_a_box_for_each_layer_as_high_as_its_maps():
    kinds = [("Conv2d", (4, 8, 8)), ("Conv2d", (16, 8, 8)), ("MaxPool2d", (16, 4, 4)), ("Conv2d", (16, 4, 4))]
    rows = [LayerRow("", kind, shape, 0, 0) for kind, shape in [*kinds, ("Linear", (10,))]]
    ax = lesson_02.architecture(rows).axes[0]
    assert [box.get_height() for box in ax.patches] == [1, 1, 0.5, 0.5, 0.02]
    assert ax.patches[1].get_width() == 2 * ax.patches[0].get_width()
    assert [text.get_text() for text in ax.texts] == ["4\n× 8 × 8", "16\n× 4 × 4", "10"]
