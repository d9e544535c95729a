"""Named kernels, as 2-D tensors. Lesson 1 explains what each of them answers to.

They are applied as networks and OpenCV do, by cross-correlation: not turned by 180 degrees first.
"""

import torch
from torch import Tensor

KERNELS: dict[str, Tensor] = {
    "identity": torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]]).float(),
    "box blur": torch.full((3, 3), 1 / 9),
    "Gaussian blur": torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    "Sobel x": torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).float(),
    "Sobel y": torch.tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]).float(),
    "Laplacian": torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).float(),
    "sharpen": torch.tensor([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]).float(),
    "emboss": torch.tensor([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]).float(),
}


def kernel(name: str) -> Tensor:
    """A kernel of :data:`KERNELS` by name, ``(3, 3)``, as a copy that may be changed."""
    if name not in KERNELS:
        raise ValueError(f"name must be one of {', '.join(KERNELS)}, not {name!r}")
    return KERNELS[name].clone()


def step_filters() -> Tensor:
    """Four 4 × 4 edge filters, ``(4, 4, 4)``: dark-to-bright to the right, its negative, and both turned downwards."""
    step = torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(4, 1)
    return torch.stack([step, -step, step.T, -step.T])
