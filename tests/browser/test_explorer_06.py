"""The map of lesson 6 in a page without a kernel: what is pointed at, and what is said of it, beside Python."""

import base64
import re

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import drawn

from benchmarks import latency
from helpers import data
from helpers.lessons import lesson_06


@pytest.fixture(scope="module")
def disagreement():
    """At which place of the other list the five nearest of each item stand, on average, ``(N, 2)``; by a loop."""
    distances = [torch.cdist(vectors, vectors) for vectors in lesson_06.map_spaces().values()]
    orders = [both.fill_diagonal_(-1).argsort(dim=1, stable=True) for both in distances]  # the item itself comes first
    means = []
    for i in range(lesson_06.COUNT):
        places = [torch.empty(lesson_06.COUNT).index_put_((order[i],), torch.arange(3000.0)) for order in orders]
        means.append([places[1 - s][orders[s][i, 1:6]].mean().item() for s in (0, 1)])
    return torch.tensor(means)


def opened(page_of, **options):
    """A page with the map, drawn."""
    page = page_of("map", **options)
    page.wait_for_function("document.querySelector('.xp-note').textContent.startsWith('Item')")
    return page


def canvas(page):
    return page.get_by_role("application", name=re.compile("map of 3,000"))


def note(page):
    return page.get_by_role("status")


def state(page):
    return page.evaluate("document.querySelector('div[data-explorer]').model.get('state')")


def place_of(page, item, name="pixels, t-SNE"):
    """Where an item of the whole map is in the page."""
    box = canvas(page).bounding_box()
    places = torch.frombuffer(bytearray(latency.make("map").content["places"][name]), dtype=torch.uint16)
    x, y = places.view(-1, 2)[item].double() / 65_535
    width, height = box["width"] - 2, box["height"] - 2
    unit = 0.92 * min(width, height)
    return box["x"] + 1 + width / 2 + unit * (x.item() - 0.5), box["y"] + 1 + height / 2 + unit * (y.item() - 0.5)


def pixels(page):
    return canvas(page).evaluate("(one) => one.toDataURL()")


def levels(page):
    """Each byte of the canvas."""
    data = canvas(page).evaluate(
        """(one) => {
            const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
            let text = "";
            for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
            return btoa(text);
        }"""
    )
    return torch.frombuffer(bytearray(base64.b64decode(data)), dtype=torch.uint8).int()


def test_the_items_that_the_spaces_disagree_about_most_come_first(page_of, disagreement):
    page = opened(page_of)
    order = disagreement.mean(dim=1).argsort(descending=True, stable=True)
    for place, item in enumerate(order[:3].tolist(), 1):
        page.get_by_role("button", name="next disagreement").click()
        expect(note(page)).to_contain_text(f"Item {item:,}, labelled")
        expect(note(page)).to_contain_text(f"disagreement number {place} of 3,000")
        of_pixels, of_features = (f"{round(mean):,}" for mean in disagreement[item].tolist())
        expect(note(page)).to_contain_text(f"place {of_pixels} of features' list")
        expect(note(page)).to_contain_text(f"place {of_features} of the pixels' list")
        assert state(page) == {"item": item}
    page.get_by_role("button", name="previous").click()
    expect(note(page)).to_contain_text(f"Item {order[1].item():,}, labelled")


def test_neighbours_and_labels_are_those_of_python(page_of):
    page = opened(page_of)
    labels = data.fashion_mnist(train=False)[1]
    for number, (space, vectors) in enumerate(lesson_06.map_spaces().items()):
        distances = (vectors - vectors[0]).norm(dim=1)
        distances[0] = torch.inf
        near = distances.topk(5, largest=False).indices.tolist()
        images = page.locator(".xp-rule").nth(number).get_by_role("img")
        expected = [f"item {i:,}, {data.CLASSES[labels[i]]}" for i in near]
        assert [image.get_attribute("aria-label") for image in images.all()] == expected, space
    page.locator(".xp-rule").first.get_by_role("button").nth(2).click()
    expect(note(page)).to_contain_text(re.compile("Item [1-9]"))


@pytest.mark.parametrize(("space", "colour"), [("pixels", (213, 94, 0)), ("features", (0, 114, 178))])
def test_neighbours_that_lie_under_the_item_are_seen(page_of, space, colour):
    page = opened(page_of, motion=False)
    page.get_by_role("button", name=space, exact=True).click()
    page.get_by_role("button", name="next disagreement").click()
    expect(note(page)).to_contain_text("disagreement number 1 of")
    drawn(page)
    x, y = place_of(page, state(page)["item"], f"{space}, t-SNE")
    marks = page.locator(".xp-front")
    box = marks.bounding_box()
    inside = marks.evaluate(
        """(one, [x, y]) => {
            const scale = one.width / one.clientWidth, side = Math.round(30 * scale);
            return [...one.getContext("2d").getImageData((x - 15) * scale, (y - 15) * scale, side, side).data];
        }""",
        [x - box["x"], y - box["y"]],
    )
    differences = (torch.tensor(inside).view(-1, 4)[:, :3] - torch.tensor(colour)).abs().amax(dim=1)
    assert (differences < 30).double().mean() > 0.1  # their frames


@pytest.mark.parametrize("item", [3, 1500, 2999])
def test_pointing_finds_the_nearest_item_and_a_press_holds_on_to_it(page_of, item):
    page = opened(page_of)
    page.mouse.move(*place_of(page, item))
    expect(note(page)).to_contain_text(f"Item {item:,}, ")
    page.mouse.down()
    page.mouse.up()
    assert state(page) == {"item": item}
    page.mouse.move(*place_of(page, 42))
    expect(note(page)).to_contain_text("Item 42, ")
    box = canvas(page).bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)  # where nothing is
    expect(note(page)).to_contain_text(f"Item {item:,}, ")


def test_wheel_drag_keys_and_buttons_move_the_map(page_of):
    page = opened(page_of)
    x, y = place_of(page, 1500)
    page.mouse.move(x, y)
    for _ in range(4):
        page.mouse.wheel(0, -100)
    expect(note(page)).to_contain_text("Item 1,500, ")  # it stays under the pointer
    page.mouse.down()
    page.mouse.move(x + 150, y + 80, steps=5)
    page.mouse.up()
    drawn(page)
    zoomed = pixels(page)
    page.mouse.move(x + 150, y + 79)
    expect(note(page)).to_contain_text("Item 1,500, ")
    canvas(page).focus()
    page.keyboard.press("ArrowLeft")
    drawn(page)
    assert pixels(page) != zoomed
    for key in ("+", "-", "ArrowRight", "0"):
        page.keyboard.press(key)
    page.mouse.move(x, y + 1)
    expect(note(page)).to_contain_text("Item 1,500, ")
    page.get_by_role("button", name="zoom in").click()
    page.get_by_role("button", name="whole map").click()
    page.mouse.move(x, y)
    expect(note(page)).to_contain_text("Item 1,500, ")


@pytest.mark.parametrize(("dx", "dy"), [(40, 25), (-70, 33), (12, -48), (-25, -90)])
def test_a_map_that_was_moved_is_as_if_drawn_anew(page_of, dx, dy):
    page = opened(page_of)
    for _ in range(3):
        page.get_by_role("button", name="zoom in").click()
    box = canvas(page).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    drawn(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 5):
        page.mouse.move(x + step * dx / 4, y + step * dy / 4)
        drawn(page)
    page.mouse.up()
    moved = levels(page)
    for colours in ("none", "by class"):
        page.get_by_role("combobox", name="colours").select_option(colours)
        drawn(page)
    differences = (levels(page) - moved).abs()
    assert (differences > 8).double().mean() < 1e-4
    assert (moved > 0).double().mean() > 0.1  # there was something to see


def test_keys_choose_the_next_item_on_a_side(page_of):
    page = opened(page_of)
    canvas(page).focus()
    page.keyboard.press("Enter")
    before = place_of(page, state(page)["item"])
    page.keyboard.press("Shift+ArrowRight")
    after = place_of(page, state(page)["item"])
    assert after[0] - before[0] > abs(after[1] - before[1])


@pytest.mark.parametrize("motion", [True, False], ids=["in motion", "at once"])
def test_items_travel_from_map_to_map(page_of, motion):
    page = opened(page_of, motion=motion)
    page.get_by_role("button", name="features", exact=True).click()
    page.get_by_role("button", name="PCA", exact=True).click()
    if motion:
        page.wait_for_timeout(2500)
    item = 8  # alone enough on that map
    page.mouse.move(*place_of(page, item, "features, PCA"))
    page.mouse.move(*(v + 0.4 for v in place_of(page, item, "features, PCA")))
    expect(note(page)).to_contain_text(re.compile("Item "))
    said = int(re.search(r"Item ([\d,]+)", note(page).text_content())[1].replace(",", ""))
    at, there = (place_of(page, i, "features, PCA") for i in (said, item))
    assert abs(at[0] - there[0]) + abs(at[1] - there[1]) < 3


def test_only_chosen_classes_can_be_pointed_at(page_of):
    page = opened(page_of)
    labels = data.fashion_mnist(train=False)[1]
    bag = int((labels[:3000] == 8).nonzero()[0])
    page.mouse.move(*place_of(page, bag))
    expect(note(page)).to_contain_text("labelled Bag")
    page.get_by_role("button", name="Trouser").click()
    page.mouse.move(*place_of(page, bag))
    page.mouse.move(*place_of(page, int((labels[:3000] == 1).nonzero()[0])))
    expect(note(page)).to_contain_text("labelled Trouser")


def test_a_tap_and_two_fingers_do_as_much(page_of):
    page = opened(page_of, touch=True, width=360)
    page.touchscreen.tap(*place_of(page, 3))
    assert state(page)["item"] is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    before = pixels(page)
    x, y = place_of(page, 3)
    touch = page.context.new_cdp_session(page)
    for step in range(6):
        points = [{"x": x + side * (20 + 12 * step), "y": y, "id": side + 1} for side in (-1, 1)]
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    drawn(page)
    assert pixels(page) != before


@pytest.mark.parametrize("colours", ["red: disagreement", "red: network wrong", "none"])
def test_colours_change_the_map(page_of, colours):
    page = opened(page_of)
    before = pixels(page)
    page.get_by_role("combobox", name="colours").select_option(colours)
    drawn(page)
    assert pixels(page) != before


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(page_of, dark):
    page = opened(page_of, dark=dark)
    page.get_by_role("button", name="next disagreement").click()
    found = Axe().run(page).response["violations"]
    assert not [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]
