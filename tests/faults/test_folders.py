"""Folders and locks that go wrong."""

import gzip
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import data, files, images, models


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(data.FOLDER_VARIABLE, "here")
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
            ("sleep 60 & sleep 60", "apt-get was stopped after 1 s"),
        ],
        ids=["silent", "no package", "latin-1", "endless"],
    )
    def test_goes_wrong(self, body, words, script, monkeypatch):
        monkeypatch.setattr(data, "APT_SECONDS", 1)
        script(body)
        start = time.monotonic()
        with pytest.raises(OSError, match=words):
            list(data.debian_mirror())
        assert time.monotonic() - start < 10


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


def test_a_mirror_may_be_named_at_any_time(sources, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(data, "MIRRORS", ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b/"))
    monkeypatch.setattr(data, "mirror", lambda url: asked.append(url) or iter(()))
    list(data.mirrors())
    assert asked == ["http://127.0.0.1:9/a/"]


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it is no regular file"):
        images.read(tmp_path / "pipe")


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_a_broken_record_of_the_kept_network_is_one_sentence(record, monkeypatch, tmp_path):
    copy = tmp_path / models.CHECKPOINT.name
    copy.write_bytes(models.CHECKPOINT.read_bytes())
    copy.with_suffix(".json").write_bytes(record)
    monkeypatch.setattr(models, "CHECKPOINT", copy)
    with pytest.raises(OSError, match=r"or its record is damaged \(.*git checkout data/checkpoints"):
        models.trained_fashion_net()
