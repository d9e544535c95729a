"""Right and wrong answers to the exercises of lesson 2, and the hint that each wrong one should get."""

import torch
from torch.nn.functional import max_pool2d

from helpers.lessons import lesson_02


def pooled(start, picture, window, stride):
    """Max pooling by hand; each maximum begins at ``start``."""
    rows, columns = ((size - window) // stride + 1 for size in picture.shape)
    output = torch.full((rows, columns), start)
    for i in range(rows):
        for j in range(columns):
            patch = picture[i * stride : i * stride + window, j * stride : j * stride + window]
            output[i, j] = max(output[i, j], patch.max())
    return output


def pooled_without_stride(picture, window, stride):
    rows, columns = ((size - window) // stride + 1 for size in picture.shape)
    return torch.stack(
        [picture[i : i + window, j : j + window].max() for i in range(rows) for j in range(columns)]
    ).view(rows, columns)


def soft(x, shift, dim):
    e = (x - shift).exp()
    return e / e.sum(dim=dim, keepdim=True)


RIGHT = [
    (lesson_02.check_max_pooling, lambda picture, window, stride: pooled(-torch.inf, picture, window, stride)),
    (lesson_02.check_global_average, lambda maps: maps.flatten(2).mean(dim=2)),
    (lesson_02.check_softmax, lambda x, dim: soft(x, x.amax(dim, keepdim=True), dim)),
    (lesson_02.check_dense_inputs, lambda size, channels, layers: channels * _side(size, layers) ** 2),
]

WRONG = [
    (lesson_02.check_max_pooling, lambda p, window, stride: pooled(0.0, p, window, stride), "no zero"),
    (lesson_02.check_max_pooling, lambda p, window, stride: max_pool2d(p[None], window)[0], "With a stride"),
    (
        lesson_02.check_max_pooling,
        lambda p, window, stride: max_pool2d(p[None], window, stride, ceil_mode=True)[0],
        "formula",
    ),
    (lesson_02.check_global_average, lambda maps: maps.mean(dim=(0, 2, 3)), "Each map of each picture"),
    (
        lesson_02.check_global_average,
        lambda maps: maps.sum(dim=(2, 3)) / maps.shape[2] ** 2,
        "Divide by rows times columns",
    ),
    (lesson_02.check_global_average, lambda maps: maps.mean(dim=(2, 3)).squeeze(0), "batch of one"),
    (lesson_02.check_global_average, lambda maps: maps.mean(dim=(2, 3)).squeeze(1), "One map of one pixel"),
    (lesson_02.check_softmax, lambda x, dim: soft(x, 0, dim), "overflows"),
    (lesson_02.check_softmax, lambda x, dim: soft(x, x.max(), dim), "not that of all scores"),
    (lesson_02.check_softmax, lambda x, dim: soft(x, x.max(), x.ndim - 1), "Sum along dim"),
    (lesson_02.check_softmax, lambda x, dim: (x - x.max()).exp() / (x - x.max()).exp().sum(), "Sum along dim"),
    (lesson_02.check_dense_inputs, lambda size, channels, layers: channels * 2 * _side(size, layers), "side · side"),
    (
        lesson_02.check_dense_inputs,
        lambda size, channels, layers: channels * _exact(size, layers) ** 2,
        "round down",
    ),
    (
        lesson_02.check_max_pooling,
        lambda p, window, stride: pooled_without_stride(p, window, stride),
        "starts at row i * stride",
    ),
    (lesson_02.check_dense_inputs, lambda size, channels, layers: channels * 4, "side · side"),
    (
        lesson_02.check_dense_inputs,
        lambda size, channels, layers: channels * _side(size, layers),
        "Channels times rows",
    ),
    (
        lesson_02.check_dense_inputs,
        lambda size, channels, layers: channels * _side(size, layers[:2]) ** 2,
        "one before it",
    ),
]


def _side(size, layers):
    for window, stride in layers:
        size = (size - window) // stride + 1
    return size


def _exact(size, layers):
    for window, stride in layers:
        size = (size - window) / stride + 1
    return size
