"""Downloads that go wrong: each ends in one sentence, in time, and leaves nothing half-written."""

import io
import os
import pickle
import re
import threading
import time
from functools import partial
from hashlib import sha256

import pytest
import torch
from servers import BROKEN, dripping, flooding, serving, silent, stalling, trickling
from torchvision import models

from helpers import data, files, images, pretrained


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Limits that a test can wait for."""
    monkeypatch.setattr(files, "SILENCE_SECONDS", 0.5)
    for module in (data, images, pretrained):
        monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)


def left(folder):
    return [path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock")]


@pytest.mark.parametrize("answer", BROKEN, ids=lambda answer: answer.__name__)
class TestABrokenServer:
    def test_is_no_image(self, answer):
        start = time.monotonic()
        with serving(answer) as url, pytest.raises(OSError, match=rf"^{url}cat\.png cannot be fetched: \w"):
            images.read(f"{url}cat.png")
        assert time.monotonic() - start < 30  # some go on for ever, and `silent` for 60

    def test_gives_no_fashion_mnist(self, answer, monkeypatch, tmp_path):
        monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
        with serving(answer) as url:
            monkeypatch.setattr(data, "SOURCES", {"there": partial(data.mirror, url)})
            with pytest.raises(data.DataUnavailable, match=rf"- there: {url}train\S+ cannot be fetched"):
                data.find()
        assert not left(tmp_path)

    def test_gives_no_weights(self, answer, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with serving(answer) as url:
            monkeypatch.setattr(models.ResNet18_Weights.IMAGENET1K_V1.value, "url", f"{url}resnet18-00000000.pth")
            with pytest.raises(pretrained.WeightsUnavailable, match="resnet18 could not be had"):
                pretrained.load("resnet18")
        assert not left(tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silent, "nothing came for 0.5 s"),
        (stalling, "nothing came for 0.5 s"),
        (trickling, r"only \d+ bytes came in \d s"),
        (flooding, "it is larger than 1,000,000 bytes"),
    ],
)
def test_the_sentence_says_how_long_and_how_much(answer, words):
    with serving(answer) as url, pytest.raises(OSError, match=words):
        b"".join(files.chunks(url, 1_000_000))


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[::1",
        "http://a b/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://ü..de/",
        "https://.",
    ],
)
def test_addresses_that_are_none(url):
    with pytest.raises(OSError, match=r"cannot be fetched: .") as caught:
        images.read(url)
    assert type(caught.value) is OSError


def test_a_redirect_is_followed_whatever_its_text():
    def answer(connection):
        asked.append(1)
        if len(asked) > 1:
            return connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    asked = []
    with serving(answer) as url:
        assert b"".join(files.chunks(url, 1_000_000)) == b"data"


def test_a_download_leaves_no_thread():
    before = threading.active_count()
    with serving(dripping) as url:
        with pytest.raises(OSError, match="only"):
            list(files.chunks(url, 1000))
        names = [thread.name for thread in threading.enumerate()]
    assert len(names) - before <= 2, names  # the server's own


def test_a_name_and_a_password_in_an_address_are_not_repeated():
    for url in ("http://me:secret@127.0.0.1/cat.png", "http://secret@127.0.0.1:x/", "http://:secret@ü..de/"):
        with pytest.raises(OSError, match=r"^http://…@.* cannot be fetched: .") as caught:
            images.read(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("http://bücher:8080/x", "http://xn--bcher-kva:8080/x"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
    ],
)
def test_a_port_stays(given, sent):
    assert files._in_ascii(given) == sent


def test_spaces_and_umlauts_are_sent_as_they_must(monkeypatch):
    asked = []
    with serving(lambda connection: asked.append(1)) as url, pytest.raises(OSError, match="cannot be fetched"):
        images.read(f"{url}ein Bär.png?größe=1 2#teil")
    assert asked
    assert files._in_ascii("http://bücher.example/ä b%20c?q=é") == (
        "http://xn--bcher-kva.example/%C3%A4%20b%20c?q=%C3%A9"
    )


def run_code(path):
    return type("Evil", (), {"__reduce__": lambda self: (os.mkdir, (str(path),))})()


def test_weights_in_the_cache_run_no_code(monkeypatch, tmp_path):
    file = io.BytesIO()
    torch.save({"conv1.weight": run_code(tmp_path / "executed")}, file)
    name = f"resnet18-{sha256(file.getvalue()).hexdigest()[:8]}.pth"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(models.ResNet18_Weights.IMAGENET1K_V1.value, "url", f"http://127.0.0.1:9/{name}")
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints" / name).write_bytes(file.getvalue())
    with pytest.raises(pretrained.WeightsUnavailable, match="resnet18 could not be had"):
        pretrained.load("resnet18")
    assert not (tmp_path / "executed").exists()


def test_the_embedded_weights_run_no_code(monkeypatch, tmp_path):
    """Not even if the file and the sum that is known of it were both replaced."""
    content = pickle.dumps({"conv1": run_code(tmp_path / "executed")})
    (tmp_path / "weights.pkl").write_bytes(content)
    monkeypatch.setattr(pretrained, "EMBEDDED_FILE", tmp_path / "weights.pkl")
    monkeypatch.setattr(pretrained, "EMBEDDED_SHA256", sha256(content).hexdigest())
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.mkdir is no part of an array"):
        pretrained.load()
    assert not (tmp_path / "executed").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_cache_without_rights_is_one_sentence(mode, monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    cache = folder / "hub/checkpoints"
    cache.mkdir(parents=True)
    (cache / "resnet18-f37072fd.pth").write_bytes(b"not whole")
    monkeypatch.setenv("TORCH_HOME", str(folder))
    cache.chmod(mode)
    try:
        with as_nobody(), pytest.raises(pretrained.WeightsUnavailable, match=re.escape(str(cache))):
            pretrained.load("resnet18")
    finally:
        cache.chmod(0o755)


class as_nobody:
    """Root may do anything, so that rights can only be tried as somebody else."""

    def __enter__(self):
        self.user = os.geteuid()
        if self.user == 0:
            os.seteuid(65534)

    def __exit__(self, *_):
        os.seteuid(self.user)
