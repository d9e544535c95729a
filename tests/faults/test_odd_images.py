"""Images that are damaged, odd, huge, or none; nothing else than an image or one sentence may come back."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import images

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    "TIFF",
    "WEBP",
    "AVIF",
    "BLP",
    "ICO",
    "TGA",
    "PPM",
    "DDS",
    "PCX",
    "SGI",
    "JPEG2000",
)


def encoded(format):
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    try:
        if format == "BLP":
            image.quantize(16).save(file, format)
        else:
            image.save(file, format, **({"exif": exif} if format in ("PNG", "JPEG", "WEBP", "AVIF") else {}))
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {format}")
    return file.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_files_are_images_or_a_sentence(format, tmp_path):
    content, rng, path, said = encoded(format), np.random.default_rng(1), tmp_path / "damaged", []
    for _ in range(150):
        damaged = bytearray(content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.3 else content)
        for place in rng.integers(0, min(len(damaged), 200), rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            image = images.read(path, size=16)
        except ValueError as error:
            said.append(str(error))
        else:
            assert 0 <= image.min() <= image.max() <= 1
    assert said
    poor = [
        sentence
        for sentence in said
        if not re.match(rf"{re.escape(str(path))} cannot be read as an image: .", sentence)
    ]
    assert not poor


def saved(tmp_path, array, mode=None):
    path = tmp_path / "image.tiff"
    Image.fromarray(array, mode).save(path) if mode else Image.fromarray(array).save(path)
    return path


def test_a_float_tiff_keeps_its_values_or_is_refused(tmp_path):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert torch.equal(images.read(saved(tmp_path, values))[1], torch.from_numpy(values))
    with pytest.raises(ValueError, match=r"cannot be read as an image: .* lie in \[0, 1\], and these in \[0, 255\]"):
        images.read(saved(tmp_path, 255 * values))


def test_a_whole_number_tiff_keeps_its_values_or_is_refused(tmp_path):
    assert images.read(saved(tmp_path, np.array([[0, 65535]], np.int32))).tolist() == [[[0, 1]]] * 3
    for wrong in ([[0, 65536]], [[-1, 5]]):
        with pytest.raises(ValueError, match=r"16-bit grey in \[0, 65535\]"):
            images.read(saved(tmp_path, np.array(wrong, np.int32)))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.full((2, 2), -1), r"lie in \[0, 9223372036854775807\], and these in \[-1, -1\]"),
        (torch.full((3, 2, 2), -5, dtype=torch.int16), r"lie in \[0, 32767\]"),
        (torch.zeros(5, 7, 3), r"channels come first, \(1 \| 3 \| 4, H, W\); this one has \(5, 7, 3\)"),
        (torch.zeros(2, 3, 5, 7), r"not \(2, 3, 5, 7\)"),
        (np.zeros((5, 7), complex), "values are numbers, not complex128"),
        (np.array([["a"]]), "values are numbers, not <U1"),
        (np.array([[None]]), "values are numbers, not object"),
        (None, "a path, a URL, a PIL image, an array or a tensor, not None"),
        (b"\x89PNG", r"not b'\\x89PNG'"),
        (7, "not 7"),
        ([[0, 1]], r"not \[\[0, 1\]\]"),
        ("bad\0name.png", "cannot be read as an image: embedded null"),
    ],
)
def test_what_is_no_image_is_told_what_is(source, words):
    with pytest.raises(ValueError, match=words):
        images.read(source)


@pytest.mark.parametrize(
    "source", ["", "~nosuchuser/a.png", "file:///nowhere/a.png", "/tmp", "ftp://example.org/a.png"]
)
def test_paths_that_lead_nowhere(source):
    with pytest.raises(OSError, match=r"No such file|Is a directory"):
        images.read(source)


def test_home_and_file_urls_are_understood(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "ä b.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert torch.equal(images.read("~/ä b.png"), images.read(PIXELS))
    assert torch.equal(images.read((tmp_path / "ä b.png").as_uri()), images.read(PIXELS))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.bool])
def test_any_kind_of_number_will_do(dtype):
    ones = torch.ones(3, 2, 2, dtype=dtype, requires_grad=dtype.is_floating_point)
    assert images.read(ones).tolist() == [[[1, 1], [1, 1]]] * 3


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="size must be a whole number of at least 1, not 0"):
        images.read(PIXELS, size=0)


def test_a_pil_image_is_left_as_it_was(tmp_path):
    path = tmp_path / "large.jpg"
    Image.fromarray(PIXELS).resize((640, 480)).save(path)
    with Image.open(path) as given:
        images.read(given, size=20)
        assert given.size == (640, 480)


def test_a_huge_photo_is_made_smaller_while_it_is_decoded(tmp_path):
    Image.new("RGB", (8160, 6120), "teal").save(tmp_path / "huge.jpg")
    code = (
        "import resource, sys; from helpers import images; images.sample('chelsea');"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"image = images.read({str(tmp_path / 'huge.jpg')!r}, size=640); assert image.shape == (3, 480, 640);"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert float(done.stdout) < 200  # MiB; whole it would be more than a thousand
