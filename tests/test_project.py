"""What is said in two places is said alike."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "opencv", "matplotlib": "matplotlib-base"}


def requirements(lines):
    return dict(re.match(r"([\w-]+) ?>=(.+)", line).groups() for line in lines)


def test_environment_and_pyproject_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = requirements(project["dependencies"] + project["optional-dependencies"]["test"])
    wanted = {CONDA_NAMES.get(name, name): least for name, least in wanted.items()}
    wanted["python"] = project["requires-python"].removeprefix(">=")
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(d["pip"] for d in conda if isinstance(d, dict))
    listed = requirements([d for d in conda if isinstance(d, str) and d != "pip"])
    listed |= requirements([d for d in pip if not d.startswith("-")])
    assert listed == wanted
    assert "-e ." in pip


def test_modules_import_only_from_floors_below():
    floors = [
        {"images", "filters", "devices", "relus"},
        {"data", "models", "pretrained", "incremental"},
        {"training", "features", "attribution", "dream", "style"},
        {"plotting"},
        {"widgets", "checks"},
    ]
    floor = {name: i for i, names in enumerate(floors) for name in names}
    for path in (ROOT / "helpers").glob("*.py"):
        if path.stem == "__init__":
            continue
        source = path.read_text()
        used = set(re.findall(r"^from helpers\.(\w+) import", source, re.M))
        for names in re.findall(r"^from helpers import (.+)$", source, re.M):
            used |= set(names.split(", "))
        assert all(floor[name] < floor[path.stem] for name in used), f"{path.name} imports {used}"


def test_importing_helpers_imports_nothing_else():
    source = (ROOT / "helpers" / "__init__.py").read_text()
    assert "import" not in source.split('"""')[2]
