"""Right and wrong answers to the exercises of lesson 4, and the hint that each wrong one should get."""

import torch

from helpers import checks


def dropout(x, p, training, scale=True, keep=False, shape=None):
    if not training:
        return x
    draw = torch.rand(shape or x.shape)
    mask = draw < p if keep else draw >= p
    return x * mask / (1 - p) if scale else x * mask


def maps(x, p, training, **options):
    return dropout(x, p, training, shape=(*x.shape[:2], 1, 1), **options)


def momentum(weight, gradient, velocity, rate, mu):
    velocity = mu * velocity + gradient
    return weight - rate * velocity, velocity


def fold(weight, bias, mean, var, gamma, beta):
    scale = gamma / (var + 1e-5).sqrt()
    return weight * scale.view(-1, 1, 1, 1), (bias - mean) * scale + beta


def maps_of_rows(x, p, training):
    return dropout(x, p, training, shape=(len(x), 1))


RIGHT = [
    (checks.inverted_dropout, dropout),
    (checks.inverted_dropout, lambda x, p, training: torch.nn.functional.dropout(x, p, training)),
    (checks.dropped_maps, maps),
    (checks.dropped_maps, lambda x, p, training: torch.nn.functional.dropout2d(x, p, training)),
    (checks.momentum_step, momentum),
    (checks.folded_batch_norm, fold),
]

WRONG = [
    (checks.inverted_dropout, lambda x, p, training: dropout(x, p, True), "Outside training"),
    (checks.inverted_dropout, lambda x, p, training: dropout(x, p, training, scale=False), "divide what it keeps"),
    (checks.inverted_dropout, lambda x, p, training: maps_of_rows(x, p, training), "every column"),
    (checks.inverted_dropout, lambda x, p, training: x, "divide what it keeps"),
    (
        checks.inverted_dropout,
        lambda x, p, training: x * (torch.rand(x.shape) < p) / (1 - p) if training else x,
        "not to be kept",
    ),
    (checks.dropped_maps, dropout, "parts of maps"),
    (
        checks.dropped_maps,
        lambda x, p, training: dropout(x, p, training, shape=(1, x.shape[1], 1, 1)),
        "in every row",
    ),
    (checks.dropped_maps, lambda x, p, training: maps(x, p, training)[0] if training else x, "input's shape"),
    (
        checks.momentum_step,
        lambda w, g, v, r, m: (w - r * (m * v + (1 - m) * g), m * v + (1 - m) * g),
        "momentum ·",
    ),
    (checks.momentum_step, lambda w, g, v, r, m: (w - r * (m * v + g), v), "new velocity"),
    (checks.momentum_step, lambda w, g, v, r, m: (w - r * v, m * v + g), "new velocity"),
    (checks.folded_batch_norm, lambda w, b, *rest: (fold(w, b, *rest)[0], b), "old bias"),
    (
        checks.folded_batch_norm,
        lambda w, b, m, v, g, t: (w * g / v.sqrt(), (b - m) * g / v.sqrt() + t),
        "Each filter",
    ),
]
