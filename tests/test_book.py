"""The book, built once: it asks nothing of the network, its links lead somewhere, and it has all of the lessons."""

import base64
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("myst_nb", reason="the book is built with .[book]")
pytest.importorskip("sphinx_book_theme", reason="the book is built with .[book]")
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))
import pages  # noqa: E402

from helpers.lessons import course  # noqa: E402

LESSONS = pytest.mark.parametrize("path", pages.LESSONS, ids=lambda path: path.stem)
PAGES = pytest.mark.parametrize("path", pages.NOTEBOOKS, ids=lambda path: path.stem)
REQUESTED = {
    "script": "src",
    "img": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "iframe": "src",
    "embed": "src",
    "object": "data",
    "use": "href",
}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of the built book."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "source").mkdir()
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-c",
        ROOT / "book",
        "-d",
        folder / "doctrees",
    ]
    done = subprocess.run([*command, folder / "source", folder / "html"], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def soups(book):
    """Every page, parsed, by its path in the book."""
    found = sorted(book.rglob("*.html"))
    found = [path for path in found if "_static" not in path.parts]  # the theme's macros are no pages
    return {path.relative_to(book).as_posix(): BeautifulSoup(path.read_text(), "html.parser") for path in found}


def lesson(soups, path):
    return soups[f"notebooks/{path.stem}.html"]


def code_cells(path, tag=None):
    cells = [cell for cell in pages.read(path)["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in cells if tag in cell["metadata"].get("tags", [])] if tag else cells


def is_outside(address):
    return re.match(r"(\w+:)?//|\w+:(?!//)", address) and not address.startswith(("data:", "mailto:"))


def test_no_page_asks_for_anything_outside(soups):
    for name, soup in soups.items():
        asked = [(tag.name, tag.get(attribute, "")) for t, attribute in REQUESTED.items() for tag in soup.find_all(t)]
        asked += [("link", tag["href"]) for tag in soup.find_all("link", href=True)]
        asked += [("srcset", part) for tag in soup.find_all(srcset=True) for part in tag["srcset"].split(",")]
        assert not [a for a in asked if is_outside(a[1].strip())], name
        styles = " ".join([*(s.text for s in soup.find_all("style")), *(t["style"] for t in soup.find_all(style=True))])
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", styles), name


def test_no_stylesheet_and_no_script_of_ours_asks_for_anything_outside(book):
    for path in book.rglob("*.css"):
        asked = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s*['\"]([^'\"]+)", path.read_text())
        assert not [a for pair in asked for a in pair if a and is_outside(a)], path.name
    for name in ("explorers.js",):
        text = (book / "_static" / name).read_text()
        assert not re.search(r"\b(fetch|importScripts|XMLHttpRequest|WebSocket|EventSource)\b|\bimport\(", text)
        assert not [a for a in re.findall(r"https?://[\w./]+", text) if "www.w3.org" not in a]


def test_every_script_and_stylesheet_is_there(book, soups):
    for name, soup in soups.items():
        needed = [tag["src"] for tag in soup.find_all(["script", "img"], src=True)]
        needed += [tag["href"] for tag in soup.find_all("link", rel=["stylesheet", "preload"], href=True)]
        for address in (address for address in needed if not address.startswith("data:")):
            assert ((book / name).parent / unquote(address.split("?")[0])).exists(), f"{name}: {address}"


def test_links_and_anchors_lead_somewhere(book, soups):
    anchors = {name: {tag["id"] for tag in soup.find_all(id=True)} for name, soup in soups.items()}
    for name, soup in soups.items():
        for link in soup.find_all("a", href=True):
            file, _, anchor = link["href"].partition("#")
            if is_outside(file):
                continue
            target = ((book / name).parent / unquote(file)).resolve() if file else book / name
            assert target.exists(), f"{name}: {link['href']}"
            page = target.relative_to(book.resolve()).as_posix() if file else name
            assert not anchor or unquote(anchor) in anchors[page], f"{name}: {link['href']}"


@PAGES
def test_figures_keep_their_alternative_texts(soups, path):
    shown = [img.get("alt") for img in lesson(soups, path).select("div.cell_output img:not(div[data-explorer] img)")]
    assert shown == [alt for alt, _, _ in pages.figures(pages.read(path))]
    assert all(img.has_attr("alt") for soup in soups.values() for img in soup.find_all("img"))


@PAGES
def test_claims_are_left_out_and_solutions_folded(soups, path):
    page = lesson(soups, path)
    text = page.get_text()
    assert not [cell["source"] for cell in code_cells(path, "claim") if cell["source"] in text]
    folded = [tag.get_text() for tag in page.select("details.hide:not([open])")]
    for cell in code_cells(path, "solution"):
        assert text.count(cell["source"]) == 1
        assert [tag for tag in folded if cell["source"] in tag], cell["source"]


def test_asides_are_folded_below_their_headings():
    sources = ["# A", "## Aside: B\n\nwho wants it", "more", "### within", "## C", "end", "## Aside: D"]
    cells = [{"id": s, "cell_type": "markdown", "metadata": {}, "source": s} for s in sources]
    opening, closing = '<details class="aside"><summary>Open this aside</summary>', "</details>"
    folded = [cell["source"] for cell in pages.folded(cells)]
    aside = ["## Aside: B", opening, "who wants it", "more", "### within", closing]
    assert folded == ["# A", *aside, "## C", "end", "## Aside: D", opening, closing]


@PAGES
def test_what_is_to_be_guessed_and_the_asides_are_folded(soups, path):
    page = lesson(soups, path)
    asides = [h for h in page.find_all(re.compile(r"h\d")) if h.get_text().startswith("Aside:")]
    assert len(page.select("details.aside:not([open])")) == len(asides)
    assert len(page.select("details.hide.below-input:not([open])")) == len(code_cells(path, "guess"))


@PAGES
def test_the_rest_of_the_code_stands_there(soups, path):
    text = lesson(soups, path).get_text()
    left_out = re.compile(r"\bquiz\(")
    for cell in code_cells(path):
        if not {*pages.LEFT_OUT} & {*cell["metadata"].get("tags", [])} and not left_out.search(cell["source"]):
            assert cell["source"] in text


@PAGES
def test_explorers_come_with_their_script(soups, path):
    cells = [cell for cell in code_cells(path) if "quiz(" not in cell["source"]]
    outputs = [output for cell in cells for output in cell["outputs"]]
    stored = [o for o in outputs if "data-explorer" in pages.text_of(o.get("data", {}).get("text/html", ""))]
    page = lesson(soups, path)
    assert len(page.select("div[data-explorer]:not([data-explorer=quiz])")) == len(stored)
    loaded = page.select("script[src*='explorers.js'][defer]")
    assert len(loaded) == 1  # for the quiz, if for nothing else
    assert not page.find_all("script", type=re.compile("jupyter.widget"))


def test_an_explorer_is_shown_by_its_html_and_any_other_widget_is_not(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "KernelExplorer()"}
    alive = {"output_type": "execute_result", "data": widget | {"text/html": ["<div data-explorer>", "</div>"]}}
    cell = {"source": "lesson_01.kernel_explorer()"}
    assert pages.shown(alive, cell, tmp_path, True)["data"] == {"text/html": "<div data-explorer></div>"}
    for output, is_alive, note in ((alive, False, pages.NEEDS_SCRIPTS), ({"data": widget}, True, pages.NOT_YET)):
        assert pages.shown(output, cell, tmp_path, is_alive)["data"] == {"text/markdown": note}
    image = base64.b64encode(b"an image").decode()
    stored = f'<div data-explorer><img alt="a &quot;map&quot;" src="data:image/webp;base64,{image}"></div>'
    resting = pages.shown({"data": widget | {"text/html": stored}}, cell, tmp_path, False)["data"]["text/markdown"]
    assert resting.endswith(f".webp)\n\n{pages.NEEDS_SCRIPTS}")
    assert resting.startswith('![a "map"](figures/')
    (written,) = (tmp_path / "figures").iterdir()
    assert written.read_bytes() == b"an image"
    progress_bar = {"data": widget | {"text/plain": "  0%|"}}
    assert pages.shown(progress_bar, {"source": "train(net)"}, tmp_path, True) is None


@LESSONS
def test_quizzes_have_their_questions_with_and_without_javascript(soups, path):
    page = lesson(soups, path)
    questions = json.loads((ROOT / "notebooks" / "quizzes" / f"{path.name[:2]}.json").read_text())
    places = page.select("div.quiz > div[data-explorer=quiz]")
    assert len(places) == 1
    assert json.loads(places[0].find("script").text)["questions"] == questions
    assert len(places[0].select("ol > li")) == len(questions)
    assert "jupyterquiz" not in page.decode()


def test_each_question_leads_to_the_section_that_answers_it(soups):
    asked = json.loads((ROOT / "notebooks" / "questions.json").read_text())
    links = soups["questions.html"].select("article ol a")
    assert [link.get_text() for link in links] == [question["question"] for question in asked]
    assert len(links) >= 40
    for link, question in zip(links, asked, strict=True):
        file, anchor = link["href"].split("#")
        section = soups[file].find(id=anchor)
        heading = section.find(re.compile(r"h\d")).get_text().rstrip("#")
        assert heading == question["heading"].replace("`", "")


def test_the_glossary_has_the_words_of_the_lessons_and_no_others(soups):
    meanings = json.loads((ROOT / "notebooks" / "glossary.json").read_text())
    defined = [name for names in meanings for name in names.split(", ")]
    introduced = {word for path in pages.LESSONS for word in pages.words(pages.read(path))}
    assert sorted(defined) == sorted(introduced)
    assert all(len(meaning) > 30 and meaning.endswith(".") for meaning in meanings.values())
    terms = soups["glossary.html"].select("dl.glossary dt")
    assert sorted(next(iter(t.stripped_strings)) for t in terms) == sorted(
        w.split("`")[0] or "train()" for w in defined
    )
    assert all(entry.select("a[href*='notebooks/']") for entry in soups["glossary.html"].select("dl.glossary dd"))


@PAGES
def test_formulas_are_drawn_by_the_browser(soups, path):
    text = re.sub(r"`[^`]*`", "", course.prose(course.read(path)))
    written = re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", text, re.S)
    page = lesson(soups, path)
    assert len(page.find_all("math")) == len(written)
    assert not page.find_all("script", string=re.compile("MathJax"))


def test_the_start_page_shows_each_lesson_and_pages_follow_each_other(book, soups):
    cards = soups["index.html"].select("a.card")
    assert [card["href"] for card in cards] == [f"notebooks/{path.stem}.html" for path in pages.LESSONS]
    for card, beginning in zip(cards, pages.CARDS, strict=True):
        assert card.find("img"), f"no figure begins with {beginning!r} any more: name another in book/pages.py"
        assert re.search(r"\d+ minutes", card.get_text())
    names = [f"{path.stem}.html" for path in pages.NOTEBOOKS]
    for name, after in itertools.pairwise(names):
        assert soups[f"notebooks/{name}"].select_one("a.right-next")["href"] == after
        assert soups[f"notebooks/{after}"].select_one("a.left-prev")["href"] == name


def test_words_are_found_by_the_search(book):
    index = (book / "searchindex.js").read_text()
    assert index.startswith("Search.setIndex(")  # a script, not a file to fetch
    assert all(word in index for word in ("perplex", "dilat", "octav"))
