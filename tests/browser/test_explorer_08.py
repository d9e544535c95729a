"""Lesson 8's explorer in a page without a kernel: the wall, the wipe, the flight, and what only a kernel can do."""

import base64
import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import drawn

from benchmarks import latency
from helpers.lessons import lesson_08
from helpers.lessons.explore import _parted

RATIOS = json.loads(lesson_08.DREAMS.read_text())["ratios"]
COLUMNS = len(lesson_08.OCTAVES) * len(lesson_08.STRENGTHS)


@pytest.fixture
def shown(page_of):
    """Opens the page, and waits for the first dream."""

    def open_page(**options):
        page = page_of("dream", **options)
        expect(note(page)).to_contain_text("features.7, 4 octaves, strength 0.015.")
        return page

    return open_page


def note(page):
    return page.locator(".xp-note")


def wall(page):
    return page.get_by_label("36 dreams")


def large(page):
    return page.get_by_label("photo left of the line")


def place(element, across, down):
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def pixels(page, element, spots):
    """Red, green and blue that are painted at some places, each given in shares of width and height."""
    drawn(page)
    return element.evaluate(
        """(canvas, spots) => {
            const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            const at = ([x, y]) => 4 * (Math.floor(y * height) * width + Math.floor(x * width));
            return spots.map((spot) => [...data.slice(at(spot), at(spot) + 3)]);
        }""",
        spots,
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_appears_and_axe_finds_no_serious_fault(shown, dark):
    page = shown(dark=dark)
    page.get_by_role("button", name="play the flight").click()
    expect(note(page)).to_contain_text("Frame")
    faults = [f for f in Axe().run(page).response["violations"] if f["impact"] in ("serious", "critical")]
    assert not [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in faults]


def test_it_fits_a_narrow_screen(shown):
    page = shown(width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(("layer", "column"), [(0, 0), (4, 4), (5, 2)])
def test_pointing_at_the_wall_chooses_a_dream(shown, layer, column):
    page = shown()
    page.mouse.move(*place(wall(page), (column + 0.5) / COLUMNS, (layer + 0.5) / len(lesson_08.LAYERS)))
    count, strength = lesson_08.OCTAVES[column // 3], lesson_08.STRENGTHS[column % 3]
    octaves = f"{count} octave{'s' * (count > 1)}"
    expect(note(page)).to_contain_text(f"{lesson_08.LAYERS[layer]}, {octaves}, strength {strength}.")
    ratio = RATIOS[layer * COLUMNS + column]
    expect(note(page)).to_contain_text(f"{ratio:.{int(ratio < 9.95)}f} times the photo's")
    assert page.get_by_role("combobox", name="layer").input_value() == lesson_08.LAYERS[layer]
    state = page.evaluate("document.querySelector('div[data-explorer]').model.get('state')")
    assert (state["octaves"], state["strength"], state["ratio"]) == (count, strength, ratio)


def test_a_click_keeps_a_dream_that_the_pointer_only_passed(shown):
    page = shown()
    page.mouse.move(*place(wall(page), 0.5 / COLUMNS, 0.05))
    expect(note(page)).to_contain_text("features.3, 1 octave, strength 0.005.")
    page.mouse.move(*place(large(page), 0.5, 0.5))
    expect(note(page)).to_contain_text("features.7, 4 octaves, strength 0.015.")
    page.mouse.click(*place(wall(page), 0.5 / COLUMNS, 0.05))
    page.mouse.move(*place(large(page), 0.5, 0.5))
    expect(note(page)).to_contain_text("features.3, 1 octave, strength 0.005.")


def test_keys_go_from_dream_to_dream(shown):
    page = shown()
    wall(page).focus()
    page.keyboard.press("ArrowDown")
    expect(note(page)).to_contain_text("features.9, 4 octaves, strength 0.015.")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(note(page)).to_contain_text("features.9, 1 octave, strength 0.04.")
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    expect(note(page)).to_contain_text("features.3, 1 octave, strength 0.04.")


@pytest.mark.parametrize(("layer", "said"), [("features.7", "173 pixels"), ("features.9", "more than the whole photo")])
def test_the_note_says_what_a_unit_sees_of_the_smallest_octave(shown, layer, said):
    page = shown()
    page.get_by_role("combobox", name="layer").select_option(layer)
    expect(note(page)).to_contain_text(f"on the smallest of the 4 octaves that is {said}")


def test_a_tap_chooses_too(shown):
    page = shown(touch=True)
    page.touchscreen.tap(*place(wall(page), 0.5 / COLUMNS, 0.05))
    expect(note(page)).to_contain_text("features.3, 1 octave, strength 0.005.")


def test_the_wipe_shows_the_photo_on_its_left_and_the_dream_on_its_right(shown):
    page = shown()
    page.get_by_role("combobox", name="strength").select_option("0.04")
    expect(note(page)).to_contain_text("strength 0.04")
    spots = [[x / 10 + 0.02, y / 10 + 0.02] for x in range(10) for y in range(10)]

    def colors(at):
        page.mouse.move(*place(large(page), at, 0.02))
        return pixels(page, large(page), spots)

    photo, dream, half = colors(0.99), colors(0.005), colors(0.5)
    differ = sum(a != b for a, b in zip(photo, dream, strict=True))
    assert differ > 80
    left = [spot[0] < 0.45 for spot in spots]
    right = [spot[0] > 0.55 and spot[1] > 0.4 for spot in spots]
    assert sum(h == p for h, p, is_left in zip(half, photo, left, strict=True) if is_left) > 0.8 * sum(left)
    assert sum(h == d for h, d, is_right in zip(half, dream, right, strict=True) if is_right) > 0.8 * sum(right)


def test_the_flight_plays_stops_and_is_scrubbed(shown):
    page = shown(motion=True)
    page.get_by_role("button", name="play the flight").click()
    expect(note(page)).to_contain_text(re.compile(r"Frame ([5-9]|1\d|2\d) of 24"))  # a single one may pass unseen
    page.get_by_role("button", name="pause").click()
    drawn(page)
    frame = note(page).inner_text()
    page.wait_for_timeout(300)
    assert note(page).inner_text() == frame
    page.get_by_role("slider", name="frame").fill("24")
    expect(note(page)).to_contain_text(f"Frame 24 of 24: the photo would be enlarged {1.04**23:.1f} times")
    page.get_by_role("slider", name="frame").press("ArrowLeft")
    expect(note(page)).to_contain_text("Frame 23 of 24")
    page.mouse.move(*place(large(page), 0.3, 0.3))
    expect(note(page)).to_contain_text("features.7")


def test_without_a_kernel_no_other_photo_can_be_chosen(shown):
    photos = shown().get_by_role("combobox", name="photo").locator("option")
    assert photos.evaluate_all("(all) => all.filter((o) => !o.disabled).map((o) => o.value)") == [lesson_08.RECORDED]
    assert photos.count() > 1


def test_without_a_kernel_another_layers_flight_is_refused_and_the_recorded_one_plays(shown):
    page = shown()
    page.get_by_role("combobox", name="layer").select_option("features.4")
    expect(note(page)).to_contain_text("features.4")
    page.get_by_role("button", name="play the flight").click()
    expect(note(page)).to_contain_text("needs a running notebook")
    expect(note(page)).to_contain_text("Frame")
    expect(page.get_by_text("the flight, dreamt by features.7")).to_be_visible()


def test_who_chooses_before_the_images_are_there_is_shown_it_then(watch, tmp_path):
    file = tmp_path / "slow.html"
    file.write_text(latency.standalone([latency.make("dream")]))
    watched = watch(file.as_uri())
    page = watched.page
    page.add_init_script(
        "const own = createImageBitmap, held = new Promise((done) => { window.release = done; });"
        "window.createImageBitmap = (...given) => held.then(() => own(...given));"
    )
    page.goto(file.as_uri())
    page.get_by_role("combobox", name="layer").select_option("features.9")
    page.mouse.move(*place(wall(page), 0.5, 0.5))
    page.mouse.move(2, 2)
    page.evaluate("window.release()")
    expect(note(page)).to_contain_text("features.9, 4 octaves")
    watched.context.close()
    watched.check()


@pytest.fixture
def with_kernel(watch, tmp_path):
    """Opens the explorer with a kernel behind it: what the page asks is answered when ``reply`` is called."""
    explorer, html = latency.make("dream"), latency.standalone([latency.make("dream")])
    for plain, live in (
        ("on() {}", "on(name, reply) { this.reply = reply; }"),
        ("send() {}", "send(message) { (window.sent ??= []).push(message); }"),
        ("isStatic: true", "isStatic: false"),
    ):
        assert html.count(plain) == 1
        html = html.replace(plain, live)
    file = tmp_path / "kernel.html"
    file.write_text(html)
    watched = watch(file.as_uri(), viewport={"width": 1100, "height": 1000})
    watched.page.goto(file.as_uri())
    expect(note(watched.page)).to_contain_text("features.7, 4 octaves")

    def reply():
        """Answer the oldest question as ``Explorer._reply`` does; gives what was answered."""
        message = watched.page.wait_for_function("window.sent?.length && window.sent.shift()").json_value()
        files, answer = [], explorer.answer(message["request"])
        parts = {"to": message["to"], "reply": _parted(answer, files)}
        watched.page.evaluate(
            """([message, files]) => document.querySelector("div[data-explorer]").model.reply(message, files.map(
                (file) => new DataView(Uint8Array.from(atob(file), (c) => c.charCodeAt(0)).buffer)))""",
            [parts, [base64.b64encode(file).decode() for file in files]],
        )
        return answer

    yield watched.page, reply
    watched.context.close()
    watched.check()


def test_with_a_kernel_another_photo_is_dreamt_once(with_kernel):
    page, reply = with_kernel
    photo = page.get_by_role("combobox", name="photo")
    photo.select_option("coffee")
    expect(note(page)).to_contain_text("The kernel dreams …")
    page.mouse.move(*place(wall(page), 0.5, 0.5))  # on the way elsewhere
    expect(page.get_by_text("chelsea: photo | dream")).to_be_visible()
    page.mouse.move(*place(large(page), 0.5, 0.5))
    expect(note(page)).to_contain_text("The kernel dreams …")
    ratio = reply()["ratio"]
    expect(note(page)).to_contain_text("features.7, 4 octaves, strength 0.015. One unit")
    expect(note(page)).to_contain_text(f"{ratio:.{int(ratio < 9.95)}f} times the photo's")
    expect(page.get_by_text("coffee: photo | dream")).to_be_visible()
    photo.select_option(lesson_08.RECORDED)
    expect(page.get_by_text("chelsea: photo | dream")).to_be_visible()
    photo.select_option("coffee")
    expect(page.get_by_text("coffee: photo | dream")).to_be_visible()
    assert page.evaluate("window.sent.length") == 0


def test_with_a_kernel_another_layer_is_flown_into(with_kernel):
    page, reply = with_kernel
    page.get_by_role("combobox", name="layer").select_option("features.3")
    expect(note(page)).to_contain_text("features.3")
    play = page.get_by_role("button", name=re.compile("play the flight|pause"))
    play.click()
    page.mouse.move(*place(large(page), 0.3, 0.3))  # while one waits
    expect(play).to_be_disabled()
    assert len(reply()["frames"]) == lesson_08.FRAMES
    expect(note(page)).to_contain_text("of 24")
    expect(page.get_by_text("the flight, dreamt by features.3")).to_be_visible()
    play.click()
    expect(play).to_have_text("play the flight")
    play.click()
    expect(play).to_have_text("pause")
    assert page.evaluate("window.sent.length") == 0  # it is there already
