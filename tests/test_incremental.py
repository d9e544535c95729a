"""Windows give what the whole computation gives, whatever the network does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision import models

from helpers.incremental import Windows


def copies(image, crops, top, left):
    whole = image.repeat(len(crops), 1, 1, 1)
    for n in range(len(crops)):
        whole[n, :, top[n] : top[n] + crops.shape[2], left[n] : left[n] + crops.shape[3]] = crops[n]
    return whole


def question(rows=40, columns=35, size=(5, 7), count=4, channels=3):
    """A image, and windows at its corners and somewhere inside, with what stands in them."""
    torch.manual_seed(0)
    image = torch.rand(1, channels, rows, columns, dtype=torch.float64)
    crops = torch.rand(count, channels, *size, dtype=torch.float64)
    top = torch.tensor([0, rows - size[0], 11, 18])[:count]
    left = torch.tensor([0, columns - size[1], columns - size[1], 13])[:count]
    return image, crops, top, left


def assert_same(model, *asked):
    model = model.double().eval()
    with torch.no_grad():
        got, expected = model(Windows(*asked)), model(copies(*asked))
    got = got.whole() if isinstance(got, Windows) else got
    assert type(got) is torch.Tensor
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-9 * max(1, expected.abs().max().item()), rtol=1e-6)
    assert expected.std() > 0


def test_a_window_of_windows():
    asked = question()
    windows, whole = Windows(*asked), copies(*asked)
    assert windows.shape == whole.shape
    assert torch.equal(windows.whole(), whole)
    taken = windows.window(torch.tensor([-2, 30, 0, 15]), torch.tensor([-1, 25, 0, 10]), 14, 12, outside=9.0)
    padded = nn.functional.pad(whole, (5, 5, 5, 5), value=9.0)
    assert torch.equal(taken[1], padded[1, :, 35:49, 30:42])
    assert torch.equal(taken[0], padded[0, :, 3:17, 4:16])


@given(*(st.integers(a, b) for a, b in ((1, 5), (1, 4), (0, 2), (1, 2))), st.sampled_from(["conv", "max", "average"]))
@settings(max_examples=60, deadline=None)
def test_local_layers_of_every_size(kernel_size, stride, padding, dilation, kind):
    torch.manual_seed(0)
    layers = {
        "conv": lambda: nn.Conv2d(3, 2, kernel_size, stride, padding, dilation),
        "max": lambda: nn.MaxPool2d(kernel_size, stride, min(padding, kernel_size // 2), dilation, ceil_mode=True),
        "average": lambda: nn.AvgPool2d(kernel_size, stride, min(padding, kernel_size // 2)),
    }
    assert_same(
        nn.Sequential(nn.Conv2d(3, 3, 1), layers[kind](), nn.Conv2d(2 if kind == "conv" else 3, 2, 3)), *question()
    )


class Branches(nn.Module):
    """Sums, differences, concatenations, numbers and channel factors on either side; in-place operations."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean.normal_()
        self.factors = nn.Parameter(torch.randn(1, 4, 1, 1))

    def forward(self, x):
        x = (x - 0.4) / torch.tensor([0.2, 0.3, 0.4], dtype=x.dtype).view(3, 1, 1)
        a, b = self.a(x), self.norm(self.b(x))
        a += b
        a.relu_()
        c = torch.cat([a, 1 - b, self.factors * a], dim=1)
        return c.mean(dim=(2, 3)) + (a * torch.arange(a.shape[3], dtype=x.dtype).view(1, 1, -1)).amax(
            dim=(2, 3)
        ).repeat(1, 3)


def test_branches_and_arithmetic():
    torch.manual_seed(0)
    assert_same(Branches(), *question())


def test_an_unknown_operation_in_place_is_not_lost():
    class Odd(nn.Module):
        def forward(self, x):
            x = nn.functional.max_pool2d(x, 2)
            x.fill_diagonal_(0.5) if x.ndim == 2 else x.cumsum_(dim=3)  # returns nothing that is used
            return x

    assert_same(Odd(), *question())


@pytest.mark.parametrize(
    "name", ["resnet18", "squeezenet1_1", "densenet121", "mobilenet_v3_small", "shufflenet_v2_x0_5"]
)
def test_networks_of_all_kinds(name):
    torch.manual_seed(0)
    model = models.get_model(name)
    for layer in model.modules():  # statistics such that signals do not fade in so deep an untrained network
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        model.train()(torch.rand(4, 3, 64, 64))
    assert_same(model, *question(70, 64, (9, 12)))


def test_less_is_computed():
    """The first layer of ten thousand pixels sees a window and its surroundings only."""
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.crops.shape)
            return x

    model = nn.Sequential(nn.Conv2d(3, 2, 3), Spy(), nn.MaxPool2d(2), Spy())
    model(Windows(torch.rand(1, 3, 100, 100), torch.rand(2, 3, 8, 8), torch.tensor([0, 50]), torch.tensor([9, 60])))
    assert seen == [(2, 2, 10, 10), (2, 2, 5, 6)]
