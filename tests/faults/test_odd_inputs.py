"""Odd images into every function that takes a network: a result, or a sentence that says what is wrong."""

import pytest
import torch
from torch import nn

from helpers import attribution, dream, features, models, pretrained, style, training

LABELS = torch.zeros(2, dtype=torch.long)


@pytest.fixture(scope="module")
def squeezenet():
    return pretrained.load()


def train(model, images):
    twin = nn.Sequential(model, nn.Flatten())
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    labels = LABELS[: images.shape[0]]
    return training.train(twin, [(images, labels)], torch.optim.SGD(twin.parameters(), lr=0.0), 1, progress=False)


ATTRIBUTIONS = {
    "occlusion": lambda model, x: attribution.occlusion(model, x, 0, (20, 20), (20, 20), progress=False),
    "backpropagate": lambda model, x: attribution.backpropagate(model, x, 0),
    "backpropagate guided": lambda model, x: attribution.backpropagate(model, x, 0, rule="guided"),
    "backpropagate layer": lambda model, x: attribution.backpropagate(model, x, 0, layer="features.3"),
    "saliency": lambda model, x: attribution.saliency(model, x, 0),
    "smooth_grad": lambda model, x: attribution.smooth_grad(model, x, 0, nt_samples=2),
    "grad_cam": lambda model, x: attribution.grad_cam(model, x, 0, layer="features.3"),
}
FEATURES = {
    "activations": lambda model, x: features.activations(model, x, ["features.3"]),
    "embeddings": lambda model, x: features.embeddings(model, x, "features.3", progress=False),
    "strongest_patches": lambda model, x: features.strongest_patches(model, x, "features.3", [0], progress=False),
}
TRAINING = {
    "evaluate": lambda model, x: training.evaluate(model, [(x, LABELS[: x.shape[0]])]),
    "train": train,
}
ENTRIES = {**ATTRIBUTIONS, **FEATURES, **TRAINING}
every = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)


@every
@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (torch.rand(2, 64, 64, 3), r"has 64 channels, and .* takes 3|a patch must be 1 to 3 pixels"),
        (torch.rand(2, 1, 64, 64), "has 1 channels, and .* takes 3"),
        (torch.rand(2, 3, 4, 4), r"4 × 4|a patch must be 1 to 4 pixels"),
        (torch.rand(2, 3, 64, 64) * torch.nan, "NaN or infinite"),
        (torch.rand(2, 3, 64, 64) / 0, "NaN or infinite"),
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), r"floating-point numbers in \[0, 1\], not torch\.uint8"),
        (torch.rand(64, 64), r"not \(64, 64\)"),
        (torch.rand(2, 3, 0, 64), r"not \(2, 3, 0, 64\)"),
        (torch.rand(2, 3, 2001, 2000), r"2001 × 2000 pixels, and 4,000,000 in all is the maximum"),
        (torch.rand(2, 3, 64, 64).numpy(), "images are a tensor, not a ndarray"),
    ],
    ids=["HWC", "grey", "tiny", "NaN", "infinite", "bytes", "two axes", "empty", "huge", "array"],
)
def test_an_odd_image_gets_a_sentence(entry, odd, words, squeezenet):
    with pytest.raises(ValueError, match=words):
        entry(squeezenet, odd)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_will_do(entry, dtype, squeezenet):
    entry(squeezenet, torch.rand(2, 3, 64, 64).to(dtype))


@pytest.mark.parametrize("name", ["occlusion", "saliency", "evaluate", "train"])
def test_a_network_for_one_size_says_which(name):
    model = models.trained_fashion_net()
    with pytest.raises(ValueError, match=r"each image is 64 × 64 pixels, and .* needs another size, such as 28 × 28"):
        ENTRIES[name](model, torch.rand(2, 1, 64, 64))


class OutOfMemory(nn.Module):
    """As PyTorch says it on the CPU."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(4)])

    def forward(self, x):
        self.features(x)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize("name", ["saliency", "occlusion", "grad_cam", "evaluate", "train"])
def test_out_of_memory_is_not_called_too_small(name):
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        ENTRIES[name](OutOfMemory(), torch.rand(2, 3, 64, 64))


MAKERS = {
    "deep_dream": lambda model, x: dream.deep_dream(model, x, "features.3", octaves=1, steps=1, progress=False),
    "zoom": lambda model, x: dream.zoom(model, x, "features.3", frames=1, progress=False),
    "stylize": lambda model, x: style.stylize(
        *(model, x, x), content_layers={"features.3": 1}, style_layers={"features.3": 1}, steps=1, progress=False
    ),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (torch.rand(64, 64, 3), r"channels come first"),
        (torch.rand(3, 4, 4), "is 4 × 4 pixels, and features.3 of SqueezeNet needs at least 5 × 5"),
        (torch.rand(3, 64, 64) * torch.nan, "nan"),
        (torch.rand(3, 2001, 2000), "4,000,000 in all is the maximum"),
        (None, "a path, a URL"),
    ],
    ids=["HWC", "tiny", "NaN", "huge", "None"],
)
def test_an_odd_image_is_no_start(make, odd, words, squeezenet):
    with pytest.raises(ValueError, match=words):
        make(squeezenet, odd)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_network_for_grey_images_makes_no_coloured_ones(make):
    with pytest.raises(ValueError, match="has 3 channels, and FashionNet takes 1"):
        make(models.trained_fashion_net(), torch.rand(3, 64, 64))


def test_a_network_for_grey_images_shows_no_coloured_ones():
    with pytest.raises(ValueError, match="has 3 channels, and FashionNet takes 1"):
        dream.maximize(models.trained_fashion_net(), "features.3", 0, size=(64, 64), steps=1, progress=False)


def test_a_layer_that_is_not_used_is_named():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.LazyLinear(2))
    model(torch.rand(1, 3, 9, 9))
    model.unused = nn.Conv2d(2, 2, 3)
    model.forward = lambda x: model[2](model[1](model[0](x)))
    with pytest.raises(ValueError, match="the forward pass does not use the layer 'unused'"):
        attribution.grad_cam(model, torch.rand(3, 9, 9), 0, layer="unused")


@pytest.mark.parametrize("name", [*ENTRIES, *MAKERS, "maximize"])
def test_under_inference_mode_all_works_and_goes_on_working(name):
    call = {
        **ENTRIES,
        **{key: lambda model, x, make=make: make(model, x[0]) for key, make in MAKERS.items()},
        "maximize": lambda model, x: dream.maximize(model, "features.3", 0, size=(64, 64), steps=2, progress=False),
    }[name]
    dream._colors.cache_clear()
    with torch.inference_mode():
        model, x = pretrained.load(), torch.rand(2, 3, 64, 64)
        call(model, x)
    call(model, x)
    call(model, torch.rand(2, 3, 64, 64))
    call(pretrained.load(), x)
