"""The explorers of lessons 1 to 4 in a page without a kernel, as in the book: they appear, and answer pointer, keys and
touch. Those of lessons 5 to 9 have files of their own beside this one."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import drawn

from benchmarks import latency
from helpers.lessons.explore import module
from helpers.lessons.quiz import quiz
from helpers.models import FashionNet

EXPLORERS = ["kernel", "pooling", "network", "training", "descent"]
# The label of a sheet, a place on it (shares of width and height), and what is said of that place; a key, and then.
SHEETS = {
    "kernel": ("photo, 200", 0.5025, 0.2525, "row 49, column 99:", "ArrowRight", "row 49, column 100:"),
    "pooling": ("maximum, 3 × 3", 0.2, 0.8, "rows 4 to 5, columns 0 to 1:", "ArrowUp", "rows 2 to 3, columns 0 to 1:"),
    "network": ("32 maps of the second", 0.06, 0.1, "Channel 0: nine", "Shift+ArrowDown", "Channel 8: nine"),
    "training": ("16 maps of the first", 0.1, 0.1, "Channel 0: the sum", "Shift+ArrowRight", "Channel 1: the sum"),
    "descent": ("map of the surface", 0.5, 0.5, "x = 0.30, y = 0.00", "ArrowLeft", "x = 0.20, y = 0.00"),
}
BOOT = [(15, 3), (25, 3), (26, 24), (2, 24), (1, 20), (4, 17), (12, 14)]  # corners: column, row


def sheet(page, name):
    return page.get_by_label(SHEETS[name][0])


def place(element, across, down):
    """A place on an element, in the page."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    return box["x"] + 1 + across * (box["width"] - 2), box["y"] + 1 + down * (box["height"] - 2)  # 1: its border


def expect_note(page, text):
    expect(page.locator(".xp-note", has_text=text)).to_be_visible()


def state(page):
    return page.evaluate("document.querySelector('div[data-explorer]').model.get('state')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", EXPLORERS)
def test_it_appears_and_axe_finds_no_serious_fault(page_of, name, dark):
    page = page_of(name, dark=dark)
    expect(page.locator("canvas").first).to_be_visible()
    _, across, down, said, _, _ = SHEETS[name]
    page.mouse.move(*place(sheet(page, name), across, down))
    expect_note(page, said)  # so that what explains a number is checked, too
    found = Axe().run(page).response["violations"]
    assert not [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def test_all_of_them_live_on_one_page(page_of):
    page = page_of(*latency.MADE_BY)
    expect(page.locator(".xp")).to_have_count(len(latency.MADE_BY))
    expect(page.locator(".xp canvas").nth(len(latency.MADE_BY))).to_be_visible()
    expect(page.locator(".xp")).to_have_count(page.locator("div[data-explorer] > *").count())  # the stills are gone


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_fits_a_narrow_screen(page_of, name):
    page = page_of(name, width=360)
    expect(sheet(page, name)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", EXPLORERS)
def test_pointer_and_keys_say_more(page_of, name):
    page = page_of(name)
    _, across, down, said, key, said_then = SHEETS[name]
    expect(page.locator(".xp-note", has_text=said)).to_have_count(0)
    page.mouse.move(*place(sheet(page, name), across, down))
    expect_note(page, said)
    sheet(page, name).focus()
    page.keyboard.press(key)
    expect_note(page, said_then)


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_tap_says_as_much(page_of, name):
    page = page_of(name, touch=True)
    _, across, down, said, _, _ = SHEETS[name]
    page.touchscreen.tap(*place(sheet(page, name), across, down))
    expect(page.locator(".xp", has_text=said)).to_be_visible()


def brightness(page, label):
    return page.get_by_label(label).evaluate(
        """(canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const greens = [...data].filter((_, i) => i % 4 === 1);
            return greens.reduce((a, b) => a + b, 0) / greens.length;
        }"""
    )


@pytest.mark.parametrize(
    ("name", "label"), [("kernel", "response"), ("pooling", "maximum, "), ("descent", "map of the surface")]
)
def test_its_paper_is_that_of_the_page(page_of, name, label):
    light, dark = page_of(name), page_of(name, dark=True)
    for page in light, dark:
        drawn(page)
    assert brightness(light, label) > 150
    assert brightness(dark, label) < 100
    light.evaluate("""() => {
        Object.assign(document.body.style, { background: "#111", color: "#ddd" });
        document.documentElement.dataset.theme = "dark";
    }""")
    drawn(light)
    assert brightness(light, label) == pytest.approx(brightness(dark, label), abs=2)


# --- What each can do -------------------------------------------------------------------------------------------------


def test_a_kernel_is_typed_scrolled_dragged_and_chosen(page_of):
    page = page_of("kernel")
    number = page.get_by_label("row 0, column 1")
    number.fill("-0.5")
    assert state(page)["kernel"][:3] == [-1, -0.5, 1]
    expect(page.get_by_role("combobox", name="kernel", exact=True)).to_have_value("yours")
    number.hover()
    page.mouse.wheel(0, -100)
    expect(number).to_have_value("-0.25")
    page.mouse.down()
    page.mouse.move(*(v - 2 * i for i, v in enumerate(place(number, 0.5, 0.5))))
    page.mouse.up()
    expect(number).to_have_value("-0.25")  # a hand that clicks trembles
    page.mouse.down()
    page.mouse.move(*(v - 10 * i for i, v in enumerate(place(number, 0.5, 0.5))))
    page.mouse.up()
    assert state(page)["kernel"][1] > -0.25
    page.get_by_role("combobox", name="size").select_option("5")
    assert len(state(page)["kernel"]) == 25
    page.get_by_role("combobox", name="kernel", exact=True).select_option("box blur")
    assert state(page)["kernel"] == pytest.approx([1 / 9] * 9)
    page.get_by_role("combobox", name="photo").select_option("coffee")
    page.get_by_role("combobox", name="second kernel on top").select_option("Sobel y")
    expect(page.get_by_label("second response, 196")).to_be_visible()


def test_numbers_are_pooled_as_they_are_typed(page_of):
    page = page_of("pooling")
    page.get_by_label("numbers to type over").focus()
    page.keyboard.press("Enter")  # into the number pointed at
    expect(page.get_by_label("row 3, column 3")).to_be_focused()
    page.keyboard.type("77")
    expect(page.get_by_label("maximum, 3 × 3").locator("xpath=..")).to_contain_text("77")
    assert state(page)["numbers"][6 * 3 + 3] == 77
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_label("row 3, column 3")).to_have_value("0")
    assert state(page)["numbers"][6 * 3 + 3] == 0
    page.get_by_role("button", name="gradient back").click()
    expect_note(page, "9 results sent back 1 each")


def draw(page, corners, pad):
    """Lines from corner to corner, by the pointer."""
    page.mouse.move(*place(pad, *((v + 0.5) / 28 for v in corners[0])))
    page.mouse.down()
    for column, row in [*corners[1:], corners[0]]:
        page.mouse.move(*place(pad, (column + 0.5) / 28, (row + 0.5) / 28), steps=4)
    page.mouse.up()


def test_a_boot_that_is_drawn_and_filled_is_a_boot(page_of):
    page = page_of("network")
    pad = page.get_by_label("drawing; ")
    page.get_by_role("combobox", name="item of the test set").select_option("Trouser")
    expect(page.get_by_role("button", name="Trouser")).to_have_css("font-weight", "700")
    page.get_by_role("button", name="clear").click()
    assert not any(state(page)["drawing"])
    draw(page, BOOT, pad)
    page.get_by_role("combobox", name="brush").select_option("fill")
    page.mouse.click(*place(pad, 20 / 28, 12 / 28))
    expect(page.get_by_role("button", name="Ankle boot")).to_have_css("font-weight", "700")
    assert state(page)["probabilities"][9] > 0.5


def swipe(page, element, shares, down=0.5):
    """A finger that moves across an element, through shares of its width."""
    touch = page.context.new_cdp_session(page)
    for i, across in enumerate(shares):
        x, y = place(element, across, down)
        kind = "touchMove" if i else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_that_moves_over_a_photo_points_at_it(page_of):
    page = page_of("kernel", touch=True)
    swipe(page, page.get_by_label("photo, 200"), [0.2, 0.3, 0.4, 0.5025], down=0.2525)
    expect_note(page, "row 49, column 99:")


def test_a_finger_draws_and_so_do_keys(page_of):
    page = page_of("network", touch=True)
    page.get_by_role("button", name="clear").click()
    pad = page.get_by_label("drawing; ")
    swipe(page, pad, [4 / 28, 12 / 28, 20 / 28])
    row = state(page)["drawing"][28 * 14 : 28 * 15]
    assert min(row[5:19]) > 0.5
    assert max(row[:2] + row[23:]) < 0.1
    pad.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert max(state(page)["drawing"][28 * 16 : 28 * 17]) > 0.5


def test_what_was_drawn_is_taken_back_step_by_step(page_of):
    page = page_of("network")
    pad, undo = page.get_by_label("drawing; "), page.get_by_role("button", name="undo")
    images = [state(page)["drawing"]]
    page.get_by_role("button", name="clear").click()
    images.append(state(page)["drawing"])
    draw(page, BOOT, pad)
    images.append(state(page)["drawing"])
    page.get_by_role("button", name="invert").click()
    for image in reversed(images):
        undo.click()
        assert state(page)["drawing"] == image
    for _ in range(3):  # nothing is left to take back but the item that was loaded first
        undo.click()
    assert not any(state(page)["drawing"])


def test_above_the_maps_stands_what_a_channel_that_is_off_costs(page_of):
    page = page_of("network")
    maps, brief = page.get_by_label("16 maps of the first convolution"), page.locator(".xp-brief")
    box = maps.bounding_box()
    maps.click(position={"x": 0.88 * box["width"], "y": 0.12 * box["height"]})  # channel 3
    expect(brief).to_contain_text("Off: first layer, channel 3")
    expect(brief).to_contain_text("Sandal loses most: ")
    expect(brief).to_contain_text("Ankle boot's score for this drawing: ")
    page.get_by_role("combobox", name="item of the test set").select_option("Trouser")
    expect(brief).to_contain_text("Trouser's score for this drawing: ")
    expect(brief).to_contain_text("Sandal loses most: ")
    page.get_by_role("button", name="clear").click()
    expect(brief).to_contain_text("The pad is empty, and the network must still name one of ten.")


def test_a_first_tap_points_and_a_second_switches_off(page_of):
    page = page_of("network", touch=True)
    maps, brief = page.get_by_label("16 maps of the first convolution"), page.locator(".xp-brief")
    maps.tap(position={"x": 20, "y": 20})
    expect(brief).to_contain_text("Channel 0: ")
    expect(brief).not_to_contain_text("Off: ")
    maps.tap(position={"x": 20, "y": 20})
    expect(brief).to_contain_text("Off: first layer, channel 0")


def test_a_recorded_training_plays_and_is_scrubbed(page_of):
    page = page_of("training")
    scrub, accuracy = page.get_by_label("images seen"), page.get_by_text("test accuracy: ")
    expect(accuracy).to_contain_text("87.")
    scrub.fill("0")
    expect(accuracy).not_to_contain_text("87.")
    first = accuracy.text_content()
    page.get_by_role("button", name="play the recorded run").click()
    expect(accuracy).not_to_have_text(first)
    expect(page.get_by_role("button", name="train", exact=True)).to_have_count(0)  # it needs a kernel


# A round that Python has trained, as it reaches the page.
ROUND = """(images) => {
    const { model } = document.querySelector("div[data-explorer]");
    const weights = new DataView(new ArrayBuffer(4 * WEIGHTS));
    model.set("round", { images, loss: 2, accuracy: 0.125, weights, error: "" });
    model.hear();
}""".replace("WEIGHTS", str(sum(parameter.numel() for parameter in FashionNet().parameters())))


def test_the_recorded_run_can_be_played_beside_one_that_trains(watch, tmp_path):
    html, file = latency.standalone([latency.make("training")]), tmp_path / "trains.html"
    html = html.replace("on() {}", "on(name, hear) { this.hear = hear; }").replace("isStatic: true", "isStatic: false")
    file.write_text(html)
    watched = watch(file.as_uri())
    page = watched.page
    page.goto(file.as_uri())
    scrub, accuracy = page.get_by_label("images seen"), page.get_by_text("test accuracy: ")
    play, last = page.get_by_role("button", name="play the recorded run"), scrub.get_attribute("max")
    for images in (0, 640, 1280):
        page.evaluate(ROUND, images)
    expect(accuracy).to_contain_text("12.5 %")
    expect(scrub).to_have_attribute("max", "2")
    play.click()
    expect(scrub).to_have_attribute("max", last)
    expect(accuracy).not_to_contain_text("12.5 %")
    page.evaluate(ROUND, 1920)  # while it plays
    expect(play).to_have_attribute("aria-pressed", "false")
    expect(scrub).to_have_attribute("max", "3")
    page.wait_for_timeout(800)  # longer than from one round of the recorded run to the next
    expect(accuracy).to_contain_text("12.5 %")
    watched.context.close()
    watched.check()


# The page is opened anew, and the model, which Python keeps, is not.
ANEW = """(source) => {
    const place = document.querySelector("div[data-explorer]"), { model } = place, el = document.createElement("div");
    place.replaceChildren(el);
    new Function(source.replace("export default", "return"))().render({ model, el });
}"""


@pytest.mark.parametrize(
    ("name", "change", "lasting"),
    [
        ("kernel", lambda page: page.get_by_label("row 0, column 1").fill("-0.5"), "kernel"),
        ("pooling", lambda page: page.get_by_label("row 0, column 1").fill("42"), "numbers"),
        ("network", lambda page: page.get_by_role("button", name="invert").click(), "drawing"),
        ("map", lambda page: page.get_by_role("button", name="next").click(), "item"),
        ("attribution", lambda page: page.get_by_label("16 patches").click(), "kept"),
    ],
)
def test_what_was_made_is_there_when_the_page_is_opened_anew(page_of, name, change, lasting):
    page = page_of(name)
    drawn(page)
    before = state(page)
    change(page)
    drawn(page)
    made = state(page)
    assert made != before
    page.evaluate(ANEW, module(latency.make(name).lesson))
    drawn(page)
    assert state(page)[lasting] == made[lasting]
    if name == "kernel":
        expect(page.get_by_role("combobox", name="kernel", exact=True)).to_have_value("yours")
    if name in ("kernel", "pooling"):
        expect(page.get_by_label("row 0, column 1")).to_have_value("-0.5" if name == "kernel" else "42")
    if name == "attribution":
        expect(page.get_by_text("You keep one patch of 16")).to_be_visible()
    if name == "map":
        expect(page.get_by_label(f"item {made['item']:,}, ").first).to_be_visible()


@pytest.mark.parametrize("motion", [True, False], ids=["in motion", "at once"])
def test_balls_are_dropped_and_roll(page_of, motion):
    page = page_of("descent", motion=motion)
    cursor = page.get_by_role("slider").last
    page.mouse.click(*place(sheet(page, "descent"), 0.25, 0.25))
    assert state(page)["start"] == pytest.approx([-1.9, 1.1])
    if motion:
        press = """async (button) => {
            const said = [], frame = () => new Promise((done) => requestAnimationFrame(done));
            for (const _ of [1, 2]) {
                button.click();
                await frame().then(frame);
                said.push(button.textContent);
            }
            return said;
        }"""
        button = page.get_by_role("button", name=re.compile("^(play|pause)$"))
        assert sorted(button.evaluate(press)) == [
            "pause",
            "play",
        ]  # both in one go: on a busy machine it may have ended
        if button.text_content() == "play":
            button.click()
        expect(cursor).to_have_value("100")
    else:
        expect(cursor).to_have_value("100")
        expect(page.get_by_text("Adam: loss ")).to_contain_text("after 100 steps")
    sheet(page, "descent").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert state(page)["start"] == pytest.approx([-1.8, 1.1])


def test_a_stroke_that_ends_outside_the_pad_does_not_go_on(page_of):
    page = page_of("network")
    page.get_by_role("button", name="clear").click()
    pad = page.get_by_label("drawing; ")
    page.mouse.move(*place(pad, 0.1, 0.1))
    page.mouse.down()
    page.mouse.move(*place(pad, 0.1, 0.2))
    page.mouse.move(*place(pad, -0.1, 0.2))
    page.mouse.up()
    page.mouse.click(*place(pad, 0.8, 0.8))
    assert state(page)["drawing"][28 * 22 + 22] > 0.5
    assert state(page)["drawing"][28 * 13 + 13] == 0


# --- Quizzes ----------------------------------------------------------------------------------------------------------


def test_a_number_may_be_given_in_percent_and_what_is_none_is_asked_for_again(watch, tmp_path):
    file = tmp_path / "quiz.html"
    file.write_text(latency.standalone([quiz(6)]))
    watched = watch(file.as_uri())
    watched.page.goto(file.as_uri())
    question = watched.page.locator("form", has_text="in percent?")
    for text, said in [("sixty", "Type a number first, such as"), ("60 %", "✓ "), ("50%", "✗ "), ("60", "✓ ")]:
        question.get_by_label("Your number:").fill(text)
        question.get_by_role("button", name="Check").click()
        expect(question.get_by_role("status")).to_contain_text(said)
    watched.context.close()
    watched.check()
