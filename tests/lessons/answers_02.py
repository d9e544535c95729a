"""Answers to the exercises of lesson 2: right ones in several styles, and wrong ones with what must be said of them."""

import math
from functools import partial, reduce

import numpy as np
import torch
from torch.nn.functional import max_pool2d


def pool(image, window, stride, start=-math.inf, steps=(1, 1), of=torch.max, size=(0, 0)):
    """The loop, and with options the slips that it invites."""
    rows, columns = ((n - window + change) // stride + 1 for n, change in zip(image.shape, size, strict=True))
    output = torch.full((rows, columns), start)
    for i in range(rows):
        for j in range(columns):
            top, left = i * (steps[0] and stride), j * (steps[1] and stride)
            output[i, j] = max(output[i, j], of(image[top : top + window, left : left + window]))
    return output


def pool_list(image, window, stride):
    a, k = image.tolist(), range(window)
    rows, columns = (range(0, n - window + 1, stride) for n in image.shape)
    return [[max(a[r + y][c + x] for y in k for x in k) for c in columns] for r in rows]


def unfolded(image, window, stride):
    return image.unfold(0, window, stride).unfold(1, window, stride).flatten(2)


def pool_partial(image, window, stride):
    rows, columns = (range(0, n, stride) for n in image.shape)
    return torch.tensor([[image[r : r + window, c : c + window].max() for c in columns] for r in rows])


def pool_last_missing(image, window, stride):
    rows, columns = (range(0, n - window, stride) for n in image.shape)
    return torch.tensor([[image[r : r + window, c : c + window].max() for c in columns] for r in rows])


def pool_square(image, window, stride):
    n = (image.shape[0] - window) // stride + 1
    return torch.tensor(
        [[image[i * stride :, j * stride :][:window, :window].max() for j in range(n)] for i in range(n)]
    )


def pool_absolute(image, window, stride):
    windows = unfolded(image, window, stride)
    return windows.gather(2, windows.abs().argmax(2, keepdim=True)).squeeze(2)


def average_loop(maps):
    return torch.stack([torch.stack([one.sum() / one.numel() for one in image]) for image in maps])


def soft(scores, dim, shift=lambda x, d: x.amax(d, keepdim=True), total=lambda e, d: e.sum(d, keepdim=True)):
    e = (scores - shift(scores, dim)).exp()
    return e / total(e, dim)


def soft_numpy(scores, dim):
    e = np.exp(scores.numpy().astype(np.float64) - scores.numpy().max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def soft_loop(scores, dim):
    moved = scores.movedim(dim, -1)
    rows = [torch.exp(row - max(row.tolist())) for row in moved.reshape(-1, moved.shape[-1])]
    return torch.stack([row / row.sum() for row in rows]).reshape(moved.shape).movedim(-1, dim)


def soft_in_place(scores, dim):
    scores -= scores.amax(dim, keepdim=True)
    return scores.exp() / scores.exp().sum(dim, keepdim=True)


def inputs(size, channels, layers, step=lambda n, w, s: (n - w) // s + 1, end=lambda c, n: c * n * n):
    for window, stride in layers:
        size = step(size, window, stride)
    return end(channels, size)


def fraction(n, w, s):
    return (n - w) / s + 1


def inputs_by_pop(size, channels, layers):
    while layers:
        window, stride = layers.pop(0)
        size = (size - window) // stride + 1
    return channels * size * size


def inputs_of_first(size, channels, layers):
    for window, stride in layers:
        size = (size - window) // stride + 1
        return channels * size * size


def inputs_not_chained(size, channels, layers):
    for window, stride in layers:
        side = (size - window) // stride + 1
    return channels * side * side


def inputs_without_none(size, channels, layers):
    window, stride = layers[0]
    return inputs((size - window) // stride + 1, channels, layers[1:])


RIGHT = {
    "check_max_pooling": [
        pool,
        pool_list,
        lambda i, w, s: unfolded(i, w, s).amax(2).double().requires_grad_(),
        lambda i, w, s: max_pool2d(i[None], w, s)[0].numpy(),
    ],
    "check_global_average": [
        average_loop,
        lambda maps: torch.einsum("nchw->nc", maps) / maps[0, 0].numel(),
        lambda maps: maps.double().flatten(2).mean(-1),
        lambda maps: maps.numpy().mean((2, 3)),
        lambda maps: maps.half().mean((2, 3)),
    ],
    "check_softmax": [
        soft,
        soft_numpy,
        soft_loop,
        partial(soft, shift=lambda x, d: x.max(d, keepdim=True)[0]),
        lambda x, d: (x - x.logsumexp(d, keepdim=True)).exp(),
    ],
    "check_dense_inputs": [
        inputs,
        lambda n, c, pairs: c * len(reduce(lambda x, p: x.unfold(0, *p)[:, 0], pairs, torch.zeros(n))) ** 2,
        partial(inputs, step=fraction, end=lambda c, n: torch.tensor(c * int(n) ** 2)),
        lambda n, c, pairs: float(inputs(n, c, pairs, lambda n, w, s: math.floor(fraction(n, w, s)))),
    ],
}


def cut_off(image, window, stride, rows, columns):
    """So many windows, of which the last may be cut off at the edge, or lie beyond it."""
    starts = [(i * stride, j * stride) for i in range(rows) for j in range(columns)]
    return torch.stack([image[i : i + window, j : j + window].max() for i, j in starts]).view(rows, columns)


WRONG = {
    "check_max_pooling": [
        (lambda i, w, s: cut_off(i, w, s, i.shape[0] // s, i.shape[1] // s), r"not size // stride"),
        (lambda i, w, s: cut_off(i, w, s, *(-(-(n - w) // s) + 1 for n in i.shape)), r"does not fit is left out"),
        (partial(pool, start=0.0), r"begin each maximum with -inf"),
        (partial(pool, start=-5.0), r"begin each maximum with -inf"),
        (partial(pool, start=-999.0), r"begin each maximum with -inf"),
        (lambda i, w, s: pool(i, w, w), r"own size, not by the stride"),
        (lambda i, w, s: pool(i, w, 1), r"by 1, not by the stride"),
        (partial(pool, steps=(0, 0)), r"largest number of one window"),
        (
            lambda i, w, s: (
                i.unfold(0, w, 1).unfold(1, w, 1).amax((2, 3))[: len(pool(i, w, s)), : pool(i, w, s).shape[1]]
            ),
            r"i \* stride",
        ),
        (lambda i, w, s: i.unfold(0, w, s).unfold(1, w, w).amax((2, 3)), r"Across.*not by the stride"),
        (lambda i, w, s: i.unfold(0, w, w).unfold(1, w, s).amax((2, 3)), r"Down.*not by the stride"),
        (lambda i, w, s: i.unfold(0, w, s).unfold(1, w, 1).amax((2, 3)), r"Across.*not by the stride"),
        (lambda i, w, s: max_pool2d(i[None], w, s, ceil_mode=True)[0], r"left out"),
        (pool_partial, r"left out"),
        (pool_last_missing, r"last windows are missing"),
        (partial(pool, size=(0, -1)), r"windows are missing"),
        (lambda i, w, s: pool(i, w, s)[:-1, :-1], r"last windows are missing"),
        (pool_square, r"number of rows for that of columns"),
        (lambda i, w, s: pool(i, w, s).T, r"\.T"),
        (lambda i, w, s: pool(i, w, s).squeeze(), r"axis of length 1"),
        (lambda i, w, s: pool(i, w, s)[None], r"axis of length 1"),
        (lambda i, w, s: unfolded(i, w, s).mean(2), r"mean: give the maximum"),
        (lambda i, w, s: unfolded(i, w, s).amin(2), r"minimum"),
        (pool_absolute, r"sign"),
        (lambda *given: pool(*given).long(), r"float dtype"),
        (lambda i, w, s: unfolded(i, w, s).abs().amax(2), r"absolute"),
        (lambda i, w, s: unfolded(i, w, s).argmax(2), r"largest number of one window"),
        (lambda i, w, s: pool(i.sub_(1), w, s), r"changes i"),
    ],
    "check_global_average": [
        (lambda m: m.mean((2, 3), keepdim=True), r"axis of length 1"),
        (lambda m: m.mean((2, 3), keepdim=True).squeeze(), r"squeeze\(\) also drops"),
        (lambda m: m.mean((2, 3)).squeeze(0), r"batch of one"),
        (lambda m: m.mean((2, 3)).squeeze(1), r"axis of length 1"),
        (lambda m: m.mean((2, 3)).T, r"exchanged|wrong places"),
        (lambda m: m.sum((2, 3)), r"sum: divide"),
        (lambda m: m.mean(2).sum(2) / m.shape[2], r"H · H"),
        (lambda m: m.mean(3).sum(2) / m.shape[3], r"W · W"),
        (lambda m: m.mean(3).sum(2), r"W only"),
        (lambda m: m.sum((2, 3)) / m.shape[1] / m[0, 0].numel(), r"C · H · W"),
        (lambda m: m.mean((0, 2, 3)), r"over the batch"),
        (lambda m: m.mean((1, 2, 3)), r"over the channels"),
        (lambda m: m.mean(), r"over everything"),
        (lambda m: m.sum((2, 3)) // m[0, 0].numel(), r"not //"),
        (lambda m: m.mean((1, 2)), r"channels and rows"),
        (lambda m: m.mean((0, 1)), r"batch and channels"),
        (lambda m: m.mean(2), r"rows only"),
        (lambda m: m.mean(-1), r"columns only"),
        (lambda m: m.permute(1, 0, 2, 3).flatten(2).mean(2).reshape(m.shape[:2]), r"wrong places"),
        (lambda m: m.amax((2, 3)), r"maximum: give the mean"),
        (lambda m: m.flatten(2).median(2).values, r"median"),
        (lambda m: m.relu().mean((2, 3)), r"negative"),
        (lambda m: m[:, :, m.shape[2] // 2, m.shape[3] // 2], r"mean over rows and columns"),
        (lambda m: m.abs_().mean((2, 3)), r"changes m"),
    ],
    "check_softmax": [
        (lambda x, d: (x - x.max(d, keepdim=True)).softmax(d), r"amax\(dim\) gives the maximum alone"),
        (partial(soft, shift=lambda x, d: 0), r"infinite: subtract the maximum"),
        (partial(soft, shift=lambda x, d: 50), r"subtract the maximum"),
        (partial(soft, shift=lambda x, d: x.amax()), r"own maximum, along dim"),
        (partial(soft, shift=lambda x, d: x.mean(d, keepdim=True)), r"Only the maximum"),
        (partial(soft, shift=lambda x, d: x.amax(d)), r"keepdim"),
        (partial(soft, total=lambda e, d: e.sum(d)), r"keepdim"),
        (partial(soft, total=lambda e, d: e.sum()), r"sum of all"),
        (lambda x, d: x.flatten().softmax(0).view_as(x), r"sum of all"),
        (partial(soft, total=lambda e, d: e.amax(d, keepdim=True)), r"divides by the maximum"),
        (partial(soft, total=lambda e, d: 1), r"not at all: divide by the sum"),
        (lambda x, d: soft(x, -1), r"dim is ignored"),
        (lambda x, d: soft(x, 0), r"dim is ignored"),
        (lambda x, d: soft(x, x.ndim - 1), r"dim is ignored"),
        (lambda x, d: soft(x, d).log(), r"logarithm"),
        (lambda x, d: x / x.sum(d, keepdim=True), r"exponentials first"),
        (lambda x, d: soft(-x, d), r"exp\(-score\)"),
        (lambda x, d: x.sigmoid(), r"sigmoid"),
        (lambda x, d: 2**x / (2**x).sum(d, keepdim=True), r"base is e"),
        (lambda x, d: soft(x.clamp(max=80), d), r"subtract the maximum"),
        (soft_in_place, r"changes scores"),
    ],
    "check_dense_inputs": [
        (partial(inputs, end=lambda c, n: c * n), r"rows and columns"),
        (partial(inputs, end=lambda c, n: n * n), r"channels are missing"),
        (partial(inputs, end=lambda c, n: (c * n) ** 2), r"channels count once"),
        (partial(inputs, step=fraction), r"whole number"),
        (lambda *given: int(inputs(*given, step=fraction)), r"not the result"),
        (partial(inputs, step=lambda n, w, s: math.ceil((n - w) / s) + 1), r"rounds up"),
        (partial(inputs, step=lambda n, w, s: round((n - w) / s) + 1), r"to the nearest"),
        (partial(inputs, step=lambda n, w, s: (n - w) // s), r"\+ 1"),
        (partial(inputs, step=lambda n, w, s: (n - w + 1) // s), r"after the division"),
        (partial(inputs, step=lambda n, w, s: n - w + 1), r"stride is missing"),
        (partial(inputs, step=lambda n, w, s: n // s), r"window is missing"),
        (partial(inputs, step=lambda n, w, s: n // s if s > 1 else n - w + 1), r"window is missing"),
        (partial(inputs, step=lambda n, s, w: (n - w) // s + 1), r"pair is \(window, stride\)"),
        (lambda n, c, pairs: inputs(n, c, pairs[::-1]), r"order"),
        (lambda n, c, pairs: inputs(n, c, pairs[:-1]), r"last layer is missing"),
        (inputs_of_first, r"first layer"),
        (inputs_not_chained, r"last layer counts"),
        (inputs_without_none, r"Without layers"),
        (inputs_by_pop, r"changes layers"),
    ],
}
