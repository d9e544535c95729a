"""How nbval runs the notebooks, and how their figures are compared, which nbval does not do by itself."""

import base64
from pathlib import Path

from figures import compare

# A figure that differs is kept here, as it is stored and as it is now.
DIFFERING = Path(__file__).parents[1] / "build" / "figures"


def pytest_collectstart(collector):
    """Do not compare progress bars and warnings, which differ from run to run, nor animations."""
    if collector.path and collector.path.suffix == ".ipynb" and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/webp")


def pytest_itemcollected(item):
    """Let a cell whose outputs are compared have its figures compared, too, unless machines draw them differently."""
    if not hasattr(item, "compare_outputs") or "figure-varies" in item.cell.metadata.get("tags", []):
        return
    compare_the_rest = item.compare_outputs

    def compare_outputs(test, ref):
        if not compare_the_rest(test, ref):
            return False
        name = f"{item.path.stem}_cell_{item.cell_num}"
        item.comparison_traceback += differing_figures(figures_of(ref), figures_of(test), name)
        return not item.comparison_traceback

    item.compare_outputs = compare_outputs


def figures_of(outputs):
    """The figures among a cell's outputs, each as the ending and the bytes of its file."""
    found = [(o["data"], mime) for o in outputs if "data" in o for mime in ("image/png", "image/jpeg")]
    return [(mime[6:], base64.b64decode(data[mime])) for data, mime in found if mime in data]


def differing_figures(stored, new, name):
    """A line for each figure that is not as it was, after writing both to ``build/figures``."""
    if len(stored) != len(new):
        return [f"{len(stored)} figures are stored, and the cell draws {len(new)}"]
    lines = []
    for i, (old, now) in enumerate(zip(stored, new, strict=True)):
        difference, tolerance = (0, 0) if old == now else compare(old[1], now[1])
        if difference > tolerance:
            DIFFERING.mkdir(parents=True, exist_ok=True)
            files = [DIFFERING / f"{name}_{i}_{when}.{old[0]}" for when in ("stored", "new")]
            files[0].write_bytes(old[1])
            files[1].write_bytes(now[1])
            lines.append(
                f"figure {i} differs by {difference:.3f}, more than {tolerance}: see {files[0]} and {files[1]}"
            )
    return lines


def pytest_collection_modifyitems(items):
    """Run each notebook without its solutions first, and then the solutions, the last one first.

    So a cell that depends on a solution fails, and so does a solution that depends on an earlier one.
    """
    position = {item: i for i, item in enumerate(items)}
    first_of_file: dict = {}
    for item in items:
        first_of_file.setdefault(item.path, position[item])

    def place(item):
        cell = getattr(item, "cell", None)
        solution = cell is not None and "solution" in cell.metadata.get("tags", [])
        return first_of_file[item.path], solution, -position[item] if solution else position[item]

    items.sort(key=place)
