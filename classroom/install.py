"""Installs the course from a folder that ``make offline`` has filled, or from the address of one: no other network.

``python install.py`` stands in that folder, and needs nothing but Python. With ``--source http://…/`` it takes what it
needs from there first. Nothing is installed before every file is as it was packed; what is not is named.
"""

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

TARGET = Path.home() / "convnet-course"
LIST, COURSE = "pack.json", "course.zip"
SILENCE_SECONDS = 30


def fault(path: Path, file: dict[str, Any]) -> str:
    """What is wrong with a file, in words; empty where it has the size and the sha256 that it was packed with."""
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != file["bytes"]:
        return f"is damaged: {path.stat().st_size:,} bytes instead of {file['bytes']:,}"
    with path.open("rb") as opened:
        right = hashlib.file_digest(opened, "sha256").hexdigest() == file["sha256"]
    return "" if right else f"is damaged: {file['bytes']:,} bytes, and not all of them as they were"


def names_for(pack: dict[str, Any], system: str, machine: str, python: str) -> list[str]:
    """The files that a machine needs: the course, and the wheels for its system, processor and Python.

    Raises:
        SystemExit: the pack has none for it.
    """
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
    for target in pack["targets"]:
        if (target["system"], target["machine"], target["python"]) == (system, machine, python):
            return [COURSE, *target["wheels"]]
    packed = ", ".join(f"{t['system']} {t['machine']} with Python {t['python']}" for t in pack["targets"])
    sys.exit(f"This is {system} {machine} with Python {python}; there are packages for {packed}.")


def fetch(address: str, names: list[str], pack: dict[str, Any], folder: Path) -> None:
    """Get those files from the address of a pack that are not yet whole in a folder."""
    for i, name in enumerate(names):
        if fault(folder / name, pack["files"][name]):
            print(f"{i + 1} of {len(names)}: {name}", flush=True)
            download(f"{address}/{urllib.parse.quote(name)}", folder / name)


def download(address: str, path: Path) -> None:
    """Get one file, which has its name only when all of it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with urllib.request.urlopen(address, timeout=SILENCE_SECONDS) as response, part.open("wb") as file:
        shutil.copyfileobj(response, file)
    part.replace(path)


def check(folder: Path, names: list[str], pack: dict[str, Any]) -> None:
    """Stop, with the name of each file that is not as it was packed."""
    faults = [f"{name} {wrong}" for name in names if (wrong := fault(folder / name, pack["files"][name]))]
    if faults:
        sys.exit(
            "\n".join([*faults, "Nothing was installed. Copy or fetch these files again from where they were packed."])
        )


def unpack(file: Path, target: Path) -> None:
    """Put the course into a new folder, whole or not at all; where it is already, nothing in it is changed."""
    if (target / "setup_course.py").exists():
        return
    if target.exists() and any(target.iterdir()):
        sys.exit(f"{target} holds something else already; name another folder.")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(file) as course:
        course.extractall(part)
    if target.exists():
        target.rmdir()  # it is empty
    part.rename(target)


def install(source: str, target: Path) -> None:
    """Install the course from a folder or an address into ``target``, ready to be opened."""
    target = target.expanduser().absolute()
    remote = source.startswith(("http://", "https://"))
    folder = target.with_name(f"{target.name}.packages") if remote else Path(source)
    if remote:
        download(f"{source.rstrip('/')}/{LIST}", folder / LIST)
    pack = json.loads((folder / LIST).read_text(encoding="utf-8"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = names_for(pack, platform.system(), platform.machine(), python)
    if remote:
        fetch(source.rstrip("/"), names, pack, folder)
    check(folder, names, pack)
    target.parent.mkdir(parents=True, exist_ok=True)
    unpack(folder / COURSE, target)
    command = [sys.executable, str(target / "setup_course.py"), "--wheels", str((folder / "wheels").absolute())]
    status = subprocess.run(command).returncode
    if remote and not status:
        shutil.rmtree(folder)
    sys.exit(status)


def main() -> None:
    """Read the command line; a failure is one sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("target", nargs="?", type=Path, default=TARGET, help="a new folder (default: %(default)s)")
    parser.add_argument("--source", default=str(here), help="the packed folder, or its address (default: %(default)s)")
    given = parser.parse_args()
    try:
        install(given.source, given.target)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f"The course could not be installed: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted; start it again to go on.")


if __name__ == "__main__":
    main()
