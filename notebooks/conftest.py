"""How nbval runs the notebooks."""


def pytest_collectstart(collector):
    """Do not compare progress bars and warnings, which differ from run to run, nor animations, as other pictures."""
    if collector.path and collector.path.suffix == ".ipynb" and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/webp")


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


def pytest_terminal_summary(terminalreporter):
    """Say how many of what passed are cells of notebooks."""
    passed = terminalreporter.stats.get("passed", [])
    cells = sum(".ipynb::" in report.nodeid for report in passed)
    terminalreporter.write_line(f"{cells} notebook cells ran as stored, and {len(passed) - cells} tests passed")
