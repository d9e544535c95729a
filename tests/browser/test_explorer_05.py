"""The explorer of channels in a page without a kernel: it shows what Python computes; pointer, keys and touch."""

import re

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import drawn

from benchmarks import latency
from helpers import features, images, pretrained
from helpers.lessons import explore

LAYERS = ["features.1", "features.3", "features.6", "features.9", "features.12"]
ROWS = [28, 18, 13, 13, 13]


@pytest.fixture
def page(page_of):
    opened = page_of("channels")
    expect(said(opened)).to_contain_text("Channel 120 of layer 4")
    return opened


def said(page):
    return page.locator(".xp-said")


def sheet(page):
    return page.get_by_label("maps of the")


def photo(page):
    return page.get_by_label("photo, lit by")


def choose(page, **values):
    for name, value in values.items():
        page.get_by_role("combobox", name=name, exact=True).select_option(value)


def thumbnail(page, place, count=384, row=0.5, column=0.5):
    """A place in the page: on the map that stands at a place of the sheet."""
    across = -(-(count**0.5) // 1)
    sheet(page).scroll_into_view_if_needed()
    box, size = sheet(page).bounding_box(), 434 / across
    scale = (box["width"] - 2) / 430
    x, y = (place % across + column) * size - column * 4, (place // across + row) * size - row * 4
    return box["x"] + 1 + scale * x, box["y"] + 1 + scale * y


def numbers(text):
    """What is said of a unit: channel, row, column, percent, height and width of what it sees."""
    found = re.search(
        r"Channel (\d+) of layer \d, row (\d+), column (\d+): about (\d+) % .* sees (\d+) × (\d+) pixels", text
    )
    return [int(n) for n in found.groups()]


@pytest.fixture(scope="module")
def maps():
    """The maps of the coins and of the cat, and the largest value of each channel on all photos of the explorer."""
    from helpers.lessons import lesson_05

    squares = {name: images.square(image) for name, image in lesson_05.photographs().items()}
    found = features.activations(pretrained.load(), torch.stack(list(squares.values())), LAYERS)
    names = list(squares)
    return {
        name: {layer: m[names.index(name)] / m.amax(dim=(0, 2, 3))[:, None, None] for layer, m in found.items()}
        for name in ("coins", "chelsea")
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_appears_and_axe_finds_no_serious_fault(page_of, dark):
    page = page_of("channels", dark=dark)
    expect(said(page)).to_contain_text("Channel 120")
    page.get_by_role("button", name="switch the channel off").click()
    found = Axe().run(page).response["violations"]
    faults = [f for f in found if f["impact"] in ("serious", "critical")]
    assert not [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in faults]


@pytest.mark.parametrize("layer", [1, 3, 5])
def test_it_fits_a_narrow_screen(page_of, layer):
    page = page_of("channels", width=360)
    choose(page, layer=f"layer {layer}")
    expect(said(page)).to_contain_text(f"of layer {layer}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_between_two_maps_the_nearer_one_is_meant(page):
    near = 1 / 17.7  # a pixel, of a map's width; four are between two maps
    for channel, row, column in ((42, 0.5, -near), (42, 0.5, 1 + near), (42, -near, 0.5), (42, 1 + near, 0.5)):
        page.mouse.move(*thumbnail(page, 100))
        expect(said(page)).to_contain_text("Channel 100 of layer 4")
        page.mouse.move(*thumbnail(page, channel, row=row, column=column))
        expect(said(page)).to_contain_text(f"Channel {channel} of layer 4")


@pytest.mark.parametrize("layer", range(5))
@pytest.mark.parametrize("name", ["coins", "chelsea"])
def test_what_it_says_of_a_unit_is_what_the_network_gives(page, maps, layer, name):
    choose(page, photo=name, layer=f"layer {layer + 1}")
    expect(page.get_by_text(f"{name}: a map of {ROWS[layer]} × {ROWS[layer]} units")).to_be_visible()
    expect(said(page)).to_contain_text(f"of layer {layer + 1}")
    grids = maps[name][LAYERS[layer]]
    count = len(grids)
    for channel in (0, count // 2 + 3):
        row, column = ROWS[layer] // 2, 1
        page.mouse.move(*thumbnail(page, channel, count, (row + 0.5) / ROWS[layer], (column + 0.5) / ROWS[layer]))
        expect(said(page)).to_contain_text(f"Channel {channel} of")
        text = said(page).text_content()
        if "(about) 0." in text:
            continue
        found, unit_row, unit_column, percent, height, width = numbers(text)
        assert found == channel
        share = grids[channel, unit_row, unit_column].item()
        assert percent == pytest.approx(100 * share, abs=4 if layer < 3 else 2.2)
        box = features.receptive_field(
            pretrained.load(), LAYERS[layer], (3, 224, 224), (unit_row, unit_column), channel
        )
        assert box[2:] == (height, width)


def test_it_begins_at_the_strongest_unit_of_channel_120(page, maps):
    channel, row, column, percent, *_ = numbers(said(page).text_content())
    grid = maps["coins"]["features.9"][120]
    assert channel == 120
    assert percent == pytest.approx(100 * grid.max().item(), abs=2.2)
    assert grid[row, column] > grid.max() - 0.04


def test_the_photo_is_lit_where_the_map_is_bright(page, maps):
    """At the middle of what each unit sees; the photo is dark by 85 % where the map is 0."""
    centers = [15 + 16 * i for i in range(13)]
    shown = page.evaluate(
        """([label, centers]) => {
            const canvas = document.querySelector(`canvas[aria-label^="${label}"]`), scale = canvas.width / 224;
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const green = (x, y) => data[4 * (Math.round(y * scale) * canvas.width + Math.round(x * scale)) + 1];
            return centers.map((y) => centers.map((x) => green(x + 0.5, y + 0.5)));
        }""",
        ["photo, lit by", centers],
    )
    share = maps["coins"]["features.9"][120]
    coins = images.square(images.sample("coins"))[1][centers][:, centers]
    expected = 255 * coins * (1 - 0.85 * (1 - share))
    off = (torch.tensor(shown) - expected).abs() > 20
    assert expected.max() > 100
    assert off.sum() <= 4  # the frame, and what a compressed photo leaves


def test_pointing_looks_and_pressing_keeps(page):
    page.mouse.move(*thumbnail(page, 7))
    expect(said(page)).to_contain_text("Channel 7 of")
    page.mouse.move(5, 5)
    expect(said(page)).to_contain_text("Channel 120 of")
    page.mouse.click(*thumbnail(page, 7))
    page.mouse.move(5, 5)
    expect(said(page)).to_contain_text("Channel 7 of")
    assert page.evaluate("document.querySelector('div[data-explorer]').model.get('state').channel") == 7
    expect(page.get_by_label("channel", exact=True)).to_have_value("7")


def test_the_photo_is_pointed_at_by_keys_and_by_pointer(page):
    box = photo(page).bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    expect(said(page)).to_contain_text("row 0, column 0:")
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 3)
    expect(said(page)).to_contain_text("row 0, column 12:")
    photo(page).focus()
    before = said(page).text_content()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(said(page)).not_to_contain_text(before)
    sheet(page).focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(said(page)).to_contain_text("Channel 121 of")


def test_a_channel_is_typed(page):
    number = page.get_by_label("channel", exact=True)
    number.fill("348")
    expect(said(page)).to_contain_text("Channel 348 of layer 4")
    number.fill("9999")
    expect(said(page)).to_contain_text("Channel 348 of layer 4")


def test_a_tap_keeps_a_channel(page_of):
    page = page_of("channels", touch=True)
    expect(said(page)).to_contain_text("Channel 120")
    page.touchscreen.tap(*thumbnail(page, 42))
    expect(said(page)).to_contain_text("Channel 42 of")


def test_a_press_on_the_photo_puts_what_is_brightest_there_first(page, maps):
    box = photo(page).bounding_box()
    place = box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"]
    page.mouse.click(*place)
    expect(page.get_by_role("combobox", name="order")).to_have_value("brightest at the mark first")
    page.mouse.move(5, 5)
    expect(said(page)).to_contain_text("row 5, column 6: about")  # the unit in the middle of whose field it is
    shares = []
    for i in (0, 1, 30, 300):
        page.mouse.click(*thumbnail(page, i))
        page.mouse.move(*place)
        drawn(page)
        expect(said(page)).to_contain_text("row 5, column 6:")
        text = said(page).text_content()
        shares.append(0 if "(about) 0" in text else numbers(text)[3])
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(100 * maps["coins"]["features.9"][:, 5, 6].max().item(), abs=2.2)


def test_the_brightest_maps_come_first(page, maps):
    choose(page, order="brightest here first")
    expect(page.get_by_text("384 channels of layer 4 (features.9), brightest here first")).to_be_visible()
    drawn(page)
    sums = (maps["coins"]["features.9"] * 31).round().sum(dim=(1, 2))
    channel = numbers(said(page).text_content())[0]
    assert sums[channel] > sums.max() - 3


def test_the_patches_are_named_and_lead_to_their_photos(page):
    patches = page.locator(".xp-patch")
    expect(patches).to_have_text([re.compile(r"\w+ \d+ %")] * 5)
    assert "100 %" in patches.first.text_content()
    page.locator(".xp-patch", has_text="chelsea").click()
    expect(page.get_by_role("combobox", name="photo")).to_have_value("chelsea")
    expect(page.get_by_text("chelsea: a map of 13 × 13 units")).to_be_visible()
    expect(said(page)).to_contain_text("Channel 120 of layer 4")


def test_a_channel_is_switched_off(page):
    content = latency.make("channels").content["photos"][0]
    choose(page, layer="layer 5")
    expect(said(page)).to_contain_text("of layer 5")
    page.get_by_role("button", name="switch the channel off").click()
    note = page.get_by_role("status").nth(1)
    page.get_by_label("channel", exact=True).fill("331")
    expect(note).to_contain_text("Without channel 331 of layer 5: golf ball 85 % → 48 %; still first.")
    assert round(100 * content["off"][4]["331"][0]) == 48
    expect(page.locator(".xp-bars span").nth(1)).to_have_text("48 %")
    page.get_by_label("channel", exact=True).fill("0")
    expect(note).to_contain_text("Not recorded for channel 0. Recorded are the 12 channels")
    expect(note).to_contain_text("need a running notebook")
    expect(page.locator(".xp-bars span").nth(1)).to_have_text("85 %")


def test_another_class_that_comes_first_is_named(page):
    choose(page, photo="chelsea", layer="layer 1")
    expect(said(page)).to_contain_text("of layer 1")
    page.get_by_role("button", name="switch the channel off").click()
    page.get_by_label("channel", exact=True).fill("47")
    expect(page.get_by_text("now Egyptian cat, 56 %, is first.")).to_be_visible()


KERNEL = """(answers) => {
    const content = document.querySelector("div[data-explorer]").model.get("content"), handlers = [];
    const model = {
        get: (name) => ({ content, state: {} })[name], set() {}, save_changes() {}, off() {},
        on: (name, handler) => handlers.push(handler),
        send({ to, request }) {
            window.asked = request;
            const reply = { off: { [request.channel]: [0.25, 0.2, 0.1, 0.1, 0.1, "teapot", 0.3] } };
            handlers.forEach((handler) => handler(answers ? { to, reply } : { to, error: "no memory left" }, []));
        },
    };
    const el = document.createElement("div");
    document.body.replaceChildren(el);
    window.made.render({ model, el });
}"""


@pytest.mark.parametrize("answers", [True, False])
def test_what_was_not_recorded_is_asked_of_the_kernel(page, answers):
    source = explore.module("lesson_05").replace("export default", "window.made =")
    page.add_script_tag(content=f"(() => {{ {source} }})()")
    page.evaluate(KERNEL, answers)
    expect(said(page)).to_contain_text("Channel 120 of layer 4")
    page.get_by_label("channel", exact=True).fill("0")
    page.get_by_role("button", name="switch the channel off").click()
    note = page.get_by_role("status").nth(1)
    expect(note).to_contain_text("teapot, 30 %, is first" if answers else "no memory left")
    assert page.evaluate("window.asked") == {"photo": "coins", "layer": 3, "channel": 0}
