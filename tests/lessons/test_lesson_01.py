import numpy as np
import pytest
import torch

from helpers import filters, images
from helpers.lessons import lesson_01


def test_kernel_explorer_gives_the_kernel_back():
    explorer = lesson_01.kernel_explorer(kernel="Sobel y")
    assert torch.equal(explorer.kernel, filters.kernel("Sobel y"))
    explorer.state = {"size": 5, "kernel": list(range(25))}
    assert torch.equal(explorer.kernel, torch.arange(25.0).view(5, 5))
    with pytest.raises(ValueError, match=r"name must be one of identity, .* not 'sobel'"):
        lesson_01.kernel_explorer(kernel="sobel")


def test_kernel_explorer_shows_ones_own_photo_first():
    ramp = torch.linspace(0, 1, 100).expand(3, 50, 100)
    photo = lesson_01.kernel_explorer(ramp).content["photos"][0]
    assert (photo["name"], photo["rows"], photo["columns"]) == ("yours", 200, 400)
    shown = np.frombuffer(photo["pixels"], np.uint8).reshape(200, 400) / 255
    wanted = images.to_gray(images.resized(images.read(ramp), (200, 400)))[0]
    np.testing.assert_allclose(shown, wanted, atol=0.003)
