"""Packing for a room without a network, and installing there: what is damaged, missing or interrupted is noticed."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import setup_course
from classroom import install, offline, rehearsal
from tests.test_setup import POSIX, index, wheel

LINUX, WINDOWS = (offline.Target(offline.PLATFORMS[name], "3.12") for name in ("linux-x86_64", "windows-x86_64"))


# --- Packing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pip(monkeypatch):
    """A package index on this machine is all that pip knows of; gives a function that puts packages into it."""
    servers = []
    for name in ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")

    def serve(versions, **requires):
        server = index(versions, requires=requires)
        monkeypatch.setenv("PIP_INDEX_URL", server.__enter__())
        servers.append(server)

    yield serve
    for server in servers:
        server.__exit__(None, None, None)


def test_what_holds_on_the_other_platform_is_asked_there(pip):
    pip(
        {"shell": "1", "pywinpty": "2", "pexpect": "3"},
        shell=["pywinpty; os_name == 'nt'", "pexpect; sys_platform != 'win32'"],
    )
    found = {t.platform.system: {w.pin for w in offline.resolve(t, ["shell"], [])} for t in (LINUX, WINDOWS)}
    assert found == {"Linux": {"shell==1", "pexpect==3"}, "Windows": {"shell==1", "pywinpty==2"}}


def test_a_damaged_wheel_is_named_and_fetched_again_and_a_whole_one_is_not(pip, tmp_path, capfd):
    pip(dict.fromkeys(("one", "two", "three"), "1"))
    wheels = offline.resolve(LINUX, ["one", "two", "three"], [])
    offline.fetch(LINUX, wheels, tmp_path, [])
    whole = {path.name: path.read_bytes() for path in tmp_path.glob("*.whl")}
    assert whole.keys() == {"one-1-py3-none-any.whl", "two-1-py3-none-any.whl", "three-1-py3-none-any.whl"}
    capfd.readouterr()

    pip({"one": "1"})  # nothing else can be had now
    (tmp_path / "one-1-py3-none-any.whl").write_bytes(b"spoilt")
    offline.fetch(LINUX, wheels, tmp_path, [])
    assert "one-1-py3-none-any.whl is damaged (6 bytes)" in capfd.readouterr().out
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


def test_an_interruption_keeps_what_came_before(pip, tmp_path, monkeypatch):
    pip(dict.fromkeys(("one", "two", "three"), "1"))
    wheels = offline.resolve(LINUX, ["one", "two", "three"], [])
    monkeypatch.setattr(offline, "BATCH", 1)
    pip(dict.fromkeys(("one", "two"), "1"))  # the network fails in the middle
    with pytest.raises(OSError, match="pip download failed for Linux"):
        offline.fetch(LINUX, wheels, tmp_path, [])
    assert {path.name[:3] for path in tmp_path.iterdir()} == {"one", "two"}


def test_another_file_than_the_one_chosen_is_refused(pip, tmp_path):
    pip({"one": "1"})
    (chosen,) = offline.resolve(LINUX, ["one"], [])
    with pytest.raises(OSError, match="pip download failed"):
        offline.fetch(LINUX, [chosen._replace(sha256="0" * 64)], tmp_path, [])
    assert not list(tmp_path.iterdir())


def write_wheel(folder, name, version, *requires):
    path = folder / f"{name}-{version}-py3-none-any.whl"
    path.write_bytes(wheel(name, version, *requires))
    return path


def test_what_is_missing_is_found_by_asking_the_wheels(tmp_path):
    wheels = [
        write_wheel(tmp_path, "shell", "1", "pywinpty; os_name == 'nt'", "Big_Name[fast]>=2", "x; extra == 'test'"),
        write_wheel(tmp_path, "big_name", "2", "rare; extra == 'fast'", "never; python_version < '3.12'"),
    ]
    assert offline.missing(LINUX, wheels, ["shell"]) == {"rare"}
    assert offline.missing(WINDOWS, wheels, ["shell", "other"]) == {"rare", "pywinpty", "other"}
    assert offline.missing(LINUX, [*wheels, write_wheel(tmp_path, "rare", "1", "shell")], ["shell"]) == set()


def test_linux_gets_cpu_wheels_or_is_told_what_it_costs(pip, tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "build_wheel", lambda folder: write_wheel(folder, "ndf", "0.1.4"))
    monkeypatch.setattr(offline, "requirements", lambda: ["torch"])
    pip({"torch": "2.7.0", "nvidia_cublas": "1"}, torch=["nvidia_cublas"])
    with index({"torch": "2.7.0+cpu"}) as cpu:
        monkeypatch.setattr(setup_course, "CPU_INDEX", cpu)
        assert offline.pack_wheels(LINUX, tmp_path, "cpu") == ["torch-2.7.0+cpu-py3-none-any.whl"]
    with index({}) as empty:
        monkeypatch.setattr(setup_course, "CPU_INDEX", empty)
        with pytest.raises(OSError, match=r"cannot be had .*404.*TORCH=cuda packs .* 3\.5 GB"):
            offline.pack_wheels(LINUX, tmp_path, "cpu")
    names = ["nvidia_cublas-1-py3-none-any.whl", "torch-2.7.0-py3-none-any.whl"]
    assert offline.pack_wheels(LINUX, tmp_path, "cuda") == names
    monkeypatch.setattr(setup_course, "fault_of", lambda *_, **__: "")
    with pytest.raises(OSError, match=r"would come with CUDA \(nvidia_cublas"):
        offline.pack_wheels(LINUX, tmp_path, "cpu")


def test_each_platform_is_known_to_pip_and_this_one_by_name():
    for target in (offline.Target(p, python) for p in offline.PLATFORMS.values() for python in ("3.11", "3.14")):
        assert target.markers["python_version"] == target.python
        assert f"--abi=cp3{target.python[2:]}" in target.options
    assert offline.this_platform() in offline.PLATFORMS


# --- The folder -------------------------------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A packed folder whose wheels are empty, for this machine and for Windows."""
    for name in ("book", *(f"classroom/{edition}" for edition in offline.EDITION_NAMES)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "index.html").write_text(name)
    monkeypatch.setattr(offline, "BOOK", tmp_path / "book")
    monkeypatch.setattr(offline, "EDITIONS", tmp_path / "classroom")
    monkeypatch.setattr(offline, "course_files", lambda: [(Path(setup_course.__file__), "setup_course.py")])

    def pack_wheels(target, folder, torch):
        return [write_wheel(folder, target.platform.system.lower(), "1").name, write_wheel(folder, "both", "1").name]

    monkeypatch.setattr(offline, "pack_wheels", pack_wheels)
    folder = tmp_path / "offline"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "older-1-py3-none-any.whl").write_bytes(b"")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    size = offline.pack(folder, [offline.this_platform(), "windows-x86_64"], [python], "cpu")
    assert size == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return folder


@pytest.fixture
def set_up(monkeypatch):
    """The commands that were run instead of the set-up of the course."""
    commands = []
    run = partial(subprocess.CompletedProcess, returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command) or run(command))
    return commands


def test_the_folder_has_everything_and_nothing_of_before(packed):
    names = {path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file()}
    here = platform.system().lower()
    pages = {"book/index.html", *(f"editions/{name}/index.html" for name in offline.EDITION_NAMES)}
    wheels = {f"wheels/{name}-1-py3-none-any.whl" for name in ("both", here, "windows")}
    scripts = {"install.sh", "install.ps1", "install.py", "README.txt"}
    assert names == {"pack.json", "course.zip", *pages, *wheels, *scripts}


def test_a_missing_book_and_an_unknown_platform_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "BOOK", tmp_path / "nothing")
    with pytest.raises(OSError, match=r"nothing is missing; make book"):
        offline.copy_pages(tmp_path)
    with pytest.raises(ValueError, match=r"platforms must be some of linux-x86_64, .*, not 'amiga'"):
        offline.pack(tmp_path, ["amiga"], ["3.12"], "cpu")


def test_what_git_knows_is_packed_and_the_data_with_it():
    names = [name for _, name in offline.course_files()]
    assert {"README.md", "helpers/data.py", "notebooks/01_convolution_filters.ipynb"} <= set(names)
    assert "data/FashionMNIST/raw/train-images-idx3-ubyte" in names
    assert not [name for name in names if re.match(r"\.venv|build/|\.git/", name)]


# --- Installing -------------------------------------------------------------------------------------------------------


def test_the_course_is_installed_from_the_folder(packed, set_up, tmp_path):
    target = tmp_path / "room" / "course"
    for _ in range(2):  # the second time, what is there stays
        with pytest.raises(SystemExit) as ended:
            install.install(str(packed), target)
        assert ended.value.code == 0
        expected = [sys.executable, str(target / "setup_course.py"), "--wheels", str(packed / "wheels")]
        assert set_up.pop() == expected
        text = (target / "setup_course.py").read_text(encoding="utf-8")
        assert text.startswith(Path(setup_course.__file__).read_text(encoding="utf-8"))
        (target / "setup_course.py").write_text(text + "# my own line", encoding="utf-8")
    assert text.endswith("# my own line")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("wheels/both-1-py3-none-any.whl", lambda path: path.write_bytes(b"x"), r"both-1\S*\.whl is damaged: 1 bytes"),
        ("wheels/both-1-py3-none-any.whl", lambda path: path.unlink(), r"both-1\S*\.whl is missing"),
        (
            "course.zip",
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
            r"course\.zip is damaged: .* not all of them as",
        ),
    ],
)
def test_nothing_is_installed_from_what_is_damaged(packed, set_up, tmp_path, name, change, said):
    change(packed / name)
    with pytest.raises(SystemExit, match=said):
        install.install(str(packed), tmp_path / "course")
    assert not (tmp_path / "course").exists()
    assert not set_up


def test_what_is_damaged_for_another_platform_does_not_matter(packed, set_up, tmp_path):
    (packed / "wheels" / "windows-1-py3-none-any.whl").unlink()
    with pytest.raises(SystemExit):
        install.install(str(packed), tmp_path / "course")
    assert set_up


def test_a_machine_for_which_nothing_is_packed_is_told_what_there_is(packed):
    pack = json.loads((packed / "pack.json").read_text())
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert install.names_for(pack, "Windows", "AMD64", python)
    with pytest.raises(SystemExit, match=r"This is Windows x86_64 with Python 3\.1; there are packages for .*Windows"):
        install.names_for(pack, "Windows", "AMD64", "3.1")


def test_a_folder_with_something_else_is_left_alone(packed, set_up, tmp_path):
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "thesis.tex").write_text("years of work")
    with pytest.raises(SystemExit, match="holds something else already"):
        install.install(str(packed), tmp_path / "course")
    assert not set_up


def test_an_interrupted_unpacking_leaves_no_half_course(packed, set_up, tmp_path, monkeypatch):
    def interrupted(archive, folder):
        folder.mkdir()
        (folder / "setup_course.py").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install.install(str(packed), tmp_path / "course")
    with pytest.raises(SystemExit):
        install.install(str(packed), tmp_path / "course")
    assert (tmp_path / "course" / "setup_course.py").stat().st_size > 1000


@pytest.fixture
def web_server(packed):
    """The address of the packed folder on a web server, and the paths that were asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(packed)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()


def test_a_web_server_will_do_and_is_not_asked_twice(packed, set_up, tmp_path, web_server):
    address, asked = web_server
    kept = tmp_path / "course.packages" / "wheels" / "both-1-py3-none-any.whl"
    kept.parent.mkdir(parents=True)
    shutil.copy(packed / "wheels" / kept.name, kept)  # of an interrupted try
    with pytest.raises(SystemExit) as ended:
        install.install(address, tmp_path / "course")
    assert ended.value.code == 0
    assert (tmp_path / "course" / "setup_course.py").exists()
    assert not (tmp_path / "course.packages").exists()
    assert "/pack.json" in asked
    assert not [path for path in asked if "both" in path or "windows" in path]


@POSIX
def test_the_scripts_find_a_python_that_is_packed_for(packed):
    done = subprocess.run(["sh", packed / "install.sh", "--help"], capture_output=True, text=True)
    assert "a new folder" in done.stdout
    script = (packed / "install.ps1").read_bytes()
    assert b"\r\n" in script
    assert b'install.py"' in script
    assert b'""' not in script  # Windows' own PowerShell passes no empty argument on
    assert f'"{sys.version_info.major}.{sys.version_info.minor}"'.encode() in script
    done = subprocess.run(["/bin/sh", packed / "install.sh"], capture_output=True, text=True, env={"PATH": "/nowhere"})
    assert done.returncode
    assert re.search(r"Python 3\.\d+ is needed", done.stderr)


# --- Rehearsing -------------------------------------------------------------------------------------------------------


def can_cut_off():
    try:
        return rehearsal.without_network("true").returncode == 0
    except (OSError, AttributeError):  # Windows knows no geteuid
        return False


@pytest.mark.skipif(not can_cut_off(), reason="needs Linux, and the right to make a network namespace")
def test_a_rehearsal_has_no_network_and_no_settings(monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    said = rehearsal.without_network("env", HOME="/room").stdout.splitlines()
    assert "HOME=/room" in said
    assert [line for line in said if line.startswith("PIP_")] == [f"PIP_CONFIG_FILE={os.devnull}"]
    with index({"torch": "1"}) as address:
        reach = ["import sys, urllib.request", "urllib.request.urlopen(sys.argv[1] + '/torch/').read()"]
        command = [sys.executable, "-c", "; ".join(reach), address]
        assert subprocess.run(command).returncode == 0
        with pytest.raises(OSError, match=r"(?s)failed:.*refused"):
            rehearsal.without_network(*command)
