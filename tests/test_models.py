import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg16

from helpers import devices, filters, models


@given(*(st.integers(a, b) for a, b in ((1, 40), (1, 7), (1, 4), (0, 3), (1, 3))))
def test_output_size_is_pytorchs(size, kernel_size, stride, padding, dilation):
    if dilation * (kernel_size - 1) + 1 > size + 2 * padding:
        with pytest.raises(ValueError, match="does not fit"):
            models.output_size(size, kernel_size, stride, padding, dilation)
        return
    weight = torch.zeros(1, 1, kernel_size, 1)
    real = conv2d(torch.zeros(1, 1, size, 1), weight, None, (stride, 1), (padding, 0), (dilation, 1))
    assert models.output_size(size, kernel_size, stride, padding, dilation) == real.shape[2]


@pytest.mark.parametrize("bad", [{"size": 0}, {"stride": 0}, {"padding": -1}, {"dilation": 0}, {"kernel_size": 0}])
def test_output_size_names_the_bad_argument(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        models.output_size(**({"size": 5, "kernel_size": 3} | bad))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=4))
def test_receptive_field_is_what_a_gradient_reaches(layers):
    field = models.receptive_field(layers)
    x = torch.ones(1, 1, 2 * field, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel_size, stride in layers:
        y = nn.functional.conv1d(y, torch.ones(1, 1, kernel_size, dtype=torch.float64), stride=stride)
    y[0, 0, 0].backward()
    reached = x.grad[0, 0].nonzero().ravel()
    assert reached.max() + 1 == field


def test_filter_net_is_conv2d_then_relu():
    x = torch.randn(2, 1, 9, 8)
    convolved, activated = models.FilterNet(filters.step_filters())(x)
    assert torch.allclose(convolved, conv2d(x, filters.step_filters()[:, None]))
    assert torch.equal(activated, convolved.clamp(min=0))
    with pytest.raises(ValueError, match=r"\(4, 1, 4, 4\)"):
        models.FilterNet(filters.step_filters()[:, None])


def test_pool_net_takes_the_largest_of_each_window():
    x = torch.randn(1, 1, 11, 12)
    _, activated, pooled = models.PoolNet(filters.step_filters(), 3, 2)(x)
    assert pooled[0, 1, 1, 2] == activated[0, 1, 2:5, 4:7].max()


@pytest.mark.parametrize("network", [models.FashionNet, models.BatchNormNet])
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
    models.layer_table(net, (1, 8, 8))
    with pytest.raises(RuntimeError):
        models.layer_table(net, (3, 8, 8))
    assert net.training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_inference_restores_each_modules_own_mode():
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1))
    net[1].eval()
    with pytest.raises(ZeroDivisionError), models.inference(net):
        1 / (net[0].training or net[1].training or torch.is_grad_enabled())
    assert (net.training, net[0].training, net[1].training) == (True, True, False)


class Twice(nn.Module):
    """Uses one layer twice, and has another that must not run."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.after, self.unused = (
            nn.Conv2d(1, 1, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(1, 2, 3),
            nn.Identity(),
        )
        self.ran = []
        self.after.register_forward_hook(lambda *_: self.ran.append("after"))

    def forward(self, x):
        return self.after(self.relu(self.conv(self.relu(self.conv(x)))))


def test_run_to_gives_what_a_whole_pass_records_and_stops_there():
    model, x = Twice(), torch.randn(1, 1, 12, 12)
    for layers in (["conv"], ["relu#2", "conv"], ["conv#2"]):
        with models.recording(model, layers) as whole:
            model(x)
        model.ran.clear()
        outputs = models.run_to(model, x, layers)
        assert not model.ran
        for name in layers:
            assert torch.equal(outputs[name], whole[name])
    assert models.run_to(model, x, ["after"])["after"].shape == (1, 2, 6, 6)
    assert model.ran == ["after"]
    assert all(len(m._forward_hooks) == (m is model.after) for m in model.modules())


def test_run_to_says_what_it_cannot_find():
    for layers, words in (
        (["unused"], "does not use the layer 'unused'"),
        (["dense"], "no layer 'dense'"),
        ("conv", "list"),
    ):
        with pytest.raises(ValueError, match=words):
            models.run_to(Twice(), torch.randn(1, 1, 12, 12), layers)


def test_a_layer_that_is_spelt_nearly_so_is_named():
    with pytest.raises(ValueError, match=r"no layer 'features\.77'; it has features\.7"):
        models.find_layer(vgg16(), "features.77")
    with pytest.raises(ValueError, match=r"named by text.*not by 7"):
        models.find_layer(Twice(), 7)


def test_size_is_checked_with_numbers():
    net = nn.Sequential(nn.Conv2d(3, 2, 5), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3))
    models.check_size(net, ["2"], torch.zeros(3, 10, 50))
    models.check_size(net, ["0"], torch.zeros(1, 3, 5, 5))
    with pytest.raises(ValueError, match="9 × 50 pixels, and 2 of Sequential needs at least 10 × 10"):
        models.check_size(net, ["2"], torch.zeros(3, 9, 50))
    with pytest.raises(ValueError, match="3000 × 1500 pixels, and 4,000,000 in all is the most"):
        models.check_size(net, ["0"], torch.zeros(3, 3000, 1500))


def test_what_fits_is_also_found_where_a_quick_try_with_a_part_is_too_small():
    net = nn.Sequential(nn.Conv2d(3, 1, (70, 3)), nn.ReLU())
    assert models.fits(net, ["1"], (80, 20))
    assert not models.fits(net, ["1"], (69, 500))


def test_gradients_are_on_and_only_for_the_input():
    net, x = nn.Linear(2, 2).train(), torch.ones(1, 2)
    with torch.no_grad(), models.gradients(net):
        assert not net.training
        y = net(x.requires_grad_()).sum()
        y.backward()
    assert x.grad is not None
    assert net.weight.grad is None
    assert net.training
    assert net.weight.requires_grad


@pytest.mark.parametrize("fast", [True, False])
def test_a_converted_network_gives_the_same_and_shares_the_rest(monkeypatch, fast):
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: fast)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    model.requires_grad_(False)[0].requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy, pictures = models.converted(model.eval()), torch.rand(2, 3, 8, 8)
    with devices.mixed_precision(torch.device("cpu")):
        torch.testing.assert_close(copy(pictures), model(pictures))
    assert copy[0].weight.dtype == copy[0].bias.dtype == (torch.bfloat16 if fast else torch.float32)
    assert copy[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert copy[0].weight.requires_grad
    assert not copy.training
    for shared in (1, 4):
        theirs = {**dict(copy[shared].named_parameters()), **dict(copy[shared].named_buffers())}
        assert all(tensor is theirs[name] for name, tensor in model[shared].named_parameters())
        assert all(tensor is theirs[name] for name, tensor in model[shared].named_buffers())
    after = model.state_dict()
    assert all(tensor.equal(after[name]) and tensor.dtype == after[name].dtype for name, tensor in before.items())
