import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from helpers import filters


@pytest.mark.parametrize(("name", "order"), [("Sobel x", (1, 0)), ("Sobel y", (0, 1))])
def test_sobel_is_opencvs(name, order):
    columns, rows = cv2.getDerivKernels(*order, ksize=3)
    assert np.array_equal(filters.kernel(name), np.outer(rows, columns))


def test_laplacian_is_opencvs():
    image = np.random.default_rng(0).random((9, 9))
    kernel = filters.kernel("Laplacian").numpy()
    assert np.allclose(cv2.filter2D(image, -1, kernel), cv2.Laplacian(image, -1))


def test_blurs_keep_brightness_and_edges_ignore_it():
    sums = {name: kernel.sum().item() for name, kernel in filters.KERNELS.items()}
    assert {name for name, total in sums.items() if abs(total) < 1e-6} == {"Sobel x", "Sobel y", "Laplacian"}
    assert all(abs(total - 1) < 1e-6 for name, total in sums.items() if abs(total) > 1e-6)


def test_kernel_is_a_copy_and_unknown_names_are_refused():
    filters.kernel("identity").zero_()
    assert filters.kernel("identity").sum() == 1
    with pytest.raises(ValueError, match=r"Sobel x.*not 'sobel'"):
        filters.kernel("sobel")


def test_step_filters_answer_to_their_own_edge():
    rightward = torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(4, 1)
    edges = torch.stack([rightward, 1 - rightward, rightward.T, 1 - rightward.T])
    answers = torch.einsum("fij,eij->fe", filters.step_filters(), edges)
    assert torch.equal(answers.argmax(1), torch.arange(4))
    assert torch.equal(answers.diag(), torch.full((4,), 8.0))


@given(*(st.integers(a, b) for a, b in ((1, 40), (1, 7), (1, 4), (0, 3), (1, 3))))
def test_output_size_is_pytorchs(size, kernel_size, stride, padding, dilation):
    if dilation * (kernel_size - 1) + 1 > size + 2 * padding:
        with pytest.raises(ValueError, match="does not fit"):
            filters.output_size(size, kernel_size, stride, padding, dilation)
        return
    weight = torch.zeros(1, 1, kernel_size, 1)
    real = conv2d(torch.zeros(1, 1, size, 1), weight, None, (stride, 1), (padding, 0), (dilation, 1))
    assert filters.output_size(size, kernel_size, stride, padding, dilation) == real.shape[2]


@pytest.mark.parametrize("bad", [{"size": 0}, {"stride": 0}, {"padding": -1}, {"dilation": 0}, {"kernel_size": 0}])
def test_output_size_names_the_bad_argument(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least"):
        filters.output_size(**({"size": 5, "kernel_size": 3} | bad))


def test_filters_are_float32_whatever_the_default_is():
    torch.set_default_dtype(torch.float64)
    try:
        assert {filters.step_filters().dtype, *(each.dtype for each in filters.KERNELS.values())} == {torch.float32}
    finally:
        torch.set_default_dtype(torch.float32)
