"""The hub: who may come in, what is handed out, what a class would meet; and a small class that really comes."""

import importlib.util
import json
import os
import re
import shlex
import stat
import struct
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from classroom import accounts, hub, load, student_server
from classroom.hub import Settings
from classroom.load import Measured, Plan
from classroom.load_student import Record, unpacked

needs_jupyterhub = pytest.mark.skipif(
    importlib.util.find_spec("jupyterhub") is None, reason='JupyterHub comes with pip install -e ".[hub]"'
)
CLASSROOM = hub.ROOT / "classroom"


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_what_a_teacher_chooses_is_taken_and_the_rest_stays():
    chosen = hub.settings({"COURSE_MEMORY": "2.5G", "COURSE_PORT": "9000", "COURSE_CLASS": "/srv/class.txt"})
    assert chosen == Settings(memory="2.5G", port=9000, class_list=Path("/srv/class.txt"))
    assert hub.settings({"COURSE_PROCESSORS": " "}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COURSE_MEMORY", "much"),
        ("COURSE_MEMORY", "3"),
        ("COURSE_PROCESSORS", "0"),
        ("COURSE_PROCESSORS", "nan"),
        ("COURSE_IDLE_MINUTES", "1.5"),
        ("COURSE_IDLE_MINUTES", "0"),
        ("COURSE_PORT", "70000"),
    ],
)
def test_a_choice_that_cannot_be_is_named(variable, value):
    with pytest.raises(ValueError, match=rf"{variable} must be .*{re.escape(value.replace('70000', '70,000'))}"):
        hub.settings({variable: value})


def test_lessons_that_an_image_would_not_hand_out_are_refused():
    assert hub.settings({"COURSE_IMAGE": "course:1"}).image == "course:1"
    with pytest.raises(ValueError, match="COURSE_LESSONS has no effect with COURSE_IMAGE"):
        hub.settings({"COURSE_IMAGE": "course:1", "COURSE_LESSONS": "/srv/lessons"})


def test_a_class_has_students_and_teachers(tmp_path):
    (tmp_path / "class.txt").write_text("# autumn\nms-smith teacher\n\nana\nben # left-handed\nms-smith\n")
    assert hub.read_class(tmp_path / "class.txt") == ({"ana", "ben"}, {"ms-smith"})
    assert hub.read_class(tmp_path / "none.txt") == (set(), set())


@pytest.mark.parametrize("line", ["root", "Ana", "ana ben", "ana teacher ben", "../etc", "a" * 32, "0ana"])
def test_a_line_that_is_no_name_is_named(tmp_path, line):
    (tmp_path / "class.txt").write_text(f"ben\n{line}\n")
    with pytest.raises(ValueError, match=rf"class.txt, line 2: .*{re.escape(line[:10])}"):
        hub.read_class(tmp_path / "class.txt")


def test_a_secret_is_made_once_and_is_its_owners_alone(tmp_path):
    first, other = hub.secret(tmp_path / "state" / "a"), hub.secret(tmp_path / "state" / "b")
    assert first == hub.secret(tmp_path / "state" / "a") != other
    assert len(first) == 64
    assert stat.S_IMODE((tmp_path / "state" / "a").stat().st_mode) == 0o600


def test_servers_are_limited_by_docker_or_systemd_and_where_neither_is_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(hub, "SYSTEMD", tmp_path / "none")
    name, how = hub.choose_spawner(Settings())
    assert name == "jupyterhub.spawner.LocalProcessSpawner"
    assert "nothing limits" in how
    monkeypatch.setattr(hub, "SYSTEMD", tmp_path)
    monkeypatch.setattr(hub.os, "geteuid", lambda: 0)
    name, how = hub.choose_spawner(Settings(memory="2G"))
    assert name == "systemdspawner.SystemdSpawner"
    assert "at most 2G of memory and 1.5 processors" in how
    assert hub.choose_spawner(Settings(image="course:1"))[0] == "dockerspawner.DockerSpawner"
    monkeypatch.setattr(hub.os, "geteuid", lambda: 1000)  # who may not ask systemd
    assert hub.choose_spawner(Settings())[0] == "jupyterhub.spawner.LocalProcessSpawner"


def test_a_spawner_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="pip install dockerspawner"):
        hub.choose_spawner(Settings(image="course:1"))


def executable(folder):
    folder.mkdir()
    (folder / "configurable-http-proxy").touch(0o755)
    return str(folder / "configurable-http-proxy")


def test_the_proxy_of_node_is_preferred_and_listens_on_this_machine_alone(tmp_path, monkeypatch):
    own, node = executable(tmp_path / "own"), executable(tmp_path / "node")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "own" / "python"))
    both = os.pathsep.join([str(tmp_path / "own"), str(tmp_path / "node")])
    command = hub.proxy_command(Settings(port=8100), both)
    assert command[0] == node
    assert {"--ip=127.0.0.1", "--port=8100", "--api-ip=127.0.0.1"} < set(command)
    assert hub.proxy_command(Settings(), str(tmp_path / "own"))[0] == own
    Path(own).unlink()
    with pytest.raises(FileNotFoundError, match="apt-get install node-configurable-http-proxy"):
        hub.proxy_command(Settings(), str(tmp_path / "own"))


# --- What is handed out -----------------------------------------------------------------------------------------------


@pytest.fixture
def lessons(tmp_path):
    (tmp_path / "lessons").mkdir()
    for number in "12":
        (tmp_path / "lessons" / f"0{number}.ipynb").write_text(f"lesson {number}")
    (tmp_path / "lessons" / "notes.txt").write_text("not handed out")
    return tmp_path / "lessons"


def test_lessons_are_handed_out_once_and_a_students_work_stays(lessons, tmp_path):
    home = tmp_path / "home" / "course"
    assert student_server.hand_out(lessons, home) == ["01.ipynb", "02.ipynb"]
    (home / "01.ipynb").write_text("my answers")
    (home / "02.ipynb").rename(home / "old.ipynb")
    (lessons / "03.ipynb").write_text("new this week")
    assert student_server.hand_out(lessons, home) == ["02.ipynb", "03.ipynb"]
    assert {path.name: path.read_text() for path in home.iterdir()} == {
        "01.ipynb": "my answers",
        "02.ipynb": "lesson 2",
        "03.ipynb": "new this week",
        "old.ipynb": "lesson 2",
    }
    assert os.access(home / "02.ipynb", os.W_OK)


def test_a_link_in_a_lessons_place_is_not_followed(lessons, tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere.ipynb"
    home.mkdir()
    (home / "01.ipynb").symlink_to(elsewhere)
    assert student_server.hand_out(lessons, home) == ["02.ipynb"]
    assert not elsewhere.exists()


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_who_writes_at_the_same_moment_wins(lessons, tmp_path, monkeypatch, links):
    home, link = tmp_path / "home", os.link

    def late(source, target):
        Path(target).write_text("saved a moment ago")
        if not links:
            raise PermissionError("a disk without links")
        link(source, target)

    monkeypatch.setattr(student_server.os, "link", late)
    student_server.hand_out(lessons, home)
    assert {path.name: path.read_text() for path in home.iterdir()} == {
        "01.ipynb": "saved a moment ago",
        "02.ipynb": "saved a moment ago",
    }


def test_a_disk_without_links_gets_whole_copies(lessons, tmp_path, monkeypatch):
    monkeypatch.setattr(student_server.os, "link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert student_server.hand_out(lessons, tmp_path / "home") == ["01.ipynb", "02.ipynb"]
    assert (tmp_path / "home" / "02.ipynb").read_text() == "lesson 2"


def test_a_full_disk_leaves_no_half_a_lesson_and_the_server_starts_all_the_same(lessons, tmp_path, monkeypatch, capsys):
    started = []
    monkeypatch.setenv("COURSE_LESSONS", str(lessons))
    monkeypatch.setattr(student_server.Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(student_server.os, "chmod", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    monkeypatch.setattr(student_server.os, "execv", lambda *command: started.append(command))
    student_server.main()
    assert "No space left" in capsys.readouterr().err
    assert list((tmp_path / "home" / student_server.FOLDER).iterdir()) == []
    assert started[0][1][1:3] == ["-m", "jupyterhub.singleuser"]


# --- JupyterHub's settings --------------------------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Reads the settings for a class; gives them."""
    from traitlets.config import PyFileConfigLoader

    def read(names="", file="jupyterhub_config.py", **variables):
        (tmp_path / "class.txt").write_text(names)
        given = {"COURSE_CLASS": str(tmp_path / "class.txt"), "COURSE_STATE": str(tmp_path / "state"), **variables}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return PyFileConfigLoader(file, path=str(CLASSROOM)).load_config()

    return read


def may_come_in(config, name):
    """Whether JupyterHub's own authenticator lets somebody in who knows the right password."""
    import asyncio

    from jupyterhub.auth import PAMAuthenticator

    class Knows(PAMAuthenticator):
        async def authenticate(self, handler, data):
            return data["username"]

    authenticator = Knows(config=config)
    authenticator.add_system_user = None
    return bool(asyncio.run(authenticator.get_authenticated_user(None, {"username": name, "password": "right"})))


@needs_jupyterhub
def test_nobody_comes_in_until_names_are_written_down(configured):
    for empty in (configured(), configured("# nobody yet\n")):
        assert empty.JupyterHub.authenticator_class == "pam"
        assert not may_come_in(empty, "ana")
        assert not may_come_in(empty, "root")


@needs_jupyterhub
def test_who_is_on_the_list_comes_in_and_a_teacher_may_administer(configured):
    config = configured("ana\nms-smith teacher\n")
    assert [may_come_in(config, name) for name in ("ana", "ms-smith", "ben")] == [True, True, False]
    assert config.Authenticator.admin_users == {"ms-smith"}
    assert not config.Authenticator.allow_existing_users  # or who was taken off the list would come in still


def test_lessons_go_on_without_the_hub(configured):
    config = configured()
    assert config.JupyterHub.cleanup_servers is False
    assert config.JupyterHub.cleanup_proxy is False
    assert config.ConfigurableHTTPProxy.should_start is False
    assert config.ConfigurableHTTPProxy.auth_token == configured().ConfigurableHTTPProxy.auth_token


def test_servers_are_limited_compute_with_one_thread_and_are_stopped_when_idle(configured):
    config = configured(COURSE_MEMORY="2G", COURSE_PROCESSORS="1", COURSE_IDLE_MINUTES="30")
    assert (config.Spawner.mem_limit, config.Spawner.cpu_limit) == ("2G", 1)
    assert config.Spawner.environment["OMP_NUM_THREADS"] == "1"
    culler = config.JupyterHub.services[0]
    assert culler["name"] in config.JupyterHub.load_roles[0]["services"]
    assert "--timeout=1800" in culler["command"]
    assert "--MappingKernelManager.cull_idle_timeout=1800" in config.Spawner.args


def test_only_the_load_test_lets_in_made_up_students(configured):
    mentioned = [path.name for path in CLASSROOM.rglob("*") if path.is_file() and _says_dummy(path)]
    assert mentioned == ["load_config.py"]
    variables = {f"COURSE_LOAD_{name}": "x" for name in ("FOLDER", "PASSWORD", "RUN")}
    config = configured("ana\n", "load_config.py", **variables)
    assert config.JupyterHub.authenticator_class == "dummy"
    assert config.Authenticator.allowed_users == {"ana"}
    assert config.JupyterHub.bind_url.startswith("http://127.0.0.1:")


def _says_dummy(path):
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.suffix != ".pyc" else []
    return any("dummy" in line.lower().partition("#")[0] for line in lines)


# --- Accounts ---------------------------------------------------------------------------------------------------------


def test_accounts_are_made_for_those_who_have_none_and_never_of_the_system():
    pwd = pytest.importorskip("pwd", reason="accounts are those of Unix")
    assert accounts.missing({"zz-nobody-yet", "aa-nobody-yet"}) == ["aa-nobody-yet", "zz-nobody-yet"]
    system = next(entry.pw_name for entry in pwd.getpwall() if 0 < entry.pw_uid < accounts.FIRST_ID)
    with pytest.raises(ValueError, match=f"{system} is an account of the system"):
        accounts.missing({system})


def test_an_account_is_made_with_a_home_of_its_own_and_the_password_that_is_told(monkeypatch):
    pytest.importorskip("pwd", reason="accounts are those of Unix")
    ran = []
    monkeypatch.setattr(accounts.subprocess, "run", lambda command, **options: ran.append((command, options)))
    password = accounts.make("ana")
    (made, _), (_, told) = ran
    assert made[0] == "useradd"
    assert "HOME_MODE=0700" in made
    assert told["input"] == f"ana:{password}\n"
    assert re.fullmatch(r"(\w{4}-){2}\w{4}", password)
    assert len({accounts.password() for _ in range(100)}) == 100


# --- What stands in other files says the same -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["course-proxy", "course-hub"])
def test_a_unit_starts_what_is_there(name):
    lines = (CLASSROOM / "server" / f"{name}.service").read_text().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    program, _, module, *rest = shlex.split(unit["ExecStart"])
    assert program == f"{unit['WorkingDirectory']}/.venv/bin/python"
    assert importlib.util.find_spec(module) or module == "jupyterhub"
    assert all((hub.ROOT / argument).exists() for argument in rest if "/" in argument)
    assert Settings().state == Path("/var/lib") / unit["StateDirectory"]
    assert unit["StateDirectoryMode"] == "0700"
    assert unit["Restart"] == "always"


def test_kubernetes_gives_what_one_server_gives(configured):
    values = yaml.safe_load((CLASSROOM / "kubernetes" / "values.yaml").read_text())
    config, student = configured(), values["singleuser"]
    assert values["hub"]["config"]["JupyterHub"]["authenticator_class"] == "null"
    assert values["hub"]["config"]["Authenticator"]["allow_all"] is False
    assert student["memory"]["limit"] == config.Spawner.mem_limit
    assert student["cpu"]["limit"] == config.Spawner.cpu_limit
    assert (
        student["defaultUrl"] == config.Spawner.default_url == f"/lab/tree/{student_server.FOLDER}/00_start_here.ipynb"
    )
    assert student["extraEnv"]["OMP_NUM_THREADS"] == "1"
    assert values["cull"]["timeout"] == 60 * Settings().idle_minutes
    dockerfile = (CLASSROOM / "Dockerfile").read_text()
    assert f"--uid {student['uid']} " in dockerfile
    assert f"WORKDIR {student['storage']['homeMountPath']}\n" in dockerfile


def test_the_image_starts_the_server_that_hands_out_and_copies_what_is_there():
    lines = (CLASSROOM / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    assert [kind for kind, _ in steps if kind in ("FROM", "USER", "CMD")] == ["FROM", "USER", "CMD"]
    command = json.loads(dict(steps)["CMD"])
    assert (hub.ROOT / Path(command[-1]).relative_to("/opt/convnet-course")).samefile(student_server.__file__)
    for kind, what in steps:
        if kind == "COPY":
            assert all((hub.ROOT / source).exists() for source in what.split()[:-1]), what


def test_the_readme_starts_what_is_there():
    readme = (hub.ROOT / "README.md").read_text()
    part = readme.partition("\n## One server")[2].partition("\n## ")[0]
    commands = re.search(r"```\n(.*?)```", part, re.S)[1].splitlines()
    assert len(commands) == 10
    for path in re.findall(r"(?<!build/)classroom/[\w./*-]+", part):
        assert list(hub.ROOT.glob(path)), path
    for module in re.findall(r"-m (classroom\.\w+)", part):
        assert importlib.util.find_spec(module), module
    for variable in re.findall(r"`(COURSE_\w+)`", part):
        hub_names = {f"COURSE_{name.upper()}" for name in Settings.__dataclass_fields__} | {"COURSE_CLASS"}
        assert variable in hub_names, variable
    if load.RECORD.exists():
        assert load.table(*load.read(load.RECORD)) in part


# --- What a class comes to --------------------------------------------------------------------------------------------


def group(cells, **options):
    students = [Record(f"student-{i}", login=1.0, start=2.0, cells=each, done=True) for i, each in enumerate(cells)]
    given = {"students": students, "memory": [500.0, 600.0], "memory_all": 1100.0, "memory_taken": 0.0}
    return Measured(**given | {"processor_seconds": [20.0, 30.0], "seconds": 60.0} | options)


def test_times_are_compared_cell_by_cell_without_those_too_short_to_tell():
    lone = group([[1.0, 0.01, 2.0, 0.5]])
    together = group([[2.0, 9.0, 8.0, 0.5], [2.0, 9.0, 8.0, 0.5], [50.0, 9.0, 8.0]])
    assert load.slowdown(lone, together) == 2.0  # the median of 2, 4 and 1
    assert load.slowdown(group([[0.01]]), together) is None


def test_a_server_is_full_when_its_memory_is_or_its_processors_are():
    assert load.seats(16, 4, student_mib=600, student_seconds=30, lesson_minutes=75) == int(14.5 * 1024 / 600)
    assert load.seats(64, 1, student_mib=100, student_seconds=300, lesson_minutes=75) == 7
    assert load.seats(1, 1, student_mib=600, student_seconds=30, lesson_minutes=75) == 0


def test_what_went_wrong_is_told_with_the_name():
    together = group([[1.0], [1.0], [1.0]])
    first, second, third = together.students
    first.lost = ["the kernel has forgotten its variables"]
    second.done, second.errors = False, ["TimeoutError: "]
    assert load.failures(together) == [
        "student-0: the kernel has forgotten its variables",
        "student-1: TimeoutError: ",
    ]
    third.done = False
    assert load.failures(together)[-1] == "student-2: not done"
    assert "| failures, lost work | 0, 0 | 3, 1 |" in load.table(group([[1.0]]), together)


def test_a_record_says_the_same_when_it_is_read_again(tmp_path):
    lone, together = group([[1.0, 2.0]]), group([[1.5, 2.5], [3.25, 4.125]])
    kept = {"alone": load.as_numbers(lone), "together": load.as_numbers(together)}
    (tmp_path / "record.json").write_text(json.dumps(kept))
    assert load.read(tmp_path / "record.json") == (lone, together)


def test_messages_of_a_kernel_are_understood_with_buffers_and_without():
    message = {"msg_type": "stream", "content": {"name": "stdout", "text": "äh"}}
    packed = json.dumps(message, ensure_ascii=False).encode()
    head = struct.pack("!iii", 2, 12, 12 + len(packed))
    assert unpacked(packed.decode()) == unpacked(head + packed + b"\x00\xff") == message
    assert unpacked(struct.pack("!ii", 1, 8) + packed) == message


def test_a_class_that_cannot_be_is_refused(capsys):
    with pytest.raises(SystemExit):
        load.main(["--users", "0"])
    assert "users must be a whole number of at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load.main(["--lesson", "12"])
    assert "--lesson must be a number from 1 to" in capsys.readouterr().err


@pytest.fixture
def small_lesson(tmp_path):
    sources = ["total = 0", "import os; print(os.environ['OMP_NUM_THREADS'], os.getcwd())", *["total += 1"] * 6]
    cells = [nbformat.v4.new_code_cell(source) for source in [*sources, "total"]]
    path = tmp_path / "lessons" / "01_small.ipynb"
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@needs_jupyterhub
@pytest.mark.skipif(sys.platform != "linux", reason="the servers of a class run on Linux")
def test_a_small_class_logs_in_runs_a_lesson_and_loses_nothing_when_the_hub_is_killed(small_lesson):
    lone, together, _ = load.simulate(Plan(users=2, lesson=small_lesson, think=0.3, arrive=0.5, minutes=4))
    assert load.failures(lone) + load.failures(together) == []
    assert [len(record.cells) for record in (*lone.students, *together.students)] == [9, 9, 9]
    # Taken now and then: on a busy machine so short a lesson may be missed, or a kernel caught while it starts.
    assert max(together.memory) > 50
    assert max(together.processor_seconds) < 60


@needs_jupyterhub
@pytest.mark.skipif(sys.platform != "linux", reason="the servers of a class run on Linux")
def test_a_stranger_and_a_wrong_password_are_turned_away(small_lesson):
    import asyncio

    from classroom.load_hub import Hub
    from classroom.load_student import Student

    with Hub(["ana"], small_lesson.parent) as running:
        stranger = Student(running.address, "ben", running.password, small_lesson.name, 0, 0)
        guesses = Student(running.address, "ana", "a guess", small_lesson.name, 0, 0)
        for student in (stranger, guesses):
            asyncio.run(student.attend())
            assert not student.record.done
            assert student.record.login is None
            assert re.search("403|not let this student in", student.record.errors[0])
        assert not list(running.folder.glob("homes/*"))
