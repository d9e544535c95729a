"""What a class has done, as one page: ``python -m classroom.overview FOLDER`` reads the progress files in a folder.

Each is one reader's ``progress.json``, under the reader's name: ``ana.json`` is Ana's. The page needs no network.
"""

import argparse
import html
from pathlib import Path

from helpers import files
from helpers.lessons import course, progress

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Exercises solved</title>
<style>
body {{ font: 16px system-ui, sans-serif; margin: 2em; color-scheme: light dark }}
table {{ border-collapse: collapse }}
th, td {{ padding: 0.3em 0.7em; border-bottom: 1px solid #8885; text-align: left; font-weight: normal }}
</style>
<h1>Exercises solved</h1>
<table>
{rows}
</table>
</html>
"""


def overview(folder: Path) -> str:
    """The page: a row for each reader, a column for each lesson, and how many have solved each exercise.

    Raises:
        ValueError: the folder holds no progress files.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"{folder} holds no files *.json; collect each reader's progress file there, under a name")
    lessons = {int(path.name[:2]): [e.check for e in course.exercises(course.read(path))] for path in course.LESSONS}
    rows = [_row("th", ["reader", *(f"lesson {number}" for number in lessons), "in all"])]
    counts = {check: 0 for checks in lessons.values() for check in checks}
    for path in paths:
        try:
            done = progress.solved_in(path)
        except (OSError, ValueError) as error:
            rows.append(_row("td", [path.stem, f"cannot be read: {error}"]))
            continue
        known = counts.keys() & done.keys()
        for check in known:
            counts[check] += 1
        cells = ["".join("●" if check in done else "○" for check in checks) for checks in lessons.values()]
        rows.append(_row("td", [path.stem, *cells, f"{len(known)} of {len(counts)}"]))
    totals = ["solved by", *(" ".join(str(counts[check]) for check in checks) for checks in lessons.values())]
    return PAGE.format(rows="\n".join([*rows, _row("th", [*totals, f"of {len(paths)}"])]))


def _row(kind: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="with one progress file for each reader")
    parser.add_argument("--page", type=Path, default=Path("progress.html"), help="to write (default: %(default)s)")
    given = parser.parse_args()
    try:
        files.write(given.page, overview(given.folder).encode())
    except ValueError as error:
        parser.error(str(error))
    print(f"Wrote {given.page}")
