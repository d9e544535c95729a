"""How long the explorers take to answer the pointer: a sweep of a hundred moves over each, in Chromium.

Three times are taken of each move, in milliseconds:

- ``work``: what the explorer itself does, to compute and to draw;
- ``paint``: from the arrival of the event in the page to the end of the frame in which the answer was painted;
- ``hand``: the same from the event's time stamp, so with the wait for a frame: at 60 Hz up to 16.7 more.

What is here of browsers, pages and JupyterLab serves ``tests/browser`` too.
"""

import functools
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import torch
from playwright.sync_api import Browser, Locator, Page, Playwright, sync_playwright

from benchmarks.timing import keep, machine
from helpers import data
from helpers.lessons import lesson_03
from helpers.lessons.explore import Explorer, script

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "data" / "benchmark_latency.json"
MOVES = 100
FRAME = 16.0  # milliseconds that an answer may take

# The first edition's explorers drew in Python, and sent images. They are gone, so this cannot be measured again. It was
# on the record's machine, in JupyterLab: a hundred presses of an arrow key on lesson 1's slider for the row, each until
# the end of the frame with the new image. While the kernel was busy, no press was answered within 15 seconds.
FIRST_EDITION: dict[str, Any] = {
    "commit": "2ef8811",
    "date": "2026-11-25",
    "sweeps": [
        {"explorer": "kernel, its slider by keys", "where": "JupyterLab", "paint": [47.5, 67.2]},
        {"explorer": "kernel, its slider by keys", "where": "JupyterLab, kernel busy", "paint": None},
    ],
}


# --- A browser, pages, JupyterLab -------------------------------------------------------------------------------------


def find_chromium(playwright: Playwright) -> str | None:
    """Playwright's own Chromium, or one that is installed; None if there is neither."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Playwright, executable: str) -> Browser:
    """Chromium without a screen; a graphics card would make no fair comparison."""
    return playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])


def standalone(explorers: Sequence[Explorer], dark: bool = False) -> str:
    """A page of explorers, with no kernel and no server, as the book has them."""
    colours = "background: #111; color: #ddd" if dark else "background: #fff; color: #222"
    body = "".join(f"<div>{explorer.fragment()}</div>" for explorer in explorers)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Explorers</title><style>body {{ font-family: sans-serif; margin: 16px; {colours} }}</style>"
        f"<main><h1>Explorers</h1>{body}</main><script>{script()}</script></html>"
    )


MADE_BY = {
    "kernel": "lesson_01.kernel_explorer",
    "pooling": "lesson_02.pooling_explorer",
    "network": "lesson_03.network_explorer",
    "descent": "lesson_04.descent_explorer",
    "channels": "lesson_05.channel_explorer",
    "map": "lesson_06.map_explorer",
    "attribution": "lesson_07.attribution_explorer",
    "dream": "lesson_08.dream_explorer",
    "style": "lesson_09.style_explorer",
}


@functools.cache
def make(name: str) -> Explorer:
    """An explorer as its lesson shows it; the one that trains gets a small training set."""
    if name == "training":
        generator = torch.Generator().manual_seed(0)
        train_set = torch.rand(640, 1, 28, 28, generator=generator), torch.arange(640) % 10
        return lesson_03.training_explorer(train_set, data.fashion_mnist(train=False))
    lesson, function = MADE_BY[name].split(".")
    return getattr(importlib.import_module(f"helpers.lessons.{lesson}"), function)()


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """A JupyterLab on this machine alone that serves a folder, with nobody's settings; gives its address.

    ``{}`` in the address is where a path such as ``/lab/tree/notebook.ipynb`` goes. Kernels import this course.
    """
    with tempfile.TemporaryDirectory() as name:
        own = Path(name)
        settings = own / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8")
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        environment = os.environ | {key: str(own / part) for key, part in folders.items()}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--expose-app-in-browser"]
        command = [sys.executable, "-m", "jupyterlab", *options, "--LabApp.extension_manager=readonly"]
        with (own / "log").open("w+", encoding="utf-8", errors="replace") as log:
            server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            try:
                yield _address(own / "runtime", server, log)
            finally:
                server.terminate()
                server.wait(30)


def _address(runtime: Path, server: subprocess.Popen, log: Any) -> str:
    for _ in range(600):
        for file in runtime.glob("jpserver-*.json"):
            if text := file.read_text(encoding="utf-8"):
                said = json.loads(text)
                return f"{said['url'].rstrip('/')}{{}}?reset&token={said['token']}"
        if server.poll() is not None:
            break
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read()}")


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """A notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def open_notebook(page: Page, address: str, name: str) -> None:
    """Open a notebook, and wait until its kernel answers."""
    page.goto(address.format(f"/doc/tree/{name}"))
    status = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
    page.wait_for_function(f"{status} === 'idle'", timeout=60_000)


def command(page: Page, name: str) -> None:
    """Have JupyterLab do what one of its menus does, without waiting for it to end."""
    page.evaluate("name => { jupyterapp.commands.execute(name); }", name)


def run_cell(page: Page, code: str) -> Locator:
    """Put a cell at the end of the notebook and run it, without waiting for it to end; gives its output."""
    page.evaluate(
        """async (code) => {
            const { content } = jupyterapp.shell.currentWidget;
            content.activeCellIndex = content.widgets.length - 1;
            await jupyterapp.commands.execute("notebook:insert-cell-below");
            content.activeCell.model.sharedModel.setSource(code);
            jupyterapp.commands.execute("notebook:run-cell");
        }""",
        code,
    )
    return page.locator(".jp-Notebook .jp-Cell").last.locator(".jp-OutputArea-output").last


# --- Measuring --------------------------------------------------------------------------------------------------------

# In the page, before anything else: a message that is sent in a frame comes after that frame has been painted.
WATCH = """
window.samples = [];
let now = null;
const frame = requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => frame((time) => {
  const start = performance.now();
  draw(time);
  if (now) now.work += performance.now() - start;
});
addEventListener("pointermove", (event) => {
  if (!event.isTrusted) return;
  const sample = now = { stamp: event.timeStamp, start: performance.now(), work: 0 };
  frame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { sample.end = performance.now(); samples.push(sample); };
    channel.port2.postMessage(0);
  });
}, true);
addEventListener("pointermove", (event) => { if (event.isTrusted) now.work += performance.now() - now.start; });
"""


@dataclass(frozen=True)
class Sweep:
    """What a hundred moves took, each a median and a 95th percentile in milliseconds."""

    explorer: str
    where: str
    work: tuple[float, float]
    paint: tuple[float, float]
    hand: tuple[float, float]


def sweep(page: Page, element: Locator, moves: int = MOVES, height: float = 0.9) -> list[dict[str, float]]:
    """Move the pointer over an element in a zigzag, a move after the other was answered; gives a sample of each."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.evaluate("() => new Promise((done) => setTimeout(() => { samples.length = 0; done(); }, 100))")
    for i in range(moves):
        x, y = (i * 7 % 100 + 0.5) / 100, 0.05 + height * (i + 0.5) / moves
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function("(count) => samples.length >= count", arg=i + 1)
    return page.evaluate("samples")[:moves]


def summary(explorer: str, where: str, samples: list[dict[str, float]]) -> Sweep:
    """Median and 95th percentile of each time."""
    times = {
        "work": [s["work"] for s in samples],
        "paint": [s["end"] - s["start"] for s in samples],
        "hand": [s["end"] - s["stamp"] for s in samples],
    }
    return Sweep(explorer, where, **{name: middle_and_tail(values) for name, values in times.items()})


def middle_and_tail(values: Sequence[float]) -> tuple[float, float]:
    """The median and the 95th percentile."""
    return round(statistics.median(values), 2), round(statistics.quantiles(values, n=20)[-1], 2)


# What is swept: an explorer, what is done with it, the label of the element, and what is done before.
Prepare = Callable[[Page], object]
SWEEPS: list[tuple[str, str, str, Prepare]] = [
    ("kernel", "pointing at the photo", "photo, 200", lambda page: None),
    ("kernel", "5 × 5, second kernel on top", "photo, 200", lambda page: _second_kernel(page)),
    ("pooling", "pointing at the numbers", "numbers to type over", lambda page: None),
    (
        "pooling",
        "pointing at a feature map",
        "feature map, ",
        lambda page: page.get_by_role("combobox", name="on", exact=True).select_option("feature map"),
    ),
    ("network", "pointing at the second layer", "32 maps of the second", lambda page: None),
    ("network", "drawing", "drawing; ", lambda page: None),
    ("training", "pointing at the second layer", "32 maps of the second", lambda page: None),
    ("descent", "pointing at the map", "map of the surface", lambda page: None),
    ("channels", "pointing at the photo", "photo, lit by", lambda page: None),
    ("channels", "pointing at the maps", "maps of the", lambda page: None),
    ("map", "pointing at 3,000 items", "map of 3,000", lambda page: None),
    ("attribution", "pointing at the map", "map over the photo", lambda page: None),
    ("dream", "the wipe", "photo left of the line", lambda page: None),
    ("style", "the wipe", "left of the line the photo", lambda page: None),
]


def _second_kernel(page: Page) -> None:
    page.get_by_label("size").select_option("5")
    page.get_by_label("second kernel on top").select_option("Sobel y")


def measure_static(browser: Browser, folder: Path) -> list[Sweep]:
    """Each explorer in a page without a kernel."""
    results = []
    for name, what, label, prepare in SWEEPS:
        (folder / "page.html").write_text(standalone([make(name)]), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.add_init_script(WATCH)
        page.goto((folder / "page.html").as_uri())
        prepare(page)
        element = page.get_by_label(label).first
        if what == "drawing":
            element.hover()
            page.mouse.down()
        results.append(said(summary(f"{name}, {what}", "static page", sweep(page, element))))
        page.close()
    return results


def measure_lab(browser: Browser, folder: Path) -> list[Sweep]:
    """Lesson 1's explorer in JupyterLab, with an idle kernel and with a busy one."""
    write_notebook(folder / "latency.ipynb", ["from helpers.lessons import lesson_01\nlesson_01.kernel_explorer()"])
    with jupyter_lab(folder) as address:
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.add_init_script(WATCH)
        open_notebook(page, address, "latency.ipynb")
        command(page, "notebook:run-all-cells")
        element = page.get_by_label("photo, 200").first
        element.wait_for(timeout=60_000)
        name = "kernel, pointing at the photo"
        results = [said(summary(name, "JupyterLab", sweep(page, element)))]
        run_cell(page, "print('busy')\nwhile True:\n    pass").get_by_text("busy").wait_for()
        results.append(said(summary(name, "JupyterLab, kernel busy", sweep(page, element))))
        page.close()
    return results


def said(result: Sweep) -> Sweep:
    """Print a result as soon as it is there."""
    print(f"{result.explorer}, {result.where}: {result.paint[1]:.1f} ms", flush=True)
    return result


def table(results: Sequence[Sweep]) -> str:
    """The results as a table of Markdown: median / 95th percentile."""
    lines = ["| ms: median / 95th percentile | where | work | to paint | to paint, wait for the frame included |"]
    lines.append("|---|---|---|---|---|")
    for r in results:
        times = " | ".join(f"{middle:.1f} / {tail:.1f}" for middle, tail in (r.work, r.paint, r.hand))
        lines.append(f"| {r.explorer} | {r.where} | {times} |")
    for row in FIRST_EDITION["sweeps"]:
        paint = "{:.1f} / {:.1f}".format(*row["paint"]) if row["paint"] else "no answer"
        lines.append(f"| first edition: {row['explorer']} | {row['where']} | | {paint} | |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and keep the numbers in ``data/benchmark_latency.json``."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        executable = find_chromium(playwright)
        if not executable:
            print("There is no Chromium to measure in: .venv/bin/playwright install chromium gets one.")
            return
        browser = launch(playwright, executable)
        version = browser.version
        results = [*measure_static(browser, Path(name)), *measure_lab(browser, Path(name))]
        browser.close()
    print(f"\n{machine()}, Chromium {version}\n\n{table(results)}\n")
    numbers = {"chromium": version, "load": round(os.getloadavg()[0], 1), "moves": MOVES}
    keep(RECORD, **numbers, results=[asdict(r) for r in results], first_edition=FIRST_EDITION)


if __name__ == "__main__":
    main()
