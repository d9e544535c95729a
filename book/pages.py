"""The pages of the book, made from the notebooks as they are stored; nothing is executed, and the tree is not touched.

``write(folder)`` makes a source folder for Sphinx: the notebooks without what only a notebook can use, the
start page with the lessons, the glossary and the index of the questions.
"""

import base64
import hashlib
import html
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

from helpers.lessons import quiz as quizzes
from helpers.lessons.course import (
    LESSONS,
    START,
    anchor,
    has_tag,
    minutes,
    promise,
    read,
    text_of,
    title,
    words,
)

BOOK = Path(__file__).parent
ROOT = BOOK.parent
NOTEBOOKS = [START, *LESSONS]
LEFT_OUT = ("claim", "navigation", "notebook-only")  # cells that are no use in a book

# The picture of each lesson on the start page: the one whose alternative text begins like this.
CARDS = (
    "The photo's responses to three kernels",
    "Part of a cat's face",
    "Twenty garments in two rows",
    "Four contour maps with paths",
    "The atlas's images of four",
    "Four maps of 300 items",
    "The cat with a small cup of coffee in the lower right corner, four times",
    "A round flower with many petals",
    "A cup of coffee made of coloured glass, large",
)
NEEDS_SCRIPTS = "*This explorer moves in the notebook, and in the book as web pages.*"
NOT_YET = "*This explorer was not stored with the lesson; it moves in the notebook.*"
FOLDED = {"solution": ("hide-cell", "The solution"), "guess": ("hide-output", "The result")}


# --- Notebooks ---


def figures(notebook: dict[str, Any]) -> list[tuple[str, bytes, str]]:
    """Every figure: its alternative text, its bytes and its kind, such as ``png``."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", []) if "data" in output]
    return [figure for output in outputs if (figure := figure_of(output))]


def figure_of(output: dict[str, Any]) -> tuple[str, bytes, str] | None:
    """The figure that an output holds, if it holds one."""
    for mime, content in output.get("data", {}).items():
        if mime in ("image/png", "image/jpeg", "image/webp", "image/gif"):
            alt = output.get("metadata", {}).get(mime, {}).get("alt", "")
            return alt, base64.b64decode(text_of(content)), mime.removeprefix("image/")
    return None


# --- From a notebook to a page ---


def put(path: Path, content: str | bytes) -> None:
    """Write a file, unless it holds that already, so that Sphinx sees what is new."""
    data = content.encode() if isinstance(content, str) else content
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#!|$~&])", r"\\\1", text)


def markdown(text: str) -> dict[str, Any]:
    """Markdown as an output of a cell."""
    return {"output_type": "display_data", "data": {"text/markdown": text}, "metadata": {}}


def shown(output: dict[str, Any], cell: dict[str, Any], folder: Path, alive: bool) -> dict[str, Any] | None:
    """An output as the book shows it; None if it does not."""
    data = output.get("data", {})
    fragment = text_of(data.get("text/html", ""))
    if "data-explorer" in fragment:
        return output | {"data": {"text/html": fragment}} if alive else markdown(still(fragment, folder))
    if "application/vnd.jupyter.widget-view+json" in data:  # an explorer without its page, or a progress bar
        return markdown(NOT_YET) if "explorer(" in cell["source"] else None
    if figure := figure_of(output):
        return markdown(linked(*figure, folder))
    return output


def linked(alt: str, content: bytes, kind: str, folder: Path) -> str:
    """A figure as Markdown, whose file goes to the folder."""
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.{kind}"
    put(folder / "figures" / name, content)
    return f"![{escaped(alt)}](figures/{name})"


def still(fragment: str, folder: Path) -> str:
    """An explorer where nothing moves, as Markdown."""
    if found := re.search(r'<img alt="([^"]*)" src="data:image/webp;base64,([^"]+)">', fragment):
        image = linked(html.unescape(found[1]), base64.b64decode(found[2]), "webp", folder)
        return f"{image}\n\n{NEEDS_SCRIPTS}"
    return NEEDS_SCRIPTS


def quiz(number: int, alive: bool) -> str:
    """A lesson's quiz as HTML."""
    asked = quizzes.quiz(number)
    return f'<div class="quiz">{asked.fragment() if alive else asked.at_rest()}</div>'


def page(path: Path, folder: Path, alive: bool) -> dict[str, Any]:
    """A notebook as the book shows it; its figures go to ``folder``."""
    notebook = read(path)
    cells = [cell for cell in notebook["cells"] if not any(has_tag(cell, tag) for tag in LEFT_OUT)]
    cells = [of_text(cell) if cell["cell_type"] == "markdown" else of_code(cell, folder, alive) for cell in cells]
    return notebook | {"cells": folded(cells), "metadata": notebook["metadata"] | {"widgets": {}}}


def of_text(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell of text as the book has it."""
    source = cell["source"].replace("**Words of this lesson:**", "**[Words](../glossary.md) of this lesson:**")
    return cell | {"source": source}


def of_code(cell: dict[str, Any], folder: Path, alive: bool) -> dict[str, Any]:
    """A cell of code as the book has it: solutions are folded, results to be guessed, too; quizzes answer."""
    tags = cell["metadata"].get("tags", [])
    if asked := re.search(r"\bquiz\((\d+)\)", cell["source"]):
        return {"id": cell["id"], "cell_type": "markdown", "metadata": {}, "source": quiz(int(asked[1]), alive)}
    outputs = [s for o in cell["outputs"] if (s := shown(o, cell, folder, alive))]
    metadata = cell["metadata"]
    for tag, (hide, label) in FOLDED.items():
        if tag in tags:
            prompts = {"code_prompt_show": label, "code_prompt_hide": label}
            metadata = metadata | {"tags": [*tags, hide], "mystnb": prompts}
    return cell | {"outputs": outputs, "metadata": metadata}


def folded(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same cells, with each aside folded below its heading, up to the next heading that is not below it."""
    result, level = [], 0  # of the aside's heading; 0 outside
    for cell in cells:
        heading = re.match(r"(#+) (.+)", cell["source"]) if cell["cell_type"] == "markdown" else None
        if level and heading and len(heading[1]) <= level:
            result.append(written("</details>"))
            level = 0
        if heading and heading[2].startswith("Aside:"):
            level = len(heading[1])
            rest = cell["source"].partition("\n")[2].strip()
            result += [
                cell | {"source": heading[0]},
                written('<details class="aside"><summary>Open this aside</summary>'),
                *([written(rest)] if rest else []),
            ]
        else:
            result.append(cell)
    return [*result, written("</details>")] if level else result


def written(source: str) -> dict[str, Any]:
    """A cell of text."""
    name = hashlib.sha256(source.encode()).hexdigest()[:8]
    return {"id": name, "cell_type": "markdown", "metadata": {}, "source": source}


# --- Pages that are not lessons ---


def card(path: Path, number: int, static: Path, suffix: str) -> str:
    """A lesson on the start page: a picture, the title, what it shows, and the minutes it takes."""
    notebook = read(path)
    picture = next((f for f in figures(notebook) if f[0].startswith(CARDS[number])), None)
    image = ""
    if picture:
        name = f"{path.stem}.{picture[2]}"
        put(static / "cards" / name, picture[1])
        image = f'<img src="_static/cards/{name}" alt="" />'
    return (
        f'<a class="card" href="notebooks/{path.stem}.{suffix}">{image}'
        f"<strong>{html.escape(title(notebook))}</strong><span>{html.escape(promise(notebook))}</span>"
        f"<small>{minutes(notebook)[0]} minutes</small></a>"
    )


def start(static: Path, suffix: str, network: str) -> str:
    """The start page: index.md with the network to draw into, and the lessons."""
    text = (BOOK / "index.md").read_text(encoding="utf-8")
    cards = "".join(card(path, i, static, suffix) for i, path in enumerate(LESSONS))
    text = text.replace("{{ network }}", network)
    text = text.replace("{{ elsewhere }}", elsewhere(os.environ.get("COURSE_URL", "")))
    text = text.replace("{{ lessons }}", f'<div class="cards">{cards}</div>')
    return text.replace("{{ documents }}", "\n".join(f"notebooks/{path.stem}" for path in NOTEBOOKS))


def elsewhere(address: str) -> str:
    """A paragraph on where the course runs without being installed; none for an address that is not on GitHub."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    if not found:
        return ""
    page = f"{found[1]}/blob/main/notebooks/{START.name}"
    colab = f"https://colab.research.google.com/github/{page}"
    kaggle = f"https://kaggle.com/kernels/welcome?src=https://github.com/{page}"
    return (
        f"\n\nNothing to install: open the start page [on Colab]({colab}) or [on Kaggle]({kaggle}), put "
        f"`%env COURSE_URL={address}` into a cell above the first one, and run both."
    )


def glossary() -> str:
    """Every word of every lesson, by the alphabet, with what it means and the sections that introduce it."""
    meanings = json.loads((ROOT / "notebooks" / "glossary.json").read_text(encoding="utf-8"))
    places: dict[str, list[str]] = {}
    for path in LESSONS:
        notebook = read(path)
        number = title(notebook).split(" ")[0]
        for word, place in words(notebook).items():
            places.setdefault(word, []).append(f"[lesson\u00a0{number}](notebooks/{path.name}#{place})")
    lines = [
        "# Glossary",
        "",
        "Every word that a lesson introduces, and where. In code, it means what it means in PyTorch.",
        "",
    ]
    entries = sorted(meanings.items(), key=lambda entry: entry[0].strip("`").casefold())
    for letter, group in itertools.groupby(entries, key=lambda entry: entry[0].strip("`")[0].upper()):
        lines += [f"## {letter}", "", "```{glossary}"]
        for names, meaning in group:
            found = [place for name in names.split(", ") for place in places.get(name, [])]
            lines += [*names.split(", "), f"  {meaning} *({', '.join(dict.fromkeys(found))})*", ""]
        lines += ["```", ""]
    return "\n".join(lines)


def questions() -> str:
    """The index of the questions, each a link to the section that answers it."""
    asked = json.loads((ROOT / "notebooks" / "questions.json").read_text(encoding="utf-8"))
    titles = {path.name: title(read(path)) for path in LESSONS}
    intro = (
        f"{len(asked)} questions of a learner, in the order of the lessons. Each leads to the section that answers it."
    )
    lines = ["# Questions", "", intro, ""]
    for name, group in itertools.groupby(asked, key=lambda question: question["notebook"]):
        lines += [f"## {titles[name]}", ""]
        for question in group:
            link = f"notebooks/{name}#{anchor(question['heading'])}"
            lines.append(f"{question['id'].removeprefix('Q')}. [{escaped(question['question'])}]({link})")
        lines.append("")
    return "\n".join(lines)


# --- All of it ---


def write(folder: Path, alive: bool = True) -> None:
    """Make the pages of the book.

    Args:
        folder: for Sphinx to read; the files that pages load go to ``static`` in it.
        alive: whether explorers and quizzes can work, as in a browser, or not, as in an EPUB.
    """
    from helpers.lessons import explore, lesson_03  # and PyTorch with it, so not before it is needed

    static = folder / "static"
    network = f"```{{raw}} html\n{lesson_03.network_explorer().fragment()}\n```" if alive else ""
    put(folder / "index.md", start(static, "html" if alive else "xhtml", network))
    put(folder / "glossary.md", glossary())
    put(folder / "questions.md", questions())
    put(folder / "changes.md", (ROOT / "CHANGES.md").read_text(encoding="utf-8"))
    for path in NOTEBOOKS:
        put(folder / "notebooks" / path.name, json.dumps(page(path, folder / "notebooks", alive)))
    for name in ("readme_style.jpg", "draw.py"):
        put(folder / "data" / "images" / name, (ROOT / "data" / "images" / name).read_bytes())
    put(static / "explorers.js", explore.script())
    put(static / "book.css", (BOOK / "book.css").read_text(encoding="utf-8"))
