"""Deep dream and activation maximisation, against autograd, plain loops and planted answers."""

import gc
import math

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision.transforms.functional import InterpolationMode, affine, gaussian_blur

from helpers import devices, dream, images, pretrained
from helpers.features import receptive_field
from helpers.hooks import inference, run_to

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def network():
    return pretrained.load()


@pytest.fixture(scope="module")
def photo():
    return images.read(images.sample("chelsea"), size=128)


@pytest.fixture
def float32(monkeypatch):
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: False)


def strength(network, picture, layer="features.7"):
    with inference(network):
        return dream.half_squared_norm(run_to(network, picture[None], [layer])[layer]).item()


def trained_state(model):
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return hooks, [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]


# --- What is made large ----------------------------------------------------------------------------------------------


def test_the_activations_are_the_gradient_of_half_their_squared_norm(network, photo):
    """Q40: setting a layer's gradient to its activations is following that objective."""
    pixels = photo[None].clone().requires_grad_()
    maps = run_to(network, pixels, ["features.7"])["features.7"]
    (set_by_hand,) = torch.autograd.grad(maps, pixels, grad_outputs=maps.detach(), retain_graph=True)
    (gradient,) = torch.autograd.grad(dream.half_squared_norm(maps), pixels)
    torch.testing.assert_close(set_by_hand, gradient)


def test_the_gradient_of_likeness_is_the_guides_vector_that_fits_best():
    maps, guide = torch.randn(1, 4, 3, 5, requires_grad=True), torch.randn(1, 4, 2, 6)
    (gradient,) = torch.autograd.grad(dream.guide_similarity(maps, guide), maps)
    for row in range(3):
        for column in range(5):
            vectors = guide.flatten(2)[0].T
            best = max(vectors, key=lambda v: torch.dot(v, maps[0, :, row, column]).item())
            torch.testing.assert_close(gradient[0, :, row, column], best)


def test_a_part_is_a_channel_or_one_unit_of_it():
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    assert dream.select_activation(maps).shape == (1, 2, 3, 4)
    assert torch.equal(dream.select_activation(maps, 1), maps[:, 1])
    assert dream.select_activation(maps, 1, (2, 3)).item() == 23
    assert dream.select_activation(torch.tensor([[5.0, 6.0]]), 1).item() == 6
    for channel, unit, words in (
        (2, None, r"gives \(2, 3, 4\).*no \(2,\)"),
        (1, (3, 0), r"no \(1, 3, 0\)"),
        (None, (0, 0), "channel does not say"),
    ):
        with pytest.raises(ValueError, match=words):
            dream.select_activation(maps, channel, unit)


# --- Deep dream ------------------------------------------------------------------------------------------------------


def test_one_step_raises_the_objective_and_a_run_multiplies_it(network, photo):
    for size in (0.005, 0.015):
        one = dream.deep_dream(network, photo, octaves=1, steps=1, jitter=0, smoothing=0, step_size=size, **QUIET)
        assert strength(network, one) > 1.05 * strength(network, photo)
    assert strength(network, dream.deep_dream(network, photo, **QUIET)) > 5 * strength(network, photo)


def test_one_octave_is_the_plain_loop(network, photo, float32):
    picture = photo[None]
    for _ in range(3):
        pixels = picture.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(run_to(network, pixels, ["features.6"])["features.6"].square().sum(), pixels)
        picture = (picture + 0.01 * gradient / gradient.square().mean().sqrt()).clamp(0, 1)
    options = {"octaves": 1, "steps": 3, "jitter": 0, "smoothing": 0, "step_size": 0.01}
    dreamt = dream.deep_dream(network, photo, "features.6", **options, **QUIET)
    torch.testing.assert_close(dreamt, picture[0], atol=1e-3, rtol=0)


def test_jitter_puts_the_gradient_back_where_it_came_from(float32):
    """A network that sees single pixels finds the same wherever the picture is shifted."""
    torch.manual_seed(0)
    pixelwise, picture = nn.Sequential(nn.Conv2d(3, 5, 1)), torch.rand(3, 20, 30)
    options = {"octaves": 1, "steps": 4, "smoothing": 0, **QUIET}
    still, shaken = (dream.deep_dream(pixelwise, picture, "0", jitter=j, **options) for j in (0, 9))
    torch.testing.assert_close(still, shaken, atol=1e-5, rtol=0)


def test_smoothing_smooths_and_what_was_dreamt_small_stays(network, photo):
    options = {"octaves": 1, "steps": 3, **QUIET}
    rough, smooth = (
        images.total_variation(dream.deep_dream(network, photo, smoothing=s, **options) - photo) for s in (0, 1.5)
    )
    assert smooth < 0.7 * rough
    sizes = []
    dream.deep_dream(network, photo, steps=2, callback=lambda i, v, x: sizes.append((i, x.shape[2])), **QUIET)
    assert sizes == [(1, 47), (2, 47), (3, 65), (4, 65), (5, 91), (6, 91), (7, 128), (8, 128)]
    small = torch.nn.functional.interpolate
    whole = dream.deep_dream(network, photo, octaves=2, steps=5, step_size=0.05, **QUIET)
    single = dream.deep_dream(network, photo, octaves=1, steps=5, step_size=0.05, **QUIET)
    coarse = [small((x - photo)[None], scale_factor=1 / 4, mode="area").square().mean() for x in (whole, single)]
    assert coarse[0] > 1.2 * coarse[1]  # the small octave leaves large shapes


def test_a_guide_makes_its_own_features_grow(network, photo):
    flower = images.read(images.sample("flower"), size=128)
    with inference(network):
        wanted = run_to(network, flower[None], ["features.7"])["features.7"]

        def guide_similarity(picture):
            maps = run_to(network, picture[None], ["features.7"])["features.7"]
            return (dream.guide_similarity(maps, wanted) / maps.norm()).item()  # of each unit of what the layer sees

    guided, free = (dream.deep_dream(network, photo, "features.7", guide=g, **QUIET) for g in (flower, None))
    assert guide_similarity(guided) > 1.15 * guide_similarity(free)


def test_a_channel_alone(network, photo):
    with inference(network):
        before, after = (
            run_to(network, x[None], ["features.9"])["features.9"][0].square().sum((1, 2))
            for x in (photo, dream.deep_dream(network, photo, "features.9", channel=20, **QUIET))
        )
    assert (after / before.clamp(min=1))[20] > 20
    assert after.argmax() == 20


@pytest.mark.parametrize("kind", ["dream", "fourier", "pixels"])
def test_every_step_stays_a_picture_and_nothing_piles_up(network, photo, kind):
    alive = []

    def look(step, value, picture):
        assert picture.shape[0] == 3
        assert 0 <= picture.min() <= picture.max() <= 1  # false for NaN
        assert math.isfinite(value)
        if step in (3, 12):
            gc.collect()
            alive.append(sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects()))

    if kind == "dream":
        dream.deep_dream(network, photo, octaves=1, steps=12, step_size=0.3, callback=look, **QUIET)
    else:
        options = {"basis": kind, "steps": 12, "learning_rate": 1, "size": (64, 80)}
        dream.maximize(network, "features.7", 3, callback=look, **options, **QUIET)
    assert alive[0] == alive[1]


def test_a_seed_dreams_the_same_again(network, photo):
    first, again, other = (dream.deep_dream(network, photo, octaves=2, steps=3, seed=s, **QUIET) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    options = {"steps": 4, "size": (50, 60), **QUIET}
    first, again, other = (dream.maximize(network, "features.4", 3, seed=s, **options) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shape", [(3, 30, 200), (1, 61, 40), (3, 19, 19), (4, 33, 50)])
def test_any_size_shape_and_kind_of_picture(network, shape):
    picture = torch.rand(shape)
    dreamt = dream.deep_dream(network, picture, steps=1, jitter=40, **QUIET)
    assert dreamt.shape == (3, *shape[1:])
    assert dreamt.dtype == torch.float32


def test_pictures_that_are_too_small_or_too_large_or_none(network, photo, tmp_path):
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(tmp_path / "dot.png")
    with pytest.raises(ValueError, match=r"1 × 1 pixels, and features\.7 of SqueezeNet needs at least 9 × 9"):
        dream.deep_dream(network, tmp_path / "dot.png")
    assert dream.deep_dream(network, torch.rand(3, 9, 9), steps=1, **QUIET).shape == (3, 9, 9)
    with pytest.raises(ValueError, match=r"3000 × 2000 pixels, and 4,000,000 .* images\.read\(picture, size=640\)"):
        dream.deep_dream(network, torch.zeros(3, 3000, 2000))
    with pytest.raises(ValueError, match="10 × 80 pixels"):
        dream.maximize(network, "features.9", size=(10, 80))
    with pytest.raises(ValueError, match="6 × 9 pixels"):
        dream.deep_dream(network, photo, guide=torch.zeros(3, 6, 9))
    with pytest.raises(ValueError, match=r"no layer 'features\.99'"):
        dream.deep_dream(network, photo, "features.99")


def test_settings_that_make_no_sense(network, photo):
    for call in (
        lambda: dream.deep_dream(network, photo, octaves=0),
        lambda: dream.deep_dream(network, photo, octave_scale=1),
        lambda: dream.zoom(network, photo, frames=0),
        lambda: dream.maximize(network, "features.7", basis="wavelets"),
        lambda: dream.maximize(network, "features.7", steps=0),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
    with pytest.raises(ValueError, match="layer must be given"):
        dream.deep_dream(nn.Sequential(nn.Conv2d(3, 2, 3)), photo)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_gives_what_there_is_and_leaves_the_model_as_it_was(network, photo, error):
    network.train()
    before = trained_state(network)

    def stop(step, value, picture):
        if step == 7:
            raise error

    calls = {
        "dream": lambda: dream.deep_dream(network, photo, octaves=2, steps=6, callback=stop, **QUIET),
        "maximum": lambda: dream.maximize(network, "features.7", 3, start=photo, callback=stop, **QUIET),
    }
    for name, call in calls.items():
        if error is KeyboardInterrupt:
            made = call()
            assert made.shape == photo.shape
            assert not torch.equal(made, photo)
            assert name != "dream" or strength(network, made) > 1.5 * strength(network, photo)
        else:
            with pytest.raises(error):
                call()
        assert trained_state(network) == before
    network.eval()


def test_gradients_are_found_also_where_someone_has_turned_them_off(network, photo):
    with torch.inference_mode():
        assert strength(network, dream.deep_dream(network, photo, octaves=1, steps=2, **QUIET)) > strength(
            network, photo
        )


def test_a_zoom_flies_into_the_middle(network, photo, monkeypatch):
    frames = dream.zoom(network, photo, frames=4, rate=1.2, steps=1, step_size=0.001, **QUIET)
    assert [frame.shape for frame in frames] == [photo.shape] * 4
    size = [round(n * 1.2) for n in photo.shape[1:]]
    enlarged = images.center_crop(images.resized(frames[0], size), list(photo.shape[1:]))
    assert (enlarged - frames[1]).abs().mean() < 0.02 < (frames[0] - frames[1]).abs().mean()

    walk, calls = dream._walk, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return walk(*arguments)

    monkeypatch.setattr(dream, "_walk", interrupted)
    assert len(dream.zoom(network, photo, frames=9, **QUIET)) == 2


# --- Activation maximisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", ["pixels", "fourier"])
def test_a_planted_filter_is_found(basis):
    """The picture that one unit of a convolution likes best is white under its positive weights, black elsewhere."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 1, 8, bias=False)
    options = {"size": (8, 8), "transform": 0, "basis": basis, "steps": 1000, "learning_rate": 0.5, **QUIET}
    found = dream.maximize(nn.Sequential(conv), "0", 0, (0, 0), **options)
    weight = conv.weight[0].detach()
    right = (found > 0.5) == (weight > 0)
    assert (right * weight.abs()).sum() > 0.97 * weight.abs().sum()


def test_a_unit_is_where_it_is(network):
    found = dream.maximize(network, "features.4", 3, (2, 25), size=(64, 220), basis="pixels", transform=0, **QUIET)
    changed = (found - found.median()).abs().amax(0) > 0.1
    top, left, height, width = receptive_field(network, "features.4", (3, 64, 220), (2, 25), 3)
    assert changed.sum() > 20
    assert changed[top : top + height, left : left + width].sum() == changed.sum()


def test_a_class_is_a_channel():
    torch.manual_seed(0)
    scores = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 7, 4))
    options = {"size": (6, 7), "transform": 0, "basis": "pixels", "steps": 300, "learning_rate": 0.5, **QUIET}
    found = dream.maximize(scores, "1", 2, **options).flatten()
    assert ((found > 0.5) == (scores[1].weight[2] > 0)).float().mean() > 0.95


def test_a_unit_that_sleeps_is_woken():
    torch.manual_seed(1)
    conv = nn.Conv2d(3, 1, 5)
    with torch.no_grad():
        conv.bias.fill_(-1 - 0.5 * conv.weight.sum())  # below zero on grey, with some noise too
    sleeper = nn.Sequential(conv, nn.ReLU(inplace=True))
    values = []
    dream.maximize(
        sleeper,
        "1",
        0,
        size=(6, 6),
        transform=0,
        steps=100,
        learning_rate=0.3,
        callback=lambda i, v, x: values.append(v),
        **QUIET,
    )
    assert values[0] == 0
    assert values[-1] > 0.1


@pytest.mark.parametrize("basis", ["pixels", "fourier"])
def test_begins_at_the_picture_given(network, photo, basis):
    seen = []
    options = {"start": photo, "basis": basis, "steps": 2, **QUIET}
    dream.maximize(network, "features.4", 3, callback=lambda i, v, x: seen.append(x), **options)
    assert (seen[0] - photo.clamp(0.01, 0.99)).abs().max() < 1e-3
    assert (seen[1] - photo).abs().max() > 1e-3


def test_total_variation_weighs(network):
    options = {"basis": "pixels", "size": (64, 64), "steps": 60, "transform": 0, **QUIET}
    rough, smooth = (
        images.total_variation(dream.maximize(network, "features.4", 3, tv_weight=w, **options)) for w in (0, 5000)
    )
    assert smooth < 0.5 * rough


@given(height=st.integers(1, 12), width=st.integers(1, 12))
def test_waves_and_back(height, width):
    logits = torch.randn(1, 3, height, width, dtype=torch.float64)
    analyse, compose = dream.BASES["fourier"]
    torch.testing.assert_close(compose(analyse(logits), (height, width)), logits)


def test_long_waves_are_moved_most():
    falling = dream._inverse_frequency((16, 16))
    assert falling[0, 0] == falling[0, 1] == 16
    assert falling[1, 0] == falling[-1, 0] == 16
    assert falling[0, 8].item() == pytest.approx(2)


def test_transformations_are_those_of_torchvision():
    picture = images.read(images.sample("coffee"), size=120)[None]
    turn, scale, *_ = (2 * torch.rand(4, generator=torch.Generator().manual_seed(3)) - 1).tolist()
    ours = dream._transformed(picture, 1, torch.Generator().manual_seed(3))
    # Ours says where a pixel comes from, theirs where it goes to.
    turned = affine(picture, -10 * turn, [0, 0], 1 / (1 + 0.1 * scale), [0, 0], InterpolationMode.BILINEAR)
    theirs = affine(turned, 0, [0, 0], 1, [0, 0])
    moved = dream._transformed(picture, 1, _Fixed([turn, scale, 0, 0]))
    middle = (..., slice(20, 60), slice(30, 90))
    assert (moved - theirs)[middle].abs().mean() < 0.01
    assert (picture - theirs)[middle].abs().mean() > 0.03
    assert not torch.equal(ours, moved)
    assert dream._transformed(picture, 0, torch.Generator()) is picture


class _Fixed:
    """Stands for a generator, for what is drawn from it below."""

    def __init__(self, values):
        self.values = values


@pytest.fixture(autouse=True)
def _fixed_rand(monkeypatch):
    rand = torch.rand

    def drawn(*size, generator=None, **options):
        if isinstance(generator, _Fixed):
            return (torch.tensor(generator.values) + 1) / 2
        return rand(*size, generator=generator, **options) if generator else rand(*size, **options)

    monkeypatch.setattr(torch, "rand", drawn)


@pytest.mark.parametrize("name", sorted(dream.LAYERS))
def test_the_default_layer_of_each_network_is_there(name):
    options = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, **options).eval()
    model.name = name
    picture = torch.rand(3, 64, 64)
    assert not torch.equal(dream.deep_dream(model, picture, octaves=1, steps=1, **QUIET), picture)


@pytest.mark.parametrize("deviation", [0.3, 0.5, 1.7])
def test_smoothing_is_torchvisions_gaussian_blur(deviation):
    gradient, size = torch.randn(1, 3, 20, 31), 2 * math.ceil(2 * deviation) + 1
    expected = gaussian_blur(gradient, [size, size], [deviation, deviation])
    torch.testing.assert_close(dream._smoothed(gradient, deviation), expected)
