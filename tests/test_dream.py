"""Deep dream and activation maximisation, against autograd, plain loops and planted answers."""

import itertools
import math

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms.functional import InterpolationMode, affine, center_crop, gaussian_blur

from helpers import devices, dream, images, pretrained
from helpers.features import receptive_field
from helpers.hooks import ReLURule, inference, run_to
from helpers.hooks import gradients as hooks_gradients

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


def strength(network, image, layer="features.7"):
    with inference(network):
        return dream.half_squared_norm(run_to(network, image[None], [layer])[layer]).item()


class Watched(nn.Module):
    """A network that shows each image that it is given to ``look``, with the number of the pass; copies count on."""

    def __init__(self, model, look):
        super().__init__()
        steps = itertools.count(1)
        self.model, self.look = model, lambda x: look(next(steps), x)

    def forward(self, x):
        if torch.is_grad_enabled():  # not where only sizes are tried
            self.look(x.detach())
        return self.model(x)


def trained_state(model):
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return hooks, [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]


# --- What is made large ----------------------------------------------------------------------------------------------


def test_the_activations_are_the_gradient_of_half_their_squared_norm(network, photo):
    """setting a layer's gradient to its activations is following that objective."""
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


@pytest.mark.parametrize(("smoothing", "photo_colors"), [(0, False), (0.5, False), (1.7, True), (0, True)])
def test_one_octave_is_the_plain_loop(network, photo, float32, smoothing, photo_colors):
    image, axes = photo[None], torch.tensor(dream.COLOR_DIRECTIONS) if photo_colors else torch.eye(3)
    for _ in range(3):
        pixels = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(run_to(network, pixels, ["features.6"])["features.6"].square().sum(), pixels)
        gradient = torch.einsum("ce,de,ndhw->nchw", axes, axes, gradient)
        if smoothing:
            gradient = gaussian_blur(gradient, 2 * math.ceil(2 * smoothing) + 1, smoothing)
        image = (image + 0.01 * gradient / gradient.square().mean().sqrt()).clamp(0, 1)
    options = {"octaves": 1, "steps": 3, "jitter": 0, "smoothing": smoothing, "step_size": 0.01}
    dreamt = dream.deep_dream(network, photo, "features.6", photo_colors=photo_colors, **options, **QUIET)
    # Rounding lets another value win a maximum here and there, which moves a few pixels by a thousandth.
    torch.testing.assert_close(dreamt, image[0], atol=2e-3, rtol=0)


def test_the_colour_axes_are_those_of_photos():
    photos = [images.sample(name).flatten(1) for name in ("astronaut", "chelsea", "china", "coffee", "flower")]
    variances, axes = torch.linalg.eigh(torch.cat(photos, dim=1).cov())
    expected = axes * (variances / variances.max()).sqrt()
    found = torch.tensor(dream.COLOR_DIRECTIONS)
    torch.testing.assert_close(found @ found.T, expected @ expected.T, atol=5e-4, rtol=0)
    torch.testing.assert_close(found.norm(dim=0), expected.norm(dim=0), atol=5e-4, rtol=0)


def test_photo_colors_change_colours_as_photos_vary(network, photo):
    def main_share(image):
        variances = torch.linalg.eigvalsh(image.flatten(1).cov())
        return (variances[-1] / variances.sum()).item()

    own, gaudy = (dream.deep_dream(network, photo, photo_colors=c, **QUIET) - photo for c in (True, False))
    assert main_share(own) > 0.85 > 0.7 > main_share(gaudy)


def test_jitter_puts_the_gradient_back_where_it_came_from(float32):
    """A network that sees single pixels finds the same wherever the image is shifted."""
    torch.manual_seed(0)
    pixelwise, image = nn.Sequential(nn.Conv2d(3, 5, 1)), torch.rand(3, 20, 30)
    options = {"octaves": 1, "steps": 4, "smoothing": 0, **QUIET}
    still, shaken = (dream.deep_dream(pixelwise, image, "0", jitter=j, **options) for j in (0, 9))
    torch.testing.assert_close(still, shaken, atol=1e-5, rtol=0)


def test_octaves_grow_and_what_was_dreamt_small_stays(network, photo):
    widths = []
    watched = Watched(network, lambda i, x: widths.append(x.shape[3]))
    dream.deep_dream(watched, photo, "model.features.7", steps=2, **QUIET)
    assert widths == [47, 47, 65, 65, 91, 91, 128, 128]
    small = torch.nn.functional.interpolate
    whole = dream.deep_dream(network, photo, octaves=2, steps=5, step_size=0.05, **QUIET)
    single = dream.deep_dream(network, photo, octaves=1, steps=5, step_size=0.05, **QUIET)
    coarse = [small((x - photo)[None], scale_factor=1 / 4, mode="area").square().mean() for x in (whole, single)]
    assert coarse[0] > 1.2 * coarse[1]  # the small octave leaves large shapes


def test_a_guide_makes_its_own_features_grow(network, photo):
    flower = images.read(images.sample("flower"), size=128)
    with inference(network):
        wanted = run_to(network, flower[None], ["features.7"])["features.7"]

        def guide_similarity(image):
            maps = run_to(network, image[None], ["features.7"])["features.7"]
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
def test_every_step_stays_an_image(network, photo, kind):
    seen = []
    watched = Watched(network, lambda step, x: seen.append(x))
    if kind == "dream":
        dream.deep_dream(watched, photo, "model.features.7", octaves=1, steps=12, step_size=0.3, **QUIET)
    else:
        options = {"basis": kind, "steps": 12, "learning_rate": 1, "size": (64, 80)}
        dream.maximize(watched, "model.features.7", 3, **options, **QUIET)
    assert len(seen) == 12
    for image in seen:
        assert 0 <= image.min() <= image.max() <= 1  # false for NaN


def test_a_seed_dreams_the_same_again(network, photo):
    first, again, other = (dream.deep_dream(network, photo, octaves=2, steps=3, seed=s, **QUIET) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    options = {"steps": 4, "size": (50, 60), **QUIET}
    first, again, other = (dream.maximize(network, "features.4", 3, seed=s, **options) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shape", [(3, 30, 200), (1, 61, 40), (3, 19, 19), (4, 33, 50)])
def test_any_size_shape_and_kind_of_image(network, shape):
    image = torch.rand(shape)
    dreamt = dream.deep_dream(network, image, steps=1, jitter=40, **QUIET)
    assert dreamt.shape == (3, *shape[1:])
    assert dreamt.dtype == torch.float32


def test_images_that_are_too_small_or_too_large_or_none(network, photo, tmp_path):
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(tmp_path / "dot.png")
    with pytest.raises(ValueError, match=r"1 × 1 pixels, and features\.7 of SqueezeNet needs at least 9 × 9"):
        dream.deep_dream(network, tmp_path / "dot.png")
    assert dream.deep_dream(network, torch.rand(3, 9, 9), steps=1, **QUIET).shape == (3, 9, 9)
    with pytest.raises(ValueError, match=r"3000 × 2000 pixels, and 4,000,000 .* images\.read\(image, size=640\)"):
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
        lambda: dream.deep_dream(network, photo, smoothing=-1),
        lambda: dream.zoom(network, photo, frames=0),
        lambda: dream.maximize(network, "features.7", basis="wavelets"),
        lambda: dream.maximize(network, "features.7", steps=0),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
    with pytest.raises(ValueError, match="layer must be given"):
        dream.deep_dream(nn.Sequential(nn.Conv2d(3, 2, 3)), photo)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_gives_what_there_is_and_leaves_the_model_as_it_was(network, photo, error):
    passes = []

    def stop(step, x):
        passes.append(step)
        if step == 8:
            raise error

    for call in (
        lambda watched: dream.deep_dream(watched, photo, "model.features.7", octaves=2, steps=6, **QUIET),
        lambda watched: dream.maximize(watched, "model.features.7", 3, size=photo.shape[1:], **QUIET),
    ):
        watched = Watched(network, stop).train()
        before = trained_state(watched)
        if error is KeyboardInterrupt:
            made = call(watched)
            assert made.shape == photo.shape
            assert strength(network, made) > 1.5 * strength(network, torch.full_like(photo, 0.5))
        else:
            with pytest.raises(error):
                call(watched)
        assert passes[-1] == 8
        assert trained_state(watched) == before
    network.eval()


def test_gradients_are_found_also_where_someone_has_turned_them_off(network, photo):
    with torch.inference_mode():
        assert strength(network, dream.deep_dream(network, photo, octaves=1, steps=2, **QUIET)) > strength(
            network, photo
        )


def test_a_zoom_flies_into_the_middle(photo):
    """A network that answers to nothing leaves each frame as it is: the one before, enlarged."""
    blind = nn.Sequential(nn.Conv2d(3, 1, 1))
    nn.init.zeros_(blind[0].weight)
    frames = dream.zoom(blind, photo, "0", frames=3, **QUIET)
    assert torch.equal(frames[0], photo)
    for before, after in itertools.pairwise(frames):
        size = [round(n * 1.04) for n in photo.shape[1:]]
        torch.testing.assert_close(after, center_crop(images.resized(before, size), photo.shape[1:]).clamp(0, 1))


def test_an_interrupted_zoom_keeps_the_frames_that_are_done(network, photo):
    def stop(step, x):
        if step == 40 + 4 + 2:  # the first frame's four octaves of ten steps, then two of two
            raise KeyboardInterrupt

    frames = dream.zoom(Watched(network, stop), photo, "model.features.7", frames=9, **QUIET)
    assert len(frames) == 2
    assert strength(network, frames[1]) > 5 * strength(network, photo)


# --- Activation maximisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", ["pixels", "fourier"])
def test_a_planted_filter_is_found(basis):
    """The image that one unit of a convolution likes best is white under its positive weights, black elsewhere."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 1, 8, bias=False)
    options = {"size": (8, 8), "transform": 0, "basis": basis, "steps": 300, "learning_rate": 0.5, **QUIET}
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


def test_several_channels_get_what_each_gets_alone(network):
    options = {"size": (48, 64), "steps": 3, "tv_weight": 10.0, **QUIET}
    together = dream.maximize(network, "features.6", [7, 200, 7], **options)
    assert together.shape == (3, 3, 48, 64)
    for image, channel in zip(together, (7, 200, 7), strict=True):
        alone = dream.maximize(network, "features.6", channel, **options)
        torch.testing.assert_close(image, alone, atol=0.02, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.05
    with pytest.raises(ValueError, match=r"gives \(256, .*no \(256,\)"):
        dream.maximize(network, "features.6", [7, 256], **options)


def test_the_middle_is_the_units_there(network):
    options = {"size": (96, 160), "basis": "pixels", "transform": 0, "steps": 60, **QUIET}
    found = dream.maximize(network, "features.4", 3, "middle", **options)
    with inference(network):
        rows, columns = run_to(network, found[None], ["features.4"])["features.4"].shape[2:]
    boxes = [
        receptive_field(network, "features.4", (3, 96, 160), ((rows - 1) // 2 + i, (columns - 1) // 2 + j), 3)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    top, left = boxes[0][:2]
    bottom, right = boxes[-1][0] + boxes[-1][2], boxes[-1][1] + boxes[-1][3]
    changed = (found - found.median()).abs().amax(0) > 0.1
    assert changed.sum() > 100
    assert changed[top:bottom, left:right].sum() == changed.sum()
    assert changed[top : top + 8, left:right].any()
    assert changed[bottom - 8 : bottom, left:right].any()
    with pytest.raises(ValueError, match="unit must be one of middle"):
        dream.maximize(network, "features.4", 3, "center", **options)
    with pytest.raises(ValueError, match="layer must give maps"):
        dream.maximize(nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 7, 4)), "1", 2, "middle", size=(6, 7), **QUIET)


@pytest.mark.parametrize("layer", ["features.3", "features.12", "features.3.squeeze"])
def test_what_is_climbed_is_the_input_of_the_last_relus(network, photo, layer):
    """And of these alone: ReLUs before a convolution pass back what they should."""
    gradients, fire = [], network.get_submodule(layer.removesuffix(".squeeze"))
    with hooks_gradients(network), ReLURule(lambda gradient, positive: gradient * positive):
        x = photo[None].clone().requires_grad_()
        output = run_to(network, x, [layer])[layer]
        dream._open_last_relus(output)
        gradients += torch.autograd.grad(output.sum(), x)
    with hooks_gradients(network):
        x = photo[None].clone().requires_grad_()
        squeezed = run_to(network, x, [f"{layer.removesuffix('.squeeze')}.squeeze"]).popitem()[1]
        if not layer.endswith("squeeze"):
            squeezed = squeezed.relu()
            squeezed = torch.cat([fire.expand1x1(squeezed), fire.expand3x3(squeezed)], dim=1)
        gradients += torch.autograd.grad(squeezed.sum(), x)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * gradients[1].abs().max().item())


def test_a_sleeping_channel_of_the_last_layer_wakes(network):
    made = dream.maximize(network, "features.12", [5, 173, 509], "middle", size=(96, 96), steps=60, **QUIET)
    with inference(network):
        maps = run_to(network, torch.cat([torch.full((1, 3, 96, 96), 0.5), made]), ["features.12"])["features.12"]
    means = maps[:, [5, 173, 509]].mean((2, 3))
    assert means[0].max() == 0
    assert means[1:].diag().min() > 30
    assert torch.equal(means[1:].argmax(0), torch.arange(3))


def test_a_class_is_a_channel():
    torch.manual_seed(0)
    scores = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 7, 4))
    options = {"size": (6, 7), "transform": 0, "basis": "pixels", "steps": 300, "learning_rate": 0.5, **QUIET}
    found = dream.maximize(scores, "1", 2, **options).flatten()
    assert ((found > 0.5) == (scores[1].weight[2] > 0)).float().mean() > 0.95


def test_an_inactive_unit_becomes_active():
    torch.manual_seed(1)
    conv = nn.Conv2d(3, 1, 5)
    with torch.no_grad():
        conv.bias.fill_(-1 - 0.5 * conv.weight.sum())  # below zero on grey, with some noise too
    inactive = nn.Sequential(conv, nn.ReLU(inplace=True))
    options = {"size": (5, 5), "transform": 0, "learning_rate": 0.3, **QUIET}
    before, after = (inactive(dream.maximize(inactive, "1", 0, steps=steps, **options)[None]) for steps in (1, 100))
    assert before.max() == 0
    assert after.mean() > 0.1


def test_total_variation_weighs(network):
    options = {"basis": "pixels", "size": (64, 64), "steps": 60, "transform": 0, **QUIET}
    rough, smooth = (
        images.total_variation(dream.maximize(network, "features.4", 3, tv_weight=w, **options)) for w in (0, 5000)
    )
    assert smooth < 0.5 * rough


def test_long_waves_are_moved_more():
    """Adam's first step changes all weights by the learning rate, so each wave of the logits by its period."""
    torch.manual_seed(0)
    scores = nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 56, 1))
    options = {"size": (40, 56), "transform": 0, "learning_rate": 0.1, **QUIET}
    first, second = (dream.maximize(scores, "1", 0, steps=steps, **options).logit() for steps in (1, 2))
    moved = torch.fft.rfft2(second - first, norm="ortho").abs().square().sum(0)
    frequency = torch.hypot(torch.fft.fftfreq(40)[:, None], torch.fft.rfftfreq(56))
    rings = [(frequency > low) & (frequency < high) for low, high in ((0.05, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.45))]
    evened = torch.stack([(moved * frequency.square())[ring].mean() for ring in rings])
    assert evened.max() < 1.3 * evened.min()
    assert moved[0, 0] < 2.5 * moved[0, 1]  # the mean is no longer than the longest wave


def test_transformations_are_those_of_torchvision():
    """Without a learning rate the image stays as it is. What is drawn is drawn here again: noise, then each step."""
    seen, size, steps = [], (90, 130), 6
    watched = Watched(nn.Conv2d(3, 1, 1), lambda step, x: seen.append(x[0]))
    options = {"size": size, "steps": steps, "learning_rate": 0, **QUIET}
    image = dream.maximize(watched, "model", transform=1, seed=3, **options)
    generator, middle = torch.Generator().manual_seed(3), (..., slice(30, 60), slice(40, 90))
    torch.randn(3 * size[0] * (size[1] // 2 + 1) * 2, generator=generator)
    for each in seen:
        turn, scale, right, down = (2 * torch.rand(4, generator=generator) - 1).tolist()
        # Ours says where a pixel comes from, torchvision's where it goes to.
        angle, factor = math.radians(10 * turn), 1 + 0.1 * scale
        matrix = factor * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        shift = (-np.linalg.inv(matrix) @ [8 * right, 8 * down]).tolist()
        theirs = affine(image, -10 * turn, shift, 1 / factor, [0, 0], InterpolationMode.BILINEAR)
        assert (each - theirs)[middle].abs().mean() < 0.1 * (each - image)[middle].abs().mean()
    assert len(seen) == steps
    seen.clear()
    assert torch.equal(dream.maximize(watched, "model", transform=0, **options), seen[0])


@pytest.mark.parametrize("name", sorted(pretrained.NETWORKS))
def test_the_default_layer_of_each_network_is_there(name):
    options = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, **options).eval()
    model.name = name
    image = torch.rand(3, 64, 64)
    assert not torch.equal(dream.deep_dream(model, image, octaves=1, steps=1, **QUIET), image)


def test_a_guide_is_compared_in_the_channel_alone(network, photo):
    guide = images.sample("coffee")
    with inference(network):
        maps = run_to(network, images.read(guide, size=dream.GUIDE_SIZE)[None], ["features.3"])["features.3"][:, 5]
        image = run_to(network, photo[None], ["features.3"])["features.3"]
        value = dream._dream_objective(network, "features.3", 5, guide)(image)
    assert value.item() == pytest.approx((image[:, 5] * maps.max()).sum().item(), rel=1e-5)


def test_a_guide_for_scores():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dream.deep_dream(model, torch.rand(3, 20, 20), "2", guide=torch.rand(3, 20, 20), octaves=1, steps=1, **QUIET)


def test_the_default_precision_changes_nothing(network, photo):
    def run():
        made = dream.maximize(network, "features.3", 0, size=(24, 32), steps=2, **QUIET)
        pixels = dream.maximize(network, "features.3", 0, size=(24, 32), basis="pixels", steps=2, **QUIET)
        dreams = [
            dream.deep_dream(network, photo, "features.3", octaves=2, steps=2, photo_colors=colors, **QUIET)
            for colors in (True, False)
        ]
        return made, pixels, *dreams

    expected = run()
    torch.set_default_dtype(torch.float64)
    try:
        assert all(torch.equal(*pair) for pair in zip(run(), expected, strict=True))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_dream_too(network, photo, dtype):
    model = pretrained.load().to(dtype)
    for image, other in (
        (dream.maximize(each, "features.3", 0, size=(32, 32), steps=5, **QUIET) for each in (model, network)),
        (dream.deep_dream(each, photo, "features.3", octaves=1, steps=2, **QUIET) for each in (model, network)),
        (
            dream.deep_dream(each, photo, "features.3", guide=photo, octaves=1, steps=1, **QUIET)
            for each in (model, network)
        ),
        (dream.zoom(each, photo, "features.3", frames=1, **QUIET)[0] for each in (model, network)),
    ):
        assert image.dtype == torch.float32
        assert (image - other).abs().mean() < 0.05


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (24, 20)])
def test_blurs_that_are_wider_than_the_image(size):
    model, photo = nn.Conv2d(3, 2, 1), torch.rand(3, *size)
    for smoothing in (0.5, 20):
        assert dream.deep_dream(nn.Sequential(model), photo, "0", smoothing=smoothing, steps=1, **QUIET).shape == (
            3,
            *size,
        )
