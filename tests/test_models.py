import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg16

from helpers import models
from helpers.lessons.lesson_04 import BatchNormNet


@pytest.mark.parametrize("network", [models.FashionNet, BatchNormNet])
def test_networks_normalise_inside(network):
    torch.manual_seed(0)
    net = network().eval()
    x = torch.rand(3, 1, 28, 28)
    inner = net.classifier(net.features[1:]((x - models.FASHION_MEAN) / models.FASHION_STD))
    assert torch.allclose(net(x), inner)
    assert net(x).shape == (3, 10)


def test_normalisation_constants_are_the_data_sets():
    from helpers.data import fashion_mnist

    images, _ = fashion_mnist(train=True)
    assert images.mean().item() == pytest.approx(models.FASHION_MEAN, abs=5e-5)
    assert images.std().item() == pytest.approx(models.FASHION_STD, abs=5e-5)


def test_layer_table_of_vgg16():
    with torch.device("meta"):
        net = vgg16()
    rows = models.layer_table(net, (3, 224, 224))
    assert sum(row.parameters for row in rows) == 138_357_544
    assert rows[-1].output_shape == (1000,)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 224, 224, device="meta"))
    assert 2 * sum(row.multiplications for row in rows) == counter.get_total_flops()


def test_layer_table_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    rows = models.layer_table(net, (1, 8, 8))
    with pytest.raises(ValueError, match="each image has 3 channels, and Sequential takes 1"):
        models.layer_table(net, (3, 8, 8))
    assert net.training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    net(torch.zeros(1, 1, 8, 8))  # nothing notes this pass any more
    assert [row.name for row in rows] == ["0", "1", "2"]


def test_layer_table_has_a_row_for_each_use():
    layer = nn.Linear(4, 4)
    rows = models.layer_table(nn.Sequential(layer, nn.ReLU(), layer), (4,))
    assert [(row.name, row.kind, row.parameters, row.multiplications) for row in rows] == [
        ("0", "Linear", 20, 16),
        ("1", "ReLU", 0, 0),
        ("0", "Linear", 20, 16),
    ]


def test_size_is_checked_with_numbers():
    net = nn.Sequential(nn.Conv2d(3, 2, 5), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3))
    models.check_size(net, ["2"], torch.zeros(3, 10, 50))
    models.check_size(net, ["0"], torch.zeros(1, 3, 5, 5))
    with pytest.raises(ValueError, match="9 × 50 pixels, and 2 of Sequential needs at least 10 × 10"):
        models.check_size(net, ["2"], torch.zeros(3, 9, 50))
    with pytest.raises(ValueError, match="3000 × 1500 pixels, and 4,000,000 in all is the maximum"):
        models.check_size(net, ["0"], torch.zeros(3, 3000, 1500))


def test_rows_and_columns_must_each_be_enough():
    net = nn.Sequential(nn.Conv2d(3, 1, (70, 3)), nn.ReLU())
    assert models.is_large_enough(net, ["1"], (3, 80, 20))
    assert not models.is_large_enough(net, ["1"], (3, 69, 500))
