"""Right and wrong answers to the exercises of lesson 9, and the hint that each wrong one should get."""

import torch

from helpers import style
from helpers.images import to_gray
from helpers.lessons import lesson_09


def style_loss(grams, targets, weights, *, total=None):
    losses = [w * (grams[k] - targets[k]).square().mean() / targets[k].square().mean() for k, w in weights.items()]
    return sum(losses) / (total or sum(weights.values()))


def all_in_one(grams, targets, weights):
    above = sum(w * (grams[k] - targets[k]).square().mean() for k, w in weights.items())
    return above / sum(w * targets[k].square().mean() for k, w in weights.items())


def every_layer(grams, targets, weights):
    return style_loss(grams, targets, dict.fromkeys(grams, 1) | weights)


def colours(painted, photo):
    return (to_gray(painted) + photo - to_gray(photo)).clamp(0, 1)


def step(loss_of, picture, rate):
    x = picture.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(x), x)
    return (x - rate * gradient).detach().clamp(0, 1)


def careless_step(loss_of, picture, rate, *, copy=True):
    x = (picture.clone() if copy else picture).requires_grad_()
    loss_of(x).backward()
    with torch.no_grad():
        x -= rate * x.grad
    return x.detach().clamp(0, 1)


def with_graph(loss_of, picture, rate):
    x = picture.clone().requires_grad_()
    return (x - rate * torch.autograd.grad(loss_of(x), x)[0]).clamp(0, 1)


RIGHT = [
    (lesson_09.check_gram_matrices, style.gram_matrix),
    (lesson_09.check_weighted_style_loss, style_loss),
    (lesson_09.check_keep_colors, colours),
    (lesson_09.check_image_step, step),
]

WRONG = [
    (lesson_09.check_gram_matrices, lambda m: torch.einsum("nihw,njhw->nij", m, m), "the mean of its squares"),
    (lesson_09.check_gram_matrices, lambda m: style.gram_matrix(m) * m.shape[1], "divide by C · H · W"),
    (lesson_09.check_gram_matrices, lambda m: style.gram_matrix(m)[:1], "matrix of its own"),
    (lesson_09.check_weighted_style_loss, lambda g, t, w: sum((g[k] - t[k]).square().mean() for k in w), "is 1"),
    (lesson_09.check_weighted_style_loss, lambda g, t, w: style_loss(g, t, w, total=1), "sum of the weights"),
    (lesson_09.check_weighted_style_loss, all_in_one, "Relative first"),
    (lesson_09.check_weighted_style_loss, lambda g, t, w: style_loss(g, t, dict.fromkeys(g, 1)), "Relative first"),
    (lesson_09.check_weighted_style_loss, every_layer, "A layer not in weights does not count"),
    (lesson_09.check_keep_colors, lambda painted, photo: colours(photo, painted), "luma is that of the first"),
    (lesson_09.check_keep_colors, lambda painted, photo: to_gray(painted) + photo - to_gray(photo), "within [0, 1]"),
    (
        lesson_09.check_keep_colors,
        lambda painted, photo: (painted + photo - to_gray(photo)).clamp(0, 1),
        "becomes grey",
    ),
    (lesson_09.check_image_step, careless_step, "left a gradient at the network's weights"),
    (lesson_09.check_image_step, lambda *a: careless_step(*a, copy=False), "changed the picture it was given"),
    (lesson_09.check_image_step, with_graph, "still has a graph"),
    (lesson_09.check_gram_matrices, lambda m: style.gram_matrix(m) / len(m), "divide by C · H · W only"),
    (lesson_09.check_image_step, lambda f, x, rate: torch.autograd.grad(x.sum(), x), "needs requires_grad_()"),
    (lesson_09.check_image_step, lambda f, x, rate: step(f, x, -rate), "Downhill"),
    (lesson_09.check_image_step, lambda f, x, rate: step(f, x, 1), "Downhill"),
]
