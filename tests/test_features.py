import contextlib
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import conv2d
from torchvision import models as torchvision_models

from helpers import features, filters, hooks, images, models, pretrained


@pytest.fixture(scope="module")
def items():
    torch.manual_seed(0)
    return torch.rand(12, 1, 28, 28)


@pytest.fixture(scope="module")
def fashion_net():
    return models.trained_fashion_net()


class Reuser(nn.Module):
    """One convolution and one in-place ReLU, each used twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.conv(self.relu(self.conv(x))))


def test_feature_maps_are_those_of_a_loop(fashion_net, items):
    maps = features.activations(fashion_net, items[:2], ["features.1"])["features.1"]
    conv, normalised = fashion_net.features[1], fashion_net.features[0](items[:2])
    by_hand = torch.zeros(2, 16, 26, 26)
    for row in range(26):
        for column in range(26):
            patch = normalised[:, None, :, row : row + 3, column : column + 3]
            by_hand[:, :, row, column] = (patch * conv.weight).sum(dim=(2, 3, 4)).detach() + conv.bias.detach()
    assert torch.allclose(maps, by_hand, atol=1e-5)


def test_second_layer_maps_sum_over_all_maps_of_the_first(fashion_net, items):
    outputs = features.activations(fashion_net, items, ["features.3", "features.5"])
    conv = fashion_net.features[5]
    parts = [conv2d(outputs["features.3"][:, [i]], conv.weight[:, [i]]) for i in range(16)]
    true_sum = torch.stack(parts).sum(dim=0) + conv.bias.view(1, -1, 1, 1)
    assert torch.allclose(outputs["features.5"], true_sum, atol=1e-4)
    assert not torch.allclose(outputs["features.5"], parts[0] + conv.bias.view(1, -1, 1, 1), atol=1e-1)


def test_reused_and_in_place_layers_count_at_each_use():
    torch.manual_seed(0)
    model, x = Reuser(), torch.randn(3, 2, 6, 5)
    outputs = features.activations(model, x, ["conv", "relu", "conv#2", "relu#2"])
    first = model.conv(x)
    second = model.conv(first.relu())
    wanted = {"conv": first, "relu": first.relu(), "conv#2": second, "relu#2": second.relu()}
    assert set(outputs) == set(wanted)
    for name, maps in wanted.items():
        assert torch.allclose(outputs[name], maps, atol=1e-6), name


def test_a_further_use_can_be_asked_for():
    torch.manual_seed(0)
    model, x = Reuser(), torch.randn(3, 2, 6, 5)
    vectors = features.embeddings(model, x, "relu#2", progress=False)
    assert torch.allclose(vectors, model(x).mean(dim=(2, 3)), atol=1e-6)
    field = features.receptive_field(model, "conv#2", (2, 6, 5), (3, 2))
    assert field == (1, 0, 5, 5)
    with pytest.raises(ValueError, match="does not use the layer 'conv#3'"):
        features.activations(model, x, ["conv#3"])


def test_maps_are_not_changed_by_what_follows_in_place():
    """ResNet adds to the maps of bn2 in place, and SqueezeNet's ReLUs overwrite their convolutions."""
    torch.manual_seed(0)
    model = torchvision_models.resnet18().eval()
    image = torch.rand(3, 64, 64)
    outputs = features.activations(model, image, ["layer1.0.conv2", "layer1.0.bn2"])
    assert torch.allclose(outputs["layer1.0.bn2"], model.layer1[0].bn2(outputs["layer1.0.conv2"][None])[0], atol=1e-5)
    squeezed = features.activations(pretrained.load(), image, ["features.0", "features.1"])
    assert squeezed["features.0"].min() < 0
    assert torch.equal(squeezed["features.1"], squeezed["features.0"].relu())


def test_one_picture_gives_maps_without_n(fashion_net, items):
    one = features.activations(fashion_net, items[3], ["features.5"])["features.5"]
    many = features.activations(fashion_net, items, ["features.5"])["features.5"]
    assert one.shape == (32, 11, 11)
    assert torch.allclose(one, many[3], atol=1e-5)


def test_a_wrong_layer_is_answered_with_the_right_ones(fashion_net, items):
    with pytest.raises(ValueError, match=r"no layer 'conv1'; it has features, features.0, features.1"):
        features.activations(fashion_net, items, ["conv1"])
    unused = nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()})
    unused.forward = lambda x: unused["a"](x)
    with pytest.raises(ValueError, match="does not use the layer 'b'"):
        features.activations(unused, items, ["a", "b"])
    pair = nn.Identity()
    pair.forward = lambda x: (x, x)
    with pytest.raises(TypeError, match="layer '' gives a tuple"):
        features.activations(pair, items, [""])
    with pytest.raises(ValueError, match=r"not \(28, 28\)"):
        features.activations(fashion_net, items[0, 0], ["features.1"])
    with pytest.raises(ValueError, match=r"layers must be a list of names, such as \['features.1'\]"):
        features.activations(fashion_net, items, "features.1")
    with pytest.raises(ValueError, match="images are a tensor, not a ndarray"):
        features.activations(fashion_net, items.numpy(), ["features.1"])
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, not 0"):
        features.strongest_patches(fashion_net, items, "features.1", [0], 0)
    with pytest.raises(ValueError, match=r"torch.uint8"):
        features.activations(fashion_net, items.to(torch.uint8), ["features.1"])


def test_embeddings_do_not_depend_on_batches(fashion_net, items):
    vectors = features.embeddings(fashion_net, items, "classifier.2", batch_size=5, progress=False)
    assert vectors.shape == (12, 64)
    last = fashion_net.classifier[4]
    assert torch.allclose(last(vectors), fashion_net(items), atol=1e-4)
    maps = features.activations(fashion_net, items, ["features.5"])["features.5"]
    averaged = features.embeddings(fashion_net, items, "features.5", progress=False)
    assert torch.allclose(averaged, maps.mean(dim=(2, 3)), atol=1e-5)


def test_the_strongest_patches_are_where_they_were_planted():
    """A filter that answers to one cross and nothing else; crosses of known strength at known places."""
    cross = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    model[0].weight.data = torch.stack([cross - 0.5, 0.5 - cross])[:, None]
    photos = torch.zeros(6, 1, 12, 14)
    for number, (row, column, strength) in {4: (5, 8, 0.9), 1: (0, 0, 0.6), 3: (9, 11, 0.3)}.items():
        photos[number, 0, row : row + 3, column : column + 3] = strength * cross
    found, other = features.strongest_patches(model, photos, "1", [0, 1], 3, batch_size=4, progress=False)
    assert [(p.image, p.top, p.left, p.height, p.width) for p in found] == [
        (4, 5, 8, 3, 3),
        (1, 0, 0, 3, 3),
        (3, 9, 11, 3, 3),
    ]
    assert found[0].value == pytest.approx(0.9 * 2.5)
    assert torch.allclose(found[0].cut(photos), 0.9 * cross)
    assert len(other) == 3
    pooled = features.strongest_patches(model, photos, "2", [0], 1, progress=False)[0][0]
    assert (pooled.unit, pooled.top, pooled.left, pooled.height, pooled.width) == ((2, 4), 4, 8, 4, 4)
    with pytest.raises(ValueError, match="channels must lie in 0 to 1, not 2"):
        features.strongest_patches(model, photos, "1", [2], progress=False)


def box_that_reaches(model, layer, shape, row, column, channel=slice(None)):
    """A second way to the receptive field: make one row or column after the other NaN, and see whether it comes out."""
    ends = []
    for axis in (1, 2):
        photos = torch.zeros(shape[axis], *shape)
        for n, photo in enumerate(photos):
            photo.select(axis, n).fill_(torch.nan)
        with hooks.inference(model):
            maps = hooks.run_to(model, photos, [layer])[layer]
        reached = maps[:, channel, row, column].view(len(maps), -1).isnan().any(dim=1).nonzero()[:, 0].tolist()
        ends.append((reached[0], reached[-1] + 1 - reached[0]))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


class Functions(nn.Module):
    """Layers of all kinds, called as functions, some in place and some with results that no one takes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, 2, 2, dilation=2), nn.Conv2d(4, 4, (5, 2), (1, 3), (4, 0), groups=2)
        self.same, self.skip = nn.Conv2d(4, 4, 4, padding="same"), nn.Conv2d(4, 4, 1, stride=2)
        self.norm, self.end = nn.BatchNorm2d(4), nn.Identity()

    def forward(self, x):
        x = functional.relu((x - 0.4) / torch.tensor([3.0, 200.0, 9.0]).view(3, 1, 1), inplace=True)
        x = functional.max_pool2d(self.a(x), 3, 2, 1, dilation=2, ceil_mode=True)
        y = functional.avg_pool2d(self.b(x), (3, 2), 1, (1, 1), ceil_mode=True)
        y = self.same(functional.pad(y, (1, 0, 2, 2))).clamp_(max=6)
        y.add_(functional.adaptive_avg_pool2d(self.skip(x), y.shape[2:]))
        first, second = torch.cat([self.norm(y), 1 - y], dim=1).chunk(2, dim=1)
        return self.end(torch.stack([first, second.sigmoid() * first], dim=2).flatten(1, 2))


class Beside(nn.Module):
    """The image, and beside it a convolution of it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 5, padding=2)

    def forward(self, x):
        return torch.cat([x, self.conv(x)], dim=1)


SHAPE = (3, 63, 50)
NETWORKS = {
    "squeezenet": (torchvision_models.squeezenet1_1, "features.6"),
    "resnet": (torchvision_models.resnet18, "layer1.1"),
    "googlenet": (lambda: torchvision_models.googlenet(aux_logits=False, init_weights=False), "inception3a"),
    "mobilenet": (torchvision_models.mobilenet_v3_small, "features.3"),
    "functions": (Functions, "end"),
}


@pytest.mark.parametrize(("make", "layer"), NETWORKS.values(), ids=NETWORKS)
def test_receptive_field_is_what_reaches_the_unit(make, layer):
    torch.manual_seed(0)
    model = make()
    maps = features.activations(model, torch.rand(SHAPE), [layer])[layer]
    for row, column in ((0, 0), (maps.shape[1] // 2, maps.shape[2] // 2), (maps.shape[1] - 1, maps.shape[2] - 1)):
        found = features.receptive_field(model, layer, SHAPE, (row, column))
        assert found == box_that_reaches(model, layer, SHAPE, row, column)


def test_receptive_field_through_groups_is_that_of_the_group():
    model = nn.Sequential(Beside(), nn.Conv2d(4, 4, 1, groups=2))
    heights = [features.receptive_field(model, "1", (2, 9, 9), (4, 4), channel)[2] for channel in range(4)]
    assert heights == [1, 1, 5, 5]


@pytest.mark.parametrize("layer", ["features.4", "features.5", "features.7"])
def test_receptive_field_of_a_channel_is_that_of_its_branch(layer):
    """The first half of a Fire block's channels comes through 1 × 1 windows, the other through 3 × 3."""
    torch.manual_seed(0)
    model = torchvision_models.squeezenet1_1()
    maps = features.activations(model, torch.rand(SHAPE), [layer])[layer]
    boxes = [features.receptive_field(model, layer, SHAPE, (3, 2), channel) for channel in (0, len(maps) - 1)]
    assert boxes == [box_that_reaches(model, layer, SHAPE, 3, 2, channel) for channel in (0, len(maps) - 1)]
    assert boxes[1][2] > boxes[0][2]


def test_one_pass_gives_the_fields_of_all_units():
    model = torchvision_models.squeezenet1_1()
    field = features.receptive_fields(model, "features.4", SHAPE)
    for unit, channel in (((0, 0), 0), ((3, 2), 127), ((5, 4), None)):
        assert field(unit, channel) == features.receptive_field(model, "features.4", SHAPE, unit, channel)
        assert field(unit, channel) == box_that_reaches(
            model, "features.4", SHAPE, *unit, slice(None) if channel is None else channel
        )
    with pytest.raises(ValueError, match="no unit"):
        field((99, 0), 0)


def test_receptive_field_agrees_with_lesson_2_inside_the_picture():
    model = nn.Sequential(nn.Conv2d(1, 1, 5, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(1, 1, 3, dilation=2))
    field = filters.receptive_field([(5, 2), (3, 2), (5, 1)])
    assert features.receptive_field(model, "3", (1, 60, 64), (1, 2)) == (4, 8, field, field)


def test_receptive_field_has_no_pixels_that_a_stride_leaves_out():
    """Of 8 rows the first layer reads 7; the second layer's padding below them is none of the image."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3, padding=1))
    assert features.receptive_field(model, "1", (1, 8, 8), (2, 0)) == (2, 0, 5, 5)


def test_a_unit_that_is_not_there_has_no_field(fashion_net):
    with pytest.raises(ValueError, match=r"maps \(32, 11, 11\), and no unit \(11, 0\) in channel 0"):
        features.receptive_field(fashion_net, "features.5", (1, 28, 28), (11, 0))


@pytest.mark.parametrize(
    "function", [lambda x: x.mean(dim=(2, 3), keepdim=True), lambda x: x.cumsum(dim=3), torch.fft.fft]
)
def test_what_looks_at_everything_or_is_not_known_has_the_whole_image_as_its_field(function):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 1)

        def forward(self, x):
            return self.conv(function(x).real)

    assert features.receptive_field(Net(), "conv", (1, 9, 7), (0, 0)) == (0, 0, 9, 7)


class Interruptible(nn.Module):
    """Raises what it is told to, in the middle of its forward pass."""

    error = None  # of the class, so that it is no part of a model's state

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True)

    def forward(self, x):
        maps = self.norm(self.conv(x))
        if Interruptible.error:
            raise Interruptible.error
        return self.relu(maps)


@pytest.mark.parametrize("error", [None, RuntimeError("planted"), KeyboardInterrupt()], ids=repr)
def test_the_model_comes_back_as_it_was(items, error):
    model = Interruptible().train()
    model.norm.eval()
    model.conv.bias.requires_grad_(False)
    Interruptible.error = error
    before = pickle.dumps(model)  # modes, flags, weights, buffers and hooks; one that was left could not be pickled
    for call in (
        lambda: features.activations(model, items, ["relu"]),
        lambda: features.embeddings(model, items, "relu", progress=False),
        lambda: features.strongest_patches(model, items, "relu", [0], progress=False),
        lambda: features.receptive_field(model, "relu", (1, 28, 28), (3, 3)),
    ):
        with pytest.raises(type(error)) if error else contextlib.nullcontext():
            call()
        assert pickle.dumps(model) == before


def test_any_photo_and_any_network_go_through():
    torch.manual_seed(0)
    model, photo = torchvision_models.mobilenet_v3_small(), images.sample("flower")[:, 100:230, 200:350]
    outputs = features.activations(model, photo, ["features.3", "classifier.0"])
    assert outputs["features.3"].shape[1:] == (17, 19)
    assert features.embeddings(model, photo[None], "features.3", progress=False).shape == (1, 24)
    (patches,) = features.strongest_patches(model, photo[None], "features.3", [5], progress=False)
    assert patches[0].cut(photo[None]).shape == (3, patches[0].height, patches[0].width)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_receptive_field_does_not_depend_on_the_models_precision(dtype):
    model, shape = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU()), (3, 300, 2500)
    for unit in ((140, 1100), (70, 1200)):
        box = features.receptive_field(model.float(), "2", shape, unit)
        assert features.receptive_field(model.to(dtype), "2", shape, unit) == box
    assert next(model.parameters()).dtype == dtype


def test_what_sees_everything_sees_long_images_whole():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Softmax(dim=3))
    assert features.receptive_field(model, "1", (1, 3, 20_000), (1, 0)) == (0, 0, 3, 20_000)
