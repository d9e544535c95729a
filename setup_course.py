"""Sets the course up in the folder .venv: ``python setup_course.py``. It needs Python 3.11 or newer, and nothing else.

On Linux, the package index has PyTorch with CUDA's libraries: 3.5 GB. Where there is no NVIDIA driver, PyTorch comes
from its own index of CPU wheels instead, if that answers within two seconds. The environment variable TORCH, ``cpu`` or
``cuda``, decides otherwise. ``--wheels FOLDER`` takes everything from a folder that ``make offline`` has filled.
"""

import platform
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before what an older Python does not know
    sys.exit(f"Python 3.11 or newer is needed; this is Python {platform.python_version()}, {sys.executable}")

import argparse
import os
import re
import shlex
import shutil
import subprocess
import threading
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 2.0
# A container without the device has none of them, even if CUDA's toolkit is in it; the last is Windows' own, in WSL.
DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
# pip's settings that say where to look and what to take; uv reads none of them.
OWN_SETTINGS = {
    *("index-url", "extra-index-url", "find-links", "no-index", "constraint"),
    *("proxy", "cert", "client-cert", "trusted-host"),
}

WITH_CUDA = (
    "PyTorch comes with its CUDA libraries: 3.5 GB to fetch, 7 GB of disk, and\n"
    "a minute or two without a word after the download, while they are unpacked."
)
WITHOUT_CUDA = "PyTorch comes without CUDA: 0.5 GB to fetch with all that the course needs, 2 GB of disk."


# --- Which PyTorch ----------------------------------------------------------------------------------------------------


def source_of_torch(asked: str) -> tuple[str, str]:
    """The index to take PyTorch from, empty for pip's own, and a sentence on why and what it costs.

    Args:
        asked: ``"cpu"``, ``"cuda"``, or empty for what suits the machine.

    Raises:
        SystemExit: CPU wheels were asked for, and are out of reach.
    """
    if platform.system() != "Linux":
        return "", WITHOUT_CUDA
    if asked == "cuda":
        return "", f"TORCH=cuda: {WITH_CUDA}"
    driver = next((path for path in DRIVERS if os.path.exists(path)), "")
    if driver and asked != "cpu":
        return "", f"There is an NVIDIA driver ({driver}).\n{WITH_CUDA}"
    fault = fault_of(CPU_INDEX)
    if not fault:
        return CPU_INDEX, WITHOUT_CUDA
    return "", without_cpu_wheels(asked, fault)


def without_cpu_wheels(asked: str, fault: str) -> str:
    """What to say where PyTorch's CPU wheels cannot be had; an error where nothing else was wanted."""
    if asked == "cpu":
        sys.exit(f"TORCH=cpu: PyTorch's CPU wheels cannot be had from {CPU_INDEX}: {fault}. TORCH=cuda does without.")
    return f"PyTorch's CPU wheels cannot be had from {CPU_INDEX}: {fault}.\n{WITH_CUDA}"


def fault_of(index: str, seconds: float = PROBE_SECONDS) -> str:
    """Why an index does not answer within so many seconds; empty if it does."""
    said: list[str] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=2 * seconds) as response:
                response.read(1)
            said.append("")
        except Exception as error:  # what is no web server raises many things
            reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
            said.append(str(reason) or type(error).__name__)

    # A thread, since looking up a name knows no time limit, nor does an answer that comes byte by byte.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"no answer within {seconds:g} s"


def torch_requirements(root: Path) -> list[str]:
    """What pyproject.toml asks for of PyTorch: ``["torch>=…", "torchvision>=…"]``."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line for line in project["dependencies"] if re.match(r"torch(vision)?\b", line)]


# --- Installing -------------------------------------------------------------------------------------------------------


class Environment:
    """The virtual environment in ``folder``, made by a Python where it is not there yet, or not whole."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        windows = platform.system() == "Windows"
        self.folder, self.bin = folder, folder / ("Scripts" if windows else "bin")
        self.python = self.bin / ("python.exe" if windows else "python")
        self.is_new = not self.python.exists()
        if self.is_new or self._pip("--version", capture_output=True).returncode:
            try:
                subprocess.run([python, "-m", "venv", str(folder)], check=True)
            except BaseException:
                if self.is_new:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
        self.uv = self._usable_uv()

    def _usable_uv(self) -> str:
        """The path of uv, which unpacks in parallel; empty where it is not there, or pip has settings of its own."""
        uv = shutil.which("uv")
        if not uv:
            return ""
        told = self._pip("config", "list", capture_output=True, text=True).stdout
        return "" if set(re.findall(r"^\S*?\.([\w-]+)=", told, re.M)) & OWN_SETTINGS else uv

    def install(self, *arguments: str) -> bool:
        """Install with uv, and where that fails or is not there, with pip; whether it worked."""
        if self.uv:
            if subprocess.run([self.uv, "pip", "install", "--python", str(self.python), *arguments]).returncode == 0:
                return True
            print("uv could not install it; now pip tries.", flush=True)
        return self._pip("install", "--quiet", "--progress-bar", "on", *arguments).returncode == 0

    def has(self, requirements: list[str]) -> bool:
        """Whether these are met by what is installed."""
        # No index, and without the user's settings no other place either: then pip can only find what is there.
        install = ["--isolated", "install", "--quiet", "--no-index", "--no-deps", *requirements]
        return not self.is_new and self._pip(*install, capture_output=True).returncode == 0

    def _pip(self, *arguments: str, **options: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(self.python), "-m", "pip", *arguments], **options)  # type: ignore[call-overload]


def set_up(root: Path, asked: str = "") -> Environment:
    """Install the course of a checkout, with what its tests and its book need, in ``root/.venv``.

    Args:
        root: the checkout.
        asked: which PyTorch, as for :func:`source_of_torch`; one that is there already stays.

    Raises:
        SystemExit: something could not be installed; pip has said what.
    """
    environment = Environment(root / ".venv")
    torch = torch_requirements(root)
    if not environment.has(torch):
        index, sentence = source_of_torch(asked)
        print(f"Installing. {sentence}", flush=True)
        if index and not environment.install("--index-url", index, *torch):
            print(without_cpu_wheels(asked, "no version of them suits this Python"), flush=True)
    return _finish(environment, "-e", f"{root}[test,book]")


def set_up_offline(root: Path, wheels: Path) -> Environment:
    """Install the course, without tests and book, from the wheels in a folder and from nowhere else."""
    environment = Environment(root / ".venv")
    environment.uv = ""  # pip is sure to be there, and what is not fetched is not worth two ways
    return _finish(environment, "--no-index", "--find-links", str(wheels), "-e", str(root))


def _finish(environment: Environment, *arguments: str) -> Environment:
    if not environment.install(*arguments):
        sys.exit("The course could not be installed; what was fetched is kept, so try again.")
    (environment.folder / ".ready").touch()  # make looks for it
    return environment


def main() -> None:
    """Check what was asked for, set up, and say how to go on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, help="a folder to take all packages from, without a network")
    given = parser.parse_args()
    asked = os.environ.get("TORCH", "")
    if asked not in ("", "cpu", "cuda"):
        sys.exit(f"TORCH must be cpu or cuda, not {asked!r:.60}")
    try:
        environment = set_up_offline(ROOT, given.wheels) if given.wheels else set_up(ROOT, asked)
    except subprocess.CalledProcessError:
        sys.exit("Python could not make the environment .venv. On Debian and Ubuntu: apt install python3-venv")
    except KeyboardInterrupt:
        sys.exit("Interrupted; what was fetched is kept, so try again.")
    command = [str(environment.bin / "jupyter"), "lab", str(ROOT / "notebooks")]  # whole: one may stand elsewhere
    quoted = subprocess.list2cmdline(command) if platform.system() == "Windows" else shlex.join(command)
    print(f"The course is set up. Open it: {quoted}")


if __name__ == "__main__":
    main()
