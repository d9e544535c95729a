import gzip
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torchvision import datasets, transforms

from helpers import data

CONTENTS = {name: f"the bytes of {name}".encode() * 1000 for name in data.FILES}


def source(contents, log=None, delay=0.0):
    """A source of gzipped files as the real ones are, from bytes in memory."""

    @contextmanager
    def files():
        if log is not None:
            log.append("used")
        time.sleep(delay)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in contents.items():
                Path(folder, f"{name}.gz").write_bytes(content if name == "raw" else gzip.compress(content))
            yield Path(folder)

    return files


def unreachable(message):
    @contextmanager
    def files():
        raise OSError(message)
        yield

    return files


@pytest.fixture
def small(monkeypatch):
    """Four small files in place of the real ones, and no source but those a test names."""
    monkeypatch.setattr(data, "FILES", {name: hashlib.sha256(c).hexdigest() for name, c in CONTENTS.items()})
    monkeypatch.setattr(data, "SOURCES", {})


def whole(root):
    raw = data.raw_folder(root)
    found = {p.name for p in raw.iterdir() if p.name != ".lock"}
    return found == set(CONTENTS) and all((raw / n).read_bytes() == c for n, c in CONTENTS.items())


@pytest.mark.usefixtures("small")
class TestFind:
    def test_fetches_once_and_keeps(self, monkeypatch, tmp_path):
        log = []
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS, log)})
        assert data.find(tmp_path) == tmp_path
        data.find(tmp_path)
        assert whole(tmp_path)
        assert log == ["used"]

    def test_takes_the_first_source_that_verifies(self, monkeypatch, tmp_path):
        tampered = CONTENTS | {"t10k-labels-idx1-ubyte": b"other bytes"}
        sources = {"a": unreachable("no route"), "b": source(tampered), "c": source(CONTENTS)}
        monkeypatch.setattr(data, "SOURCES", sources)
        data.find(tmp_path)
        assert whole(tmp_path)

    def test_no_source_reachable_says_what_was_tried(self, monkeypatch, tmp_path):
        monkeypatch.setattr(data, "SOURCES", {"a": unreachable("no route"), "b": unreachable("timed out")})
        with pytest.raises(data.DataUnavailable) as caught:
            data.find(tmp_path)
        message = str(caught.value)
        wanted = ("a: no route", "b: timed out", "train-images-idx3-ubyte is missing", "By hand", data.FOLDER_VARIABLE)
        assert all(words in message for words in wanted)
        assert not [p for p in data.raw_folder(tmp_path).iterdir() if p.name != ".lock"]

    def test_a_truncated_download_leaves_no_file(self, monkeypatch, tmp_path):
        @contextmanager
        def cut_off():
            with source(CONTENTS)() as folder:
                packed = folder / "train-images-idx3-ubyte.gz"
                packed.write_bytes(packed.read_bytes()[:-20])
                yield folder

        monkeypatch.setattr(data, "SOURCES", {"cut": cut_off})
        with pytest.raises(data.DataUnavailable, match="cut: "):
            data.find(tmp_path)
        assert not [p for p in data.raw_folder(tmp_path).iterdir() if p.name != ".lock"]

    @pytest.mark.parametrize("broken", [b"", b"short", CONTENTS["train-labels-idx1-ubyte"] + b"!"])
    def test_a_broken_file_is_replaced(self, monkeypatch, tmp_path, broken):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        data.find(tmp_path)
        path = data.raw_folder(tmp_path) / "train-labels-idx1-ubyte"
        path.write_bytes(broken)
        assert data.problems(path.parent) == [f"{path.name} is truncated or changed ({len(broken):,} bytes)"]
        data.find(tmp_path)
        assert whole(tmp_path)

    def test_a_tampered_file_is_named_and_nothing_is_lost(self, monkeypatch, tmp_path):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS | {"t10k-images-idx3-ubyte": b"evil"})})
        with pytest.raises(data.DataUnavailable, match=r"t10k-images-idx3-ubyte\.gz is .* changed \(4 bytes\)"):
            data.find(tmp_path)
        assert not (data.raw_folder(tmp_path) / "t10k-images-idx3-ubyte").exists()

    def test_space_and_accent_in_the_folder(self, monkeypatch, tmp_path):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        root = tmp_path / "données d'été"
        data.find(root)
        assert whole(root)

    def test_read_only_folder_is_one_message(self, monkeypatch):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        root = Path(tempfile.mkdtemp())
        root.chmod(0o555)
        user = os.geteuid()
        try:
            if user == 0:  # root writes anywhere
                os.seteuid(65534)
            with pytest.raises(data.DataUnavailable, match=f"written to .*{data.FOLDER_VARIABLE}"):
                data.find(root)
        finally:
            os.seteuid(user)
            assert not list(root.iterdir())
            root.rmdir()

    def test_two_at_once_fetch_once(self, monkeypatch, tmp_path):
        context = multiprocessing.get_context("fork")
        log = context.Manager().list()
        monkeypatch.setattr(data, "SOURCES", {"slow": source(CONTENTS, log, delay=0.5)})
        both = [context.Process(target=data.find, args=(tmp_path,)) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join(20)
        assert [p.exitcode for p in both] == [0, 0]
        assert whole(tmp_path)
        assert list(log) == ["used"]

    def test_killed_in_the_middle_then_run_again(self, monkeypatch, tmp_path):
        @contextmanager
        def stuck_after_one_file():
            with source(CONTENTS)() as folder:
                second = list(CONTENTS)[1]
                (folder / f"{second}.gz").unlink()
                os.mkfifo(folder / f"{second}.gz")  # reading it waits for ever
                yield folder

        monkeypatch.setattr(data, "SOURCES", {"stuck": stuck_after_one_file})
        process = multiprocessing.get_context("fork").Process(target=data.find, args=(tmp_path,))
        process.start()
        first = data.raw_folder(tmp_path) / next(iter(CONTENTS))
        while not first.exists():
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert not whole(tmp_path)
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        data.find(tmp_path)
        assert whole(tmp_path)


def test_mirror_downloads_verifies_and_reports_a_cut(monkeypatch, tmp_path):
    """The real download code, against a server on loopback that once sends everything and once breaks off."""
    for name in data.FILES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(CONTENTS[name]))
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = int(server.stdout.readline().split("port ")[1].split()[0])
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
        with data._mirror() as folder:
            assert {p.name for p in folder.iterdir()} == {f"{n}.gz" for n in data.FILES}
        (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
        with pytest.raises(OSError, match="404"), data._mirror():
            pass
    finally:
        server.kill()


def test_download_that_breaks_off(tmp_path):
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(OSError, match="broke off after 9 of 1,000 bytes"):
        data._download(f"http://127.0.0.1:{listener.getsockname()[1]}/file", tmp_path / "file")


@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt-get here")
def test_debian_mirror_error_is_one_line(monkeypatch):
    monkeypatch.setattr(data, "_run", lambda *_: (_ for _ in ()).throw(OSError("apt-get: no such host")))
    with pytest.raises(OSError, match="no such host"), data._debian_mirror():
        pass


def test_folder_variable(monkeypatch, tmp_path):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    assert data.raw_folder() == tmp_path / "FashionMNIST" / "raw"


def test_real_data_is_what_torchvision_reads():
    images, labels = data.fashion_mnist(train=False)
    assert images.shape == (10_000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    reference = datasets.FashionMNIST(data.find(), train=False, transform=transforms.ToTensor())
    assert tuple(reference.classes) == data.CLASSES
    for i in (0, 1, 9_999):
        picture, label = reference[i]
        assert torch.equal(images[i], picture)
        assert labels[i] == label


def test_loader_serves_what_the_tensors_hold():
    images, labels = next(iter(data.loader(train=False, batch_size=7)))
    all_images, all_labels = data.fashion_mnist(train=False)
    assert torch.equal(images, all_images[:7])
    assert torch.equal(labels, all_labels[:7])


class TestBatches:
    images = torch.arange(10.0).view(10, 1, 1, 1)
    labels = torch.arange(10)

    def test_every_picture_once_and_the_last_batch_short(self):
        batches = data.Batches(self.images, self.labels, 4)
        assert [len(x) for x, _ in batches] == [4, 4, 2]
        assert len(batches) == 3
        assert torch.equal(torch.cat([y for _, y in batches]), self.labels)

    def test_shuffled_anew_each_pass_same_with_same_seed_and_no_global_trace(self):
        before = torch.get_rng_state()

        def passes(seed):
            batches = data.Batches(self.images, self.labels, 3, shuffle=True, seed=seed)
            return [torch.cat([y for _, y in batches]).tolist() for _ in range(2)]

        first, second = passes(1)
        assert sorted(first) == list(range(10))
        assert first != second
        assert passes(1) == [first, second]
        assert passes(2) != [first, second]
        assert torch.equal(before, torch.get_rng_state())

    def test_pictures_keep_their_labels(self):
        for x, y in data.Batches(self.images, self.labels, 3, shuffle=True):
            assert torch.equal(x.flatten().long(), y)

    @pytest.mark.parametrize(("count", "batch_size", "words"), [(9, 2, "9 and 10"), (10, 0, "at least 1, not 0")])
    def test_bad_input(self, count, batch_size, words):
        with pytest.raises(ValueError, match=words):
            data.Batches(self.images[:count], self.labels, batch_size)


def test_random_flip_mirrors_about_half():
    images = torch.rand(400, 1, 2, 3)
    flipped = data.random_flip(images, torch.Generator().manual_seed(0))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    kept = (flipped == images).flatten(1).all(1)
    assert torch.equal(mirrored, ~kept)
    assert 150 < mirrored.sum() < 250
