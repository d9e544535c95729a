"""What the notebooks say of themselves: titles, minutes, words, exercises; and the lines that lead between them.

The start page and the book are made from it, and a test holds the notebooks to it. Nothing here needs PyTorch.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
START, *LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
# The stations of the course, and the lesson that each belongs to.
STATIONS = {
    "filter": 1,
    "feature map": 1,
    "pooling": 2,
    "class scores": 2,
    "loss": 3,
    "gradient": 3,
    "step": 3,
    "better steps": 4,
    "what layers see": 5,
    "what is alike": 6,
    "what counts": 7,
    "dream": 8,
    "style": 9,
}


class Exercise(NamedTuple):
    """An exercise: its heading, and the check that says whether it is solved, such as ``lesson_01.check_softmax``."""

    heading: str
    check: str


def text_of(value: str | list[str]) -> str:
    """What nbformat keeps as one string or as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def read(path: Path) -> dict[str, Any]:
    """A notebook, with the sources of its cells as plain strings."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = text_of(cell["source"])
    return notebook


def has_tag(cell: dict[str, Any], tag: str) -> bool:
    """Whether a cell has a tag."""
    return tag in cell["metadata"].get("tags", [])


def prose(notebook: dict[str, Any]) -> str:
    """All that is written between the code cells, without the lines that lead to other lessons."""
    written = [c for c in notebook["cells"] if c["cell_type"] == "markdown" and not has_tag(c, "navigation")]
    return "\n\n".join(cell["source"] for cell in written)


def title(notebook: dict[str, Any]) -> str:
    """Such as ``1 · Convolution filters``."""
    return prose(notebook).splitlines()[0].removeprefix("# ")


def promise(notebook: dict[str, Any]) -> str:
    """The sentence in bold below the title."""
    found = re.search(r"^\*\*(.+?)\*\*$", prose(notebook), re.M)
    return found[1] if found else ""


def minutes(notebook: dict[str, Any]) -> tuple[int, int]:
    """What the lesson says that it takes: minutes for its core path, and more for its asides."""
    found = re.search(r"^About (\d+) minutes(?: for the core path, and (\d+) more)?", prose(notebook), re.M)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def anchor(heading: str) -> str:
    """What JupyterLab, and so the links in the lessons, call a heading."""
    return re.sub(r"[`\"<>]", "", heading).replace(" ", "-")  # no quotation marks: MyST puts it into HTML as it is


def words(notebook: dict[str, Any]) -> dict[str, str]:
    """The words of a lesson, each with the anchor of the section that introduces it."""
    line = re.search(r"^\*\*Words of this lesson:\*\* (.*)$", prose(notebook), re.M)
    links = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", line.group(1)) if line else []
    return {word: place for names, place in links for word in names.split(", ")}


def exercises(notebook: dict[str, Any]) -> list[Exercise]:
    """The exercises of a lesson, in their order."""
    found, heading = [], ""
    for cell, after in zip(notebook["cells"], notebook["cells"][1:], strict=False):
        if headings := re.findall(r"^#+ (.+)$", cell["source"], re.M) if cell["cell_type"] == "markdown" else []:
            heading = headings[-1]
        if has_tag(cell, "exercise") and (check := re.match(r"lesson_\d\d\.check_\w+", after["source"])):
            found.append(Exercise(heading, check[0]))
    return found


def navigation(path: Path) -> str:
    """The lines at the top and the bottom of a lesson: where to go from here, and where on the way this is."""
    titles = {lesson: title(read(lesson)) for lesson in LESSONS}
    number = LESSONS.index(path) + 1
    ways = [f"[Contents]({START.name})"]
    if number > 1:
        ways.append(f"[← {titles[LESSONS[number - 2]]}]({LESSONS[number - 2].name})")
    if number < len(LESSONS):
        ways.append(f"[{titles[LESSONS[number]]} →]({LESSONS[number].name})")
    ways.append(f"[Glossary]({START.name}#Glossary)")
    stations = [
        f"**{station}**" if lesson == number else f"[{station}]({LESSONS[lesson - 1].name})"
        for station, lesson in STATIONS.items()
    ]
    return f"{' · '.join(ways)}\n\nYou are here: {' → '.join(stations)}"
