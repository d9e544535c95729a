"""What the settings of the hub are made of: who may come in, how a server is started, what the proxy is told.

``jupyterhub_config.py`` reads this. ``python -m classroom.hub`` starts the proxy, which runs beside the hub, so that
lessons go on while the hub is started again.
"""

import importlib.util
import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers.arguments import check_number, check_whole

ROOT = Path(__file__).resolve().parents[1]
SYSTEMD = Path("/run/systemd/system")  # is there where systemd runs
NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")  # what Debian takes as the name of an account
TEACHER = "teacher"


@dataclass(frozen=True)
class Settings:
    """What a teacher may choose, each by an environment variable."""

    class_list: Path = Path("/etc/convnet-course/class.txt")  # COURSE_CLASS: a name a line
    state: Path = Path("/var/lib/convnet-course")  # COURSE_STATE: what the hub remembers
    lessons: Path = ROOT / "notebooks"  # COURSE_LESSONS: the folder whose notebooks are handed out
    image: str = ""  # COURSE_IMAGE: a container image; each student's server then runs in Docker
    memory: str = "3G"  # COURSE_MEMORY: the most that one student's server may take
    processors: float = 1.5  # COURSE_PROCESSORS: the same; lessons compute with one thread
    idle_minutes: int = 60  # COURSE_IDLE_MINUTES: after that long without a sign of life, a server is stopped
    port: int = 8000  # COURSE_PORT: of the proxy, on this machine alone; a web server with a certificate is before it
    proxy_port: int = 8001  # COURSE_PROXY_PORT: where the hub talks to the proxy
    hub_port: int = 8081  # COURSE_HUB_PORT: where the servers talk to the hub

    @property
    def hub_ip(self) -> str:
        """Where the servers find the hub: on this machine, or at the end of Docker's own network."""
        return "172.17.0.1" if self.image else "127.0.0.1"


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The teacher's choices, and the defaults for the rest.

    Raises:
        ValueError: a variable holds what it cannot; it is named.
    """
    given: dict[str, object] = {}
    variables = {name: f"COURSE_{name.removesuffix('_list').upper()}" for name in Settings.__dataclass_fields__}
    for name, variable in variables.items():
        if text := environment.get(variable, "").strip():
            given[name] = _parsed(variable, text, type(Settings.__dataclass_fields__[name].default))
    chosen = Settings(**given)  # type: ignore[arg-type]
    if not re.fullmatch(r"\d+(\.\d+)?[MG]", chosen.memory):
        raise ValueError(f"COURSE_MEMORY must be a number followed by M or G, such as 3G, not {chosen.memory!r}")
    if chosen.image and "lessons" in given:
        raise ValueError("COURSE_LESSONS has no effect with COURSE_IMAGE: the image hands out the notebooks in it")
    check_number(0.1, COURSE_PROCESSORS=chosen.processors)
    check_whole(1, COURSE_IDLE_MINUTES=chosen.idle_minutes)
    for name in ("port", "proxy_port", "hub_port"):
        check_whole(1, 65535, **{variables[name]: getattr(chosen, name)})
    return chosen


def _parsed(variable: str, text: str, kind: type) -> object:
    if kind not in (int, float):
        return Path(text).expanduser().absolute() if issubclass(kind, Path) else text
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{variable} must be a number, not {text!r}") from None


def read_class(path: Path) -> tuple[set[str], set[str]]:
    """The names of a class: students, and teachers, whose lines end in the word "teacher".

    A file that is not there is a class without anybody. Empty lines, and what follows a #, are left out.

    Raises:
        ValueError: a line is not a name; it is named.
    """
    students: set[str] = set()
    teachers: set[str] = set()
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        name, *more = line.partition("#")[0].split() or [""]
        if not name:
            continue
        if not NAME.fullmatch(name) or name == "root" or more not in ([], [TEACHER]):
            raise ValueError(
                f"{path}, line {number}: a line is a name of at most 31 small letters, digits, - and _, and for a "
                f'teacher the word "{TEACHER}" behind it, not {line.strip()!r:.80}'
            )
        (teachers if more else students).add(name)
    return students - teachers, teachers


def secret(path: Path) -> str:
    """A long random word that is kept in a file for the owner's eyes alone, and made at the first time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii")
    with open(handle, "w", encoding="ascii") as file:
        file.write(word := secrets.token_hex(32))
    return word


def choose_spawner(chosen: Settings) -> tuple[str, str]:
    """How each student's server is started: the class of JupyterHub, and a sentence about its limits.

    Docker where an image is named, else systemd where it runs and may be asked, else a plain process.

    Raises:
        ModuleNotFoundError: the package that JupyterHub needs for it is not installed.
    """
    limits = f"at most {chosen.memory} of memory and {chosen.processors:g} processors for each student"
    if chosen.image:
        _need("dockerspawner", "dockerspawner")
        return "dockerspawner.DockerSpawner", f"Docker starts the servers from {chosen.image}: {limits}"
    if SYSTEMD.is_dir() and os.geteuid() == 0:
        _need("systemdspawner", "jupyterhub-systemdspawner")
        return "systemdspawner.SystemdSpawner", f"systemd starts the servers: {limits}"
    return "jupyterhub.spawner.LocalProcessSpawner", (
        "There is no systemd here to ask, and no image for Docker is named (COURSE_IMAGE): "
        "each student's server is a plain process, and nothing limits its memory or its processors"
    )


def _need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"{package} is not installed beside JupyterHub: .venv/bin/pip install {package}")


def proxy_command(chosen: Settings, path: str | None = None) -> list[str]:
    """The command that starts the proxy: the one of Node.js where there is one, else the one of Python.

    The latter passes an answer on when all of it is there, and serves ten requests at once: enough to try.

    Raises:
        FileNotFoundError: there is neither.
    """
    own = Path(sys.executable).parent
    folders = (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep)
    others = os.pathsep.join(folder for folder in folders if Path(folder) != own)
    found = shutil.which("configurable-http-proxy", path=others) or shutil.which(str(own / "configurable-http-proxy"))
    if not found:
        raise FileNotFoundError(
            "configurable-http-proxy is not installed: apt-get install node-configurable-http-proxy, or "
            "npm install -g configurable-http-proxy"
        )
    places = ["--ip=127.0.0.1", f"--port={chosen.port}", "--api-ip=127.0.0.1", f"--api-port={chosen.proxy_port}"]
    hub = f"http://{chosen.hub_ip}:{chosen.hub_port}"
    return [found, *places, f"--default-target={hub}", f"--error-target={hub}/hub/error"]


def proxy_token(chosen: Settings) -> str:
    """The word by which the proxy knows the hub."""
    return secret(chosen.state / "proxy_token")


def main() -> None:
    """Become the proxy."""
    chosen = settings()
    command = proxy_command(chosen)
    os.environ["CONFIGPROXY_AUTH_TOKEN"] = proxy_token(chosen)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
