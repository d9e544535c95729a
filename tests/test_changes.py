"""The page of changes: it is about the version that this is, and the lessons that it promises are there."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CHANGES = (ROOT / "CHANGES.md").read_text()
VERSIONS = re.findall(r"^## (\S+)$", CHANGES, re.M)


def test_the_newest_version_is_the_one_of_the_package():
    assert VERSIONS[0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert VERSIONS[0] == yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in VERSIONS)
    assert [[*map(int, version.split("."))] for version in VERSIONS] == sorted(
        ([*map(int, version.split("."))] for version in VERSIONS), reverse=True
    )


def test_no_lesson_is_renamed_or_removed_within_a_version():
    major = VERSIONS[0].split(".")[0]
    kept = [version for version in VERSIONS if version.split(".")[0] == major]
    promised = [name for version in kept for name in re.findall(r"`(\d\d_\w+)`", section(version))]
    assert len(promised) >= 10
    missing = [name for name in promised if not (ROOT / "notebooks" / f"{name}.ipynb").exists()]
    assert not missing, f"CHANGES.md promises {missing} until the first number of the version changes"


def test_learners_and_teachers_are_told():
    assert {"**For learners**", "**For teachers**"} <= set(section(VERSIONS[0]).splitlines())


def section(version):
    """What is written of a version."""
    return CHANGES.partition(f"\n## {version}\n")[2].partition("\n## ")[0]
