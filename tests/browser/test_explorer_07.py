"""The explorer of lesson 7 in a page without a kernel: maps to point at, and patches to keep against Grad-CAM."""

import io
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from benchmarks import latency
from helpers.lessons import explore, lesson_07

WHOLE = "The whole photo has a score of"


def board(page):
    return page.get_by_label("16 patches of the photo")


def heat(page):
    return page.get_by_label("map over the photo")


def at(element, across, down):
    """A place on an element in the page, by shares of its width and height."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    return box["x"] + 1 + across * (box["width"] - 2), box["y"] + 1 + down * (box["height"] - 2)


def opened(page_of, **options):
    page = page_of("attribution", **options)
    expect(page.locator(".xp-title", has_text="occlusion 56 for “tiger cat”")).to_be_visible()
    return page


def choose(page, name, value):
    page.get_by_role("combobox", name=name, exact=True).select_option(value)


def photo(name):
    return next(p for p in latency.make("attribution").content["photos"] if p["name"] == name)


def scores_of(name):
    recorded = np.frombuffer(photo(name)["scores"], "<i2") / 100
    return dict(zip(lesson_07.all_choices(), recorded, strict=True))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_appears_and_axe_finds_no_serious_fault(page_of, dark):
    page = opened(page_of, dark=dark)
    page.mouse.move(*at(heat(page), 0.4, 0.4))
    page.mouse.click(*at(board(page), 0.4, 0.4))
    expect(page.get_by_text("You keep one patch of 16")).to_be_visible()
    faults = [f for f in Axe().run(page).response["violations"] if f["impact"] in ("serious", "critical")]
    assert not [(f["id"], [node["html"] for node in f["nodes"]]) for f in faults]


def test_it_fits_a_narrow_screen(page_of):
    page = opened(page_of, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert board(page).bounding_box()["width"] > 200


@pytest.mark.parametrize(
    ("method", "key"), [("occlusion", "occlusion 32"), ("integrated gradients", "integrated gradients")]
)
def test_the_value_that_is_said_is_pythons(page_of, method, key):
    page = opened(page_of)
    choose(page, "photo", "coffee")
    choose(page, "method", method)
    if method == "occlusion":
        choose(page, "patch", "32")
    share = f"{photo('coffee')['classes'][0]['share']:.1%}".replace("%", "\u00a0%")
    expect(page.locator(".xp-title", has_text=f"{key} for “espresso”")).to_contain_text(f"probability {share}")
    one = photo("coffee")["classes"][0]["maps"][key]
    levels = np.asarray(Image.open(io.BytesIO(one["file"])))[..., 0].astype(float)
    row, column = np.unravel_index(np.abs(levels - 128).argmax(), levels.shape)
    value = (levels[row, column] - 128) / 124 * one["limit"]
    page.mouse.move(*at(heat(page), (column + 0.5) / one["columns"], (row + 0.5) / one["rows"]))
    note = page.locator(".xp-note").first
    expect(note).to_contain_text(re.compile(r"Row \d+, column \d+: "))
    said = float(re.findall(r"−?[\d.]*\d", note.text_content().replace("2 × 2", ""))[2].replace("−", "-"))
    assert abs(said) == pytest.approx(abs(value), abs=0.051)


def test_no_value_of_a_small_map_is_beyond_its_limit(page_of):
    page = opened(page_of)
    choose(page, "method", "Grad-CAM")
    one = photo("chelsea")["classes"][0]["maps"]["Grad-CAM"]
    levels = np.asarray(Image.open(io.BytesIO(one["file"])))[..., 0]
    row, column = np.unravel_index(levels.argmax(), levels.shape)
    page.mouse.move(*at(heat(page), (column + 0.5) / one["columns"], (row + 0.5) / one["rows"]))
    expect(page.locator(".xp-note").first).to_contain_text(f"sum of the weighted maps, {one['limit']:.1f}.")


def test_keys_move_over_the_map_and_a_covered_place_may_raise_the_score(page_of):
    page = opened(page_of)
    choose(page, "patch", "32")
    heat(page).focus()
    for _ in range(13):
        page.keyboard.press("ArrowUp")
    expect(page.locator(".xp-note").first).to_contain_text("Row 8, column 112: ")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".xp-note").first).to_contain_text("the score of “tiger cat” rises by")


def test_a_choice_of_patches_is_ranked_among_all_of_as_many(page_of):
    page = opened(page_of)
    choose(page, "photo", "coffee")
    expect(page.get_by_text(f"{WHOLE} 37.6 for “espresso”")).to_be_visible()
    for cell in (5, 6):
        page.mouse.click(*at(board(page), (cell % 4 + 0.5) / 4, (cell // 4 + 0.5) / 4))
    scores, order = scores_of("coffee"), photo("coffee")["order"]
    pairs = {choice: score for choice, score in scores.items() if len(choice) == 2}
    place = 1 + sum(score > pairs[5, 6] for score in pairs.values())
    verdict = page.locator(".xp-note").last
    expect(verdict).to_contain_text(f"You keep two patches of 16: {pairs[5, 6]:.1f}.")
    expect(verdict).to_contain_text(f"Grad-CAM's two patches: {pairs[tuple(sorted(order[:2]))]:.1f}.")
    expect(verdict).to_contain_text(f"Of all 120 such choices yours is number {place}, Grad-CAM's number ")
    expect(page.locator(".xp-bars")).to_contain_text(f"the best choice{max(pairs.values()):.1f}")
    page.get_by_role("button", name="show the best").click()
    expect(page.get_by_role("button", name="show the best")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="clear").click()
    expect(page.get_by_text(WHOLE)).to_be_visible()


def test_a_choice_that_shares_its_score_shares_its_place(page_of):
    page = opened(page_of)
    for cell in photo("chelsea")["order"][:4]:
        page.mouse.click(*at(board(page), (cell % 4 + 0.5) / 4, (cell // 4 + 0.5) / 4))
    _, place, _ = lesson_07.standing(latency.make("attribution"), "chelsea", 4)
    wanted = f"Of all 1,820 such choices yours is number {place}, Grad-CAM's number {place}."
    expect(page.locator(".xp-note").last).to_contain_text(wanted)
    page.get_by_role("button", name="clear").click()
    for cell in (5, 6, 9, 10):
        page.mouse.click(*at(board(page), (cell % 4 + 0.5) / 4, (cell // 4 + 0.5) / 4))
    fours = {choice: score for choice, score in scores_of("chelsea").items() if len(choice) == 4}
    place = 1 + sum(score > fours[5, 6, 9, 10] for score in fours.values())
    expect(page.locator(".xp-note").last).to_contain_text(f"such choices yours is number {place:,}, ")


def test_patches_are_chosen_by_keys_and_more_than_five_are_refused(page_of):
    page = opened(page_of)
    board(page).focus()
    for key in ("Enter", "ArrowLeft", "Space", "ArrowUp", "Enter", "ArrowRight", "Enter", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    state = page.evaluate("document.querySelector('div[data-explorer]').model.get('state')")
    assert state == {"photo": "chelsea", "kept": [5, 6, 7, 9, 10]}
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_text("5 patches are the most that can be kept.")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You keep four patches of 16")).to_be_visible()


def test_a_finger_points_and_chooses(page_of):
    page = opened(page_of, touch=True, width=400)
    page.touchscreen.tap(*at(heat(page), 0.3, 0.3))
    expect(page.locator(".xp-note").first).to_contain_text("the score of “tiger cat”")
    page.touchscreen.tap(*at(board(page), 0.1, 0.1))
    expect(page.get_by_text("You keep one patch of 16")).to_be_visible()


def test_another_class_needs_a_kernel_and_that_is_said(page_of):
    page = opened(page_of)
    page.get_by_label("another class").fill("lynx")
    page.get_by_role("button", name="look for it").click()
    expect(page.get_by_text("That needs a running notebook; here is what was recorded.")).to_be_visible()
    expect(page.get_by_role("button", name="look for it")).to_be_enabled()


# The explorer once more, beside the first, with a model whose kernel answers as ``AttributionExplorer.answer`` would.
WITH_KERNEL = """(source) => {
    const content = document.querySelector("div[data-explorer]").model.get("content");
    const own = { ...content.photos[0], name: "yours", scores: new DataView(new ArrayBuffer(0)) };
    const values = { content: { ...content, photos: [own, ...content.photos.slice(1)] }, state: {} };
    const asked = (window.asked = []), files = [], other = content.photos[0].classes[1];
    const maps = Object.fromEntries(Object.entries(other.maps).map(([name, map]) =>
        [name, { ...map, file: { file: files.push(map.file) - 1 } }]));
    let hear;
    const model = { get: (name) => values[name], set: (name, value) => { values[name] = value; }, save_changes() {},
        on: (event, answer) => { hear = answer; },
        send({ to, request }) {
            asked.push(request);
            if (request.class === "nothing") return void hear({ to, error: "The network has no class “nothing”." }, []);
            hear({ to, reply: request.class ? { ...other, name: "lynx", maps } : { scores: [12.34, 10.12] } }, files);
        } };
    const el = document.createElement("div");
    document.querySelector("main").replaceChildren(el);
    new Function(source.replace("export default", "return"))().render({ model, el });
}"""


def test_with_a_kernel_it_asks_for_what_was_not_recorded(page_of):
    page = opened(page_of)
    page.evaluate(WITH_KERNEL, explore.module("lesson_07"))
    expect(page.locator(".xp-title", has_text="occlusion 56 for “tiger cat”")).to_be_visible()
    page.mouse.click(*at(board(page), 0.9, 0.1))
    expect(page.get_by_text("You keep one patch of 16: 12.3. Grad-CAM's one patch: 10.1.")).to_be_visible()
    order = photo("chelsea")["order"]
    assert page.evaluate("asked") == [{"photo": "yours", "of": "tiger cat", "choices": [[3], [order[0]]]}]
    expect(page.get_by_role("button", name="show the best")).to_be_disabled()
    page.get_by_label("another class").fill("nothing")
    page.get_by_role("button", name="look for it").click()
    expect(page.get_by_text("The network has no class “nothing”.")).to_be_visible()
    page.get_by_label("another class").fill("lynx")
    page.get_by_label("another class").press("Enter")
    expect(page.locator(".xp-title", has_text="occlusion 56 for “lynx”")).to_be_visible()
