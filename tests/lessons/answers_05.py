"""Right and wrong answers to the exercises of lesson 5, and the hint that each wrong one should get."""

from torch.nn.functional import conv2d

from helpers.lessons import lesson_05


def record(model, layer, pictures, copy=True, remove=True):
    kept = []
    handle = layer.register_forward_hook(
        lambda _layer, _inputs, output: kept.append(output.clone() if copy else output)
    )
    model(pictures)
    if remove:
        handle.remove()
    return kept[0]


def final_output(model, layer, pictures):
    return model(pictures)


def applied(model, layer, pictures):
    return layer(pictures)


def summed(maps, weight, bias, channel):
    return (
        sum(conv2d(m[None, None], k[None, None])[0, 0] for m, k in zip(maps, weight[channel], strict=True))
        + bias[channel]
    )


def without_bias(maps, weight, bias, channel):
    return summed(maps, weight, 0 * bias, channel)


def first_map_only(maps, weight, bias, channel):
    return summed(maps[:1], weight[:, :1], bias, channel)


def bias_each_time(maps, weight, bias, channel):
    return summed(maps, weight, bias * len(maps), channel)


def dead(maps):
    return int((maps.amax(dim=(0, 2, 3)) <= 0).sum())


RIGHT = [
    (lesson_05.check_recorded_output, record),
    (lesson_05.check_second_layer_map, summed),
    (
        lesson_05.check_second_layer_map,
        lambda maps, weight, bias, channel: conv2d(maps[None], weight, bias)[0, channel],
    ),
    (lesson_05.check_dead_channels, dead),
]
WRONG = [
    (lesson_05.check_recorded_output, lambda *a: record(*a, copy=False), "keep a clone"),
    (lesson_05.check_recorded_output, lambda *a: record(*a, remove=False), "handle.remove()"),
    (lesson_05.check_recorded_output, final_output, "the hook gets as its third argument"),
    (lesson_05.check_recorded_output, applied, "the hook gets as its third argument"),
    (lesson_05.check_recorded_output, lambda *a: [record(*a)], "give its first element"),
    (lesson_05.check_second_layer_map, lambda *a: summed(*a).relu(), "no padding, no ReLU"),
    (
        lesson_05.check_dead_channels,
        lambda maps: maps.amax(dim=(0, 2, 3)) <= 0,
        "gave the shape (1,); expected a single number",
    ),
    (lesson_05.check_second_layer_map, without_bias, "Add the bias"),
    (lesson_05.check_second_layer_map, first_map_only, "Sum over all input maps"),
    (lesson_05.check_second_layer_map, bias_each_time, "added once"),
    (
        lesson_05.check_dead_channels,
        lambda maps: int((maps.amax(dim=(2, 3)) <= 0).any(dim=0).sum()),
        "at one place, is alive",
    ),
    (lesson_05.check_dead_channels, lambda maps: int((maps == 0).all(dim=(0, 2, 3)).sum()), "below zero do not count"),
    (
        lesson_05.check_dead_channels,
        lambda maps: int((maps.mean(dim=(0, 2, 3)) <= 0.2).sum()),
        "at one place, is alive",
    ),
]
