"""Numbers that are no use are refused by name, before anything is computed."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from helpers import attribution, data, dream, features, filters, hooks, images, models, pretrained, style, training

PHOTO = torch.rand(3, 64, 64)


@pytest.fixture(scope="module")
def squeezenet():
    return pretrained.load()


def dreaming(**options):
    return lambda model: dream.deep_dream(model, PHOTO, "features.3", progress=False, **options)


def maximizing(**options):
    return lambda model: dream.maximize(model, "features.3", 0, size=(32, 32), progress=False, **options)


def styling(**options):
    return lambda model: style.stylize(model, PHOTO, PHOTO, progress=False, **options)


CALLS = {
    "steps": [dreaming(steps=0), dreaming(steps=2.5), maximizing(steps="a"), styling(steps=None), styling(steps=True)],
    "octaves": [dreaming(octaves=0), dreaming(octaves=10**6)],
    "jitter": [dreaming(jitter=-1), dreaming(jitter=1.5)],
    "smoothing": [dreaming(smoothing=-1), dreaming(smoothing=1e9), dreaming(smoothing=math.nan)],
    "step_size": [dreaming(step_size=math.nan), dreaming(step_size=math.inf), dreaming(step_size="a")],
    "seed": [dreaming(seed=2**64), dreaming(seed="a"), maximizing(seed=1.5), maximizing(seed=-1)],
    "transform": [maximizing(transform=math.nan), maximizing(transform=-1), maximizing(transform=1e30)],
    "tv_weight": [maximizing(tv_weight=math.nan), maximizing(tv_weight=-1), styling(tv_weight=math.inf)],
    "content_weight": [styling(content_weight=-1), styling(content_weight=None)],
    "frames": [lambda model: dream.zoom(model, PHOTO, "features.3", frames=0, progress=False)],
    "nt_samples": [lambda model: attribution.smooth_grad(model, PHOTO, 0, nt_samples=10**12)],
    "stdevs": [lambda model: attribution.smooth_grad(model, PHOTO, 0, stdevs=-1)],
    "target": [
        lambda model, target=target: attribution.saliency(model, PHOTO, target)
        for target in (True, 1.0, "a", (), -1, 1000, [True], torch.tensor([True]))
    ],
    "sliding_window_shapes": [
        lambda model, shape=shape: attribution.occlusion(model, PHOTO, 0, shape, progress=False)
        for shape in (4, (4,), (4, 4, 4), (4.0, 4), "ab")
    ],
    "batch_size": [
        lambda model, n=n: features.embeddings(model, PHOTO[None], "features.3", batch_size=n)
        for n in (0, -1, 1.5, "a")
    ],
    "count": [lambda model: features.strongest_patches(model, PHOTO[None], "features.3", [0], 2.5)],
    "epochs": [lambda model: training.train(nn.Linear(1, 1), [], torch.optim.SGD(model.parameters()), 0)],
    "size": [lambda _, size=size: images.read(PHOTO, size=size) for size in (0, 2.5, True, "10")],
    "rows": [lambda _: images.resized(PHOTO, (0, 5)), lambda _: images.resized(PHOTO, (2.5, 3))],
    "scale": [lambda _: images.scaled(PHOTO, 0), lambda _: images.scaled(PHOTO, math.nan)],
    "stride": [lambda _: filters.output_size(28, 3, 2.5), lambda _: filters.receptive_field([(3, 0)])],
    "train": [lambda _: data.fashion_mnist("test"), lambda _: data.fashion_mnist(None)],
    "random_flip": [lambda _: data.random_flip(PHOTO, None), lambda _: data.random_flip(PHOTO[None], None)],
    "a colour image": [
        lambda _: images.to_gray(torch.full((3, 1, 1), 200, dtype=torch.uint8)),
        lambda _: images.square(torch.rand(6, 7, 3)),
        lambda _: images.to_gray(torch.rand(4, 5, 5)),
    ],
    "model": [
        lambda _, model=model: features.activations(model, PHOTO, ["a"]) for model in (None, "net", 3, nn.Linear, print)
    ],
    "a layer": [
        lambda model, name=name: features.activations(model, PHOTO, [name]) for name in (None, 3, b"features.3")
    ],
    "layers": [lambda model: hooks.run_to(model, PHOTO[None], 3)],
    "input_shape": [
        lambda model: features.receptive_field(model, "features.3", (3, 10**5, 10**5), (1, 1)),
        lambda model: features.receptive_field(model, "features.3", (64, 64), (1, 1)),
    ],
    "the shape of an image": [
        lambda model: models.layer_table(model, (3, -1, 5)),
        lambda model: models.layer_table(model, 3),
    ],
    "labels": [
        lambda model, labels=labels: training.evaluate(model, [(PHOTO[None], labels)])
        for labels in (torch.tensor([1000]), torch.tensor([-100]), torch.tensor([0.5]), torch.tensor([[0]]), [0])
    ],
    "images": [
        lambda model: features.activations(model, PHOTO.to("meta"), ["features.3"]),
        lambda model: features.activations(model, PHOTO.to_sparse(), ["features.3"]),
    ],
}


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in CALLS.items() for call in calls])
def test_what_is_no_use_is_refused_by_name(name, call, squeezenet):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call(squeezenet)
    assert not squeezenet.training
    assert not any(p.requires_grad for p in squeezenet.parameters())


def test_numbers_and_layers_may_come_in_other_forms(squeezenet):
    assert features.activations(squeezenet, PHOTO, iter(["features.3"])).keys() == {"features.3"}
    by_tensor = attribution.saliency(squeezenet, PHOTO, torch.tensor(3))
    assert torch.equal(by_tensor, attribution.saliency(squeezenet, PHOTO, np.array([3])))


def test_a_first_layer_may_work_in_place():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    twin = nn.Sequential(nn.ReLU(), *model[1:])
    for function in (attribution.saliency, attribution.smooth_grad):
        assert torch.equal(function(model, PHOTO, 0), function(twin, PHOTO, 0))
    dream.deep_dream(model, PHOTO, "1", octaves=1, steps=1, progress=False)


def test_a_network_made_under_inference_mode_is_left_as_it_was():
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert attribution.occlusion(model, PHOTO, 0, progress=False).shape == (1, 64, 64)
    with pytest.raises(ValueError, match=r"model was made under torch\.inference_mode\(\).*: make it outside"):
        attribution.saliency(model, PHOTO, 0)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_a_matrix_is_an_image():
    assert images.read(np.matrix(np.ones((4, 5)))).shape == (3, 4, 5)


def test_the_pixel_limit_holds_for_arrays():
    with pytest.raises(ValueError, match=r"50,000,000 pixels at most, and this 10000 × 6000"):
        images.read(np.broadcast_to(np.uint8(1), (10_000, 6_000)))
