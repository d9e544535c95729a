"""What is no use is refused by name: each function that takes it, on what people may well pass."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from helpers import arguments, atlas, attribution, dream, features, filters, hooks, models, plotting, style
from helpers.lessons import lesson_01, lesson_06, lesson_07, lesson_08

MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
PHOTO, MAPS = torch.rand(3, 12, 12), torch.rand(1, 4, 6, 6)
SHORT = {"steps": 1, "progress": False}


def each(call, *odd):
    return [lambda value=value: call(value) for value in odd]


def stylized(**options):
    layers = {"content_layers": {"0": 1}, "style_layers": {"0": 1}}
    return style.stylize(MODEL, PHOTO, PHOTO, **layers | options, **SHORT)


CALLS = {
    "x": each(lambda x: hooks.run_to(MODEL, x, ["0"]), None, [1.0], "photo.jpg", PHOTO.numpy()),
    "model": [
        *each(lambda m: hooks.find_layer(m, "0"), None, "net"),
        *each(lambda m: models.layer_table(m, (3, 9, 9)), None),
    ],
    "channels": each(
        lambda c: features.strongest_patches(MODEL, PHOTO, "0", c, 1, progress=False), None, 3, ["a"], [1.5]
    ),
    "input_shape": each(
        lambda s: features.receptive_field(MODEL, "0", s, (1, 1)), None, 12, "abc", (3, 12), (3, 1.5, 2)
    ),
    "unit": [
        *each(lambda u: features.receptive_field(MODEL, "0", (3, 12, 12), u), None, 1, (1,), (1.5, 2), "ab"),
        *each(lambda u: dream.select_activation(MAPS, 0, u), 1, (1,), (0.5, 1)),
    ],
    "channel": each(lambda c: features.receptive_field(MODEL, "0", (3, 12, 12), (1, 1), c), "a", 1.5, [0], True),
    "target": each(lambda t: attribution.occlusion(MODEL, PHOTO, t, (6, 6), progress=False), 0, (0, 1)),
    "rule": each(lambda r: attribution.backpropagate(MODEL, PHOTO, 0, r), ["guided"], None, "Guided"),
    "stdevs": each(lambda s: attribution.smooth_grad(MODEL, PHOTO, 0, 2, s), 10**400, math.inf),
    "sliding_window_shapes": each(lambda s: attribution.occlusion(MODEL, PHOTO, 0, s, progress=False), 0, ()),
    "basis": each(
        lambda b: dream.maximize(MODEL, "0", 0, size=(9, 9), basis=b, **SHORT), ["fourier"], None, PHOTO.numpy()
    ),
    "size": [
        *each(lambda s: dream.maximize(MODEL, "0", 0, size=s, **SHORT), 9, None, (9,), (9.0, 9)),
        *each(lambda s: plotting.image_grid([PHOTO], size=s), None, -1, 0, "a", math.nan, 10**6),
    ],
    "maps": [
        *each(style.gram_matrix, None, PHOTO, MAPS.long(), MAPS[:0]),
        *each(lambda maps: dream.guide_similarity(maps, MAPS), None, PHOTO, MAPS[:, :3]),
        *each(dream.half_squared_norm, None, 3, MAPS.long()),
        *each(lambda maps: style.content_loss(maps, MAPS), None, MAPS.long()),
    ],
    "target must be": [
        *each(lambda target: style.content_loss(MAPS, target), MAPS[..., :3], None),
        *each(lambda target: style.style_loss(MAPS, target), MAPS, torch.rand(1, 3, 3)),
    ],
    "output": each(dream.select_activation, None, PHOTO),
    "image": each(lambda image: style.with_colors_of(image, PHOTO), None, PHOTO.long(), PHOTO[0]),
    "content": each(lambda image: style.with_colors_of(PHOTO, image), None, PHOTO.long()),
    "start": each(lambda s: stylized(start=s), ["noise"], None, PHOTO),
    "layers": [*each(lambda w: stylized(content_layers=w), [], ""), *each(lambda w: stylized(style_layers=w), {})],
    "name": each(filters.kernel, ["sharpen"], None),
    "kernel_size_and_stride": each(filters.receptive_field, [3], [(3,)], [(3, 1.5)], "ab"),
    "dropout": each(lambda p: models.FashionNet(dropout=p), None, -0.1, 1.5, "a"),
    "count": each(plotting.axes_grid, 0, -1, None, 1.5),
    "columns": each(lambda columns: plotting.image_grid([PHOTO], columns=columns), -1, 1.5, "a"),
    "images": [lambda: plotting.image_grid([PHOTO[:, :0]])],
    "places": each(lambda p: lesson_06.on_grid(p, 1, 2), torch.rand(2, 3), torch.rand(2, 2) * math.nan, None),
    "rows": each(lambda n: lesson_06.on_grid(torch.rand(4, 2), n, 2), 0, -2, 3, 1.5),
    "item must": each(lesson_06.map_explorer, -1, 3_000, 1.5, "a"),
    "photo": each(lambda x: lesson_01.brightness_along(x, 1), PHOTO, None),
    "layer": each(atlas.sheet, "features.0", None),
    "heat": [lambda: lesson_07.overlay(PHOTO, None)],
    "frames": each(lambda frames: lesson_08.show_animation(frames, "x"), [], [PHOTO, PHOTO[:, 1:]]),
    "row": each(lambda row: lesson_01.brightness_along(PHOTO[0], row), 12, 1.5, "a"),
    "image must": each(lesson_01.wave_strengths, None, PHOTO, PHOTO[0].long()),
    "stride": [lambda: lesson_01.window_places([(7, 3, 0, 0)])],
    "values": [
        *each(lambda v: plotting.curves(v, "x", "y"), [1, 2], None),
        *each(lambda v: plotting.bars(v, "x"), [1, 2]),
    ],
    "histories": each(plotting.learning_curves, [], None),
}


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in CALLS.items() for call in calls])
def test_what_is_no_use_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call()
    assert MODEL.training
    assert all(p.requires_grad for p in MODEL.parameters())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in MODEL.modules())


def test_what_is_of_use_goes_through():
    arguments.check_choice(["a", "b"], name="b")
    arguments.check_tensor((1, 2), maps=torch.rand(3), other=torch.rand(2, 2).half())
    arguments.check_number(0, 5, a=0, b=5, c=2.5)
    patches = [
        features.strongest_patches(MODEL, PHOTO, "0", channels, 1, progress=False)
        for channels in ([0, 3], (0, 3), torch.tensor([0, 3]), range(0, 4, 3))
    ]
    assert all(found == patches[0] for found in patches)


def test_a_whole_number_of_numpy_is_one():
    arguments.check_whole(1, batch_size=np.int64(4))
    with pytest.raises(ValueError, match=r"batch_size must be a whole number of at least 1, not np\.float64"):
        arguments.check_whole(1, batch_size=np.float64(4))
