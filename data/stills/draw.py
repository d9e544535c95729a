"""Draw the stills of the explorers, each as it opens in Chromium: ``make stills`` writes them beside this file."""

import io

import PIL.Image
from playwright.sync_api import Browser, sync_playwright

from benchmarks import latency
from helpers import files
from helpers.bars import tqdm
from helpers.lessons import explore

NAMES = [*latency.MADE_BY, "training"]
WIDTH = 651  # pixels
ROWS = {"network": 360, "training": 360, "descent": 360, "style": 326}  # of those that are higher than they need be


def drawn(browser: Browser, name: str) -> PIL.Image.Image:
    """An explorer as it opens, in a window as wide as JupyterLab leaves."""
    context = browser.new_context(viewport={"width": 900, "height": 1000}, reduced_motion="reduce")
    try:
        page = context.new_page()
        page.set_content(latency.standalone([latency.make(name)]))
        page.locator("canvas").first.wait_for()
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        page.wait_for_timeout(1000)  # what the page decodes by itself is drawn when it is there
        image = PIL.Image.open(io.BytesIO(page.locator("div[data-explorer]").screenshot())).convert("RGB")
    finally:
        context.close()
    rows = round(image.height * WIDTH / image.width)
    small = image.resize((WIDTH, rows), PIL.Image.Resampling.LANCZOS)
    return small.crop((0, 0, WIDTH, min(rows, ROWS.get(name, rows))))


def main() -> None:
    """Draw each, and write all together."""
    contents = {}
    with sync_playwright() as playwright:
        executable = latency.find_chromium(playwright)
        if executable is None:
            raise SystemExit("There is no Chromium to draw with: .venv/bin/playwright install chromium gets one.")
        browser = latency.launch(playwright, executable)
        for name in tqdm(NAMES):
            file = io.BytesIO()
            drawn(browser, name).save(file, "webp", quality=45, method=6)
            contents[explore.STILLS / f"{name}.webp"] = file.getvalue()
    files.write_together(contents)
    print({path.name: len(content) for path, content in contents.items()})


if __name__ == "__main__":
    main()
