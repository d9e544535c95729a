"""The explorers in JupyterLab, with a kernel that is idle, busy, dead; in light and in dark.

One notebook serves the tests here, but one, in the order in which they stand.
"""

import re

import nbformat
import pytest
from playwright.sync_api import expect

from benchmarks import latency

CELLS = [
    "import torch\nfrom helpers import data\n"
    "from helpers.lessons import lesson_01, lesson_02, lesson_03, lesson_04, lesson_05\n"
    "from helpers.lessons import lesson_06, lesson_07, lesson_08, lesson_09",
    "kernel = lesson_01.kernel_explorer()\nkernel",
    "pooling = lesson_02.pooling_explorer()\npooling",
    "network = lesson_03.network_explorer()\nnetwork",
    "train_set = torch.rand(3200, 1, 28, 28), torch.arange(3200) % 10\n"
    "training = lesson_03.training_explorer(train_set, data.fashion_mnist(train=False))\ntraining",
    "descent = lesson_04.descent_explorer()\ndescent",
    "lesson_05.channel_explorer()",
    "lesson_06.map_explorer()",
    "lesson_07.attribution_explorer()",
    "lesson_08.dream_explorer()",
    "lesson_09.style_explorer()",
    "from helpers.lessons.quiz import quiz\nquiz(1)",
]
EXPLORERS = ["kernel", "pooling", "network", "training", "descent", "channels", "map", "attribution", "dream", "style"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def address(folder):
    with latency.jupyter_lab(folder) as address:
        yield address


@pytest.fixture(scope="module")
def lab(watch, folder, address):
    latency.write_notebook(folder / "explorers.ipynb", CELLS)
    base = address.partition("{}")[0]
    allowed = f"{base}/", f"{base.replace('http', 'ws')}/"
    watched = watch(*allowed, viewport={"width": 1300, "height": 1000}, reduced_motion="reduce")
    latency.open_notebook(watched.page, address, "explorers.ipynb")
    latency.command(watched.page, "notebook:run-all-cells")
    yield watched
    watched.context.close()


@pytest.fixture
def page(lab):
    yield lab.page
    lab.check()


def explorer(page, name):
    return page.locator(".jp-Notebook .jp-Cell").nth(1 + EXPLORERS.index(name)).locator(".xp")


def point(sheet, across=0.5, down=0.5):
    box = sheet.bounding_box()
    sheet.hover(position={"x": across * box["width"] - 1, "y": down * box["height"] - 1})  # 1: its border


def expect_an_answer(page):
    """Pointing says what is there, in lessons 1 and 3."""
    for across, row in [(0.2525, 49), (0.7525, 149)]:
        point(explorer(page, "kernel").get_by_label("photo, 200"), across, across)
        expect(explorer(page, "kernel").locator(".xp-note")).to_contain_text(f"row {row}, column {row}:")
    for down, map_ in [(0.1, 0), (0.9, 24)]:
        point(explorer(page, "network").get_by_label("32 maps of the second"), 0.06, down)
        expect(explorer(page, "network").locator(".xp-note").first).to_contain_text(f"Channel {map_}: nine")


def expect_in_python(page, values, wanted):
    """What is done in the page reaches Python soon, not at once, and maybe after a cell that is run later."""
    for _ in range(60):
        output = latency.run_cell(page, f"print({values})")
        expect(output).to_have_text(re.compile(r"\S"))
        if output.text_content().strip() == wanted:
            return
        page.wait_for_timeout(500)
    expect(output).to_have_text(wanted)


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_appears(page, name):
    expect(explorer(page, name)).to_be_visible(timeout=90_000)
    expect(explorer(page, name).locator("canvas").first).to_be_visible()
    expect(page.locator(".jp-OutputArea-output [data-mime-type*=error]")).to_have_count(0)


def test_it_answers(page):
    expect_an_answer(page)


def test_a_slider_takes_the_arrow_keys(page):
    slider = explorer(page, "pooling").get_by_role("slider", name="stride")
    slider.focus()
    for key, value in [("ArrowRight", "3"), ("ArrowUp", "4"), ("ArrowLeft", "3"), ("ArrowDown", "2")]:
        page.keyboard.press(key)
        expect(slider).to_have_value(value)
    choice = explorer(page, "pooling").get_by_role("combobox", name="kind")
    choice.focus()
    page.keyboard.press("ArrowDown")
    expect(choice).to_have_value("average")
    choice.select_option("maximum")


def test_a_quiz_takes_the_arrow_keys(page):
    answers = page.locator(".qz").get_by_role("radio")
    answers.nth(0).focus()
    page.keyboard.press("ArrowDown")
    expect(answers.nth(1)).to_be_checked()


def test_what_is_typed_drawn_and_dropped_is_there_in_python(page):
    explorer(page, "kernel").get_by_label("row 1, column 1").fill("0.625")
    explorer(page, "pooling").get_by_label("row 0, column 0").fill("42")
    explorer(page, "network").get_by_role("button", name="clear").click()
    sheet = explorer(page, "descent").get_by_label("map of the surface")
    sheet.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    made = "kernel.kernel[1, 1].item(), pooling.numbers[0, 0].item(), network.drawing.sum().item(), descent.start"
    expect_in_python(page, made, "0.625 42.0 0.0 tensor([0.4000, 0.0000])")


def test_a_network_trains_and_stops(page):
    training = explorer(page, "training")
    loss = training.get_by_text("training loss: ").first
    recorded = loss.text_content()
    training.get_by_role("button", name="train", exact=True).click()
    expect(loss).not_to_have_text(recorded)
    training.get_by_role("button", name="stop").click()
    expect_in_python(page, "training.live.is_training, len(training.live.losses) > 0", "False True")


def test_it_is_dark_where_jupyterlab_is(page):
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    response = explorer(page, "kernel").get_by_label("response, ")
    page.wait_for_function(f"(canvas) => ({BRIGHTNESS})(canvas) < 100", arg=response.element_handle())  # untouched
    expect_an_answer(page)
    for name in EXPLORERS:
        seen = explorer(page, name).evaluate(LOOK)
        assert seen["paper"] < 100
        assert seen["ink"] > 150
        assert not seen["bright"]


# How bright are text and background of an element; which elements inside it stand out from it.
LOOK = """(root) => {
    const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, v) => sum + Number(v) / 3, 0);
    const isClear = (colour) => /^rgba\\(.*, 0\\)$/.test(colour);
    const paper = (element) => getComputedStyle(element).backgroundColor;
    let below = root;
    while (isClear(paper(below))) below = below.parentElement;
    const bright = [...root.querySelectorAll("*:not(td, i, option)")]
        .filter((element) => !isClear(paper(element)) && light(paper(element)) > 100).map(({ outerHTML }) => outerHTML);
    return { paper: light(paper(below)), ink: light(getComputedStyle(root).color), bright };
}"""
BRIGHTNESS = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, v, i) => sum + (i % 4 === 1 ? v : 0), 0) / (data.length / 4);
}"""


def test_a_lesson_that_was_only_opened_shows_an_image_of_its_explorer(lab, folder, address):
    path = folder / "opened.ipynb"
    latency.write_notebook(path, ["lesson_02.pooling_explorer()"])
    notebook = nbformat.read(path, as_version=4)
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "0", "version_major": 2, "version_minor": 1}}
    data |= {"text/html": latency.make("pooling").fragment(), "text/plain": "PoolingExplorer()"}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(notebook, path)
    page = lab.context.new_page()
    latency.open_notebook(page, address, path.name)
    image = page.get_by_alt_text("Six by six numbers")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") == 651
    expect(page.get_by_text("run the cell, and it answers")).to_be_visible()
    latency.command(page, "kernelmenu:shutdown")
    page.close()


def test_it_answers_while_the_kernel_is_busy(page):
    latency.run_cell(page, "print('busy', flush=True)\nwhile True:\n    pass").get_by_text("busy").wait_for()
    explorer(page, "kernel").get_by_label("row 1, column 1").fill("0.25")
    expect_an_answer(page)
    prompt = page.locator(".jp-Notebook .jp-Cell").last.locator(".jp-InputPrompt")
    expect(prompt).to_have_text("[*]:")
    latency.command(page, "notebook:interrupt-kernel")
    expect(prompt).not_to_have_text("[*]:")
    expect_in_python(page, "kernel.kernel[1, 1].item()", "0.25")


def test_it_answers_after_the_kernel_has_died(page, lab):
    latency.run_cell(page, "import os\nos.kill(os.getpid(), 9)")
    page.get_by_role("dialog").get_by_role("button", name="Ok").click(timeout=60_000)  # it says so
    expect_an_answer(page)
    latency.command(page, "kernelmenu:shutdown")
    page.wait_for_function("!jupyterapp.shell.currentWidget.sessionContext.session?.kernel")
    expect_an_answer(page)
    lab.faults = [fault for fault in lab.faults if "Canceled future" not in fault]  # JupyterLab's own, of its kernel
