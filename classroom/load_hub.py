"""The hub that a load test runs: proxy and hub on this machine alone, to be killed, started again and measured."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from classroom import hub

START_SECONDS = 90.0
SAMPLE_SECONDS = 5.0
MEBIBYTE = 2**20


class Hub:
    """A proxy and a hub in a folder of their own, which ``with`` starts and ends, with all that they have started.

    Args:
        names: who may log in.
        lessons: the folder that is handed out.
    """

    def __init__(self, names: Sequence[str], lessons: Path) -> None:
        self.names, self.lessons = names, lessons
        self.run, self.password = secrets.token_hex(8), secrets.token_hex(16)

    def __enter__(self) -> "Hub":
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="course-load-")))
            stack.callback(self._end_all)
            (self.folder / "class.txt").write_text("\n".join(self.names), encoding="utf-8")
            self.port, *other = _free_ports(3)
            self.address = f"http://127.0.0.1:{self.port}"
            self.environment = self._environment(*other)
            self.log = stack.enter_context((self.folder / "log").open("wb"))
            self.proxy = hub.proxy_command(hub.settings(self.environment))[0]
            self._start("-m", "classroom.hub")
            self.start()
            self._on_exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._on_exit.close()

    def _environment(self, proxy_port: int, hub_port: int) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "JUPYTER", "OMP_"))}
        return kept | {
            "COURSE_CLASS": str(self.folder / "class.txt"),
            "COURSE_STATE": str(self.folder / "state"),
            "COURSE_LESSONS": str(self.lessons),
            "COURSE_PORT": str(self.port),
            "COURSE_PROXY_PORT": str(proxy_port),
            "COURSE_HUB_PORT": str(hub_port),
            "COURSE_LOAD_FOLDER": str(self.folder),
            "COURSE_LOAD_PASSWORD": self.password,
            "COURSE_LOAD_RUN": self.run,
        }

    def _start(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, *arguments]
        return subprocess.Popen(
            command, cwd=hub.ROOT, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def start(self) -> None:
        """Start the hub, and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; with the end of its log.
        """
        config = hub.ROOT / "classroom" / "load_config.py"
        self.process = self._start("-m", "jupyterhub", "-f", str(config))
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/hub/health", timeout=5):
                return
            time.sleep(0.2)
        raise RuntimeError(f"The hub does not answer. The end of its log:\n{self.tail()}")

    def kill(self) -> None:
        """Kill the hub at once, and the services that belong to it, as a crash of its unit would."""
        crashed = psutil.Process(self.process.pid)
        services = [each for each in crashed.children() if "jupyterhub_idle_culler" in " ".join(each.cmdline())]
        for process in (crashed, *services):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)

    def tail(self, characters: int = 4000) -> str:
        """The end of what proxy, hub and servers have said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-characters:]

    def processes(self) -> list[psutil.Process]:
        """All that belongs to this run, known by a word in its environment."""
        return [process for process in psutil.process_iter() if _variable(process, "COURSE_LOAD_RUN") == self.run]

    def _end_all(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            found = self.processes()
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            psutil.wait_procs(found, timeout=10)
        shutil.rmtree(self.folder / "homes", ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except (psutil.Error, OSError):
        return None


class Meter:
    """What the servers and kernels of each student take, looked at every few seconds while ``with`` is open.

    Memory is the proportional set size: what is shared with others is divided among them.
    """

    def __init__(self, watched: Hub) -> None:
        self.hub = watched
        self.students: dict[str, int] = {}  # the most bytes at any one time
        self.all = 0  # the most of all students together
        self.taken = 0  # the most by which the machine's free memory shrank
        self._processors: dict[int, tuple[str, float]] = {}  # of each process its student, and seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Meter":
        self._available = psutil.virtual_memory().available
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def processor_seconds(self) -> dict[str, float]:
        """What each student's processes have computed."""
        return {
            student: sum(seconds for name, seconds in self._processors.values() if name == student)
            for student in self.students
        }

    def _watch(self) -> None:
        while True:
            self.look()
            if self._ended.wait(SAMPLE_SECONDS):
                return

    def look(self) -> None:
        """Look once."""
        now: dict[str, int] = {}
        for process in self.hub.processes():
            student = _variable(process, "JUPYTERHUB_USER")
            with suppress(psutil.Error, OSError, StopIteration):
                if student:
                    now[student] = now.get(student, 0) + _proportional(process.pid)
                    times = process.cpu_times()
                    self._processors[process.pid] = (student, times.user + times.system)
        for student, count in now.items():
            self.students[student] = max(self.students.get(student, 0), count)
        self.all = max(self.all, sum(now.values()))
        self.taken = max(self.taken, self._available - psutil.virtual_memory().available)


def _proportional(pid: int) -> int:
    """Bytes of a process, its share of what several use (Linux; elsewhere what the system calls resident)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if not rollup.parent.exists():
        return psutil.Process(pid).memory_info().rss
    line = next(line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024
