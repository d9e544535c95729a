import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import squeezenet1_1

from helpers import hooks


def test_inference_restores_each_modules_own_mode():
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1))
    net[1].eval()
    with pytest.raises(ZeroDivisionError), hooks.inference(net):
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
        with hooks.recording(model, layers) as whole:
            model(x)
        model.ran.clear()
        outputs = hooks.run_to(model, x, layers)
        assert not model.ran
        for name in layers:
            assert torch.equal(outputs[name], whole[name])
    assert hooks.run_to(model, x, ["after"])["after"].shape == (1, 2, 6, 6)
    assert model.ran == ["after"]
    before = dict(outputs), dict(whole)
    model(torch.zeros_like(x))
    assert (outputs, whole) == before  # the same tensors: no hook is left that records


def test_rules_count_relus_and_name_other_activations():
    x = torch.ones(3)
    with hooks.ReLURule(lambda gradient, positive: gradient) as rule:
        functional.relu(nn.ReLU(inplace=True)(x)), torch.relu(x), x.relu(), x.relu_()
        assert (rule.count, rule.others) == (5, set())
        functional.elu(x), nn.Hardswish()(x), nn.ReLU6()(x), functional.leaky_relu_(x)
    assert rule.count == 5
    assert rule.others >= {"elu", "hardswish", "hardtanh", "leaky_relu"}


def test_run_to_says_what_it_cannot_find():
    for layers, words in (
        (["unused"], "does not use the layer 'unused'"),
        (["dense"], "no layer 'dense'"),
        ("conv", "list"),
    ):
        with pytest.raises(ValueError, match=words):
            hooks.run_to(Twice(), torch.randn(1, 1, 12, 12), layers)


def test_a_layer_that_is_spelt_nearly_so_is_named():
    with pytest.raises(ValueError, match=r"no layer 'features\.77'; it has features\.7"):
        hooks.find_layer(squeezenet1_1(), "features.77")
    with pytest.raises(ValueError, match=r"named by text.*not by 7"):
        hooks.find_layer(Twice(), 7)


def test_gradients_are_on_and_only_for_the_input():
    net, x = nn.Linear(2, 2).train(), torch.ones(1, 2)
    with torch.no_grad(), hooks.gradients(net):
        assert not net.training
        y = net(x.requires_grad_()).sum()
        y.backward()
    assert x.grad is not None
    assert net.weight.grad is None
    assert net.training
    assert net.weight.requires_grad


@pytest.mark.parametrize("context", [hooks.inference, hooks.gradients])
def test_autocast_of_someone_around_does_not_reach_inside(context):
    net = nn.Linear(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with context(net):
            assert net(torch.ones(1, 2)).dtype == torch.float32
        assert net(torch.ones(1, 2)).dtype == torch.bfloat16


def test_rules_name_every_activation_that_is_none_of_theirs():
    x = torch.ones(3)
    with hooks.ReLURule(lambda gradient, positive: gradient) as rule:
        nn.CELU()(x), nn.Mish()(x), nn.RReLU()(x), nn.Threshold(0.5, 0)(x), nn.Softsign()(x)
        nn.Hardshrink()(x), nn.Softshrink()(x), nn.Tanhshrink()(x), nn.CELU(inplace=True)(x)
    assert rule.others == {
        *("celu", "mish", "rrelu", "threshold", "softsign", "hardshrink", "softshrink", "tanhshrink")
    }


class NoGradients(nn.Module):
    """Its first layer runs under no_grad, as people freeze one."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        with torch.no_grad():
            maps = self.first(x)
        return self.last(maps).mean(dim=(2, 3))


def test_a_layer_that_no_gradient_passes_to_is_named():
    x = torch.rand(1, 3, 9, 9, requires_grad=True)
    with (
        hooks.gradients(model := NoGradients()),
        pytest.raises(ValueError, match="no gradients pass from layer 'last'"),
    ):
        hooks.run_to(model, x, ["last"])
    assert hooks.run_to(model, x.detach(), ["last"])["last"].shape == (1, 2, 5, 5)


def test_an_image_is_in_the_precision_of_the_first_weights_that_are_no_whole_numbers():
    model = nn.Sequential(nn.Conv2d(3, 1, 1).half())
    model.register_parameter("count", nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False))
    assert hooks.dummy_input(model, (3, 2, 2)).dtype == torch.float16
    torch.set_default_dtype(torch.float64)
    try:
        assert hooks.dummy_input(nn.ReLU(), (3, 2, 2)).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
