"""Answers to the exercises of lesson 1: right ones in several styles, and wrong ones with what must be said of them."""

import math
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, pad


def counted_places(size, kernel_size, stride, padding):
    return len(range(-padding, size + padding - kernel_size + 1, stride))


def size_that_raises(w, f, s, p):
    if (w - f + 2 * p) % s:
        raise ValueError("does not fit")
    return (w - f + 2 * p) // s + 1


def parameters_without_else(in_channels, out_channels, kernel_size, bias):
    if bias:
        return in_channels * out_channels * kernel_size**2 + out_channels


def correlate(
    image, kernel, stride, padding, sides=(1, 1, 1, 1), size=(0, 0, 1), steps=(1, 1), of=torch.mul, **options
):
    """The loop, and with options the slips that it invites."""
    padded = pad(image, [padding * side for side in sides], **options)
    (height, width), (rows, columns) = padded.shape, kernel.shape
    out_height, out_width = (height - rows + size[0]) // stride + 1, (width - columns + size[1]) // stride + 1
    output = torch.zeros(out_height, out_width * size[2] or out_height, dtype=image.dtype)
    for i in range(output.shape[0]):
        for j in range(output.shape[1]):
            top, left = i * (stride if steps[0] else 1), j * (stride if steps[1] else 1)
            output[i, j] = of(padded[top : top + rows, left : left + columns], kernel).sum()
    return output


def correlate_numpy(image, kernel, stride, padding):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image.numpy(), padding), tuple(kernel.shape))
    return (windows[::stride, ::stride] * kernel.numpy()).sum((-1, -2))


def correlate_unfolded(image, kernel, stride, padding):
    windows = pad(image, (padding,) * 4).unfold(0, kernel.shape[0], stride).unfold(1, kernel.shape[1], stride)
    return torch.einsum("ijab,ab->ij", windows.double(), kernel.double().requires_grad_())


def padded_by_slice(image, kernel, stride, padding):
    padded = torch.zeros(image.shape[0] + 2 * padding, image.shape[1] + 2 * padding)
    padded[padding:-padding, padding:-padding] = image
    return correlate(padded, kernel, stride, 0)


def correlate_in_image(image, kernel, stride, padding):
    image[0, 0] = 0
    return correlate(image, kernel, stride, padding)


def conv(image, kernel, stride, padding):
    return conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)


def tensor(*rows):
    return torch.tensor(rows)


RIGHT = {
    "check_output_size": [
        lambda size, kernel_size, stride, padding: (size - kernel_size + 2 * padding) // stride + 1,
        lambda w, f, s, p: math.floor((w - f + 2 * p) / s + 1),
        lambda w, f, s, p: torch.tensor((w - f + 2 * p + s) // s),
        lambda w, f, s, p: math.ceil((w - f + 2 * p + 1) / s),
        counted_places,
    ],
    "check_convolution_parameters": [
        lambda i, o, k, b: o * (i * k * k + b),
        lambda i, o, k, b: sum(p.numel() for p in nn.Conv2d(i, o, k, bias=b).parameters()),
        lambda i, o, k, b: np.int64(i * o * k**2) + (o if b else 0),
    ],
    "check_diagonal_kernel": [
        tensor([-2, -1, 0], [-1, 0, 1], [0, 1, 2]),
        tensor([-1, -1, 0], [-1, 0, 1], [0, 1, 1]).double() / 6,
        tensor([3, -2, 0], [-2, 0, 2], [0, 2, -3]).half(),
        tensor([-0.1, -0.2, 0.0], [-0.2, 0.0, 0.2], [0.0, 0.2, 0.1]).requires_grad_(),
    ],
    "check_cross_correlation": [correlate, correlate_numpy, correlate_unfolded, lambda *given: conv(*given)[0, 0]],
}


def by_patches(image, kernel, stride, padding, size, axes):
    """A loop over patches of a size, with as many rows as there are patches along the first of the axes."""
    padded = pad(image, (padding,) * 4)
    rows, columns = ((padded.shape[axis] - size[axis]) // stride + 1 for axis in axes)
    output = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            patch = padded[i * stride : i * stride + size[0], j * stride : j * stride + size[1]]
            output[i, j] = (patch * kernel).sum()
    return output


WRONG = {
    "check_output_size": [
        (lambda w, f, s, p: (w - f + p) // s + 1, r"both ends"),
        (lambda w, f, s, p: (w - f) // s + 1, r"padding is missing"),
        (lambda w, f, s, p: (w - f - 2 * p) // s + 1, r"longer"),
        (lambda w, f, s, p: math.ceil((w - f + 2 * p) / s) + 1, r"rounds up"),
        (lambda w, f, s, p: round((w - f + 2 * p) / s) + 1, r"nearest"),
        (lambda w, f, s, p: round((w - f + 2 * p) / s + 1), r"round down"),
        (lambda w, f, s, p: (w - f + 2 * p) / s + 1, r"fraction"),
        (lambda w, f, s, p: (w - f + 2 * p) // s, r"first position"),
        (lambda w, f, s, p: math.ceil((w - f + 2 * p) / s), r"one too few"),
        (lambda w, f, s, p: (w - f + 2 * p + 1) // s, r"after the division"),
        (lambda w, f, s, p: (w - f + 1 + 2 * p) // s + 1, r"before and after"),
        (lambda w, f, s, p: (w - f) // s + 1 + 2 * p, r"before the division"),
        (lambda w, f, s, p: w - f + 2 * p // s + 1, r"Brackets"),
        (lambda w, f, s, p: (w + 2 * p) // s + 1, r"size of the kernel"),
        (lambda w, f, s, p: w - f + 2 * p + 1, r"stride is missing"),
        (size_that_raises, r"ValueError.*round down"),
    ],
    "check_convolution_parameters": [
        (lambda i, o, k, b: o * k * k + (o if b else 0), r"in_channels"),
        (lambda i, o, k, b: i * k * k + (o if b else 0), r"out_channels|output channel has a filter"),
        (lambda i, o, k, b: (i + o) * k * k + o * b, r"multiply"),
        (lambda i, o, k, b: i * o * k * k + o, r"bias=False"),
        (lambda i, o, k, b: i * o * k * k + (0 if b else o), r"other way round"),
        (lambda i, o, k, b: i * o * k * k + (i if b else 0), r"not for each input channel"),
        (lambda i, o, k, b: i * o * k * k + b, r"not one for all"),
        (lambda i, o, k, b: i * o * (k * k + b), r"one bias for all its slices"),
        (lambda i, o, k, b: o * (i + b) * k * k, r"one number, whatever"),
        (lambda i, o, k, b: i * o * k + o * b, r"square"),
        (lambda i, o, k, b: i * o * k * 2 + o * b, r"kernel_size \*\* 2"),
        (lambda i, o, k, b: i * o * k * k, r"biases are missing"),
        (parameters_without_else, r"no return"),
    ],
    "check_diagonal_kernel": [
        (tensor([-1, -1, -1], [0, 0, 0], [1, 1, 1]), r"At B"),
        (tensor([-1, 0, 1], [-2, 0, 2], [-1, 0, 1]), r"At C"),
        (tensor([-1, 0, -1], [-1, 0, 1], [1, 0, 1]), r"At B"),
        (tensor([-1, -1, 1], [0, 0, 0], [-1, 1, 1]), r"At C"),
        (tensor([0, -1, -1], [1, 0, -1], [1, 1, 0]), r"mirror"),
        (tensor([1, 1, 0], [1, 0, -1], [0, -1, -1]), r"sign"),
        (tensor([-1, -1, 0], [-1, 1, 1], [0, 1, 1]), r"sum to 0"),
        (tensor([-2, -1, 0], [-2, 0, 1], [0, 1, 3]), r"At D"),
        (tensor([0, 0, 0], [0, 0, 0], [0, 0, 0]), r"At A"),
        (tensor([math.nan, -1, 0], [-1, 0, 1], [0, 1, 1]), r"finite"),
        (tensor([-1, -1, 0], [-1, 0, 1], [0, 1, 1])[None, None], r"expected \(3, 3\)"),
        (tensor([-1, -1, 0], [-1, 0, 1], [0, 1, 1]).tolist(), r"list.*torch.tensor"),
    ],
    "check_cross_correlation": [
        (lambda i, k, s, p: by_patches(i, k, s, p, k.shape, (1, 0)), r"neither image nor kernel need be square"),
        (
            lambda i, k, s, p: by_patches(i, k, s, p, (len(k), len(k)), (0, 1)),
            r"neither image nor kernel need be square",
        ),
        (lambda i, k, s, p: correlate(i, k.flip(0, 1), s, p), r"180"),
        (lambda i, k, s, p: correlate(i, k.flip(1), s, p), r"mirrored"),
        (lambda i, k, s, p: correlate(i, k, s, p).T, r"\.T"),
        (lambda *given: conv(*given), r"axis of length 1"),
        (lambda *given: conv(*given).squeeze(), r"axis of length 1"),
        (lambda *given: -correlate(*given), r"sign"),
        (partial(correlate, of=torch.add), r"times the kernel"),
        (lambda i, k, s, p: correlate(i, k, s, 0), r"padding is missing"),
        (lambda *given: correlate(*given).int(), r"float dtype"),
        (lambda i, k, s, p: correlate(i, k, s, 2 * p), r"twice as wide"),
        (partial(correlate, sides=(1, 0, 1, 0)), r"all four sides"),
        (partial(correlate, sides=(0, 1, 0, 1)), r"all four sides"),
        (partial(correlate, sides=(1, 1, 0, 0)), r"all four sides"),
        (partial(correlate, value=1), r"zeros"),
        (lambda i, k, s, p: correlate(pad(i[None], (p,) * 4, "replicate")[0], k, s, 0), r"zeros"),
        (partial(correlate, steps=(0, 0)), r"step by 1"),
        (partial(correlate, steps=(1, 0)), r"stride"),
        (lambda i, k, s, p: correlate(i, k, 1, p), r"stride is missing"),
        (lambda i, k, s, p: conv(i, k, (s, 1), p)[0, 0], r"across"),
        (partial(correlate, size=(0, 0, 0)), r"number of rows for that of columns"),
        (partial(correlate, size=(-1, -1, 1)), r"last windows are missing"),
        (lambda i, k, s, p: correlate(i, k, s, p)[: i.shape[0] - k.shape[0], :], r"last windows are missing"),
        (padded_by_slice, r"padding 0"),
        (partial(correlate, of=torch.Tensor.mul_), r"in place"),
        (correlate_in_image, r"changes image.*copy"),
    ],
}
