import cv2
import numpy as np
import pytest
import torch

from helpers import filters


@pytest.mark.parametrize(("name", "order"), [("Sobel x", (1, 0)), ("Sobel y", (0, 1))])
def test_sobel_is_opencvs(name, order):
    columns, rows = cv2.getDerivKernels(*order, ksize=3)
    assert np.array_equal(filters.kernel(name), np.outer(rows, columns))


def test_laplacian_is_opencvs():
    picture = np.random.default_rng(0).random((9, 9))
    kernel = filters.kernel("Laplacian").numpy()
    assert np.allclose(cv2.filter2D(picture, -1, kernel), cv2.Laplacian(picture, -1))


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
