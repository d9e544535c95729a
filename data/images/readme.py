"""Put together the images of the README from what the lessons show: a part of ``make pictures``, a few seconds.

The figures are those on the lessons' cards in the book, taken from the notebooks as they are stored. The strip of style
transfer comes from the photos, the style images and the paintings beside this file; the explorer is drawn into and
photographed in Chromium, where there is one.
"""

import io
import sys
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import sync_playwright
from torch import Tensor

from benchmarks import latency
from book.pages import CARDS, figures
from helpers import files, images
from helpers.lessons import course, lesson_09

FOLDER = Path(__file__).parent
WIDTH = 1298  # pixels

FIGURES = {"readme_filters.jpg": 1, "readme_momentum.png": 4, "readme_looking.jpg": 7, "readme_dream.jpg": 8}  # lessons

# The corners of a boot on the pad of 28 × 28, column and row, and a place inside it.
BOOT, INSIDE = [(15, 3), (25, 3), (26, 24), (2, 24), (1, 20), (4, 17), (12, 14)], (20, 12)


def figure(lesson: int) -> bytes:
    """The file of the figure on a lesson's card.

    Raises:
        ValueError: the lesson has none.
    """
    notebook, start = course.read(course.LESSONS[lesson - 1]), CARDS[lesson - 1]
    for text, content, _kind in figures(notebook):
        if text.startswith(start):
            return content
    raise ValueError(f"lesson {lesson} has no figure whose text begins with {start!r}")


def explorer() -> bytes | None:
    """Lesson 3's explorer with a boot drawn into it; None where there is no Chromium."""
    with sync_playwright() as playwright:
        if not (chromium := latency.find_chromium(playwright)):
            return None
        browser = latency.launch(playwright, chromium)
        page = browser.new_page(viewport={"width": 1180, "height": 1100})
        page.set_content(latency.standalone([latency.make("network")]))
        page.get_by_role("button", name="clear").click()
        pad = page.get_by_label("drawing; ").bounding_box()
        assert pad  # it is on the page
        places = [
            (pad["x"] + (x + 0.5) / 28 * pad["width"], pad["y"] + (y + 0.5) / 28 * pad["height"]) for x, y in BOOT
        ]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in [*places[1:], places[0]]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()
        page.get_by_role("combobox", name="brush").select_option("fill")
        page.mouse.click(pad["x"] + INSIDE[0] / 28 * pad["width"], pad["y"] + INSIDE[1] / 28 * pad["height"])
        maps = page.get_by_label("32 maps of the second").bounding_box()
        assert maps
        page.mouse.move(maps["x"] + 0.06 * maps["width"], maps["y"] + 0.1 * maps["height"])
        page.wait_for_timeout(500)
        shot = page.locator(".xp").screenshot()
        browser.close()
        return shot


def convert(content: bytes, ending: str) -> bytes:
    """An image file as one of another kind, and no wider than :data:`WIDTH`."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    options = {"jpeg": {"quality": 88}, "png": {"optimize": True}}
    kind = "jpeg" if ending == ".jpg" else "png"
    image.save(file, kind, **options[kind])
    return file.getvalue()


def cover(image: Tensor, height: int, width: int) -> Tensor:
    """The middle of an image ``(3, H, W)``, scaled so that it fills ``(3, height, width)``."""
    scale = max(height / image.shape[1], width / image.shape[2])
    size = [max(wanted, round(side * scale)) for wanted, side in zip((height, width), image.shape[1:], strict=True)]
    larger = images.resized(image, size).clamp(0, 1)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return larger[:, top : top + height, left : left + width]


def style_strip(gap: int = 6) -> bytes:
    """A column for each style: the photo and the style image, small, over the painting."""
    width = (WIDTH - 3 * gap) // 4
    half = (width - gap) // 2
    columns = []
    for name, painting in lesson_09.PAINTINGS.items():
        pair = [images.sample(painting.photo), lesson_09.style_image(name)]
        small = [cover(image, round(half / 1.5), half) for image in pair]
        between = torch.ones(3, small[0].shape[1], width - 2 * half)
        large = cover(images.read(FOLDER / f"painting_{name}.jpg"), round(width / 1.5), width)
        columns += [torch.cat([torch.cat([small[0], between, small[1]], dim=2), torch.ones(3, gap, width), large], 1)]
    white = torch.ones(3, columns[0].shape[1], gap)
    strip = torch.cat([part for column in columns for part in (column, white)][:-1], dim=2)
    file = io.BytesIO()
    Image.fromarray((images.to_array(strip) * 255).round().astype("uint8")).save(file, "jpeg", quality=88)
    return file.getvalue()


def main() -> None:
    """Write the strip's images, all of them or none."""
    made = {FOLDER / "readme_style.jpg": style_strip()}
    for name, lesson in FIGURES.items():
        made[FOLDER / name] = convert(figure(lesson), Path(name).suffix)
    if shot := explorer():
        made[FOLDER / "readme_explorer.png"] = convert(shot, ".png")
    files.write_together(made)
    print(*(path.name for path in made), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"The README's images cannot be made: {error}")
