"""What is said in two places is said alike."""

import ast
import re
import tomllib
from pathlib import Path

import yaml

from helpers.lessons import course

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "opencv", "matplotlib": "matplotlib-base"}


def requirements(lines):
    return dict(re.match(r"([\w-]+) ?([>=]=.+)", line).groups() for line in lines)


def test_environment_and_pyproject_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = requirements(project["dependencies"] + project["optional-dependencies"]["test"])
    wanted = {CONDA_NAMES.get(name, name): version for name, version in wanted.items()}
    wanted["python"] = project["requires-python"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(d["pip"] for d in conda if isinstance(d, dict))
    listed = requirements([d for d in conda if isinstance(d, str) and d != "pip"])
    listed |= requirements([d for d in pip if not d.startswith("-")])
    assert listed == wanted
    assert "-e ." in pip


FLOORS = [
    {"arguments", "bars", "files"},
    {"images", "filters", "hooks", "devices"},
    {"data", "models", "pretrained", "incremental", "atlas"},
    {"training", "features", "attribution", "dream", "style"},
    {"plotting"},
]


def test_the_readme_lists_the_lessons_with_their_minutes():
    readme = (ROOT / "README.md").read_text()
    for path in course.LESSONS:
        lesson = course.read(path)
        core, asides = course.minutes(lesson)
        assert core, f"{path.name} does not say how long it takes"
        times = f"{core} + {asides}" if asides else str(core)
        assert f"| [{course.title(lesson)}](notebooks/{path.name}) | {times} |" in readme


def imported(path):
    """Modules of helpers that a file imports anywhere in it, such as ``images`` or ``lessons.checking``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
            package = node.module.removeprefix("helpers").strip(".")
            found |= {f"{package}.{a.name}".strip(".") for a in node.names} if package in ("", "lessons") else {package}
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("helpers.") for a in node.names if a.name.startswith("helpers.")}
    return found


def test_core_modules_import_only_from_floors_below():
    floor = {name: i for i, names in enumerate(FLOORS) for name in names}
    core = {path.stem: imported(path) for path in (ROOT / "helpers").glob("*.py") if path.stem != "__init__"}
    assert core.keys() == floor.keys()
    for module, used in core.items():
        assert all(floor.get(name, len(FLOORS)) < floor[module] for name in used), f"{module} imports {used}"


def test_a_lesson_imports_no_other_lesson():
    for path in (ROOT / "helpers" / "lessons").glob("*.py"):
        assert not [name for name in imported(path) if "lesson_" in name], path.name


def test_importing_helpers_imports_nothing_else():
    source = (ROOT / "helpers" / "__init__.py").read_text()
    assert "import" not in source.split('"""')[2]
