"""Style transfer, against loops, autograd-free formulas and what must hold for any image."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from helpers import devices, images, pretrained, style
from helpers.hooks import inference, run_to

FOLDER = Path(__file__).parents[1] / "data" / "images"
QUIET = {"progress": False}
SHORT = {"progress": False, "steps": 4}


@pytest.fixture(scope="module")
def network():
    return pretrained.load()


@pytest.fixture(scope="module")
def photo():
    return images.read(images.sample("coffee"), size=96)


@pytest.fixture(scope="module")
def painting():
    return images.read(FOLDER / "style_swirls.jpg", size=96)


@pytest.fixture
def float32(monkeypatch):
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: False)


def maps_of(network, image, layer="features.4"):
    with inference(network):
        return run_to(network, image[None], [layer])[layer]


# --- Losses ----------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 2), c=st.integers(1, 4), h=st.integers(1, 4), w=st.integers(1, 5), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_gram_matrix_by_loop_and_its_laws(n, c, h, w, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, c, h, w, generator=generator, dtype=torch.float64)
    gram = style.gram_matrix(maps)
    for k in range(n):
        for i in range(c):
            for j in range(c):
                products = sum(maps[k, i, y, x] * maps[k, j, y, x] for y in range(h) for x in range(w))
                assert gram[k, i, j].item() == pytest.approx(products.item() / (c * h * w), abs=1e-12)
    assert torch.equal(gram, gram.mT)
    assert torch.linalg.eigvalsh(gram).min() > -1e-12
    moved = maps.flatten(2)[:, :, torch.randperm(h * w, generator=generator)].view_as(maps)
    torch.testing.assert_close(style.gram_matrix(moved), gram)
    torch.testing.assert_close(style.gram_matrix(torch.cat([maps, maps], dim=3)), gram)  # twice the size


def test_gram_matrix_is_followed_back_as_autograd_would():
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, 3, dtype=torch.float64)  # not symmetric
    rows = maps.flatten(2)
    (expected,) = torch.autograd.grad((weights * (rows @ rows.mT)).sum() / 60, maps)
    (gradient,) = torch.autograd.grad((weights * style.gram_matrix(maps)).sum(), maps)
    torch.testing.assert_close(gradient, expected)
    assert torch.autograd.gradcheck(style.gram_matrix, maps)


def test_losses_are_0_for_the_same_and_1_for_nothing(network, photo):
    maps = maps_of(network, photo)
    gram = style.gram_matrix(maps)
    assert style.content_loss(maps, maps).item() == 0
    assert style.style_loss(maps, gram).item() == 0
    assert style.content_loss(torch.zeros_like(maps), maps).item() == pytest.approx(1)
    assert style.style_loss(torch.zeros_like(maps), gram).item() == pytest.approx(1)
    assert style.content_loss(1.5 * maps, maps).item() == pytest.approx(0.25, abs=1e-5)
    assert style.style_loss(2 * maps, gram).item() == pytest.approx(9, abs=1e-3)


def test_shuffled_pixels_have_another_style_but_for_a_layer_that_sees_single_pixels(network, photo):
    order = torch.randperm(photo[0].numel(), generator=torch.Generator().manual_seed(0))
    shuffled = photo.flatten(1)[:, order].view_as(photo)
    for layer in pretrained.NETWORKS["squeezenet1_1"].style_layers:
        gram = style.gram_matrix(maps_of(network, photo, layer))
        assert style.style_loss(maps_of(network, shuffled, layer), gram) > 0.3
    torch.manual_seed(0)
    pixelwise = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU())
    gram = style.gram_matrix(maps_of(pixelwise, photo, "1"))
    assert style.style_loss(maps_of(pixelwise, shuffled, "1"), gram) < 1e-9


def test_total_variation_by_hand():
    image = torch.tensor([[[0.0, 1.0], [0.5, 0.5]]])
    assert images.total_variation(image).item() == pytest.approx((1 + 0) / 2 + (0.25 + 0.25) / 2)
    assert images.total_variation(torch.full((1, 3, 4, 5), 0.3)).item() == 0


@given(seed=st.integers(0, 200))
@settings(deadline=None, max_examples=30)
def test_colours_are_kept_and_the_luma_where_it_fits(seed):
    generator = torch.Generator().manual_seed(seed)
    painted, colored = (torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    mixed = style.with_colors_of(painted, colored)
    assert 0 <= mixed.min() <= mixed.max() <= 1
    chrominance = colored - images.to_gray(colored)
    torch.testing.assert_close(mixed - images.to_gray(mixed), chrominance)
    wanted = images.to_gray(painted)
    inside = ((wanted + chrominance >= 0) & (wanted + chrominance <= 1)).all(dim=1, keepdim=True)
    torch.testing.assert_close(images.to_gray(mixed)[inside], wanted[inside])


def moments(image):
    colors = image.flatten(1).double()
    return colors.mean(dim=1), torch.cov(colors, correction=0)


@given(seed=st.integers(0, 200))
@settings(deadline=None, max_examples=20)
def test_a_palette_is_a_mean_and_a_covariance(seed):
    generator = torch.Generator().manual_seed(seed)
    photo = 0.4 + 0.2 * torch.rand(3, 9, 11, generator=generator)
    example = 0.45 + 0.1 * torch.rand(3, 8, 20, generator=generator) * torch.rand(3, 1, 1, generator=generator)
    tinted = style.with_palette_of(photo, example)
    for found, wanted in zip(moments(tinted), moments(example), strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0.02)


def test_a_palette_changes_colors_as_little_as_may_be(photo, painting):
    torch.testing.assert_close(style.with_palette_of(photo, photo), photo, atol=1e-4, rtol=0)
    tinted = style.with_palette_of(photo, painting)
    assert 0 <= tinted.min() <= tinted.max() <= 1
    light, dark = images.to_gray(tinted), images.to_gray(photo)
    assert torch.corrcoef(torch.stack([light.flatten(), dark.flatten()]))[0, 1] > 0.8  # light stays light


def test_the_palette_of_a_gray_or_plain_image_is_no_noise(painting):
    gray = torch.linspace(0.3, 0.6, 96).expand(3, 64, 96)
    plain = torch.full((3, 64, 96), 0.5)
    for image in (gray, plain):
        tinted = style.with_palette_of(image, painting)
        assert torch.isfinite(tinted).all()
        assert (tinted[:, 1:] - tinted[:, :-1]).abs().max() < 1e-5  # rows are still equal
    assert torch.equal(style.with_palette_of(plain, painting), tinted)


# --- The transfer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sample", "name"), [("chelsea", "woodcut"), ("camera", "swirls"), ("rocket", "pointillism")])
def test_a_transfer_ends_far_below_where_it_began(network, sample, name):
    """The content itself has no content loss, and all of the style's; grey is the hardest to change."""
    content, example = images.read(images.sample(sample), size=128), FOLDER / f"style_{name}.jpg"
    totals = []
    options = {"callback": lambda i, losses, x: totals.append(losses["total"]), **QUIET}
    style.stylize(network, content, example, steps=1, coarse_to_fine=False, **options)
    style.stylize(network, content, example, steps=18, **options)
    assert min(totals[19:]) < (0.9 if sample == "camera" else 0.7) * totals[0]


def test_the_losses_are_what_plain_formulas_give(network, photo, painting, float32):
    seen = {}
    options = {
        "start": "noise",
        "steps": 1,
        "coarse_to_fine": False,
        "style_weight": 7,
        "tv_weight": 2,
        "content_weight": 3,
        "palette": False,
    }
    layers = {"content_layers": {"features.6": 1}, "style_layers": {"features.1": 1, "features.4": 3}}
    style.stylize(
        network, photo, painting, callback=lambda i, losses, x: seen.update(losses, start=x), **options, **layers
    )
    start = seen["start"]
    assert start.std() > 0.25

    def relative(a, b):
        return ((a - b) ** 2).mean() / (b**2).mean()

    def gram(maps):
        c, h, w = maps.shape[1:]
        return torch.einsum("ncij,ndij->cd", maps, maps) / (c * h * w)

    framed = {k: F.pad(x[None], (16,) * 4, mode="reflect")[0] for k, x in (("x", start), ("c", photo), ("s", painting))}
    of = {
        k: {layer: maps_of(network, x, layer) for layer in ("features.1", "features.4", "features.6")}
        for k, x in framed.items()
    }
    strength = [of[k]["features.6"].square().mean().sqrt() for k in "cs"]
    content = 3 * relative(of["x"]["features.6"], of["c"]["features.6"]) * (strength[0] / strength[1]).sqrt()
    styles = [relative(gram(of["x"][layer]), gram(of["s"][layer])) for layer in ("features.1", "features.4")]
    red, green, blue = start
    chrominance = start - (0.299 * red + 0.587 * green + 0.114 * blue)
    variation = 0.0
    for x, times in ((start, 1), (chrominance, style.CHROMA)):
        variation += 2 * times * ((x[:, :, 1:] - x[:, :, :-1]) ** 2).mean()
        variation += 2 * times * ((x[:, 1:] - x[:, :-1]) ** 2).mean()
    assert seen["content"] == pytest.approx(content.item(), rel=1e-3)
    assert seen["style"] == pytest.approx(7 * (0.25 * styles[0] + 0.75 * styles[1]).item(), rel=1e-3)
    assert seen["variation"] == pytest.approx(variation.item(), rel=1e-3)
    assert seen["total"] == pytest.approx(seen["content"] + seen["style"] + seen["variation"], rel=1e-5)


def test_the_best_image_is_given_back(network, photo, painting, monkeypatch):
    """With an optimiser that goes uphill the first image is the best."""
    monkeypatch.setattr(style, "LBFGS", lambda params, **_: torch.optim.SGD(params, lr=10, maximize=True))
    seen = []
    options = {"style_weight": 0, "tv_weight": 0.01, "coarse_to_fine": False, "steps": 4}
    made = style.stylize(
        network, photo, painting, callback=lambda i, losses, x: seen.append((losses["total"], x)), **options, **QUIET
    )
    totals = [total for total, _ in seen]
    assert totals[0] == min(totals) < totals[-1]
    assert torch.equal(made, seen[0][1])
    assert torch.equal(made, photo)


def test_losses_are_computed_in_float32(network, photo, painting):
    maps, target = maps_of(network, photo).bfloat16(), maps_of(network, 1 - photo)
    gram = style.gram_matrix(target)
    for loss, exact in (
        (style.content_loss(maps, target), style.content_loss(maps.float(), target)),
        (style.style_loss(maps, gram), style.style_loss(maps.float(), gram)),
    ):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_from_coarse_to_fine_and_targets_once(network, painting, monkeypatch):
    passes, sizes = [], []
    run = style.run_to
    monkeypatch.setattr(style, "run_to", lambda *arguments: passes.append(1) or run(*arguments))
    content = torch.rand(3, 100, 260)
    style.stylize(network, content, painting, callback=lambda i, losses, x: sizes.append((i, *x.shape[1:])), **SHORT)
    assert sizes[::4] == [(1, 25, 65), (5, 50, 130), (9, 100, 260)]
    assert len(passes) == 3 * (4 + 2)


def test_coarse_to_fine_begins_where_it_is_told(network, photo, painting):
    sizes = []
    for smallest in (96, 48, 40, 24):
        seen = []
        look = partial(lambda kept, i, losses, x: kept.append(max(x.shape)), seen)
        style.stylize(network, photo, painting, steps=1, smallest=smallest, callback=look, **QUIET)
        sizes.append(seen)
    assert sizes == [[96], [48, 96], [48, 96], [48, 96]]  # at 24 pixels the layers have nothing to see


def test_the_style_image_is_made_as_large_as_the_content(network, photo, painting):
    """So it makes no difference if that has been done before, or if it is far too large to work on."""
    larger = images.resized(painting, (1900, 2400)).clamp(0, 1)
    assert larger[0].numel() > 4_000_000  # refused as a content
    before = images.resized(larger, images.scaled(larger, 96 / 2400)).clamp(0, 1)
    first, other = (
        style.stylize(network, photo, x.clamp(0, 1), coarse_to_fine=False, **SHORT) for x in (larger, before)
    )
    torch.testing.assert_close(first, other, atol=1e-3, rtol=0)


def test_what_weighs_nothing_is_left_out(network, photo, painting):
    options = {"start": "noise", "content_weight": 0, **SHORT}
    first, other = (style.stylize(network, content, painting, **options) for content in (photo, 1 - photo))
    assert torch.equal(first, other)
    options = {"start": "noise", "style_weight": 0, **SHORT}
    first, other = (style.stylize(network, photo, example, **options) for example in (painting, 1 - painting))
    assert torch.equal(first, other)
    with pytest.raises(ValueError, match="must not all be 0"):
        style.stylize(network, photo, painting, content_weight=0, style_weight=0, tv_weight=0)


def test_a_pale_photo_is_painted_too(network, photo, painting):
    pale, totals = 0.55 + 0.05 * photo, []
    options = {"steps": 25, "coarse_to_fine": False, "callback": lambda i, losses, x: totals.append(losses["total"])}
    style.stylize(network, pale, painting, **options, **QUIET)
    assert min(totals) < 0.93 * totals[0]


def test_content_comes_back_from_noise(network, photo):
    options = {"style_weight": 0, "tv_weight": 1, "start": "noise", "content_layers": {"features.1": 1}, "steps": 60}
    rebuilt = style.stylize(network, photo, photo, **options, **QUIET)
    correlation = torch.corrcoef(torch.stack([images.to_gray(x).flatten() for x in (photo, rebuilt)]))[0, 1]
    assert correlation > 0.9


def test_a_transfer_begins_with_the_palette_unless_told_otherwise(network, photo, painting):
    starts = []
    options = {"steps": 1, "coarse_to_fine": False, "callback": lambda i, losses, x: starts.append(x), **QUIET}
    for palette, weight in ((True, 5), (False, 5), (True, 0)):
        style.stylize(network, photo, painting, palette=palette, style_weight=weight, **options)
    scaled = images.resized(painting, images.scaled(painting, 1)).clamp(0, 1)
    torch.testing.assert_close(starts[0], style.with_palette_of(photo, scaled), atol=1e-4, rtol=0)
    assert torch.equal(starts[1], photo)
    assert torch.equal(starts[2], photo)


def test_kept_colours_are_those_of_the_content(network, photo, painting):
    seen = []
    options = {"keep_colors": True, "callback": lambda i, losses, x: seen.append(x), **SHORT}
    made = style.stylize(network, photo, painting, **options)
    for image in (made, seen[-1]):
        torch.testing.assert_close(image - images.to_gray(image), photo - images.to_gray(photo), atol=1e-5, rtol=0)
    assert (images.to_gray(made) - images.to_gray(photo)).abs().mean() > 0.002


@pytest.mark.parametrize("start", ["content", "noise"])
def test_every_step_stays_an_image(network, photo, painting, start):
    totals = []

    def look(step, losses, image):
        assert 0 <= image.min() <= image.max() <= 1  # false for NaN
        assert all(math.isfinite(loss) for loss in losses.values())
        totals.append(losses["total"])

    options = {"steps": 15, "coarse_to_fine": False, "style_weight": 50}
    style.stylize(network, photo, painting, start=start, callback=look, **options, **QUIET)
    assert len(totals) == 15
    assert min(totals) < 0.8 * totals[0]


def test_no_step_overshoots(network):
    shown, totals = [], []
    options = {"coarse_to_fine": False, "steps": 12, "style_weight": 12}
    for sample in ("chelsea", "coffee"):
        style.stylize(
            network,
            images.read(images.sample(sample), size=64),
            FOLDER / "style_stained_glass.jpg",
            **options,
            **QUIET,
            callback=lambda i, losses, x: (shown.append(x), totals.append(losses["total"])),
        )
    for i in range(1, 24):
        if i != 12:
            assert (shown[i] - shown[i - 1]).abs().max() < 0.1 + 1e-5
    assert max(totals) < 2 * max(totals[0], totals[12])


def test_noise_paints_the_same_again(network, photo, painting):
    first, again, other = (
        style.stylize(network, photo, painting, start=s, **SHORT) for s in ("noise", "noise", "content")
    )
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.1


@pytest.mark.parametrize(("shape", "example"), [((3, 20, 170), (3, 90, 40)), ((1, 71, 40), (4, 30, 200))])
def test_any_size_shape_and_kind_of_image(network, shape, example):
    made = style.stylize(network, torch.rand(shape), torch.rand(example), **SHORT)
    assert made.shape == (3, *shape[1:])


def test_what_cannot_be_painted(network, photo, painting, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    dot, huge = torch.rand(3, 1, 1), torch.zeros(3, 2500, 2000)
    for content, example, options, words in (
        (dot, painting, {}, r"1 × 1 pixels, and .*features\.9.* of SqueezeNet need at least 17 × 17"),
        (huge, painting, {}, "2500 × 2000 pixels"),
        (tmp_path / "notes.txt", painting, {}, "cannot be read as an image"),
        (photo, painting, {"steps": 0}, "steps must be a whole number of at least 1"),
        (photo, painting, {"start": "nosie"}, "start must be one of content, noise, not 'nosie'"),
        (photo, painting, {"tv_weight": -1}, "tv_weight must be a number of at least 0, at most 1,000,000, not -1"),
        (photo, torch.rand(3, 20, 900), {}, "the style, scaled and framed, is 4 × 98 pixels"),
        (
            photo,
            painting,
            {"style_weight": -1},
            "style_weight must be a number of at least 0, at most 1,000,000, not -1",
        ),
        (photo, painting, {"style_layers": {"features.1": 0}}, "layers' weights must not all be 0"),
        (photo, painting, {"style_layers": {"features.99": 1}}, "no layer 'features.99'"),
    ):
        with pytest.raises(ValueError, match=words):
            style.stylize(network, content, example, **options, **QUIET)
    with pytest.raises(ValueError, match="content_layers must be given"):
        style.stylize(nn.Sequential(nn.Conv2d(3, 2, 3)), photo, painting)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_gives_the_best_so_far_and_leaves_the_model_as_it_was(network, photo, painting, error):
    network.train()
    before = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()]

    def stop(step, losses, image):
        if step == 9:
            raise error

    def call():
        return style.stylize(network, images.resized(photo, (128, 192)), painting, steps=12, callback=stop, **QUIET)

    if error is KeyboardInterrupt:
        made = call()
        assert made.shape == (3, 128, 192)
        gram = style.gram_matrix(maps_of(network, painting))
        assert style.style_loss(maps_of(network, made), gram) < 0.7 * style.style_loss(maps_of(network, photo), gram)
    else:
        with pytest.raises(error):
            call()
    assert before == [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()]
    network.eval()


@pytest.mark.parametrize("name", sorted(pretrained.NETWORKS))
def test_the_default_layers_of_each_network_are_there(name, photo, painting):
    options = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, **options).eval().requires_grad_(False)
    model.name = name
    made = style.stylize(model, photo[:, :40, :40], painting, steps=2, coarse_to_fine=False, **QUIET)
    assert made.shape == (3, 40, 40)


@pytest.mark.parametrize(
    "weights", [{"features.4": math.inf}, {"features.4": math.nan}, {"features.4": "a"}, {4: None}]
)
def test_weights_of_layers_are_finite_numbers(network, photo, painting, weights):
    for kind in ("content_layers", "style_layers"):
        with pytest.raises(ValueError, match="must be a number"):
            style.stylize(network, photo, painting, **{kind: weights}, **SHORT)


@pytest.mark.parametrize("kind", ["content_weight", "style_weight", "tv_weight"])
def test_weights_that_no_precision_holds_are_refused(network, photo, painting, kind):
    with pytest.raises(ValueError, match=f"{kind} must be a number"):
        style.stylize(network, photo, painting, **{kind: 1e39}, **SHORT)


@pytest.mark.parametrize("size", [(1, 64), (64, 1)])
def test_a_line_is_nothing_to_paint(network, painting, size):
    with pytest.raises(ValueError, match="the content image"):
        style.stylize(nn.Conv2d(3, 2, 1), torch.rand(3, *size), painting, content_layers={"": 1}, style_layers={"": 1})


def test_a_network_that_gives_nan_is_refused(photo, painting):
    model = pretrained.load()
    with torch.no_grad():
        model.features[0].weight.fill_(math.nan)
    with pytest.raises(ValueError, match="not finite"):
        style.stylize(model, photo, painting, **SHORT)


def test_the_default_precision_changes_nothing(network, photo, painting):
    expected = style.stylize(network, photo, painting, start="noise", **SHORT)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(style.stylize(network, photo, painting, start="noise", **SHORT), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_paint_too(network, photo, painting, dtype):
    image = style.stylize(pretrained.load().to(dtype), photo, painting, **SHORT)
    assert image.dtype == torch.float32
    assert (image - style.stylize(network, photo, painting, **SHORT)).abs().mean() < 0.05


def test_a_narrow_image_is_painted_from_no_line(painting):
    model, layers = nn.Sequential(nn.Conv2d(3, 2, 1)), {"content_layers": {"0": 1}, "style_layers": {"0": 1}}
    assert style.stylize(model, torch.rand(3, 2, 300), painting, **layers, **SHORT).shape == (3, 2, 300)
