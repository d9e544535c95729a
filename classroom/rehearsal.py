"""A room without a network, rehearsed on this machine: ``python -m classroom.rehearsal``; Linux only.

In a network namespace that has no network it installs from the folder that ``make offline`` has filled, runs lesson 1,
which needs only what is in its images, and lesson 3, which trains, and records how long all took.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import timing
from classroom import install, offline

RECORD = offline.ROOT / "data" / "offline.json"
LESSONS = ("01_convolution_filters.ipynb", "03_fashion_mnist_classifier.ipynb")
# Kernels talk over the loopback, which a new namespace has, and has switched off.
INSIDE = 'ip link set lo up && exec "$@"'


def without_network(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command where there is no network, with no settings of pip's or the course's; gives what it printed.

    Raises:
        OSError: it failed; what it printed is in the message.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "FASHION_", "PYTHONPATH"))}
    unshare = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    settings = kept | {"PIP_CONFIG_FILE": os.devnull} | environment
    done = subprocess.run([*unshare, "sh", "-c", INSIDE, "sh", *command], capture_output=True, text=True, env=settings)
    if done.returncode:
        raise OSError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done


def rehearse(packed: Path, room: Path) -> dict[str, object]:
    """Install from a packed folder into an empty one, and run the lessons there; gives what was measured.

    Raises:
        OSError: something failed, or there was a network after all.
    """
    course, seconds = room / "course", {}

    def timed(name: str, *command: str) -> None:
        start = time.perf_counter()
        without_network(*command, HOME=str(room))
        seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: {seconds[name]} s", flush=True)

    names = "import socket; print(*[name for _, name in socket.if_nameindex()])"
    interfaces = without_network(sys.executable, "-c", names).stdout.split()
    if routes := without_network("cat", "/proc/net/route").stdout.splitlines()[1:]:
        raise OSError(f"There is a network, which was to be cut off: {routes[0]}")
    timed("install", "sh", str(packed / "install.sh"), str(course))
    for lesson in LESSONS:
        execute = [str(course / ".venv" / "bin" / "jupyter"), "nbconvert", "--to", "notebook", "--execute"]
        timed(lesson, *execute, f"--output-dir={room}", str(course / "notebooks" / lesson))
    versions = "import sys, torch; print(sys.version.split()[0], torch.__version__)"
    python, torch = without_network(str(course / ".venv" / "bin" / "python"), "-c", versions).stdout.split()
    pack = json.loads((packed / install.LIST).read_text(encoding="utf-8"))
    installed = sum(path.lstat().st_size for path in course.rglob("*") if path.is_file())
    return {
        "interfaces": interfaces,
        "python": python,
        "torch": torch,
        "packed_megabytes": round(sum(file["bytes"] for file in pack["files"].values()) / 1e6),
        "installed_megabytes": round(installed / 1e6),
        "seconds": seconds,
    }


def main() -> None:
    """Rehearse with the packed folder, and write the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packed", nargs="?", type=Path, default=offline.TARGET, help="folder (default: %(default)s)")
    parser.add_argument("--record", type=Path, default=RECORD, help="to write (default: %(default)s)")
    given = parser.parse_args()
    if not (given.packed / install.LIST).exists():
        parser.error(f"{given.packed} holds no packed course; make offline makes one")
    try:
        with tempfile.TemporaryDirectory() as room:
            measured = rehearse(given.packed, Path(room))
    except OSError as error:
        sys.exit(str(error))
    timing.keep(given.record, "make rehearsal", **measured)
    print(f"Wrote {given.record}")


if __name__ == "__main__":
    main()
