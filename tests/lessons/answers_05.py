"""Right and wrong answers to the exercises of lesson 5, and what the message to each wrong one must name."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def record(model, layer, batch, keep=lambda _, output: output.detach().clone(), remove=True):
    kept = []
    handle = layer.register_forward_hook(lambda _, inputs, output: kept.append(keep(inputs, output)))
    model(batch)
    if remove:
        handle.remove()
    return kept[0]


def record_by_forward(model, layer, batch):
    kept, forward = [], layer.forward
    layer.forward = lambda x: kept.append(forward(x)) or kept[-1].clone()
    try:
        model(batch)
    finally:
        del layer.forward
    return kept[0]


def record_and_stop(model, layer, batch):
    def stop(_, inputs, output):
        raise StopIteration(output)

    with layer.register_forward_hook(stop):
        try:
            model(batch)
        except StopIteration as stopped:
            return stopped.value.tolist()


def clear_all(model, layer, batch):
    kept = record(model, layer, batch, remove=False)
    layer._forward_hooks.clear()
    return kept


def in_eval_mode(model, layer, batch):
    return record(model.eval(), layer, batch)


def back_to_train_mode(model, layer, batch):
    kept = record(model.eval(), layer, batch)
    model.train()
    return kept


def replace_output(model, layer, batch):
    kept = {}
    with layer.register_forward_hook(lambda _, inputs, output: kept.setdefault("output", output.clone())):
        model(batch)
    return kept["output"]


def one_after_the_other(model, layer, batch):
    for child in model.children():
        batch = child(batch)
        if child is layer:
            return batch.clone()


def first_of_its_kind(model, layer, batch):
    return record(model, next(module for module in model.modules() if type(module) is type(layer)), batch)


def without_gradients(model, layer, batch):
    torch.set_grad_enabled(False)
    return record(model, layer, batch)


def one_map(maps, weight, bias, channel, **options):
    return F.conv2d(maps[None], weight, bias, **options)[0, channel]


def parts(maps, weight, channel):
    return [F.conv2d(m[None, None], k[None, None])[0, 0] for m, k in zip(maps, weight[channel], strict=True)]


def map_by_unfolding(maps, weight, bias, channel):
    height, width = weight.shape[2:]
    windows = maps.double().unfold(1, height, 1).unfold(2, width, 1)
    return torch.einsum("chwab,cab->hw", windows, weight[channel].double()) + bias[channel]


def map_in_numpy(maps, weight, bias, channel):
    maps, weight = maps.numpy(), weight[channel].numpy()
    rows, columns = (size - kernel + 1 for size, kernel in zip(maps.shape[1:], weight.shape[1:], strict=True))
    out = np.full((rows, columns), bias[channel].item())
    for c, i, j in np.ndindex(*weight.shape):
        out += weight[c, i, j] * maps[c, i : i + rows, j : j + columns]
    return out


def exchanged(maps, weight, bias, channel):
    out, channels = weight.shape[:2]
    kernels = [weight[i % out, channel % channels] for i in range(len(maps))]
    return one_map(maps, torch.stack(kernels)[None], bias[channel, None], 0)


def dead(maps):
    return (maps.amax((0, 2, 3)) <= 0).sum()


RIGHT = {
    "check_recorded_output": [
        record,
        record_by_forward,
        record_and_stop,
        lambda net, part, x: record(net, part, x, keep=lambda _, output: output.detach().double().numpy()),
    ],
    "check_second_layer_map": [
        one_map,
        lambda maps, weight, bias, channel: (sum(parts(maps, weight, channel)) + bias[channel]).requires_grad_(),
        map_by_unfolding,
        map_in_numpy,
    ],
    "check_dead_channels": [
        dead,
        lambda m: sum(1.0 for c in range(m.shape[1]) if not any(v > 0 for v in m[:, c].flatten().tolist())),
        lambda m: m.shape[1] - len(torch.unique((m > 0).nonzero()[:, 1])),
        lambda m: (m.numpy().max(axis=(0, 2, 3)) <= 0).sum(),
    ],
}
WRONG = {
    "check_recorded_output": [
        (lambda *a: record(*a, keep=lambda _, output: output), "output.clone"),
        (lambda *a: record(*a, keep=lambda _, output: output).clone(), "output.clone"),
        (replace_output, "return nothing"),
        (lambda *a: record(*a, keep=lambda inputs, _: inputs[0].clone()), "what goes into the layer"),
        (lambda *a: record(*a, keep=lambda _, output: output.relu()), "output of the next layer"),
        (lambda model, layer, batch: model(batch), "whole model"),
        (lambda model, layer, batch: layer(batch), "layers before it"),
        (one_after_the_other, "one after the other"),
        (lambda model, layer, batch: record(model, model[1], batch), "raised.*no chain"),
        (first_of_its_kind, "layer itself"),
        (lambda *a: [record(*a)], "list"),
        (lambda *a: record(*a)[0], "first image only"),
        (lambda *a: record(*a, remove=False), "hooks: remove yours"),
        (clear_all, "hooks: remove yours.*no other"),
        (in_eval_mode, "mode"),
        (back_to_train_mode, "mode"),
        (without_gradients, "leaves gradients switched"),
        (lambda model, layer, batch: nn.Sequential(*list(model)[:2])(batch), "raised.*no chain"),
    ],
    "check_second_layer_map": [
        (lambda m, w, b, c: one_map(m, w, 0 * b, c), "bias is missing"),
        (lambda m, w, b, c: one_map(m, w, len(m) * b, c), "once for each input map"),
        (lambda m, w, b, c: sum(parts(m, w, c)) + b[0], "bias of channel 0"),
        (lambda m, w, b, c: sum(parts(m, w, c)) + b.sum(), "All biases"),
        (lambda m, w, b, c: sum(parts(m, w, c)) + 2 * b[c], r"Add bias\[channel\], once"),
        (lambda m, w, b, c: one_map(m, w[:, :1].expand_as(w), b, c), "first slice"),
        (exchanged, "indices of weight are exchanged"),
        (lambda m, w, b, c: one_map(m, w, b, 0), "channel is not used"),
        (lambda m, w, b, c: sum(parts(m, w, c)) / len(m) + b[c], "mean over the input maps"),
        (lambda m, w, b, c: one_map(m, w, b, c) / len(m), "divided by C"),
        (lambda m, w, b, c: sum(parts(m, w, c)[1:]) + b[c], "Map 0 is left out"),
        (lambda m, w, b, c: sum(parts(m, w, c)[:-1]) + b[c], "last map is left out"),
        (lambda m, w, b, c: parts(m, w, c)[0] + b[c], "map 0 alone"),
        (lambda m, w, b, c: parts(m, w, c)[-1] + b[c], "only the last map"),
        (lambda m, w, b, c: torch.stack(parts(m, w, c)).amax(0) + b[c], "sum over the input maps"),
        (lambda m, w, b, c: one_map(m.sum(0)[None], w.sum(1, keepdim=True), b, c), "summed before"),
        (lambda *a: one_map(*a).relu(), "ReLU"),
        (lambda m, w, b, c: one_map(m, w.flip(2, 3), b, c), "turned round"),
        (lambda *a: one_map(*a, padding=1), "padding"),
        (lambda m, w, b, c: F.conv2d(m[None], w, b)[0], "all channels"),
        (lambda m, w, b, c: F.conv2d(m[None], w, b)[0].sum(0), "All channels are summed"),
        (lambda *a: one_map(*a)[None], "axis of length 1"),
    ],
    "check_dead_channels": [
        (lambda m: int((m.amax((2, 3)) <= 0).sum()), "each image by itself"),
        (lambda m: int((m.amax((2, 3)) <= 0).any(0).sum()), "some image is not enough"),
        (lambda m: dead(m[:1]), "only the first image"),
        (lambda m: dead(m[-1:]), "only the last image"),
        (lambda m: int((m.sum((0, 2, 3)) <= 0).sum()), "cancel others in the sum"),
        (lambda m: dead(m.mean(0)[None]), "images cancel"),
        (lambda m: (m.mean((2, 3)) <= 0).all(0).sum(), "cancel others in the sum|places cancel"),
        (lambda m: int((m == 0).all(3).all(2).all(0).sum()), "<= 0, not == 0"),
        (lambda m: int((m.amax((0, 2, 3)) < 0).sum()), "<= 0, not < 0"),
        (lambda m: int((m.amax((0, 2, 3)) < 1e-3).sum()), "0.0001"),
        (lambda m: int((m.amax((0, 2, 3)) > 0).sum()), "the living"),
        (lambda m: (m.amax((0, 2, 3)) <= 0).double().mean().item(), "share"),
        (lambda m: m.amax((0, 2, 3)) <= 0, "count them"),
        (lambda m: (m.amax((0, 2, 3)) <= 0).nonzero().flatten(), "how many they are"),
        (lambda m: (m.amin((0, 2, 3)) <= 0).sum(), "not the minimum"),
        (lambda m: (m <= 0).sum(), "counts values"),
        (lambda m: (m.amax((1, 2, 3)) <= 0).sum(), "counts images"),
        (lambda m: (m.amax((0, 1)) <= 0).sum(), "counts places"),
    ],
}
