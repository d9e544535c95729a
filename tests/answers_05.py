"""Right and wrong answers to the exercises of lesson 5, and the hint that each wrong one should get."""

from torch.nn.functional import conv2d

from helpers import checks


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
    (checks.recorded_output, record),
    (checks.second_layer_map, summed),
    (checks.second_layer_map, lambda maps, weight, bias, channel: conv2d(maps[None], weight, bias)[0, channel]),
    (checks.dead_channels, dead),
]
WRONG = [
    (checks.recorded_output, lambda *a: record(*a, copy=False), "keep a clone"),
    (checks.recorded_output, lambda *a: record(*a, remove=False), "handle.remove()"),
    (checks.recorded_output, final_output, "the hook gets as its third argument"),
    (checks.recorded_output, applied, "the hook gets as its third argument"),
    (checks.recorded_output, lambda *a: [record(*a)], "give its first element"),
    (checks.second_layer_map, lambda *a: summed(*a).relu(), "no padding, no ReLU"),
    (checks.dead_channels, lambda maps: maps.amax(dim=(0, 2, 3)) <= 0, "gave the shape (1,); expected a single number"),
    (checks.second_layer_map, without_bias, "Add the bias"),
    (checks.second_layer_map, first_map_only, "Sum over all input maps"),
    (checks.second_layer_map, bias_each_time, "added once"),
    (checks.dead_channels, lambda maps: int((maps.amax(dim=(2, 3)) <= 0).any(dim=0).sum()), "at one place, is alive"),
    (checks.dead_channels, lambda maps: int((maps == 0).all(dim=(0, 2, 3)).sum()), "below zero do not count"),
    (checks.dead_channels, lambda maps: int((maps.mean(dim=(0, 2, 3)) <= 0.2).sum()), "at one place, is alive"),
]
