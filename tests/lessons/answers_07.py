"""Right and wrong answers to the exercises of lesson 7, and the hint that each wrong one should get."""

import torch

from helpers.lessons import lesson_07


def drops(score, picture, size, stride, value, *, sign=1, copy=True, channels=slice(None)):
    rows, columns = (range(0, n - size + 1, stride) for n in picture.shape[1:])
    result, before = torch.zeros(len(rows), len(columns)), score(picture)
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            covered = picture.clone() if copy else picture
            covered[channels, top : top + size, left : left + size] = value
            result[i, j] = sign * (before - score(covered))
    return result


def guided(gradient, x):
    return gradient.clamp(min=0) * (x > 0)


def cam(maps, gradient):
    return (gradient.mean((1, 2), keepdim=True) * maps).sum(0).relu()


def step(picture, gradient, epsilon):
    return (picture + epsilon * gradient.sign()).clamp(0, 1)


RIGHT = [
    (lesson_07.check_occlusion, drops),
    (lesson_07.check_guided_rule, guided),
    (lesson_07.check_grad_cam_map, cam),
    (lesson_07.check_sign_step, step),
]

WRONG = [
    (lesson_07.check_occlusion, lambda *a: drops(*a, sign=-1), "the score before, less the score when covered"),
    (lesson_07.check_occlusion, lambda *a: drops(*a, copy=False), "cover a copy"),
    (lesson_07.check_occlusion, lambda *a: drops(*a, channels=0), "All channels"),
    (lesson_07.check_occlusion, lambda f, x, size, stride, value: drops(f, x, size, stride, 0.0), "Put value"),
    (
        lesson_07.check_occlusion,
        lambda f, x, size, stride, value: drops(f, x, size, size, value),
        "gave the shape",
    ),
    (lesson_07.check_guided_rule, lambda g, x: g * (x > 0), "negative gradient never"),
    (lesson_07.check_guided_rule, lambda g, x: g.clamp(min=0), "input was not positive"),
    (lesson_07.check_guided_rule, lambda g, x: g.clamp(min=0) * (x >= 0), "0 is not positive"),
    (lesson_07.check_grad_cam_map, lambda m, g: (g * m).sum(0).relu(), "One weight for each map"),
    (lesson_07.check_grad_cam_map, lambda m, g: (g.mean((1, 2), keepdim=True) * m).sum(0), "cut off"),
    (lesson_07.check_grad_cam_map, lambda m, g: (g.mean((1, 2), keepdim=True).relu() * m).sum(0), "not in the weights"),
    (lesson_07.check_sign_step, lambda x, g, e: (x + e * g).clamp(0, 1), "whatever the gradient's size"),
    (lesson_07.check_sign_step, lambda x, g, e: (x - e * g.sign()).clamp(0, 1), "up where it is > 0"),
    (lesson_07.check_sign_step, lambda x, g, e: x + e * g.sign(), "Stay within"),
    (lesson_07.check_sign_step, lambda x, g, e: (x + e * (2.0 * (g >= 0) - 1)).clamp(0, 1), "nothing moves"),
]
