import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from helpers import images


@pytest.mark.parametrize("name", images.SAMPLES)
def test_samples_are_images(name):
    image = images.sample(name)
    assert image.dtype == torch.float32
    assert image.ndim == 3
    assert image.shape[0] == 3
    assert image.min() >= 0
    assert 0.5 < image.max() <= 1


@pytest.mark.parametrize("name", ["china", "flower"])
def test_photos_of_scikit_learn_are_read_without_it(name):
    assert np.array_equal(images.SAMPLES[name](), load_sample_image(f"{name}.jpg"))


def test_unknown_sample_names_the_known():
    with pytest.raises(ValueError, match=r"chelsea.*not 'dog'"):
        images.sample("dog")


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
def test_array_tensor_and_back(height, width, channels):
    array = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)
    image = images.read(array)
    assert image.shape == (3, height, width)
    assert np.array_equal((images.to_array(image)[..., :channels] * 255).round(), array)
    copy = images.read(image)
    assert torch.equal(copy, image)
    assert torch.equal(images.read(image.numpy().transpose(1, 2, 0)), image)
    copy.zero_()
    assert images.read(array).equal(image)


def test_file_formats(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert torch.equal(images.read(tmp_path / "a.png"), images.read(pixels))
    assert torch.equal(images.read(str(tmp_path / "a.png")), images.read(Image.fromarray(pixels)))


def test_exif_orientation_is_obeyed(tmp_path):
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image = images.read(tmp_path / "turned.png")
    assert image.shape == (3, 3, 2)
    assert image[:, 0, 1].tolist() == [1, 1, 1]


def test_transparency_lies_over_white():
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 0, 3] = 255
    assert images.read(Image.fromarray(pixels))[0].tolist() == [[0, 1]]


def test_sixteen_bit_grey(tmp_path):
    pixels = np.array([[0, 32768, 65535]], np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    expected = torch.tensor([0, 32768 / 65535, 1])
    assert torch.allclose(images.read(tmp_path / "deep.png")[1, 0], expected)
    assert torch.allclose(images.read(pixels)[1, 0], expected)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((2, 3, 2)), r"not \(2, 3, 2\)"),
        (np.zeros(4), r"not \(4, 1\)|not \(4,\)"),
        (torch.full((3, 2, 2), 1.5), r"lie in \[0, 1\].*1.5"),
        (torch.full((3, 2, 2), float("nan")), "nan"),
        (np.zeros((0, 3)), r"\(0, 3\)"),
    ],
)
def test_what_is_no_image_is_refused(source, words):
    with pytest.raises(ValueError, match=words):
        images.read(source)


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt cannot be read as an image"):
        images.read(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError):
        images.read(tmp_path / "missing.png")


def test_url(tmp_path, monkeypatch):
    file = io.BytesIO()
    Image.new("RGB", (2, 1), "red").save(file, "PNG")
    monkeypatch.setattr(images.files, "chunks", lambda url, limit: [file.getvalue()])
    assert images.read("https://example.org/red.png")[:, 0, 0].tolist() == [1, 0, 0]
    monkeypatch.undo()
    with pytest.raises(OSError, match="cannot be fetched"):
        images.read("http://127.0.0.1:9/nothing.png")


def test_grey_is_pil_luma():
    image = images.sample("coffee")
    gray = Image.fromarray((images.to_array(image) * 255).round().astype(np.uint8)).convert("L")
    assert np.allclose(images.to_array(images.to_gray(image)) * 255, np.asarray(gray), atol=1)
    assert images.to_gray(image[None]).shape == (1, 1, 400, 600)


def test_to_array_refuses_a_batch():
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\)"):
        images.to_array(torch.zeros(2, 3, 4, 4))


def test_square_is_the_middle_as_networks_are_tested():
    ramp = torch.linspace(0, 1, 400).expand(3, 300, 400)
    middle = images.square(ramp, 224)
    assert middle.shape == (3, 224, 224)
    # 300 rows become 256, so 400 columns 341; of these the middle 224 are kept.
    assert middle[0, 0, 0].item() == pytest.approx((341 - 224) / 2 / 341, abs=0.01)
    assert middle[0, 0, -1].item() == pytest.approx(1 - (341 - 224) / 2 / 341, abs=0.01)
    assert images.square(images.sample("coins"), 50).max() <= 1


def test_as_batch_says_whether_it_was_one():
    assert images.as_batch(torch.zeros(3, 4, 5))[0].shape == (1, 3, 4, 5)
    assert images.as_batch(torch.zeros(3, 4, 5))[1]
    assert not images.as_batch(torch.zeros(2, 3, 4, 5))[1]
    for wrong in (torch.zeros(4, 5), torch.zeros(0, 3, 4, 5), torch.zeros(3, 4, 5, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="images"):
            images.as_batch(wrong)


def test_read_makes_smaller_but_never_larger(tmp_path):
    Image.new("RGB", (100, 40), "blue").save(tmp_path / "wide.png")
    assert images.read(tmp_path / "wide.png", size=50).shape == (3, 20, 50)
    assert images.read(tmp_path / "wide.png", size=500).shape == (3, 40, 100)
    assert images.read(torch.rand(1, 300, 1), size=10).shape == (3, 10, 1)


def test_a_file_that_is_cut_off_or_too_large(tmp_path, monkeypatch):
    pixels = (images.to_array(images.sample("coffee")) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:9000])
    with pytest.raises(ValueError, match=r"half\.jpg cannot be read as an image: .*truncated"):
        images.read(tmp_path / "half.jpg")
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(ValueError, match="400 × 600 pixels, and 1,000 is the maximum"):
        images.read(tmp_path / "whole.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="decompression bomb"):
        images.read(tmp_path / "whole.jpg")
    with pytest.raises(OSError, match=r"directory|denied"):
        images.read(tmp_path)


def test_resized_and_scaled():
    image = torch.rand(2, 3, 10, 20)
    assert images.scaled(image, 0.5) == (5, 10)
    assert images.scaled(image, 0.01) == (1, 1)
    assert images.resized(image, (10, 20)) is image
    assert torch.allclose(images.resized(torch.full((3, 10, 20), 0.3), (7, 9)), torch.tensor(0.3))
