import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d

from helpers import filters, images
from helpers.lessons import lesson_02


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
