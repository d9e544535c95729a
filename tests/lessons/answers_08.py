"""Answers to the exercises of lesson 8: right ones in several styles, and wrong ones with what is said of them."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from torch.nn.functional import conv2d, mse_loss, normalize


def variation(image, of=lambda d: d.square().mean()):
    return of(image.diff(dim=2)) + of(image.diff(dim=1))


def variation_as_loop(image):
    p, (c, h, w) = image.tolist(), image.shape
    right = [(p[k][i][j + 1] - p[k][i][j]) ** 2 for k in range(c) for i in range(h) for j in range(w - 1)]
    below = [(p[k][i + 1][j] - p[k][i][j]) ** 2 for k in range(c) for i in range(h - 1) for j in range(w)]
    return sum(right) / len(right) + sum(below) / len(below)


def pooled(image):
    return torch.cat([image.diff(dim=2).flatten(), image.diff(dim=1).flatten()]).square().mean()


def sizes(height, width, octaves, scale, rounding=round, first=0):
    powers = [float(scale) ** n for n in range(octaves - 1 + first, first - 1, -1)]
    return [(rounding(height / power), rounding(width / power)) for power in powers]


def sizes_as_fractions(rows, columns, count, ratio):
    return [(round(rows / Fraction(ratio) ** n), round(columns / Fraction(ratio) ** n)) for n in reversed(range(count))]


def sizes_in_numpy(rows, columns, count, ratio):
    return np.rint(np.outer(float(ratio) ** np.arange(1 - count, 1), [rows, columns]))


def sizes_step_by_step(height, width, octaves, scale, rounding=round):
    found = [(height, width)]
    for _ in range(octaves - 1):
        found.insert(0, tuple(rounding(n / scale) for n in found[0]))
    return found


def sizes_from_the_smallest(*arguments):
    (h, w), scale = sizes(*arguments)[0], arguments[3]
    return [(round(h * scale**n), round(w * scale**n)) for n in range(arguments[2])]


def dots(maps, guide):
    return maps.flatten(1).T @ guide.flatten(1)


def likeness_as_loop(maps, guide):
    places = guide.flatten(1).T
    return sum(max(float(place @ other) for other in places) for place in maps.flatten(1).T)


def likeness_of_reshaped(maps, guide):
    return (maps.reshape(-1, len(maps)) @ guide.reshape(-1, len(guide)).T).amax(1).sum()


def rms(gradient):
    return gradient.square().mean().sqrt()


def slope(maps_of, image, objective=lambda maps: maps.square().sum() / 2):
    leaf = image.detach().clone().requires_grad_()
    return torch.autograd.grad(objective(maps_of(leaf)), leaf)[0]


def dream(maps_of, image, steps, step_size, *, size=rms, limit=lambda x: x.clamp(0, 1), slope=slope):
    for _ in range(steps):
        gradient = slope(maps_of, image)
        image = limit(image + step_size * gradient / size(gradient))
    return image


def dream_with_backward(maps_of, image, steps, step_size):
    for _ in range(steps):
        leaf = image.detach().clone().requires_grad_()
        (maps_of(leaf) ** 2).sum().div(2).backward()
        image = (leaf.detach() + step_size * leaf.grad / leaf.grad.pow(2).mean().sqrt()).clamp(0, 1)
    return image


def dream_back_from_maps(network, image, count, length):
    for _ in range(count):
        leaf = image.detach().requires_grad_()
        maps = network(leaf)
        gradient = torch.autograd.grad(maps, leaf, grad_outputs=maps.detach())[0]
        image = leaf + length * gradient * math.sqrt(gradient.numel()) / gradient.norm()
        image = image.clip(0, 1)
    return image  # with a graph


def dream_with_an_optimizer(maps_of, image, steps, step_size):
    x = torch.nn.Parameter(image.clone())
    optimizer = torch.optim.SGD([x], lr=1, maximize=True)
    for _ in range(steps):
        optimizer.zero_grad()
        maps_of(x).norm().backward()
        x.grad.mul_(step_size / rms(x.grad))
        optimizer.step()
        x.data.clamp_(0, 1)
    return x


def dream_accumulating(maps_of, image, steps, step_size):
    x = image.clone().requires_grad_()
    for _ in range(steps):
        maps_of(x).square().sum().backward(inputs=[x])
        with torch.no_grad():
            x.add_(step_size * x.grad / rms(x.grad)).clamp_(0, 1)
    return x.detach()


def dream_in_place(maps_of, image, steps, step_size):
    x = image.detach()
    for _ in range(steps):
        gradient = slope(maps_of, x)
        x.add_(step_size * gradient / rms(gradient)).clamp_(0, 1)
    return x


def dream_with_one_gradient(maps_of, image, *arguments):
    gradient = slope(maps_of, image)
    return dream(maps_of, image, *arguments, slope=lambda *_: gradient)


def dream_with_a_seed(*arguments):
    torch.manual_seed(0)
    return dream(*arguments)


RIGHT = {
    "check_total_variation": [
        variation_as_loop,
        lambda picture: sum(picture.diff(dim=d).square().mean() for d in (-1, -2)),
        lambda p: mse_loss(p[:, :, 1:], p[:, :, :-1]) + mse_loss(p[:, 1:], p[:, :-1]),
        lambda p: sum((np.diff(p.double().numpy(), axis=axis) ** 2).mean() for axis in (1, 2)),
    ],
    "check_octave_sizes": [sizes, sizes_as_fractions, sizes_in_numpy, lambda *a: tuple(map(list, sizes(*a)))],
    "check_guide_similarity": [
        likeness_as_loop,
        lambda features, wanted: torch.einsum("cyx,cvu->yxvu", features, wanted).amax((2, 3)).sum(),
        lambda m, g: float(dots(m.double(), g.double()).numpy().max(axis=1).sum()),
        lambda m, g: conv2d(m[None], g.flatten(1).T[:, :, None, None])[0].amax(0).sum(),
    ],
    "check_dream": [dream, dream_with_backward, dream_back_from_maps, dream_with_an_optimizer],
}

WRONG = {
    "check_total_variation": [
        (partial(variation, of=lambda d: d.square().sum()), r"not the sum"),
        (partial(variation, of=lambda d: d.abs().mean()), r"absolute, not squared"),
        (partial(variation, of=lambda d: d.mean() ** 2), r"square first"),
        (partial(variation, of=lambda d: d.square().mean().sqrt()), r"root"),
        (lambda p: p.diff(dim=2).square().mean(), r"below"),
        (lambda p: p.diff(dim=1).square().mean(), r"to the right"),
        (pooled, r"two means"),
        (lambda p: 2 * pooled(p), r"two means"),
        (lambda p: sum((p - p.roll(-1, d)).square().mean() for d in (1, 2)), r"wraps around"),
        (lambda p: p.diff(dim=1).square().mean() + p.diff(dim=0).square().mean(), r"channels.*wrong axis"),
        (lambda p: variation(p) + p.diff(dim=0).square().mean(), r"Channels are compared"),
        (lambda p: variation(p) / 2, r"half"),
        (lambda p: 2 * variation(p), r"2 times"),
        (lambda p: sum(variation(channel[None]) for channel in p), r"sums over the channels"),
        (partial(variation, of=lambda d: d.square().mean((1, 2))), r"one number"),
    ],
    "check_octave_sizes": [
        (lambda *a: sizes(*a)[::-1], r"largest is first"),
        (partial(sizes, rounding=int), r"cut off"),
        (partial(sizes, rounding=math.ceil), r"rounds up"),
        (partial(sizes, rounding=float), r"not rounded"),
        (sizes_step_by_step, r"already rounded.*only at the end"),
        (partial(sizes_step_by_step, rounding=int), r"already rounded down"),
        (sizes_from_the_smallest, r"smallest, scaled up again"),
        (partial(sizes, first=1), r"exponents are one too large"),
        (lambda h, w, *a: [(columns, rows) for rows, columns in sizes(h, w, *a)], r"swapped"),
        (lambda h, w, *a: [(rows, round(rows * w / h)) for rows, _ in sizes(h, w, *a)], r"width comes from"),
        (lambda h, w, n, scale: sizes(h, w, n + 1, scale), r"too many"),
        (lambda *a: sizes(*a)[:-1], r"full size is missing"),
        (lambda *a: sizes(*a)[1:], r"smallest size is missing"),
        (lambda h, w, n, scale: sizes(h, w, n, 2), r"scale is ignored"),
        (lambda *a: np.array(sizes(*a)).flatten(), r"flat list"),
    ],
    "check_guide_similarity": [
        (lambda m, g: dots(m, g).amax(0).sum(), r"wrong axis"),
        (lambda m, g: dots(m, g).sum(), r"all dot products"),
        (lambda m, g: dots(m, g).amax(1).mean(), r"mean over the places"),
        (lambda m, g: dots(m, g).max(), r"single largest"),
        (lambda m, g: dots(normalize(m, dim=0), normalize(g, dim=0)).amax(1).sum(), r"cosine"),
        (likeness_of_reshaped, r"mixes channels and places"),
        (lambda m, g: dots(m, g).amax(1).clamp(min=0).sum(), r"Negative products are lost"),
        (lambda m, g: dots(m, g).abs().amax(1).sum(), r"abs"),
        (lambda m, g: dots(m, g).amax(1), r"not summed"),
        (lambda m, g: dots(m, g).argmax(1).sum(), r"indices"),
        (lambda m, g: dots(m, g).amin(1).sum(), r"smallest"),
        (lambda m, g: dots(m, g).amax(1).sum() / len(m), r"divided by C"),
    ],
    "check_dream": [
        (partial(dream, size=lambda g: -rms(g)), r"downhill"),
        (partial(dream, size=torch.norm), r"divides by the norm"),
        (partial(dream, size=lambda g: g.abs().mean()), r"mean absolute value"),
        (partial(dream, size=torch.std), r"standard deviation"),
        (partial(dream, size=lambda g: 1), r"root mean square"),
        (partial(dream, limit=lambda x: x), r"leaves \[0, 1\]"),
        (partial(dream, limit=lambda x: x.clamp(max=1)), r"below 0"),
        (lambda *a: dream(*a, limit=lambda x: x).clamp(0, 1), r"only after the last step"),
        (dream_accumulating, r"add up"),
        (dream_in_place, r"changes image"),
        (partial(dream, slope=lambda f, x: slope(f, x, torch.sum)), r"sum of the maps"),
        (dream_with_one_gradient, r"only once"),
        (lambda f, x, n, size: dream(f, x, n - 1, size), r"One step is missing"),
        (lambda f, x, n, size: dream(f, x, 1, size), r"only one step"),
        (dream_with_a_seed, r"random seed"),
        (lambda f, x, n, size: dream(f, x, n, size)[None], r"axis of length 1"),
    ],
}
