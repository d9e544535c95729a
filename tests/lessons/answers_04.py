"""Right and wrong answers to the exercises of lesson 4, and the hint that each wrong one should get."""

import torch

from helpers.lessons import lesson_04


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
    (lesson_04.check_dropout, dropout),
    (lesson_04.check_dropout, lambda x, p, training: torch.nn.functional.dropout(x, p, training)),
    (lesson_04.check_dropout2d, maps),
    (lesson_04.check_dropout2d, lambda x, p, training: torch.nn.functional.dropout2d(x, p, training)),
    (lesson_04.check_momentum_step, momentum),
    (lesson_04.check_folded_batch_norm, fold),
]

WRONG = [
    (lesson_04.check_dropout, lambda x, p, training: dropout(x, p, True), "Outside training"),
    (
        lesson_04.check_dropout,
        lambda x, p, training: dropout(x, p, training, scale=False),
        "divide what it keeps",
    ),
    (lesson_04.check_dropout, lambda x, p, training: maps_of_rows(x, p, training), "every column"),
    (lesson_04.check_dropout, lambda x, p, training: x, "divide what it keeps"),
    (
        lesson_04.check_dropout,
        lambda x, p, training: x * (torch.rand(x.shape) < p) / (1 - p) if training else x,
        "not to be kept",
    ),
    (lesson_04.check_dropout2d, dropout, "parts of maps"),
    (
        lesson_04.check_dropout2d,
        lambda x, p, training: dropout(x, p, training, shape=(1, x.shape[1], 1, 1)),
        "in every row",
    ),
    (lesson_04.check_dropout2d, lambda x, p, training: maps(x, p, training)[0] if training else x, "input's shape"),
    (
        lesson_04.check_momentum_step,
        lambda w, g, v, r, m: (w - r * (m * v + (1 - m) * g), m * v + (1 - m) * g),
        "momentum ·",
    ),
    (lesson_04.check_momentum_step, lambda w, g, v, r, m: (w - r * (m * v + g), v), "new velocity"),
    (lesson_04.check_momentum_step, lambda w, g, v, r, m: (w - r * v, m * v + g), "new velocity"),
    (lesson_04.check_folded_batch_norm, lambda w, b, *rest: (fold(w, b, *rest)[0], b), "old bias"),
    (
        lesson_04.check_folded_batch_norm,
        lambda w, b, m, v, g, t: (w * g / v.sqrt(), (b - m) * g / v.sqrt() + t),
        "Each filter",
    ),
]
