"""Answers to the exercises of lesson 7: right ones in several styles, and wrong ones with what is said of them."""

import math
from functools import partial

import numpy as np
import torch


def drops(score, image, size, stride, value, *, end=1, steps=None, drop=lambda a, b: a - b, paint=None, fresh=True):
    down, across = steps or (stride, stride)
    before, covered, result = float(score(image)), image.clone(), []
    for top in range(0, image.shape[1] - size + end, down):
        result.append([])
        for left in range(0, image.shape[2] - size + end, across):
            covered = image.clone() if fresh else covered
            if paint:
                paint(covered, top, left, size, value)
            else:
                covered[:, top : top + size, left : left + size] = value
            result[-1].append(drop(before, float(score(covered))))
    return torch.tensor(result)


def drops_by_masks(f, photo, side, step, grey):
    _, h, w = photo.shape
    m, n = (h - side) // step + 1, (w - side) // step + 1
    y, x = torch.arange(h)[:, None], torch.arange(w)[None]
    result = np.zeros((m, n))
    for i, j in np.ndindex(m, n):
        inside = (y >= i * step) & (y < i * step + side) & (x >= j * step) & (x < j * step + side)
        result[i, j] = f(photo) - f(torch.where(inside, grey, photo))
    return result


def drops_in_place(score, image, size, stride, value):
    before, untouched, result = float(score(image)), image.clone(), []
    for top in range(0, image.shape[1] - size + 1, stride):
        for left in range(0, image.shape[2] - size + 1, stride):
            image.copy_(untouched)[:, top : top + size, left : left + size] = value
            result.append(before - float(score(image)))
    return torch.tensor(result)


def drops_rounded_up(score, image, size, stride, value):
    padded = image.clone()
    rows, columns = (math.ceil((n - size) / stride) + 1 for n in image.shape[1:])
    result = torch.zeros(rows, columns)
    for i, j in np.ndindex(rows, columns):
        covered = padded.clone()
        covered[:, i * stride : i * stride + size, j * stride : j * stride + size] = value
        result[i, j] = score(image) - score(covered)
    return result


def first_channel(covered, top, left, size, value):
    covered[0, top : top + size, left : left + size] = value


def guided_by_autograd(from_above, entered):
    leaf = entered.detach().clone().requires_grad_()
    return torch.autograd.grad(leaf.relu(), leaf, from_above)[0].clamp(min=0)


def guided_in_place(gradient, x):
    gradient[x <= 0] = 0
    return gradient.clamp(min=0)


def mean(gradient):
    return gradient.mean((1, 2), keepdim=True)


def cam_as_loop(maps, gradient):
    heat = torch.zeros_like(maps[0])
    for one, slope in zip(maps, gradient, strict=True):
        heat = heat + slope.mean() * one
    return heat.relu()


def cam_in_numpy(maps, gradient):
    return np.maximum(np.tensordot(gradient.double().numpy().mean((1, 2)), maps.double().numpy(), 1), 0)


def cam_in_place(maps, gradient):
    return maps.mul_(mean(gradient)).sum(0).relu()


def step_as_loop(image, gradient, epsilon):
    pairs = zip(image.flatten().tolist(), gradient.flatten().tolist(), strict=True)
    return torch.tensor([min(max(p + epsilon * ((g > 0) - (g < 0)), 0), 1) for p, g in pairs]).view(image.shape)


def step_in_place(image, gradient, epsilon):
    image += epsilon * gradient.sign()
    return image.clamp_(0, 1)


RIGHT = {
    "check_occlusion": [drops, drops_by_masks, lambda *a: drops(*a).tolist(), lambda *a: drops(*a).double().numpy()],
    "check_guided_rule": [
        guided_by_autograd,
        lambda g, entered: torch.where((entered > 0) & (g > 0), g, 0),
        lambda g, x: np.where((x > 0) & (g > 0), g, 0).tolist(),
        lambda g, x: g.half().relu() * (x > 0),
    ],
    "check_grad_cam_map": [
        cam_as_loop,
        cam_in_numpy,
        lambda m, g: torch.einsum("c,chw->hw", g.mean((1, 2)), m).clamp(min=0),
        lambda m, g: (mean(g.half()) * m.half()).sum(0).relu(),
    ],
    "check_sign_step": [
        step_as_loop,
        lambda i, g, e: np.clip(i.numpy() + e * np.sign(g.numpy()), 0, 1),
        lambda p, slope, e: torch.add(p, slope.sign(), alpha=e).clip(0, 1),
    ],
}

WRONG = {
    "check_occlusion": [
        (partial(drops, drop=lambda a, b: b - a), r"This is the rise"),
        (partial(drops, end=0), r"last place in each direction is missing"),
        (partial(drops, fresh=False), r"fresh copy"),
        (drops_in_place, r"changes image.*work on a copy"),
        (lambda f, i, n, stride, v: drops(f, i, n, stride, v, steps=(stride, 1)), r"stride is forgotten for the col"),
        (lambda f, i, n, stride, v: drops(f, i, n, stride, v, steps=(1, stride)), r"stride is forgotten for the rows"),
        (partial(drops, drop=lambda a, b: max(a - b, 0.0)), r"Negative drops are set to 0"),
        (partial(drops, drop=lambda a, b: abs(a - b)), r"abs"),
        (partial(drops, drop=lambda a, b: (a - b) / a), r"do not divide"),
        (partial(drops, drop=lambda a, b: b), r"the score before, minus that"),
        (partial(drops, paint=first_channel), r"Only the first channel"),
        (lambda f, i, n, stride, v: drops(f, i, n, stride, v, end=n), r"sticks out"),
        (drops_rounded_up, r"sticks out"),
        (lambda f, i, n, stride, v: drops(f, i, n, stride, 0.0), r"put value"),
        (lambda f, i, n, stride, v: drops(f, i, n, n, v), r"moves by its own size"),
        (lambda *a: drops(*a).flatten(), r"one long row"),
        (lambda *a: drops(*a).T, r"Rows (and columns are exchanged|come first)"),
        (lambda *a: drops(*a)[None], r"axis of length 1"),
    ],
    "check_guided_rule": [
        (lambda g, x: g * (x > 0), r"plain rule.*gradient > 0"),
        (lambda g, x: g.clamp(min=0), r"deconvnet"),
        (lambda g, x: g * (g * x > 0), r"product"),
        (lambda g, x: g.relu() * x.relu(), r"multiplied by x"),
        (guided_in_place, r"changes gradient"),
        (lambda g, x: g[(g > 0) & (x > 0)], r"flat"),
        (lambda g, x: g.abs() * (x > 0), r"abs"),
        (lambda g, x: g.clamp(0, 1) * (x > 0), r"cut off at 1"),
        (lambda g, x: g.clamp(min=0) * (x >= 0), r"x = 0 is not positive"),
        (lambda g, x: g * ((g > 0) | (x > 0)), r"both must be positive"),
        (lambda g, x: ((g > 0) & (x > 0)).float(), r"only the mask"),
        (lambda g, x: -g.relu() * (x > 0), r"sign is wrong"),
    ],
    "check_grad_cam_map": [
        (lambda m, g: (mean(g) * m).sum(0), r"ReLU is missing"),
        (lambda m, g: (g * m).sum(0).relu(), r"place by place"),
        (lambda m, g: (g.sum((1, 2), keepdim=True) * m).sum(0).relu(), r"sums over the places, not means"),
        (lambda m, g: (mean(g) * m).relu().sum(0), r"before the sum"),
        (lambda m, g: (mean(g).relu() * m).sum(0).relu(), r"Negative weights"),
        (lambda m, g: (mean(g.relu()) * m).sum(0).relu(), r"Negative gradients"),
        (lambda m, g: (mean(g) * m).mean(0).relu(), r"averages over the channels instead of summing"),
        (cam_in_place, r"changes maps"),
        (lambda m, g: (g.mean(0) * m.mean(0)).relu(), r"wrong axis"),
        (lambda m, g: (g.mean(0) * m).sum(0).relu(), r"wrong axis"),
        (lambda m, g: m.sum(0).relu(), r"no weights"),
        (lambda m, g: (mean(g) * m).sum(0).abs(), r"abs"),
        (lambda m, g: (mean(g) * m).sum(0, keepdim=True).relu(), r"axis of length 1"),
        (lambda m, g: cam_as_loop(m, g) / cam_as_loop(m, g).max(), r"scaled"),
    ],
    "check_sign_step": [
        (lambda p, g, e: (p - e * g.sign()).clamp(0, 1), r"downhill"),
        (lambda p, g, e: p + e * g.sign(), r"leaves \[0, 1\]"),
        (lambda p, g, e: (p + e * g.sign()).clamp(max=1), r"below 0"),
        (lambda p, g, e: (p + e * g.sign()).clamp(min=0), r"above 1"),
        (lambda p, g, e: (p + e * g).clamp(0, 1), r"not its sign"),
        (lambda p, g, e: (p + e * g / g.norm()).clamp(0, 1), r"norm"),
        (lambda p, g, e: (p + e * g / g.abs().max()).clamp(0, 1), r"largest"),
        (step_in_place, r"changes image"),
        (lambda p, g, e: (p + e * g.mean(0, keepdim=True).sign()).clamp(0, 1), r"one sign"),
        (lambda p, g, e: (p + e / 255 * g.sign()).clamp(0, 1), r"255"),
        (lambda p, g, e: (p + e * (2.0 * (g >= 0) - 1)).clamp(0, 1), r"gradient is 0, nothing moves"),
        (lambda p, g, e: (p + e).clamp(0, 1), r"sign is lost"),
        (lambda p, g, e: (p + e * g / g.abs()).clamp(0, 1), r"gradient is 0, nothing moves"),
    ],
}
