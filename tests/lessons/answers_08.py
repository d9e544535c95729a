"""Right and wrong answers to the exercises of lesson 8, and the hint that each wrong one should get."""

import torch

from helpers.lessons import lesson_08


def variation(picture, power=2):
    across, down = picture.diff(dim=-1).abs(), picture.diff(dim=-2).abs()
    return (across**power).mean() + (down**power).mean()


def variation_in_one_mean(picture):
    return torch.cat([picture.diff(dim=-1).flatten(), picture.diff(dim=-2).flatten()]).square().mean() * 2


def variation_around_the_edge(picture):
    return sum((picture - picture.roll(1, dim)).square().mean() for dim in (-1, -2))


def sizes(height, width, octaves, scale):
    return [(round(height / scale**k), round(width / scale**k)) for k in reversed(range(octaves))]


def sizes_rounded_each_time(height, width, octaves, scale):
    found = [(height, width)]
    for _ in range(octaves - 1):
        found.insert(0, tuple(int(n / scale) for n in found[0]))
    return found


def products(maps, guide):
    return maps.flatten(1).T @ guide.flatten(1)


def slope(model, picture, weights=None):
    x = picture.clone().requires_grad_()
    maps = model(x)
    return torch.autograd.grad(maps, x, grad_outputs=maps.detach() if weights is None else torch.ones_like(maps))[0]


def dreamt(model, picture, steps, step_size, *, sign=1, gradient_of=slope, clamp=True):
    for _ in range(steps):
        gradient = gradient_of(model, picture)
        picture = picture + sign * step_size * gradient / gradient.square().mean().sqrt()
        picture = picture.clamp(0, 1) if clamp else picture
    return picture


def dreamt_with_one_gradient(model, picture, steps, step_size):
    gradient = slope(model, picture)
    return dreamt(model, picture, steps, step_size, gradient_of=lambda *_: gradient)


RIGHT = [
    (lesson_08.check_total_variation, variation),
    (lesson_08.check_octave_sizes, sizes),
    (lesson_08.check_guide_similarity, lambda maps, guide: products(maps, guide).amax(dim=1).sum()),
    (lesson_08.check_dream, dreamt),
]

WRONG = [
    (lesson_08.check_total_variation, lambda x: variation(x, 1), "Squares"),
    (lesson_08.check_total_variation, variation_around_the_edge, "nothing across"),
    (lesson_08.check_total_variation, lambda x: x.diff(dim=-1).square().mean(), "4/3 down"),
    (lesson_08.check_total_variation, variation_in_one_mean, "a mean for each direction"),
    (lesson_08.check_total_variation, lambda x: variation(x) + x.diff(dim=0).square().sum(), "Channels are not"),
    (lesson_08.check_octave_sizes, lambda *a: sizes(*a)[::-1], "The smallest first"),
    (lesson_08.check_octave_sizes, sizes_rounded_each_time, "round once"),
    (lesson_08.check_guide_similarity, lambda m, g: products(m, g).sum(), "a maximum, not a sum"),
    (lesson_08.check_guide_similarity, lambda m, g: products(m, g).amax(), "Each place of the maps"),
    (lesson_08.check_dream, lambda *a: dreamt(*a, sign=-1), "lies downhill"),
    (
        lesson_08.check_dream,
        lambda *a: dreamt(*a, gradient_of=lambda m, p: slope(m, p, 1)),
        "follow the maps back",
    ),
    (lesson_08.check_dream, dreamt_with_one_gradient, "as it is by then"),
    (lesson_08.check_dream, lambda *a: dreamt(*a, clamp=False), "within [0, 1]"),
    (lesson_08.check_dream, lambda m, p, n, size: p.copy_(dreamt(m, p, n, size)), "begin with picture.clone()"),
]
