"""Lesson 9's explorer in a page without a kernel: paintings, steps, charts, the wipe, and what is said of them."""

import base64
import io
import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect
from waiting import drawn, soon

from benchmarks import latency
from helpers import images
from helpers.lessons import explore, lesson_09

STYLE = lesson_09.EXPLORER_STYLE
RUNS = json.loads(lesson_09.RUNS.with_suffix(".json").read_text())["runs"]
ENDS = [run["snapshots"][-1] for run in RUNS]
FIRST = lesson_09.WEIGHTS.index(lesson_09.WEIGHT)  # where the explorer begins
WEIGHT = lesson_09.WEIGHT
WIPE, WEIGHTS, STEPS = "left of the line the photo", "the finished paintings", "this run"


def note(page):
    return page.locator(".xp-note")


def says(page, text):
    expect(note(page)).to_contain_text(text)


def at(page, label, across, down=0.5):
    """A place on a canvas, in the page."""
    canvas = page.get_by_label(label)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def on_chart(i, count):
    """How far to the right a chart has its place number i: its margins are 44 and 66 of 360."""
    return (44 + i / (count - 1) * (360 - 44 - 66)) / 360


def pixel(page, label, across, down=0.5):
    drawn(page)
    return page.get_by_label(label).evaluate(
        """(canvas, [x, y]) => [...canvas.getContext("2d")
            .getImageData(Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data]""",
        [across, down],
    )


def settled(page):
    """After the images are there."""
    page.wait_for_function("document.querySelector('canvas').getContext('2d').getImageData(40, 40, 1, 1).data[3] > 0")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 80)))")


@pytest.fixture
def page(page_of):
    opened = page_of("style")
    settled(opened)
    return opened


def test_it_begins_with_a_finished_painting_and_says_what_it_cost(page):
    end = ENDS[FIRST]
    says(page, f"Style weight {WEIGHT}, step {end['step']}, {end['size'][1]} × {end['size'][0]} pixels.")
    said = note(page).text_content()
    numbers = said.split("Content loss ")[1]
    content, style = float(numbers.split(",")[0]), float(numbers.split("style loss ")[1].split(";")[0])
    assert content == pytest.approx(end["content"], rel=0.06)
    assert style == pytest.approx(end["style"], rel=0.06)
    total = float(numbers.split(" = ")[1].split(". S")[0])
    assert total == pytest.approx(end["content"] + WEIGHT * end["style"] + end["variation"], rel=0.06)


@pytest.mark.parametrize("i", range(len(RUNS)))
def test_pointing_at_the_chart_of_weights_chooses_a_painting(page, i):
    page.mouse.move(*at(page, WEIGHTS, on_chart(i, len(RUNS))))
    says(page, f"Style weight {RUNS[i]['weight']}, ")
    expect(page.get_by_text(f"weight {RUNS[i]['weight']}", exact=True)).to_be_visible()


def test_pointing_at_the_chart_of_steps_goes_through_the_run(page):
    run = RUNS[FIRST]["snapshots"]
    page.mouse.move(*at(page, STEPS, on_chart(0, len(run))))
    says(page, "before the first step")
    page.mouse.move(*at(page, STEPS, on_chart(3, len(run))))
    says(page, f"step {run[3]['step']}, {run[3]['size'][1]} × {run[3]['size'][0]} pixels")


def test_keys_reach_everything(page):
    page.get_by_label(WEIGHTS).focus()
    page.keyboard.press("ArrowRight")
    says(page, f"Style weight {RUNS[FIRST + 1]['weight']}, ")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    says(page, f"Style weight {RUNS[FIRST - 1]['weight']}, ")
    page.get_by_label(STEPS).focus()
    page.keyboard.press("ArrowLeft")
    run = RUNS[FIRST - 1]["snapshots"]
    says(page, f"step {run[-2]['step']}, ")
    weight, step = (page.get_by_role("slider", name=name) for name in ("content to style", "steps"))
    weight.focus()
    page.keyboard.press("Home")
    says(page, f"Style weight {RUNS[0]['weight']}, ")
    expect(weight).to_have_attribute("aria-valuetext", f"weight {RUNS[0]['weight']}")  # not its place, 0
    step.focus()
    page.keyboard.press("Home")
    says(page, "before the first step")
    expect(step).to_have_attribute("aria-valuetext", "0")


def test_keys_that_come_within_one_frame_count_each(page):
    page.get_by_label(WEIGHTS).evaluate(
        """(canvas) => {
            for (const key of ["ArrowLeft", "ArrowLeft"]) canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
        }"""
    )
    says(page, f"Style weight {RUNS[FIRST - 2]['weight']}, ")


def test_a_tap_chooses_a_painting(page_of):
    page = page_of("style", touch=True)
    settled(page)
    page.touchscreen.tap(*at(page, WEIGHTS, on_chart(0, len(RUNS))))
    says(page, f"Style weight {RUNS[0]['weight']}, ")


def test_the_line_between_photo_and_painting_follows_pointer_and_keys(page):
    place = (0.3, 0.31)
    page.mouse.move(*at(page, WIPE, 0.02))
    painted = pixel(page, WIPE, *place)
    page.mouse.move(*at(page, WIPE, 0.98))
    photo = pixel(page, WIPE, *place)
    assert sum(abs(a - b) for a, b in zip(painted, photo, strict=True)) > 20
    page.get_by_label(WIPE).focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert pixel(page, WIPE, *place) == painted
    page.get_by_role("combobox", name="left of the line").select_option("style")
    page.mouse.move(*at(page, WIPE, 0.98))
    assert soon(page, lambda: pixel(page, WIPE, *place) != photo)


def test_the_probability_of_a_cat_is_said_and_falls(page):
    said = []
    for i in (0, len(RUNS) - 1):
        page.mouse.move(*at(page, WEIGHTS, on_chart(i, len(RUNS))))
        says(page, f"Style weight {RUNS[i]['weight']}, ")
        said.append(note(page).text_content().split("took it for a cat with ")[1])
    for text, end in zip(said, (ENDS[0], ENDS[-1]), strict=True):
        number = float(text.removeprefix("over ").removeprefix("under ").split(" %")[0])
        assert number == pytest.approx(100 * end["subject"], abs=1)


def test_the_reader_is_told_that_painting_needs_a_notebook(page):
    page.get_by_role("button", name="Paint").click()
    says(page, "That needs a running notebook; here is what was recorded.")
    says(page, f"Style weight {WEIGHT}, ")
    page.mouse.move(*at(page, WEIGHTS, on_chart(0, len(RUNS))))
    expect(note(page)).not_to_contain_text("running notebook")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(page_of, dark):
    page = page_of("style", dark=dark)
    settled(page)
    says(page, f"Style weight {WEIGHT}")
    found = Axe().run(page).response["violations"]
    assert not [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def test_it_fits_a_narrow_screen(page_of):
    page = page_of("style", width=360)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.mouse.move(*at(page, WEIGHTS, on_chart(0, len(RUNS))))
    says(page, f"Style weight {RUNS[0]['weight']}, ")


def test_python_hears_what_is_looked_at(page):
    page.mouse.move(*at(page, WEIGHTS, on_chart(0, len(RUNS))))
    says(page, f"Style weight {RUNS[0]['weight']}, ")
    state = "document.querySelector('div[data-explorer]').model.get('state')"
    page.wait_for_function(f"{state}.weight === {RUNS[0]['weight']}")
    assert page.evaluate(state) == {"painting": f"cat, {STYLE}", "weight": RUNS[0]["weight"], "step": ENDS[0]["step"]}


# --- With Python: a stand-in hears what the page asks, and replies with a recorded run --------------------------------

ASKED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>With Python</title><main></main>
<script type="module">
MODULE
const [place, data] = [document.querySelector("main"), DATA];
const opened = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const decode = (value) => {
  if (value && value.base64 !== undefined) return opened(value.base64);
  if (Array.isArray(value)) return value.map(decode);
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, decode(part)]));
};
const content = decode(data);
const files = [];
const parted = (value) => {  // as Python sends it: files beside the message, their places in it
  if (value instanceof DataView) return { file: files.push(value) - 1 };
  if (Array.isArray(value)) return value.map(parted);
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, parted(part)]));
};
let hear;
const model = {
  get: (name) => (name === "content" ? content : {}), set() {}, save_changes() {}, off() {},
  on(_name, handler) { hear = handler; },
  send(message) {
    window.asked = message.request;
    const run = { ...content.series.runs[1], weight: message.request.weight };
    const painted = { reply: parted({ series: content.series, run }) };
    const reply = window.fails ? { error: "It cannot be painted." } : painted;
    setTimeout(() => hear({ to: message.to, ...reply }, files), 20);
  },
};
lesson.render({ model, el: place });
</script></html>"""


@pytest.fixture
def with_python(watch, tmp_path):
    explorer, file = latency.make("style"), tmp_path / "asked.html"
    source = explore.module("lesson_09").replace("export default", "const lesson =")
    data = explorer.fragment().partition('json">')[2].partition("</script>")[0]
    file.write_text(ASKED.replace("MODULE", source).replace("DATA", data))
    watched = watch(file.as_uri())
    watched.page.goto(file.as_uri())
    settled(watched.page)
    yield watched.page
    watched.context.close()
    watched.check()


def test_python_is_asked_for_an_image_of_the_readers_own(with_python, tmp_path):
    page = with_python
    photo = tmp_path / "my cat.png"
    Image.new("RGB", (900, 450), "red").save(photo)
    page.get_by_label("your image").set_input_files(photo)
    page.get_by_role("combobox", name="painted like").select_option("swirls")
    page.get_by_role("button", name="Paint").click()
    expect(page.get_by_role("combobox", name="painting", exact=True)).to_have_value("my cat.png, swirls")
    says(page, f"Style weight {WEIGHT}, ")
    asked = page.evaluate("window.asked")
    assert (asked["style"], asked["weight"]) == ("swirls", WEIGHT)
    sent = Image.open(io.BytesIO(base64.b64decode(asked["image"])))
    assert sent.size == (320, 160)
    assert sent.getpixel((50, 50))[0] > 200
    page.get_by_role("slider", name="content to style").focus()
    page.keyboard.press("Home")
    says(page, f"Nothing is painted with a style weight of {RUNS[0]['weight']} yet")
    page.mouse.move(*at(page, WEIGHTS, 0.4))  # on the way to "Paint"
    page.mouse.move(*at(page, WEIGHTS, 0.6))
    page.mouse.move(*at(page, WIPE, 0.5))
    drawn(page)
    says(page, f"Nothing is painted with a style weight of {RUNS[0]['weight']} yet")
    page.get_by_role("combobox", name="painting", exact=True).select_option(f"cat, {STYLE}")
    says(page, f"Style weight {RUNS[0]['weight']}, ")


def test_without_a_file_the_photo_is_painted_anew(with_python):
    page = with_python
    page.get_by_role("combobox", name="painted like").select_option(label="stained glass")
    page.get_by_role("button", name="Paint").click()
    expect(page.get_by_role("combobox", name="painting", exact=True)).to_have_value("cat, stained glass")
    assert page.evaluate("window.asked") == {"image": None, "style": "stained_glass", "weight": WEIGHT}


def test_what_python_has_against_it_is_said(with_python):
    page = with_python
    page.evaluate("window.fails = true")
    page.get_by_role("button", name="Paint").click()
    says(page, "It cannot be painted.")
    says(page, f"Style weight {WEIGHT}, ")
    expect(page.get_by_role("button", name="Paint")).to_be_enabled()


def test_an_image_of_ones_own_begins_unpainted(watch, tmp_path):
    file = tmp_path / "own.html"
    file.write_text(latency.standalone([lesson_09.style_explorer(images.sample("coffee"))]))
    watched = watch(file.as_uri())
    watched.page.goto(file.as_uri())
    settled(watched.page)
    says(watched.page, f"Nothing is painted with a style weight of {WEIGHT} yet: press “Paint”.")
    watched.page.get_by_label(WEIGHTS).focus()
    watched.page.keyboard.press("ArrowRight")
    watched.context.close()
    watched.check()
