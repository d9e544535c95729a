import gzip
import hashlib
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision import datasets, transforms

from helpers import data

CONTENTS = {name: f"the bytes of {name}".encode() * 1000 for name in data.FILES}


def source(contents, log=None, delay=0.0):
    """A source of gzipped files as the real ones are, from bytes in memory."""

    def files():
        if log is not None:
            log.append("used")
        time.sleep(delay)
        yield from ((name, gzip.compress(content)) for name, content in contents.items())

    return files


def unreachable(message):
    def files():
        raise OSError(message)
        yield

    return files


@pytest.fixture
def root(monkeypatch, tmp_path):
    """An empty folder, four small files to be had in place of the real ones, and no source but those a test names."""
    monkeypatch.setattr(data, "FILES", {name: hashlib.sha256(c).hexdigest() for name, c in CONTENTS.items()})
    monkeypatch.setattr(data, "SOURCES", {})
    folder = tmp_path / "données d'été"
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(folder))
    return folder


def held(root):
    raw = root / "FashionMNIST" / "raw"
    return {p.name: p.read_bytes() for p in raw.iterdir() if not p.name.startswith(".lock")}


class TestFind:
    def test_fetches_once_and_keeps(self, monkeypatch, root):
        log = []
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS, log)})
        assert data.find() == root
        data.find()
        assert held(root) == CONTENTS
        assert log == ["used"]

    def test_takes_the_first_source_that_verifies(self, monkeypatch, root):
        tampered = CONTENTS | {"t10k-labels-idx1-ubyte": b"other bytes"}
        sources = {"a": unreachable("no route"), "b": source(tampered), "c": source(CONTENTS), "d": unreachable("used")}
        monkeypatch.setattr(data, "SOURCES", sources)
        data.find()
        assert held(root) == CONTENTS

    def test_no_source_reachable_says_what_was_tried(self, monkeypatch, root):
        monkeypatch.setattr(data, "SOURCES", {"a": unreachable("no route"), "b": unreachable("timed out")})
        with pytest.raises(data.DataUnavailable) as caught:
            data.find()
        message = str(caught.value)
        wanted = ("a: no route", "b: timed out", "train-images-idx3-ubyte is missing", "By hand", data.FOLDER_VARIABLE)
        assert all(words in message for words in wanted)
        assert not held(root)

    def test_a_truncated_download_leaves_no_file(self, monkeypatch, root):
        def cut_off():
            yield from ((name, packed[:-20]) for name, packed in source(CONTENTS)())

        monkeypatch.setattr(data, "SOURCES", {"cut": cut_off})
        with pytest.raises(data.DataUnavailable, match="cut: "):
            data.find()
        assert not held(root)

    @pytest.mark.parametrize("broken", [b"", b"short", CONTENTS["train-labels-idx1-ubyte"] + b"!"])
    def test_a_broken_file_is_replaced(self, monkeypatch, root, broken):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        data.find()
        path = root / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte"
        path.write_bytes(broken)
        assert data.problems(path.parent) == [f"{path.name} is truncated or changed ({len(broken):,} bytes)"]
        data.find()
        assert held(root) == CONTENTS

    def test_a_tampered_file_is_named_and_not_kept(self, monkeypatch, root):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS | {"t10k-images-idx3-ubyte": b"evil"})})
        with pytest.raises(data.DataUnavailable, match=r"here: t10k-images-idx3-ubyte is .* changed \(4 bytes\)"):
            data.find()
        assert "t10k-images-idx3-ubyte" not in held(root)

    def test_read_only_folder_is_one_message(self, monkeypatch, root):
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        closed = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
        closed.chmod(0o555)
        monkeypatch.setenv(data.FOLDER_VARIABLE, str(closed))
        user = os.geteuid()
        try:
            if user == 0:  # root writes anywhere
                os.seteuid(65534)
            with pytest.raises(data.DataUnavailable, match=f"written to .*{data.FOLDER_VARIABLE}"):
                data.find()
        finally:
            os.seteuid(user)
            closed.rmdir()

    def test_two_at_once_fetch_once(self, monkeypatch, root):
        context = multiprocessing.get_context("fork")
        log = context.Manager().list()
        monkeypatch.setattr(data, "SOURCES", {"slow": source(CONTENTS, log, delay=0.5)})
        both = [context.Process(target=data.find) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join(20)
        assert [p.exitcode for p in both] == [0, 0]
        assert held(root) == CONTENTS
        assert list(log) == ["used"]

    def test_killed_in_the_middle_then_run_again(self, monkeypatch, root):
        def stuck_after_one_file():
            yield next(source(CONTENTS)())
            time.sleep(60)

        monkeypatch.setattr(data, "SOURCES", {"stuck": stuck_after_one_file})
        process = multiprocessing.get_context("fork").Process(target=data.find)
        process.start()
        first = root / "FashionMNIST" / "raw" / next(iter(CONTENTS))
        while not first.exists():
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert held(root).keys() == {first.name}
        monkeypatch.setattr(data, "SOURCES", {"here": source(CONTENTS)})
        data.find()
        assert held(root) == CONTENTS


def test_folder_and_mirror_serve_the_same_and_name_what_is_missing(tmp_path):
    for name, content in CONTENTS.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        sources = partial(data.mirror, f"http://127.0.0.1:{server.server_port}/"), partial(data.folder, tmp_path)
        for files in sources:
            assert {name: gzip.decompress(packed) for name, packed in files()} == CONTENTS
        (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
        for files, words in zip(sources, ("404", "No such file"), strict=True):
            with pytest.raises(OSError, match=words):
                list(files())
    finally:
        server.shutdown()
        server.server_close()


def test_a_download_that_breaks_off_says_so(monkeypatch, root):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    monkeypatch.setattr(data, "SOURCES", {"there": partial(data.mirror, url)})
    with pytest.raises(data.DataUnavailable, match=r"there: http.* broke off after 9 bytes, 991 before the end"):
        data.find()


def test_the_debian_package_comes_from_apt_get_and_its_error_is_one_line(monkeypatch, tmp_path):
    """A stand-in for apt-get and dpkg-deb does as they do; the real ones need a network."""
    commands, tree = tmp_path / "bin", tmp_path / f"tree{data.DEBIAN_FOLDER}"
    commands.mkdir()
    tree.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (tree / f"{name}.gz").write_bytes(gzip.compress(content))
    scripts = {
        "apt-get": f'case "$*" in *"download {data.DEBIAN_PACKAGE}"*) touch {data.DEBIAN_PACKAGE}_1_all.deb;; esac',
        "dpkg-deb": f'test -e "$2" && cp -r {tmp_path}/tree "$3"',
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    assert {name: gzip.decompress(packed) for name, packed in data.debian_mirror()} == CONTENTS
    (commands / "apt-get").write_text("#!/bin/sh\necho W: an aside >&2; echo E: no such host >&2; exit 100\n")
    with pytest.raises(OSError, match=r"^apt-get: E: no such host$"):
        list(data.debian_mirror())


def test_real_data_is_what_torchvision_reads():
    images, labels = data.fashion_mnist(train=False)
    assert images.shape == (10_000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    reference = datasets.FashionMNIST(data.find(), train=False, transform=transforms.ToTensor())
    assert tuple(reference.classes) == data.CLASSES
    for i in (0, 1, 9_999):
        image, label = reference[i]
        assert torch.equal(images[i], image)
        assert labels[i] == label


class TestBatches:
    images = torch.arange(10.0).view(10, 1, 1, 1)
    labels = torch.arange(10)

    def test_every_image_once_and_the_last_batch_short(self):
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

    def test_images_keep_their_labels(self):
        for x, y in data.Batches(self.images, self.labels, 3, shuffle=True):
            assert torch.equal(x.flatten().long(), y)

    def test_augmentation_changes_what_is_served(self):
        batches = data.Batches(self.images, self.labels, 4, augment=lambda batch, generator: batch + 1)
        assert torch.equal(torch.cat([x for x, _ in batches]), self.images + 1)

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
