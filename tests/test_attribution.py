import contextlib
import pickle
import warnings

import pytest
import torch
from captum import attr
from torch import nn
from torchvision import models as torchvision_models

from helpers import attribution, features, images, models, pretrained
from helpers.data import fashion_mnist

METHODS = {
    "occlusion": lambda model, x, target: attribution.occlusion(model, x, target, (9, 9), (6, 6), progress=False),
    "saliency": attribution.saliency,
    "smooth_grad": lambda model, x, target: attribution.smooth_grad(model, x, target, nt_samples=2),
    "integrated_gradients": lambda model, x, target: attribution.integrated_gradients(model, x, target, n_steps=2),
    "deconvnet": lambda model, x, target: attribution.backpropagate(model, x, target, "deconvnet"),
    "guided": lambda model, x, target: attribution.backpropagate(model, x, target, "guided"),
}


@pytest.fixture(scope="module", params=["SqueezeNet", "FashionNet"])
def asked(request):
    """A network, two images, a class for each, and the last layer with maps; all in float64.

    In float32, two ways to sum a convolution may disagree on whether a number is above zero, and so on a gradient.
    """
    if request.param == "FashionNet":
        photos, labels = fashion_mnist(train=False)
        return models.trained_fashion_net().double(), photos[:2].double(), labels[:2].tolist(), "features.6"
    photos = torch.stack([images.square(images.sample(name), 128) for name in ("chelsea", "coffee")])
    model = pretrained.load().double()
    for layer in model.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # or Captum's hooks would fail
    return model, photos.double(), [281, 967], "features.12"


def captums(method, x, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method.attribute(x.clone().requires_grad_(), **options)


def test_gradients_equal_captums(asked):
    model, x, target, _ = asked
    for ours, theirs in (
        (attribution.saliency(model, x, target), attr.Saliency(model)),
        (attribution.backpropagate(model, x, target, "guided"), attr.GuidedBackprop(model)),
        (attribution.backpropagate(model, x, target, "deconvnet"), attr.Deconvolution(model)),
    ):
        expected = captums(theirs, x, target=target)
        assert expected.abs().max() > 0.01
        assert torch.allclose(ours, expected, atol=1e-8)


def test_saliency_equals_captums_in_float32_too(asked):
    model, x, target, _ = asked
    model, x = model.float(), x.float().contiguous(memory_format=torch.channels_last)
    try:
        expected = captums(attr.Saliency(model), x, target=target)
        assert torch.allclose(attribution.saliency(model, x, target), expected, atol=1e-4)
    finally:
        model.double()


def test_grad_cam_equals_captums(asked):
    model, x, target, layer = asked
    maps = captums(attr.LayerGradCam(model, model.get_submodule(layer)), x, target=target, relu_attributions=True)
    expected = attr.LayerAttribution.interpolate(maps.detach(), x.shape[2:], "bilinear")
    assert expected.abs().max() > 0.01
    assert torch.allclose(attribution.grad_cam(model, x, target, layer=layer), expected, atol=1e-8)


@pytest.mark.parametrize(("window", "stride"), [((9, 9), (6, 6)), ((20, 13), (10, 13)), ((28, 28), (7, 5))])
def test_occlusion_equals_captums(asked, window, stride):
    model, x, target, _ = asked
    x, target = x[:1, :, 30:80, 40:95] if x.shape[1] == 3 else x[:1], target[:1]
    channels = x.shape[1]
    expected = captums(
        attr.Occlusion(model),
        x,
        target=target,
        sliding_window_shapes=(channels, *window),
        strides=(channels, *stride),
        baselines=0.5,
        perturbations_per_eval=16,
    )
    ours = attribution.occlusion(model, x, target, window, stride, progress=False)
    assert expected.abs().max() > 0.01
    assert torch.allclose(ours, expected[:, :1].double(), atol=1e-4)


def test_occlusion_by_default_has_patches_a_seventh_wide_at_a_quarter_of_that():
    model, image = models.trained_fashion_net(), torch.rand(1, 28, 28)
    by_default = attribution.occlusion(model, image, 3, progress=False)
    assert torch.equal(by_default, attribution.occlusion(model, image, 3, (4, 4), (1, 1), progress=False))


def test_occlusion_equals_a_plain_loop_in_float32_also_with_a_color_as_patch():
    model, image = pretrained.load(), images.square(images.sample("coffee"), 96)
    for value in (0.2, image.mean(dim=(1, 2), keepdim=True)):
        ours = attribution.occlusion(model, image, 967, (32, 32), (32, 32), value, progress=False)
        assert torch.allclose(ours, drops_of_a_loop(model, image, 967, 32, value), atol=1e-4)


def test_occlusion_of_a_probability_that_is_1_for_the_whole_image():
    """A softmax over the class alone would be 1 as well, whatever is covered."""
    torch.manual_seed(0)
    image = torch.rand(1, 6, 6)
    linear = nn.Linear(36, 3)
    linear.weight.data = torch.stack([image.flatten(), -image.flatten(), torch.zeros(36)]) * 4
    model = nn.Sequential(nn.Flatten(), linear, nn.Softmax(dim=1))
    assert model(image[None])[0, 0] == 1
    expected = drops_of_a_loop(model, image, 0, 6, 0.0)
    assert expected.max() > 0.3
    assert torch.allclose(attribution.occlusion(model, image, 0, (6, 6), (6, 6), 0.0, progress=False), expected)


def drops_of_a_loop(model, image, target, size, value):
    """What occlusion gives for patches side by side that fit the image exactly."""
    drops = torch.zeros(1, *image.shape[1:])
    with torch.no_grad():
        for top in range(0, image.shape[1], size):
            for left in range(0, image.shape[2], size):
                covered = image.clone()
                covered[:, top : top + size, left : left + size] = value
                drops[0, top : top + size, left : left + size] = (model(image[None]) - model(covered[None]))[0, target]
    return drops


class Corner(nn.Module):
    """Two classes: how bright the pixels of one patch are, and how dark."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x):
        brightness = x[:, :, self.rows, self.columns].mean(dim=(1, 2, 3))
        return torch.stack([brightness, -brightness], dim=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_planted_patch_is_found_with_the_right_sign(channels):
    model, image = Corner(slice(10, 15), slice(20, 30)), torch.full((channels, 32, 40), 0.9)
    planted = torch.zeros(1, 32, 40, dtype=torch.bool)
    planted[:, 10:15, 20:30] = True
    drop = attribution.occlusion(model, image, 0, (5, 5), (5, 5), progress=False)
    assert torch.equal(drop > 1e-6, planted)
    assert torch.allclose(drop[planted], torch.tensor(0.4 / 2))  # half the patch goes from 0.9 to 0.5
    assert (attribution.occlusion(model, image, 1, (5, 5), (5, 5), progress=False)[planted] < 0).all()
    signed = attribution.saliency(model, image, 1, abs=False)
    assert torch.allclose(signed, -planted.float().expand_as(signed) / (50 * channels))
    assert torch.allclose(attribution.saliency(model, image, 1), -signed)
    smooth = attribution.smooth_grad(model, image, 1, nt_samples=3, abs=False)
    assert torch.allclose(smooth, signed)


def test_saliency_equals_finite_differences():
    model = models.trained_fashion_net().double()
    image, step = torch.rand(1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 1e-6
    gradient = attribution.saliency(model, image, 3, abs=False)
    with torch.no_grad():
        for row, column in ((3, 4), (14, 14), (20, 9)):
            up, down = image.clone(), image.clone()
            up[0, row, column] += step
            down[0, row, column] -= step
            slope = (model(up[None]) - model(down[None]))[0, 3] / (2 * step)
            assert gradient[0, row, column] == pytest.approx(slope.item(), rel=1e-5)


class TwoLayers(nn.Module):
    """A net worked out by hand: h = relu(A·x), score = relu(B·h), with the ReLU called in one way or another."""

    def __init__(self, relu):
        super().__init__()
        self.relu = relu
        self.a = torch.tensor([[1.0, -1.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
        self.b = torch.tensor([[1.0, -2.0, 1.0], [1.0, 2.0, 2.0]])

    def forward(self, x):
        return self.relu(self.relu(x.flatten(1) @ self.a.T) @ self.b.T)


def in_place_unused(x):
    x.relu_()
    return x


RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": nn.functional.relu,
    "functional in place": lambda x: nn.functional.relu(x, inplace=True),
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": in_place_unused,
}
# x = (1, 2, 1): A·x = (−1, 3, 1), h = (0, 3, 1), B·h = (−5, 8). For class 1 the gradient at h is its row (1, 2, 2).
# plain and guided: h's first entry was negative, so (0, 2, 2) reaches A: (4, 2, 0). Deconvnet: (1, 2, 2): (5, 1, 0).
# For class 0 the score's own ReLU was at −5: plain and guided give nothing; deconvnet takes (1, −2, 1), passes
# back (1, 0, 1), and A makes (1, 0, −1) of it.
RULE_ANSWERS = [
    ("plain", 1, (4.0, 2.0, 0.0)),
    ("guided", 1, (4.0, 2.0, 0.0)),
    ("deconvnet", 1, (5.0, 1.0, 0.0)),
    ("plain", 0, (0.0, 0.0, 0.0)),
    ("deconvnet", 0, (1.0, 0.0, -1.0)),
]


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
@pytest.mark.parametrize(("rule", "target", "expected"), RULE_ANSWERS)
def test_rules_equal_what_is_worked_out_by_hand(relu, rule, target, expected):
    image = torch.tensor([1.0, 2.0, 1.0]).view(1, 1, 3)
    assert attribution.backpropagate(TwoLayers(relu), image, target, rule).flatten().tolist() == list(expected)


def test_guided_stops_what_is_negative_from_above():
    model = TwoLayers(torch.relu)
    model.b = torch.tensor([[1.0, 3.0, -2.0]])  # score 7; (1, 3, −2) at h: guided (0, 3, 0), plain (0, 3, −2)
    image = torch.tensor([1.0, 2.0, 1.0]).view(1, 1, 3)
    assert attribution.backpropagate(model, image, 0, "plain").flatten().tolist() == [6.0, -2.0, 5.0]
    assert attribution.backpropagate(model, image, 0, "guided").flatten().tolist() == [6.0, 0.0, 3.0]
    assert attribution.backpropagate(model, image, 0, "deconvnet").flatten().tolist() == [7.0, -1.0, 3.0]


def test_rules_say_what_they_cannot_cover():
    image = torch.rand(3, 64, 64)
    with pytest.raises(ValueError, match=r"activations are ReLUs, and this one has hardswish$"):
        attribution.backpropagate(torchvision_models.mobilenet_v3_small(), image, 0, "guided")
    with pytest.raises(ValueError, match="this one has no ReLU"):
        attribution.backpropagate(nn.Flatten(), image, 0, "guided")
    with pytest.raises(ValueError, match="rule must be one of plain, deconvnet, guided, not 'relu'"):
        attribution.backpropagate(nn.Flatten(), image, 0, "relu")


def test_before_the_first_relu_all_rules_are_alike():
    model, image = pretrained.load(), images.square(images.sample("chelsea"), 96)
    plain, guided = (
        attribution.backpropagate(model, image, (7, 4, 5), rule, "features.0") for rule in ("plain", "guided")
    )
    assert torch.equal(plain, guided)
    assert plain.any()


def test_one_unit_of_a_layer_is_followed_back_to_its_receptive_field():
    model, image = pretrained.load(), images.square(images.sample("chelsea"), 96)
    gradient = attribution.backpropagate(model, image, (7, 4, 5), "deconvnet", layer="features.3")
    reached = gradient.abs().amax(dim=0).nonzero()
    top, left, height, width = features.receptive_field(model, "features.3", image.shape, (4, 5))
    assert len(reached)
    assert (reached >= torch.tensor([top, left])).all()
    assert (reached < torch.tensor([top + height, left + width])).all()
    with pytest.raises(ValueError, match="target must say"):
        attribution.backpropagate(model, image, layer="features.3")


def test_a_channel_stands_for_the_sum_over_its_places(asked):
    model, x, _, layer = asked
    image = x[0, :, :64, :56]
    maps = features.activations(model, image, [layer])[layer]
    channel = maps.sum(dim=(1, 2)).argmax().item()
    places = [(channel, row, column) for row in range(maps.shape[1]) for column in range(maps.shape[2])]
    parts = [attribution.backpropagate(model, image, place, layer=layer) for place in places]
    whole = attribution.backpropagate(model, image, channel, layer=layer)
    assert whole.abs().max() > 0
    assert torch.allclose(whole, torch.stack(parts).sum(dim=0), atol=1e-8)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_single_images_batches_and_targets_in_every_form(method, asked):
    model, x, target, _ = asked
    x = x[..., :40, :44]
    batch = method(model, x, target)
    assert batch.shape in (x.shape, (2, 1, *x.shape[2:]))
    for form in (torch.tensor(target), [(t,) for t in target]):
        assert torch.equal(method(model, x, form), batch)
    if method is not METHODS["smooth_grad"]:  # whose noise is drawn for the batch as a whole
        assert torch.allclose(method(model, x[1], target[1]), batch[1], atol=1e-6)
        with torch.no_grad():
            found = model(x).argmax(dim=1).tolist()
        assert torch.allclose(method(model, x, None), method(model, x, found))


def test_errors_name_what_was_given(asked):
    model, x, *_ = asked
    classes = 1000 if x.shape[1] == 3 else 10
    with pytest.raises(ValueError, match=rf"output of shape \({classes},\), not \({classes},\)"):
        attribution.saliency(model, x, classes)
    with pytest.raises(ValueError, match="target has 3 entries, and there are 2 images"):
        attribution.saliency(model, x, [0, 1, 2])
    with pytest.raises(ValueError, match=r"not \(4,\)"):
        attribution.saliency(model, torch.zeros(4), 0)
    with pytest.raises(ValueError, match="patch must be 1 to"):
        attribution.occlusion(model, x, 0, (500, 5))
    with pytest.raises(ValueError, match="strides must be 1 to 5"):
        attribution.occlusion(model, x, 0, (5, 5), (6, 5))
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        attribution.grad_cam(model, x, 0, layer="nowhere")
    with pytest.raises(ValueError, match="nt_samples must be a whole number of at least 1"):
        attribution.smooth_grad(model, x, 0, 0)


def test_smooth_grad_is_the_mean_over_noisy_copies():
    model, image = models.trained_fashion_net(), torch.rand(1, 28, 28)
    generator = torch.Generator().manual_seed(0)
    noisy = [image + 0.1 * torch.randn(1, 1, 28, 28, generator=generator)[0] for _ in range(4)]
    expected = torch.stack([attribution.saliency(model, n, 5, abs=False) for n in noisy]).mean(dim=0)
    assert torch.allclose(attribution.smooth_grad(model, image, 5, 4, 0.1, abs=False), expected, atol=1e-6)
    assert torch.allclose(attribution.smooth_grad(model, image, 5, 4, 0.1), expected.abs(), atol=1e-6)


class Interruptible(nn.Module):
    """Raises ``error`` in its n-th forward pass."""

    passes, error = 0, None  # of the class, so that they are no part of a model's state

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(2 * 26 * 26, 5))

    def forward(self, x):
        Interruptible.passes -= 1
        maps = self.relu(self.norm(self.conv(x)))
        if Interruptible.passes == 0:
            raise Interruptible.error
        return self.head(maps)


@pytest.mark.parametrize("method", [*METHODS, "grad_cam"])
@pytest.mark.parametrize("error", [RuntimeError("planted"), KeyboardInterrupt()], ids=repr)
def test_the_model_comes_back_as_it_was(method, error):
    call = METHODS.get(method, lambda model, x, t: attribution.grad_cam(model, x, t, layer="relu"))
    model = Interruptible().train()
    model.norm.eval()
    model.conv.bias.requires_grad_(False)
    before = pickle.dumps(model)  # modes, flags, weights, buffers and hooks; one that was left could not be pickled
    for passes in (0, 1, 2, 3):
        Interruptible.passes, Interruptible.error = passes, error
        with pytest.raises(type(error)) if passes == 1 else contextlib.suppress(type(error)):
            call(model, torch.rand(1, 28, 28), 2)
        assert pickle.dumps(model) == before
        assert all(parameter.grad is None for parameter in model.parameters())
        assert torch.is_grad_enabled()
    relu = nn.functional.relu(torch.tensor([-1.0], requires_grad=True))
    assert relu.grad_fn.name() == "ReluBackward0"  # no rule is left behind


def test_gradients_are_found_also_where_someone_has_turned_them_off():
    model, image = models.trained_fashion_net(), torch.rand(1, 28, 28)
    expected = attribution.saliency(model, image, 1)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            assert torch.equal(attribution.saliency(model, image + 0, 1), expected)


def test_any_photo_and_any_network_go_through():
    torch.manual_seed(0)
    model, photo = torchvision_models.resnet18(), images.sample("flower")[:, 100:164, 200:290]
    for method in METHODS.values():
        result = method(model, photo, None)
        assert result.shape[1:] == photo.shape[1:]
        assert result.isfinite().all()
    assert attribution.grad_cam(model, photo, layer="layer4").shape == (1, 64, 90)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same():
    model, image = pretrained.load(), images.square(images.sample("coffee"), 96)
    for method in METHODS.values():
        expected = method(model.cpu(), image, 967)
        assert torch.allclose(method(model.cuda(), image, 967).cpu(), expected, atol=1e-2 * expected.abs().max())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_autocast_and_the_default_precision_change_nothing(method):
    model, photo = pretrained.load(), torch.rand(3, 64, 64)
    expected = method(model, photo, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(method(model, photo, 3), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(method(model, photo, 3), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_many_patches_and_copies_are_counted_in_low_precision_too():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)).bfloat16()
    image = torch.ones(1, 40, 40)
    heat = attribution.occlusion(model, image, 0, (20, 20), (1, 1), progress=False)
    expected = attribution.occlusion(model.float(), image, 0, (20, 20), (1, 1), progress=False)
    assert heat.dtype == torch.bfloat16
    assert torch.allclose(heat.float(), expected, rtol=0.05)
    many = attribution.smooth_grad(model.bfloat16(), image, 0, nt_samples=600)
    assert torch.allclose(many.float(), attribution.smooth_grad(model.float(), image, 0, nt_samples=2), rtol=0.05)


class WritesInto(nn.Module):
    """Writes a sum into a tensor that it has: Windows have no rule for that."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        maps = self.conv(x)
        return torch.add(maps, maps.relu(), out=torch.empty_like(maps)).mean(dim=(2, 3))


def batch_statistics():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize("make", [WritesInto, batch_statistics])
def test_occlusion_of_what_windows_cannot_do_is_that_of_a_loop(make):
    torch.manual_seed(0)
    model, photo = make().eval(), torch.rand(3, 24, 24)
    expected = drops_of_a_loop(model, photo, 0, 8, 0.5)
    assert expected.abs().max() > 1e-3
    heat = attribution.occlusion(model, photo, 0, (8, 8), (8, 8), progress=False)
    assert torch.allclose(heat, expected, atol=1e-5)


@pytest.mark.parametrize(
    "baselines", [torch.nan, torch.inf, "a", None, torch.tensor([0.1, 0.2, 0.3]), torch.full((3, 1, 1), torch.nan)]
)
def test_a_patch_has_a_colour(baselines):
    with pytest.raises(ValueError, match=r"^baselines must be a finite number"):
        attribution.occlusion(
            pretrained.load(), torch.rand(3, 64, 64), 0, (30, 30), baselines=baselines, progress=False
        )


class Frozen(nn.Module):
    """Gradients do not pass its first layer; its second one's output is not used."""

    def __init__(self):
        super().__init__()
        self.first, self.aside, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

    def forward(self, x):
        with torch.no_grad():
            maps = self.first(x)
        self.aside(maps)
        return self.last(maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("layer", ["first", "aside"])
def test_where_no_gradient_passes_it_is_said(layer):
    for call in (attribution.saliency, lambda *given: attribution.grad_cam(*given, layer=layer)):
        with pytest.raises(ValueError, match="no gradients pass"):
            call(Frozen(), torch.rand(3, 9, 9), 0)


@pytest.mark.parametrize("activation", [nn.CELU, nn.Mish, nn.RReLU])
def test_rules_for_relus_are_refused_for_other_activations(activation):
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=f"has {activation.__name__.lower()}"):
        attribution.backpropagate(model, torch.rand(3, 9, 9), 0, "guided")


# --- Integrated gradients, deletion and insertion ---------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [1, 7, 20])
def test_integrated_gradients_equal_captums(asked, n_steps):
    model, x, target, _ = asked
    for baseline in (0.0, 0.5, x.mean(dim=(2, 3), keepdim=True)):
        given = baseline if isinstance(baseline, float) else baseline.expand_as(x)
        expected = captums(attr.IntegratedGradients(model), x, target=target, baselines=given, n_steps=n_steps)
        assert expected.abs().max() > 1e-3
        ours = attribution.integrated_gradients(model, x, target, baseline, n_steps=n_steps)
        assert torch.allclose(ours, expected, atol=1e-8)


def test_all_contributions_sum_to_the_difference_of_the_scores(asked):
    model, x, target, _ = asked
    with torch.no_grad():
        scores, empty = model(x), model(torch.full_like(x, 0.3))
    difference = torch.stack([(scores - empty)[i, t] for i, t in enumerate(target)])
    gaps = [
        (attribution.integrated_gradients(model, x, target, 0.3, n_steps=n).sum(dim=(1, 2, 3)) - difference).abs()
        for n in (3, 60)
    ]
    assert (gaps[1] < 0.02 * difference.abs()).all()
    assert gaps[1].mean() < gaps[0].mean()


class Product(nn.Module):
    """The product of two pixels, of which each contributes half, and a third one that does not count."""

    def forward(self, x):
        return (x[:, 0, 0, 0] * x[:, 0, 0, 1])[:, None]


def test_each_factor_of_a_product_contributes_half():
    contributions = attribution.integrated_gradients(Product(), torch.tensor([[[3.0, 4.0, 5.0]]]), 0, n_steps=2)
    assert contributions.flatten().tolist() == pytest.approx([6, 6, 0])
    from_one = attribution.integrated_gradients(Product(), torch.tensor([[[3.0, 4.0, 5.0]]]), 0, 1.0, n_steps=2)
    assert from_one.flatten().tolist() == pytest.approx([5, 6, 0])  # (3 − 1) · 2.5 and (4 − 1) · 2


def brightness():
    """A class score that is the sum of all pixels, each with a weight."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2, bias=False))
    model[1].weight.data = torch.tensor([[4.0, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 1]])
    return model, torch.ones(1, 2, 3)


def test_pixels_go_and_come_in_the_order_of_the_map():
    model, image = brightness()
    heat = model[1].weight.data[0].view(2, 3)
    for given in (heat, heat[None]):
        deletion = attribution.deletion_curve(model, image, given, 0, 0.0, steps=6)
        assert deletion.tolist() == [7, 3, 1, 0, 0, 0, 0]
        insertion = attribution.insertion_curve(model, image, given, 0, 0.0, steps=6)
        assert insertion.tolist() == [0, 4, 6, 7, 7, 7, 7]
    worst = attribution.deletion_curve(model, image, -heat, 0, 0.0, steps=3)
    assert worst.tolist() == [7, 7, 6, 0]
    assert attribution.deletion_curve(model, image, -heat, None, 0.5, steps=3).tolist() == [7, 7, 6.5, 3.5]


def test_equal_pixels_go_from_top_left_to_bottom_right():
    model, image = brightness()
    flat = attribution.deletion_curve(model, image, torch.zeros(2, 3), 0, 0.0, steps=6)
    assert flat.tolist() == [7, 3, 2, 2, 0, 0, 0]


def test_a_curve_equals_a_loop_and_its_ends_are_the_image_and_the_baseline():
    model, photo = pretrained.load(), images.square(images.sample("coffee"), 64)
    heat, blurred = torch.rand(64, 64), photo.mean(dim=(1, 2), keepdim=True).expand_as(photo)
    curves = [
        curve(model, photo, heat, 967, blurred, steps=10)
        for curve in (attribution.deletion_curve, attribution.insertion_curve)
    ]
    order = heat.flatten().argsort(descending=True)
    for step in (0, 3, 10):
        gone = torch.zeros(64 * 64, dtype=torch.bool)
        gone[order[: round(step * 409.6)]] = True
        for curve, mask in zip(curves, (gone, ~gone), strict=True):
            copy = torch.where(mask.view(64, 64), blurred, photo)
            with torch.no_grad():
                assert curve[step] == pytest.approx(model(copy[None])[0, 967].item(), abs=1e-3)
    assert curves[0][0] == pytest.approx(curves[1][-1].item(), abs=1e-3)


@pytest.mark.parametrize("baselines", [torch.nan, "a", None, torch.rand(3, 5, 5), torch.rand(2, 3, 64, 64)])
def test_a_baseline_is_an_image(baselines):
    model, photo = pretrained.load(), torch.rand(3, 64, 64)
    for call in (
        lambda: attribution.integrated_gradients(model, photo, 0, baselines),
        lambda: attribution.deletion_curve(model, photo, photo[0], 0, baselines),
    ):
        with pytest.raises(ValueError, match=r"^baselines must be a finite number, or a tensor that broadcasts to"):
            call()


def test_a_curve_names_what_was_given():
    model, photo = pretrained.load(), torch.rand(3, 64, 64)
    with pytest.raises(ValueError, match=r"heat must have a value for each pixel, \(64, 64\), not \(64, 63\)"):
        attribution.deletion_curve(model, photo, photo[0, :, 1:], 0)
    with pytest.raises(ValueError, match="heat must have a value for each pixel"):
        attribution.insertion_curve(model, photo, photo, 0)
    with pytest.raises(ValueError, match="image must be a tensor of floating-point numbers with 3 axes"):
        attribution.insertion_curve(model, photo[None], photo[0], 0)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        attribution.deletion_curve(model, photo, photo[0], 0, steps=0)
    with pytest.raises(ValueError, match="n_steps must be a whole number of at least 1"):
        attribution.integrated_gradients(model, photo, 0, n_steps=0)
