"""The set-up finds the right PyTorch, tried with real pip, real environments and a small index on this machine."""

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import setup_course
from tests.faults import servers

ROOT = Path(__file__).parents[1]
CLOSED = "http://127.0.0.1:9"  # nobody listens there
# A course that installs in a second: its build backend is in the folder, so that nothing is fetched for building.
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "small"
version = "1"
dependencies = ["torch>=2.6", "torchvision>=0.21"]
"""
BACKEND = """
import sys
from pathlib import Path

sys.path.insert(0, {tests!r})
from test_setup import wheel


def get_requires_for_build_editable(settings=None):
    return []


def build_editable(folder, settings=None, metadata=None):
    Path(folder, "small-1-py3-none-any.whl").write_bytes(wheel("small", "1", "torch>=2.6", "torchvision>=0.21"))
    return "small-1-py3-none-any.whl"
"""


def wheel(name, version, *requires):
    """The bytes of a wheel that has a name, a version and requirements, and nothing else; always the same."""
    content, folder = io.BytesIO(), f"{name}-{version}.dist-info"
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in requires)]
    lines += [f"Provides-Extra: {extra}" for extra in ("test", "book", "fast")]
    texts = {
        "METADATA": "\n".join(["Metadata-Version: 2.1", *lines, ""]),
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(content, "w") as archive:
        for file, text in texts.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{file}"), text)
    return content.getvalue()


@contextmanager
def index(versions, delay=0.0, requires=None):
    """A package index on this machine with one version of each package; gives its address."""
    needs = requires or {}
    packages = {
        name.replace("_", "-"): (f"{name}-{version}-py3-none-any.whl", wheel(name, version, *needs.get(name, ())))
        for name, version in versions.items()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(delay)
            file, content = packages.get(self.path.split("/")[1], ("", b""))
            digest = hashlib.sha256(content).hexdigest()
            link = f'<a href="{file}#sha256={digest}">{file}</a>'
            body = content if self.path.endswith(".whl") else link.encode()
            self.send_response(200 if file else 404)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            with suppress(ConnectionError):  # who waited too long has gone
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The folder of a small course, set up again and again."""
    root = tmp_path_factory.mktemp("course")
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "backend.py").write_text(BACKEND.format(tests=str(ROOT / "tests")).replace("from test_setup", "from fakes"))
    # The backend runs in an environment without pytest: it is given this one function alone.
    source = Path(__file__).read_text()
    function = source[source.index("def wheel(") : source.index("@contextmanager")]
    (root / "fakes.py").write_text(f"import io\nimport zipfile\n\n\n{function}")
    return root


@pytest.fixture
def machine(monkeypatch):
    """Linux without a driver; pip has no settings but an index with PyTorch for CUDA, and there is no uv."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "TORCH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(setup_course, "DRIVERS", ())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with index({"torch": "2.7.0", "torchvision": "0.22.0"}) as address:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield monkeypatch


def torch_in(course):
    """The version of torch that is installed, taken out again."""
    python = setup_course.Environment(course / ".venv").python
    asked = [python, "-c", "from importlib.metadata import version; print(version('torch'))"]
    found = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    subprocess.run([python, "-m", "pip", "uninstall", "-qy", "torch", "torchvision"], check=True)
    return found


CPU = {"torch": "2.7.0+cpu", "torchvision": "0.22.0+cpu"}
POSIX = pytest.mark.skipif(os.name != "posix", reason="the fixture's machine is Linux, with its folders")


@POSIX
@pytest.mark.parametrize(
    ("cpu", "version", "said"),
    [
        ({"versions": CPU}, "2.7.0+cpu", r"without CUDA: 0\.\d GB"),
        ({"versions": CPU, "delay": 5.0}, "2.7.0", r"no answer within 2 s.*\n.*3\.5 GB"),
        ({"versions": CPU | {"torch": "2.5.1+cpu"}}, "2.7.0", r"no version of them suits.*\n.*3\.5 GB"),
        (None, "2.7.0", r"refused.*\n.*3\.5 GB"),
    ],
    ids=["reachable", "slow", "old", "unreachable"],
)
def test_cpu_wheels_are_taken_where_they_can_be_had(course, machine, capfd, cpu, version, said):
    with index(**cpu) if cpu else nullcontext(CLOSED) as address:
        machine.setattr(setup_course, "CPU_INDEX", address)
        setup_course.set_up(course)
    output = capfd.readouterr().out
    assert torch_in(course) == version
    assert re.search(said, output)
    assert (course / ".venv" / ".ready").exists()


@POSIX
def test_what_is_there_already_stays_and_nothing_is_asked(course, machine, capfd):
    with index(CPU) as address:
        machine.setattr(setup_course, "CPU_INDEX", address)
        setup_course.set_up(course)
    capfd.readouterr()
    machine.setattr(setup_course, "fault_of", pytest.fail)
    machine.setenv("PIP_INDEX_URL", CLOSED)
    setup_course.set_up(course)
    assert "Installing" not in capfd.readouterr().out
    assert torch_in(course) == "2.7.0+cpu"


@POSIX
def test_a_folder_of_wheels_is_enough(course, machine, tmp_path):
    machine.setenv("PIP_INDEX_URL", CLOSED)
    for name, version in CPU.items():
        (tmp_path / f"{name}-{version}-py3-none-any.whl").write_bytes(wheel(name, version))
    setup_course.set_up_offline(course, tmp_path)
    assert torch_in(course) == "2.7.0+cpu"
    (tmp_path / "torch-2.7.0+cpu-py3-none-any.whl").unlink()
    with pytest.raises(SystemExit, match="could not be installed"):
        setup_course.set_up_offline(course, tmp_path)


@pytest.mark.parametrize(
    ("asked", "driver", "fault", "index"),
    [
        ("", "", "", setup_course.CPU_INDEX),
        ("", "", "HTTP Error 404", ""),
        ("", os.devnull, "", ""),
        ("cuda", "", "", ""),
        ("cpu", os.devnull, "", setup_course.CPU_INDEX),
    ],
)
def test_the_index_for_each_machine(machine, asked, driver, fault, index):
    machine.setattr(setup_course, "DRIVERS", (driver, "/nowhere/at/all"))
    machine.setattr(setup_course, "fault_of", lambda index: fault)
    found, sentence = setup_course.source_of_torch(asked)
    assert found == index
    assert ("3.5 GB" in sentence) == (not index)


def test_cpu_wheels_that_were_asked_for_are_not_replaced_by_others(machine):
    machine.setattr(setup_course, "fault_of", lambda index: "refused")
    with pytest.raises(SystemExit, match=r"TORCH=cpu: .* cannot be had from .*: refused"):
        setup_course.source_of_torch("cpu")


@pytest.mark.parametrize("system", ["Windows", "Darwin"])
def test_other_systems_have_no_cuda_to_avoid(machine, system):
    machine.setattr(platform, "system", lambda: system)
    machine.setattr(setup_course, "fault_of", pytest.fail)
    assert setup_course.source_of_torch("") == ("", setup_course.WITHOUT_CUDA)


@pytest.mark.parametrize("answer", [servers.silent, servers.dripping, servers.always_about_to, servers.babbling])
def test_the_probe_ends_after_two_seconds_whatever_the_server_does(answer):
    with servers.serving(answer) as address:
        start = time.monotonic()
        assert setup_course.fault_of(address)
        assert time.monotonic() - start < 6  # two, and what a busy machine adds


def test_the_probe_says_what_was_wrong():
    with index(CPU) as there, index({}) as empty:
        assert setup_course.fault_of(there) == ""
        assert "404" in setup_course.fault_of(empty)
    assert "refused" in setup_course.fault_of(CLOSED)


def test_the_probe_ends_where_looking_up_a_name_does_not(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(30))
    start = time.monotonic()
    assert setup_course.fault_of("http://index.invalid", seconds=0.3) == "no answer within 0.3 s"
    assert time.monotonic() - start < 6  # it would be 30


@POSIX
@pytest.mark.parametrize(
    ("settings", "status", "calls", "torch"),
    [
        ({}, 0, 2, ""),  # uv says that it has installed all, and is believed
        ({}, 1, 2, "2.7.0+cpu"),  # it fails, and pip goes on, each time
        ({"PIP_INDEX_URL": None}, 0, 0, "2.7.0+cpu"),  # pip is told where to look: uv is not asked
    ],
    ids=["works", "fails", "knows too little"],
)
def test_uv_is_used_where_it_is_and_pip_where_it_fails(course, machine, tmp_path, settings, status, calls, torch):
    uv, log = tmp_path / "uv", tmp_path / "log"
    uv.write_text(f"#!/bin/sh\necho \"$@\" >> '{log}'\nexit {status}\n")
    uv.chmod(0o755)
    machine.setattr(shutil, "which", {"uv": str(uv)}.get)
    if "PIP_INDEX_URL" not in settings:
        machine.delenv("PIP_INDEX_URL")
    with index(CPU) as address:
        machine.setattr(setup_course, "CPU_INDEX", address)
        setup_course.set_up(course)
    said = log.read_text().splitlines() if log.exists() else []
    assert len(said) == calls
    assert all(line.startswith(f"pip install --python {course / '.venv'}") for line in said)
    assert torch_in(course) == torch


def test_an_old_python_is_told_so_and_a_wrong_wish_too():
    old = f"import sys; sys.version_info = (3, 10, 1); import runpy; runpy.run_path({str(ROOT / 'setup_course.py')!r})"
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True)
    assert re.fullmatch(r"Python 3\.11 or newer is needed; this is Python .*\n", done.stderr)
    command, wrong = [sys.executable, str(ROOT / "setup_course.py")], os.environ | {"TORCH": "rocm"}
    done = subprocess.run(command, capture_output=True, text=True, env=wrong)
    assert done.stderr == "TORCH must be cpu or cuda, not 'rocm'\n"


def test_an_environment_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    def fail(command, **_):
        (tmp_path / ".venv").mkdir()
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(subprocess.CalledProcessError):
        setup_course.Environment(tmp_path / ".venv")
    assert not (tmp_path / ".venv").exists()


def test_pyproject_names_torch_as_the_set_up_expects():
    assert [re.match(r"\w+", line)[0] for line in setup_course.torch_requirements(ROOT)] == ["torch", "torchvision"]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f"sys.version_info < ({wanted.removeprefix('>=').replace('.', ', ')})" in Path(
        setup_course.__file__
    ).read_text(encoding="utf-8")


def test_what_is_printed_opens_the_course_from_any_folder(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(setup_course, "set_up", lambda *_: SimpleNamespace(bin=tmp_path / "two words"))
    monkeypatch.setattr(sys, "argv", ["setup_course.py"])
    setup_course.main()
    said = capsys.readouterr().out
    assert str(ROOT / "notebooks") in said
    assert said.count('"' if os.name == "nt" else "'") == 2  # or a shell would take it for two


def test_what_the_readme_says_for_windows_is_what_is_tested_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(r"Without make.*?```\n(.*?)```", readme, re.S)[1].splitlines()
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    run = "\n".join(step.get("run", "") for step in jobs["windows"]["steps"]).splitlines()
    assert told[:-1] == [line for line in run if line in told]  # the last opens a browser
    assert told[-1].startswith(".venv\\Scripts\\jupyter lab")


def test_the_bounds_are_the_oldest_packages_that_were_seen_to_work():
    rows = json.loads((ROOT / "data" / "matrix.json").read_text())["rows"]
    (oldest,) = [row for row in rows if row["packages"] == "oldest"]
    assert not [failure for row in rows for failure in row["failed"]]
    assert oldest["python"].startswith("3.11.")
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, bound = re.match(r"([\w-]+).=([\d.]+)", line).groups()
        assert f"{oldest['versions'].get(name, bound)}.".startswith(f"{bound}."), line
