"""Odd images into every function that takes a network: a result, or a sentence that says what is wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import attribution, data, dream, features, models, pretrained, style, training
from helpers import images as images_module
from helpers.lessons import lesson_03, quiz

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


IMAGES = torch.rand(2, 3, 64, 64)


def small():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def fit(model, batches, **options):
    optimizer = torch.optim.SGD([*model.parameters()], lr=0.1)
    return training.train(model, batches, optimizer, 1, progress=False, **options)


@pytest.mark.parametrize("how", [fit, training.evaluate], ids=["train", "evaluate"])
@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([(IMAGES, LABELS, LABELS)], r"pairs \(images, labels\), not a tuple of 3"),
        ([(IMAGES,)], "not a tuple of 1"),
        ([IMAGES], "not a Tensor"),
        ([None], "not a NoneType"),
        ([{"images": IMAGES, "labels": LABELS}], "not a dict"),
        ([(IMAGES[:0], LABELS[:0])], "none of these 0"),
        ([(IMAGES, LABELS.to("meta"))], "labels must be a tensor .* on meta"),
        ([], "was given no batches"),
        (data.Batches(IMAGES[:0], LABELS[:0]), "was given no batches"),
        (3, "batches must"),
        (None, "batches must"),
    ],
)
def test_odd_batches_get_a_sentence(how, batches, words):
    with pytest.raises(ValueError, match=words):
        how(small(), batches)


def test_batches_that_can_be_gone_through_once_are_refused():
    with pytest.raises(ValueError, match="batches must have a length"):
        fit(small(), iter([(IMAGES, LABELS)]))


class Detached(nn.Sequential):
    def forward(self, x):
        return super().forward(x).detach()


def made_under_inference_mode():
    with torch.inference_mode():
        return small()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (small().requires_grad_(False), "no weight to be trained: all are frozen"),
        (Detached(small()), "its output is detached"),
        (made_under_inference_mode(), "made under torch.inference_mode"),
        (small().to("meta"), "or on the meta device"),
    ],
    ids=["frozen", "detached", "inference", "meta"],
)
def test_a_model_that_cannot_be_trained(model, words):
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=words):
        fit(model, [(IMAGES, LABELS)])
    assert all(p.is_meta or torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("model", [None, "net", nn.Linear])
def test_what_is_no_model_is_neither_trained_nor_evaluated(model):
    optimizer = torch.optim.SGD(small().parameters())
    for how in (training.evaluate, lambda model, batches: training.train(model, batches, optimizer, 1)):
        with pytest.raises(ValueError, match=r"^model must be a network"):
            how(model, [(IMAGES, LABELS)])


@pytest.mark.parametrize(("images", "labels"), [(None, LABELS), (IMAGES, [0, 1]), (torch.tensor(1.0), LABELS)])
def test_batches_of_what_is_no_tensor(images, labels):
    with pytest.raises(ValueError, match=r"^(images|labels) must be a tensor"):
        data.Batches(images, labels)


def test_an_empty_set_has_no_batch():
    for shuffle in (False, True):
        batches = data.Batches(IMAGES[:0], LABELS[:0], shuffle=shuffle)
        assert list(batches) == []
        assert len(batches) == 0


@pytest.fixture(params=["float64", "meta"])
def other_defaults(request):
    if request.param == "meta":
        torch.set_default_device("meta")
    else:
        torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


def test_other_defaults_do_not_change_kept_networks(other_defaults):
    for load, shape in ((pretrained.load, (1, 3, 64, 64)), (models.trained_fashion_net, (1, 1, 28, 28))):
        model = load()
        assert {(p.dtype, p.device.type) for p in model.parameters()} == {(torch.float32, "cpu")}
        assert model(torch.full(shape, 0.5, dtype=torch.float32, device="cpu")).isfinite().all()


@pytest.mark.parametrize("name", [[], {}, None, 2.5, np.zeros(2)])
def test_names_that_are_no_names(name):
    for call in (pretrained.load, images_module.sample):
        with pytest.raises(ValueError, match=r"^name must be one of"):
            call(name)
    with pytest.raises(ValueError, match=r"^lesson must be the number"):
        quiz.quiz(name)


def test_a_network_explorer_is_for_a_fashion_net_as_it_is():
    model = models.FashionNet()
    model.classifier[3] = nn.Linear(64, 12)
    with pytest.raises(ValueError, match="FashionNet with its own layers"):
        lesson_03.network_explorer(model)
    for items in (0, -1, 2.5, "a"):
        with pytest.raises(ValueError, match=r"^items must be a whole number"):
            lesson_03.network_explorer(items=items)


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
    with torch.inference_mode():
        model, x = pretrained.load(), torch.rand(2, 3, 64, 64)
        call(model, x)
    call(model, x)
    call(model, torch.rand(2, 3, 64, 64))
    call(pretrained.load(), x)
