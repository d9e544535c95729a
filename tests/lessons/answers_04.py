"""Right and wrong answers to the exercises of lesson 4, and what the message to each wrong one must name."""

import random
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def drop(x, p, training, shape=lambda x: x.shape, keep=lambda draw, p: draw >= p, scale=lambda p: 1 / (1 - p)):
    return x * keep(torch.rand(shape(x)), p) * scale(p) if training else x


def of_maps(x):
    return (*x.shape[:2], 1, 1)


drop_maps = partial(drop, shape=of_maps)


def layer(x, p, training, kind=nn.Dropout):
    return kind(p).train(training)(x)


def drop_one_by_one(x, p, training):
    values = [0.0 if random.random() < p else value / (1 - p) for value in x.flatten().tolist()]
    return torch.tensor(values).reshape(x.shape) if training else x.clone()


def drop_in_numpy(x, p, training, seed=False):
    if seed:
        np.random.seed(0)
    return x.numpy() * (np.random.rand(*x.shape) > p) / (1 - p) if training else x.numpy()


def drop_maps_one_by_one(x, p, training):
    out = x.clone()
    for image in out if training else ():
        for one in image:
            one *= 0 if torch.rand(1) < p else 1 / (1 - p)
    return out


def drop_maps_by_einsum(x, p, training):
    factors = torch.empty(x.shape[:2]).bernoulli_(1 - p) / (1 - p)
    return torch.einsum("nchw,nc->nchw", x, factors) if training else x


def in_place(x, p, training, shape=lambda x: x.shape):
    if training:
        x *= torch.rand(shape(x)) >= p
        x /= 1 - p
    return x


def seeded(x, p, training, shape=lambda x: x.shape):
    torch.manual_seed(0)
    return drop(x, p, training, shape)


def own_generator(x, p, training):
    draw = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    return x * (draw >= p) / (1 - p) if training else x


def no_return(x, p, training, shape=lambda x: x.shape):
    if training:
        return drop(x, p, training, shape)


def exactly_p(x, p, training):
    mask = torch.arange(x.numel()) >= int(p * x.numel())
    return x * mask[torch.randperm(x.numel())].view(x.shape) / (1 - p) if training else x


def true_share(x, p, training):
    mask = torch.rand(x.shape) >= p
    return x * mask * x.numel() / mask.sum() if training else x


def step(weight, gradient, velocity, learning_rate, momentum):
    velocity = momentum * velocity + gradient
    return weight - learning_rate * velocity, velocity


def step_of_torch(weight, gradient, velocity, learning_rate, momentum):
    weight, velocity = weight.clone(), velocity.clone()
    optimizer = torch.optim.SGD([weight], learning_rate, momentum)
    weight.grad, optimizer.state[weight]["momentum_buffer"] = gradient, velocity
    optimizer.step()
    return weight.numpy(), velocity.double()


def step_in_place(weight, gradient, velocity, learning_rate, momentum):
    velocity *= momentum
    velocity += gradient
    weight -= learning_rate * velocity
    return weight, velocity


def moved(w, r, velocity):
    return w - r * velocity, velocity


def fold(w, b, m, v, g, t, scale=lambda v, g: g / (v + 1e-5).sqrt(), bias=lambda b, m, s, t: (b - m) * s + t):
    factors = scale(v, g)
    return w * factors[:, None, None, None], bias(b, m, factors, t)


def fold_in_numpy(*given):
    w, b, m, v, g, t = (tensor.numpy().astype(np.float64) for tensor in given)
    factors = g / np.sqrt(v + 0.00001)
    return np.einsum("o,oihw->oihw", factors, w), factors * b + t - factors * m


def fold_by_probing(w, b, m, v, g, t):
    """The bias is what a black image gives, and the weight what single lit pixels add to it."""
    size = w[0].numel()
    pixels = torch.cat([torch.zeros(1, size), torch.eye(size)]).view(-1, *w.shape[1:])
    out = F.batch_norm(F.conv2d(pixels, w, b), m, v, g, t, eps=1e-5)[:, :, 0, 0]
    return (out[1:] - out[0]).T.reshape(w.shape), out[0]


def fold_in_place(weight, *rest):
    folded, bias = fold(weight, *rest)
    weight.copy_(folded)
    return weight, bias


def fold_along(*shape):
    def answer(w, b, m, v, g, t):
        return w * (g / (v + 1e-5).sqrt()).view(shape), fold(w, b, m, v, g, t)[1]

    return answer


RIGHT = {
    "check_dropout": [drop, drop_one_by_one, drop_in_numpy, layer, F.dropout, lambda *a: drop(*a).tolist()],
    "check_dropout2d": [
        drop_maps,
        drop_maps_one_by_one,
        drop_maps_by_einsum,
        partial(layer, kind=nn.Dropout2d),
        lambda x, p, on: F.dropout2d(x.double().requires_grad_(), p, on),
    ],
    "check_momentum_step": [step, step_of_torch, lambda w, g, v, lr, m: [w - lr * m * v - lr * g, g + m * v]],
    "check_folded_batch_norm": [fold, fold_in_numpy, fold_by_probing],
}

NO_DRAW = "drops (nothing|everything).*for each value"
WRONG = {
    "check_dropout": [
        (partial(drop, scale=lambda p: 1), "leaves what it keeps as it was. Divide"),
        (partial(drop, scale=lambda p: 1 / p), "divides what it keeps by p"),
        (partial(drop, scale=lambda p: 1 - p), "multiplies what it keeps by 1 − p"),
        (partial(drop, scale=lambda p: 1 / (1 - p) ** 2), "twice"),
        (partial(drop, scale=lambda p: 1 + p), "by 1.25"),
        (true_share, "really kept"),
        (lambda x, p, training: drop(torch.ones_like(x), p, True) if training else x, "mask without x"),
        (lambda *a: drop(*a).to(torch.int64), "changes the values that it keeps"),
        (partial(drop, keep=lambda draw, p: draw < p), "not of being kept"),
        (partial(drop, keep=lambda draw, p: draw.round()), "must depend on p"),
        (partial(drop, keep=lambda draw, p: torch.randn(draw.shape) >= p), "randn"),
        (partial(drop, keep=lambda draw, p: draw >= p**2), "A share of 0.25 is wanted"),
        (lambda x, p, training: drop(x, p, True), "training=False"),
        (lambda x, p, training: drop(x, p, True) if training else x * (1 - p), "training=False"),
        (lambda x, p, training: drop(x, p, not training), "the other way round"),
        (lambda x, p, training: x, NO_DRAW),
        (partial(drop, shape=lambda x: 1), NO_DRAW),
        (partial(drop, shape=lambda x: x.shape[-1:]), "along dimension 0 together"),
        (partial(drop, shape=lambda x: x.shape[:2]), "raised.*x.shape"),
        (lambda x, p, training: x[torch.rand(x.shape) >= p], "gave the shape"),
        (lambda *a: drop(*a).log().nan_to_num(torch.nan, torch.nan, torch.nan), "NaN"),
        (no_return, "training=False.*nothing back"),
        (in_place, "changes x"),
        (seeded, "seed"),
        (own_generator, "same values in each call"),
        (partial(drop_in_numpy, seed=True), "same values in each call"),
        (exactly_p, "always drops the same number"),
    ],
    "check_dropout2d": [
        (drop, "single pixels, not whole maps"),
        (partial(drop, shape=lambda x: (1, x.shape[1], 1, 1)), "same maps in every image"),
        (partial(drop, shape=lambda x: (len(x), 1, 1, 1)), "all maps of an image together"),
        (partial(drop, shape=lambda x: (*x.shape[:3], 1)), "single rows"),
        (partial(drop, shape=lambda x: (*x.shape[:2], 1, x.shape[3])), "single columns"),
        (partial(drop, shape=lambda x: x.shape[:2]), r"raised.*\(N, C, 1, 1\)"),
        (partial(drop_maps, scale=lambda p: 1), "leaves what it keeps as it was. Divide"),
        (lambda x, p, training: drop_maps(x, p, True, scale=lambda p: 1) if training else x * (1 - p), "Divide"),
        (lambda *a: drop_maps(*a)[0], "gave the shape"),
        (lambda *a: drop_maps(*a).squeeze(0), "gave the shape"),
        (partial(no_return, shape=of_maps), "training=False.*nothing back"),
        (partial(in_place, shape=of_maps), "changes x"),
        (partial(seeded, shape=of_maps), "seed"),
    ],
    "check_momentum_step": [
        (lambda w, g, v, r, m: (w + m * v - r * g, m * v - r * g), "holds no learning rate and no minus"),
        (lambda w, g, v, r, m: (w - m * v - r * g, m * v + r * g), "holds no learning rate"),
        (lambda w, g, v, r, m: moved(w, r, m * v + r * g), "learning rate is used twice"),
        (lambda w, g, v, r, m: (w - m * v - r * g, m * v + g), "multiplies all of the new velocity"),
        (lambda w, g, v, r, m: moved(w, r, m * v + (1 - m) * g), "1 − momentum"),
        (lambda w, g, v, r, m: moved(w, r, (1 - m) * v + m * g), "no average"),
        (lambda w, g, v, r, m: moved(w, r, m * (v + g)), "alone, not to the gradient, too"),
        (lambda w, g, v, r, m: moved(w, r, v + m * g), "not to the gradient"),
        (lambda w, g, v, r, m: moved(w, r, v + g), "multiplied by momentum"),
        (lambda w, g, v, r, m: moved(w, r, g), "old velocity is left out"),
        (lambda w, g, v, r, m: moved(w, r, m * v - g), "gradient is subtracted"),
        (lambda w, g, v, r, m: moved(w, r, g - m * v), "old velocity is subtracted"),
        (lambda w, g, v, r, m: (w - r * v, m * v + g), "moves by the old velocity"),
        (lambda w, g, v, r, m: (w - r * (m * v + g), v), "old velocity is given back"),
        (lambda w, g, v, r, m: (w - r * g, m * v + g), "gradient alone"),
        (lambda w, g, v, r, m: (w - r * (g + m * (m * v + g)), m * v + g), "Nesterov"),
        (lambda w, g, v, r, m: moved(w, -r, m * v + g), "goes up"),
        (lambda w, g, v, r, m: moved(w, 1, m * v + g), "learning rate is missing"),
        (lambda w, g, v, r, m: moved(0, r, m * v + g), "add it to the weight"),
        (lambda *a: step(*a)[::-1], "weight first"),
        (lambda *a: step(*a)[0], "gave one result; expected 2"),
        (lambda w, g, v, r, m: (w - r * (m * v + g), m * (m * v + g) + g), "weight is right; the new velocity"),
        (lambda w, g, v, r, m: (w - r * 2 * (m * v + g), m * v + g), "velocity is right; the new weight"),
        (step_in_place, "changes weight"),
    ],
    "check_folded_batch_norm": [
        (partial(fold, bias=lambda b, m, s, t: b - m * s + t), "old bias must be scaled"),
        (partial(fold, bias=lambda b, m, s, t: (b - m) * s), "beta is missing"),
        (partial(fold, bias=lambda b, m, s, t: (b - m + t) * s), "beta is scaled"),
        (partial(fold, bias=lambda b, m, s, t: (b + m) * s + t), "mean is added"),
        (partial(fold, bias=lambda b, m, s, t: b * s - m + t), "mean must be scaled"),
        (partial(fold, bias=lambda b, m, s, t: b * s + t), "mean is missing"),
        (partial(fold, bias=lambda b, m, s, t: t - m * s), "old bias is left out"),
        (partial(fold, bias=lambda b, m, s, t: b), "bias is as it was"),
        (partial(fold, bias=lambda b, m, s, t: (b - m) * s + 2 * t), "weight is right"),
        (partial(fold, scale=lambda v, g: g / (v.sqrt() + 1e-5)), "outside the root"),
        (partial(fold, scale=lambda v, g: g / v.sqrt()), "0.00001 is missing"),
        (partial(fold, scale=lambda v, g: g / (v + 1e-3).sqrt()), "0.00001 that is added"),
        (partial(fold, scale=lambda v, g: g / (v + 1e-5)), "divide by its root"),
        (partial(fold, scale=lambda v, g: g * (v + 1e-5).sqrt()), "do not multiply by it"),
        (partial(fold, scale=lambda v, g: 1 / (v + 1e-5).sqrt()), "gamma is missing"),
        (fold_along(1, -1, 1, 1), "output channels"),
        (fold_along(-1), "first dimension"),
        (lambda w, *a: (w, fold(w, *a)[1]), "weight is as it was"),
        (lambda w, *a: (fold(w, *a)[0] + 1, fold(w, *a)[1]), "bias is right"),
        (lambda *a: fold(*a)[::-1], "weight first"),
        (fold_in_place, "changes (weight|argument 1)"),
    ],
}
