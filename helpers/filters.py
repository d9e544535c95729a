"""Named kernels, as 2-D tensors, and the arithmetic of what sliding them makes of a size.

Lesson 1 explains what each kernel responds to. They are applied as networks and OpenCV do, by cross-correlation: not
turned by 180 degrees first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.arguments import check_choice, check_pair, check_whole

KERNELS: dict[str, Tensor] = {
    "identity": torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]]).float(),
    "box blur": torch.full((3, 3), 1 / 9, dtype=torch.float32),
    "Gaussian blur": torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]).float() / 16,
    "Sobel x": torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).float(),
    "Sobel y": torch.tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]).float(),
    "Laplacian": torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).float(),
    "sharpen": torch.tensor([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]).float(),
    "emboss": torch.tensor([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]).float(),
}


def kernel(name: str) -> Tensor:
    """A kernel of :data:`KERNELS` by name, ``(3, 3)``, as a copy that may be changed."""
    check_choice(KERNELS, name=name)
    return KERNELS[name].clone()


def step_filters() -> Tensor:
    """Four 4 × 4 edge filters, ``(4, 4, 4)``: dark-to-bright to the right, its negative, and both turned downwards."""
    step = torch.tensor([-1, -1, 1, 1]).float().repeat(4, 1)
    return torch.stack([step, -step, step.T, -step.T])


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Rows (or columns) that a convolution or pooling makes of ``size``: ``(W − F + 2P) / S + 1``, rounded down.

    Dilation spreads a kernel of F over ``dilation · (F − 1) + 1`` rows. Lesson 1 derives it.

    Raises:
        ValueError: a size, stride or dilation below 1, a padding below 0, or a kernel larger than the padded input.
    """
    check_whole(1, size=size, kernel_size=kernel_size, stride=stride, dilation=dilation)
    check_whole(0, padding=padding)
    span, padded = dilation * (kernel_size - 1) + 1, size + 2 * padding
    if span > padded:
        raise ValueError(f"a kernel that spans {span} rows does not fit into {padded} (size {size}, padding {padding})")
    return (padded - span) // stride + 1


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Input rows that one output sees through a stack of ``(kernel_size, stride)`` layers. Lesson 2 derives it."""
    field, jump = 1, 1
    for layer in layers:
        check_pair(kernel_size_and_stride=layer)
        kernel_size, stride = layer
        check_whole(1, kernel_size=kernel_size, stride=stride)
        field += (kernel_size - 1) * jump
        jump *= stride
    return field
