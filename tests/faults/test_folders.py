"""Folders and locks that go wrong."""

import gzip
import hashlib
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from interrupting import interrupted_at

from benchmarks import ablation
from helpers import data, files, images, models, pretrained
from helpers.lessons import lesson_03, quiz


@pytest.fixture
def sources(monkeypatch):
    """Four small files to be had; and a list that notes who was asked."""
    contents, asked = {name: name.encode() * 100_000 for name in data.FILES}, []
    monkeypatch.setattr(data, "FILES", {n: hashlib.sha256(c).hexdigest() for n, c in contents.items()})

    def source(name):
        def give():
            asked.append(name)
            yield from ((name, gzip.compress(content)) for name, content in contents.items())

        return give

    monkeypatch.setattr(data, "SOURCES", {name: source(name) for name in ("first", "second")})
    return asked


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("a file"),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("/proc/self/nowhere"),
    ],
    ids=["file", "loop", "dangling"],
)
def test_a_folder_that_is_none(make, sources, monkeypatch, tmp_path):
    make(tmp_path / "place")
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "place"))
    with pytest.raises(data.DataUnavailable, match=rf"read from or written to .*place, .*{data.FOLDER_VARIABLE}"):
        data.find()
    assert not sources


def test_a_home_that_is_none(sources, monkeypatch):
    monkeypatch.setenv(data.FOLDER_VARIABLE, "~nosuchuser/data")
    with pytest.raises(data.DataUnavailable, match="~nosuchuser"):
        data.find()


def test_a_relative_folder_and_raw_itself_are_understood(sources, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "DATA", tmp_path / "data")
    monkeypatch.setenv(data.FOLDER_VARIABLE, "here")  # wherever one is, as notebooks are in a folder of their own
    assert data.find() == tmp_path / "here"
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "here" / "FashionMNIST" / "raw"))
    assert data.find() == tmp_path / "here"
    assert sources == ["first"]


def test_a_full_disk_is_called_that_and_no_other_source_is_asked(sources, monkeypatch, tmp_path):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        with pytest.raises(data.DataUnavailable, match=r"No space left on device.*Make room"):
            data.find()
        assert sources == ["first"]
        assert not list(tmp_path.rglob("*.part"))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_write_that_fails_is_no_fault_of_the_source(sources, monkeypatch, tmp_path):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(files, "write", full)
    with pytest.raises(data.DataUnavailable, match=r"No space left on device.*Make room"):
        data.find()
    assert sources == ["first"]


@pytest.mark.parametrize(
    "error", [KeyError("x"), IndexError("y"), UnicodeDecodeError("ascii", b"", 0, 1, "z"), EOFError()]
)
def test_whatever_a_source_raises_the_next_one_is_asked(error, sources, monkeypatch, tmp_path):
    def broken():
        raise error
        yield

    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(data, "SOURCES", {"broken": broken, **data.SOURCES})
    data.find()
    assert sources == ["first"]


class TestAptGet:
    @pytest.fixture
    def script(self, monkeypatch, tmp_path):
        """Puts a stand-in for apt-get in its place."""

        def put(body):
            (tmp_path / "apt-get").write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / "apt-get").chmod(0o755)
            monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

        return put

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("exit 100", "apt-get: exit status 100"),
            ("exit 0", "apt-get ended well, and left no package"),
            ("printf 'E: \\351tat\\n' >&2; exit 1", "apt-get: E: .tat"),
        ],
        ids=["silent", "no package", "latin-1"],
    )
    def test_goes_wrong(self, body, words, script):
        script(body)
        with pytest.raises(OSError, match=words):
            list(data.debian_mirror())

    def test_never_ends(self, script, monkeypatch):
        monkeypatch.setattr(data, "APT_SECONDS", 1)
        script("sleep 60 & sleep 60")
        start = time.monotonic()
        with pytest.raises(OSError, match="apt-get was stopped after 1 s"):
            list(data.debian_mirror())
        assert time.monotonic() - start < 30


def hold(folder, seconds):
    with files.alone(folder, "it sleeps"):
        (folder / "held").touch()
        time.sleep(seconds)


@pytest.fixture
def holder(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path, 60))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def test_who_waits_says_for_whom_and_not_for_ever(holder, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.5)
    too_long = rf"process {holder.pid} holds .*\.lock for 0\.5 s already; end it"
    with pytest.raises(TimeoutError, match=too_long), files.alone(tmp_path, "it sleeps"):
        pass
    assert capsys.readouterr().err == f"Waiting for process {holder.pid}: it sleeps\n"


def test_a_holder_that_is_killed_holds_no_more(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with files.alone(tmp_path, "nothing"):
        assert (tmp_path / ".lock.holder").read_text() == str(os.getpid())


def test_what_is_written_is_whole_or_not_there(tmp_path):
    def cut_off():
        yield b"begun"
        raise OSError("the end")

    with pytest.raises(OSError, match="the end"):
        files.write(tmp_path / "a", cut_off())
    assert not list(tmp_path.iterdir())
    files.write(tmp_path / "a", b"one")
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "a", (raise_interrupt() for _ in range(1)))
    assert (tmp_path / "a").read_bytes() == b"one"
    assert len(list(tmp_path.iterdir())) == 1


def raise_interrupt():
    raise KeyboardInterrupt


def test_the_command_line_ends_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "helpers.data"],
        env={**os.environ, data.FOLDER_VARIABLE: str(tmp_path / "file")},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Fashion-MNIST has to be read from or written to" in done.stderr


def write_again_and_again(path, content):
    for _ in range(40):
        files.write(path, content)


def test_two_writers_of_one_file_leave_it_whole(tmp_path):
    path, contents = tmp_path / "file", [b"A" * 1_000_000, b"B" * 1_000_000]
    files.write(path, contents[0])
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_again_and_again, args=(path, content)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_link_and_its_rights_stay(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o600


def test_files_that_belong_together_are_not_parted_by_a_kill(tmp_path):
    paths = {name: tmp_path / name for name in ("weights", "record")}
    files.write_together(dict.fromkeys(paths.values(), b"old"))

    def second():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        files.write_together({paths["weights"]: b"new", paths["record"]: second()})
    assert {path.read_bytes() for path in paths.values()} == {b"old"}
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupt_at_any_line_parts_no_pair(tmp_path):
    pair = [tmp_path / "weights", tmp_path / "record"]
    for line in range(1000):
        for path in pair:
            path.write_bytes(b"old")
        try:
            with interrupted_at(line, files.__file__):
                files.write_together(dict.fromkeys(pair, b"new"))
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
        assert len({path.read_bytes() for path in pair}) == 1, line
        for path in set(tmp_path.iterdir()) - set(pair):  # at worst a leftover
            assert path.name.endswith(".part")
            path.unlink()
        if not interrupted:
            break
    assert 20 < line < 999


@pytest.mark.parametrize("before", [b"old", None])
def test_a_rename_that_fails_parts_no_pair(before, monkeypatch, tmp_path):
    pair = [tmp_path / "weights", tmp_path / "record"]
    for path in pair if before else ():
        path.write_bytes(before)
    real = Path.replace

    def replace(path, target):
        if path.name.startswith(".record") and "-old" not in path.name:
            raise PermissionError(13, "Access is denied")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError):
        files.write_together(dict.fromkeys(pair, b"new"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == (
        dict.fromkeys(("weights", "record"), before) if before else {}
    )


def write_and_be_killed(path):
    def slow():
        yield b"begun"
        time.sleep(60)

    files.write(path, slow())


def test_what_a_killed_process_has_left_is_gone_after_the_next(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=write_and_be_killed, args=(tmp_path / "a[1]",))
    process.start()
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    (tmp_path / ".b.1234567.1.part").touch()  # of another file
    (tmp_path / ".a[1].mine.part").touch()
    files.write(tmp_path / "a[1]", b"whole")
    assert len(list(tmp_path.iterdir())) == 4, "that of a process that lives stays"
    process.terminate()
    process.join()
    files.write(tmp_path / "a[1]", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1]", ".b.1234567.1.part", ".a[1].mine.part"}


def test_a_mirror_may_be_named_at_any_time(sources, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(data, "MIRRORS", ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b/"))
    monkeypatch.setattr(data, "mirror", lambda url: asked.append(url) or iter(()))
    list(data.mirrors())
    monkeypatch.setattr(data, "MIRRORS", "http://127.0.0.1:9/c")
    list(data.mirrors())
    assert asked == ["http://127.0.0.1:9/a/", "http://127.0.0.1:9/c/"]


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it is no regular file"):
        images.read(tmp_path / "pipe")


def within(seconds):
    """Fails a test that waits for ever for a pipe."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.setitimer(signal.ITIMER_REAL, seconds)


@pytest.fixture
def no_hang():
    before = signal.getsignal(signal.SIGALRM)
    within(60)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def huge(path):
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(10**12)  # takes no room


def pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def test_a_huge_data_file_is_fetched_anew(sources, monkeypatch, tmp_path, no_hang):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    data.find()
    huge(tmp_path / data.RAW / "train-labels-idx1-ubyte")
    assert data.problems(tmp_path / data.RAW) == ["train-labels-idx1-ubyte is changed (1,000,000,000,000 bytes)"]
    data.find()
    assert sources == ["first", "first"]
    assert not data.problems(tmp_path / data.RAW)


def test_a_pipe_in_place_of_a_data_file_stays(sources, monkeypatch, tmp_path, no_hang):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / data.RAW).mkdir(parents=True)
    pipe(tmp_path / data.RAW / "train-labels-idx1-ubyte")
    with pytest.raises(data.DataUnavailable, match=r"train-labels-idx1-ubyte is no regular file"):
        data.find()
    assert (tmp_path / data.RAW / "train-labels-idx1-ubyte").is_fifo()


@pytest.mark.parametrize("make", [huge, pipe])
def test_a_package_that_is_no_file(make, tmp_path, no_hang):
    make(tmp_path / "train-images-idx3-ubyte.gz")
    with pytest.raises(OSError, match=r"no regular file|has 1,000,000,000,000 bytes, and 60,000,000 is the maximum"):
        next(data.folder(tmp_path))


@pytest.mark.parametrize("make", [huge, pipe])
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_kept_network_that_is_no_file(make, suffix, monkeypatch, tmp_path, no_hang):
    copy = kept_copy(monkeypatch, tmp_path, models, "CHECKPOINT")
    make(copy.with_suffix(suffix))
    with pytest.raises(OSError, match=rf"\{suffix} (is no regular file|has 1,0+.* maximum)\): git checkout"):
        models.trained_fashion_net()


def kept_copy(monkeypatch, folder, module, name):
    """A copy of a kept file and its record, which the module takes for the original."""
    kept = getattr(module, name)
    for path in {kept, kept.with_suffix(".json")}:
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(module, name, folder / kept.name)
    return folder / kept.name


@pytest.mark.parametrize("make", [huge, pipe])
def test_weights_in_the_cache_that_are_no_file(make, monkeypatch, tmp_path, no_hang):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(pretrained.files, "chunks", lambda *_: iter([b"weights"]))
    cache = tmp_path / "hub/checkpoints"
    cache.mkdir(parents=True)
    make(cache / "resnet18-f37072fd.pth")
    with pytest.raises(pretrained.WeightsUnavailable, match=r"no regular file|what came is not what its name says"):
        pretrained.load("resnet18")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"9" * 1000])
def test_an_odd_note_of_the_holder(content, holder, monkeypatch, tmp_path, capsys, no_hang):
    note = tmp_path / ".lock.holder"
    while not note.exists():
        time.sleep(0.01)
    pipe(note) if content is None else note.write_bytes(content)
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.5)
    with pytest.raises(TimeoutError, match=r"^another process holds"), files.alone(tmp_path, "it sleeps"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with files.alone(tmp_path, "nothing"):
        assert note.read_text() == str(os.getpid())
    assert not note.exists()


def test_a_note_that_vanishes_while_it_is_read(holder, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    (tmp_path / ".lock.holder").unlink()
    with pytest.raises(TimeoutError, match=r"^another process holds"), files.alone(tmp_path, "it sleeps"):
        pass


def test_what_is_no_file_is_not_replaced(tmp_path):
    """No real device here: a fault would replace it."""
    pipe(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match=rf"({tmp_path}|pipe) is no regular file"):
            files.write(path, b"x")
    assert (tmp_path / "pipe").is_fifo()


def test_who_reads_between_two_renames_reads_again(monkeypatch, tmp_path):
    copy = kept_copy(monkeypatch, tmp_path, models, "CHECKPOINT")
    record = copy.with_suffix(".json").read_bytes()
    copy.with_suffix(".json").write_bytes(record.replace(b'"sha256": "', b'"sha256": "0'))
    # While the reader waits, the record gets its name.
    monkeypatch.setattr(models.time, "sleep", lambda _: files.write(copy.with_suffix(".json"), record))
    models.trained_fashion_net()


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b"\xff", b"null", b'{"rounds": [], "lengths": [1]}', None])
def test_a_broken_record_of_the_training_is_one_sentence(record, monkeypatch, tmp_path):
    copy = kept_copy(monkeypatch, tmp_path, lesson_03, "RUN")
    copy.write_bytes(b"PK") if record is None else copy.with_suffix(".json").write_bytes(record)
    items = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    with pytest.raises(
        OSError, match=r"training_run\.npz or its record is damaged \(.+\): git checkout data/checkpoints"
    ):
        lesson_03.training_explorer(items, items)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b"null", b"[" * 100_000])
def test_a_broken_quiz_is_one_sentence(content, monkeypatch, tmp_path):
    (tmp_path / "01.json").write_bytes(content)
    monkeypatch.setattr(quiz, "FOLDER", tmp_path)
    with pytest.raises(OSError, match=r"01\.json is damaged \(.+\): git checkout"):
        quiz.quiz(1)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"made_with": 1, "sweep": [{}], "runs": []}'])
def test_a_broken_record_of_the_experiment_is_one_sentence(content, tmp_path):
    (tmp_path / "ablation.json").write_bytes(content)
    with pytest.raises(SystemExit, match=r"ablation\.json is damaged \(.+\): move it, and the experiment starts anew"):
        ablation.load(tmp_path / "ablation.json", ablation.Plan())


def in_a_process(code, **options):
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, **options)


def test_files_are_read_in_an_ascii_locale():
    code = (
        "from helpers.lessons import explore, lesson_03, quiz; import torch;"
        "items = torch.rand(20, 1, 28, 28), torch.arange(20) % 10;"
        "explore.script(); quiz.quiz(3); lesson_03.training_explorer(items, items)"
    )
    done = in_a_process(code, env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert done.returncode == 0, done.stderr.decode()[-500:]


def test_every_text_file_is_opened_with_its_encoding():
    root = Path(__file__).parents[2]
    text = re.compile(r"\.(read_text\(\)|write_text\((?!.*encoding=)|open\((?!.*(encoding=|b\")))")
    for path in [*root.glob("helpers/**/*.py"), *root.glob("benchmarks/*.py"), *root.glob("data/*/*.py")]:
        lines = [line for line in path.read_text().splitlines() if text.search(line)]
        lines = [line for line in lines if not re.search(r"PROC /|Image\.open|gzip\.open|opener\.open", line)]
        assert not lines, f"{path.name}: {lines}"


def test_a_standard_error_that_is_closed_is_no_fault_of_a_source(sources, monkeypatch, tmp_path):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    for broken in (None, closed()):
        monkeypatch.setattr(sys, "stderr", broken)
        shutil.rmtree(tmp_path / "FashionMNIST", ignore_errors=True)
        data.find()
    assert sources == ["first", "first"]


def closed():
    with Path(os.devnull).open("w") as file:
        return file


def test_who_waits_without_a_standard_error_waits_too(holder, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(sys, "stderr", closed())
    with pytest.raises(TimeoutError), files.alone(tmp_path, "it sleeps"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_pictures_that_cannot_be_kept_are_one_sentence(tmp_path):
    script = Path(__file__).parents[2] / "data" / "images" / "draw.py"
    small = script.read_text().replace("HEIGHT, WIDTH = 480, 640", "HEIGHT, WIDTH = 60, 80")
    (tmp_path / "style_swirls.jpg").mkdir()  # as good as a folder without rights, also for root
    (tmp_path / "draw.py").write_text(small)
    done = subprocess.run([sys.executable, tmp_path / "draw.py"], cwd=script.parents[2], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.match(r"The pictures cannot be written: .*style_swirls\.jpg", done.stderr)


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_a_broken_record_of_the_kept_network_is_one_sentence(record, monkeypatch, tmp_path):
    copy = tmp_path / models.CHECKPOINT.name
    copy.write_bytes(models.CHECKPOINT.read_bytes())
    copy.with_suffix(".json").write_bytes(record)
    monkeypatch.setattr(models, "CHECKPOINT", copy)
    with pytest.raises(OSError, match=r"or its record is damaged \(.*git checkout data/checkpoints"):
        models.trained_fashion_net()
