"""What paints lesson 9's paintings, and what puts together the README's images."""

import importlib.util
import io
import json
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers import images, pretrained
from helpers.lessons import lesson_09

FOLDER = Path(__file__).parents[1] / "data" / "images"


def script(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def paint():
    return script("paint")


@pytest.fixture(scope="module")
def readme():
    return script("readme")


def opened(file):
    return images.read(Image.open(io.BytesIO(file)))


def test_a_painting_is_kept_as_well_as_its_bytes_allow(paint):
    image = torch.rand(3, 120, 200, generator=torch.Generator().manual_seed(0))
    roomy, tight = paint.jpeg(image, 150_000), paint.jpeg(image, 12_000)
    assert len(tight) <= 12_000 < len(roomy)
    assert (opened(roomy) - image).abs().mean() < (opened(tight) - image).abs().mean()


def test_runs_are_kept_with_their_images(paint, monkeypatch):
    monkeypatch.setattr(lesson_09, "STEPS", 2)
    monkeypatch.setattr(lesson_09, "WEIGHTS", (3, 9))
    monkeypatch.setattr(lesson_09, "explorer_photo", lambda: images.read(images.sample("chelsea"), 80))
    archive, text = paint.runs(pretrained.load()).values()
    record = json.loads(text)
    assert record["command"] == "make pictures"
    assert [run["weight"] for run in record["runs"]] == [3, 9]
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        names = [each["image"] for run in record["runs"] for each in run["snapshots"]]
        assert file.namelist() == names
        assert max(opened(file.read(names[-1])).shape) == 80


def test_the_readme_takes_figures_by_their_text(readme):
    for name, lesson in readme.FIGURES.items():
        content = readme.convert(readme.figure(lesson), Path(name).suffix)
        assert opened(content).shape[2] <= readme.WIDTH


def test_a_figure_that_is_not_there_is_said(readme, monkeypatch):
    monkeypatch.setattr(readme, "CARDS", ["A unicorn"])
    with pytest.raises(ValueError, match="lesson 1 has no figure whose text begins with 'A unicorn'"):
        readme.figure(1)


def test_a_cover_fills_and_keeps_the_middle(readme):
    image = torch.zeros(3, 60, 100)
    image[:, 20:40, 40:60] = 1
    small = readme.cover(image, 30, 30)
    assert small.shape == (3, 30, 30)
    assert small[:, 15, 15].min() > 0.9
    assert small[:, :4].max() < 0.1


def test_the_strip_has_four_columns(readme):
    strip = opened(readme.style_strip())
    assert abs(strip.shape[2] - readme.WIDTH) < 8
    assert strip.shape[1] > 300
