"""Bytes from the web, within limits, and onto the disk, whole or not at all. A failure is an OSError that says why."""

import glob
import http.client
import importlib.util
import io
import json
import os
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

import filelock
import psutil

DATA = Path(__file__).resolve().parents[1] / "data"  # the course's own records, images and checkpoints
SILENCE_SECONDS = 30  # without a byte
MINIMUM_RATE = 20_000  # bytes a second, on average; so every download ends
LOCK_SECONDS = 900  # for another process that does the same work


def chunks(url: str, max_bytes: int) -> Iterator[bytes]:
    """What lies at an http(s) address, piece by piece.

    Raises:
        OSError: it cannot be had, is larger than ``max_bytes``, breaks off, or comes too slowly.
    """
    count = 0
    try:
        with _opened(_in_ascii(url), max_bytes) as response:
            while chunk := response.read1(1 << 16):
                count += len(chunk)
                if count > max_bytes:
                    raise OSError(f"it is larger than {max_bytes:,} bytes")
                yield chunk
            if response.length:  # of what the server had announced
                raise OSError(f"the connection broke off after {count:,} bytes, {response.length:,} before the end")
    except http.client.HTTPException as error:
        raise OSError(
            f"{_shown(url)} cannot be fetched: no answer as of a web server ({type(error).__name__})"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
        said = f"nothing came for {SILENCE_SECONDS} s" if isinstance(reason, TimeoutError) else reason
        raise OSError(f"{_shown(url)} cannot be fetched: {said or type(reason).__name__}") from None


class _Watched(io.RawIOBase):
    """All that an answer consists of, its head and what follows it, too: neither too slow nor without end."""

    def __init__(self, raw: io.RawIOBase, max_bytes: int, start: float) -> None:
        self.raw, self.max_bytes, self.start, self.count = raw, max_bytes, start, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.raw.readinto(buffer) or 0
        self.count, waited = self.count + count, time.monotonic() - self.start
        if self.count > 2 * self.max_bytes + 100_000:
            raise OSError(f"it is larger than {self.max_bytes:,} bytes")
        if waited > SILENCE_SECONDS and self.count < MINIMUM_RATE * waited:
            raise OSError(f"only {self.count:,} bytes came in {waited:.0f} s")
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Web(HTTPSHandler, HTTPHandler, HTTPRedirectHandler):
    """urllib's way to http and https, with an eye on every byte that comes."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes, self.start = max_bytes, time.monotonic()

    def do_open(self, http_class: Any, req: Request, **options: Any) -> http.client.HTTPResponse:
        def connect(host: str, **more: Any) -> http.client.HTTPConnection:
            connection = http_class(host, **more)
            connection.response_class = self._respond
            return connection

        return super().do_open(connect, req, **options)

    def _respond(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, **options)
        response.fp = io.BufferedReader(_Watched(response.fp.detach(), self.max_bytes, self.start))
        return response

    def redirect_request(self, request: Request, response: Any, *rest: Any) -> Request | None:
        response.close()  # or all that it says would be read
        return super().redirect_request(request, response, *rest)


def _opened(url: str, max_bytes: int) -> http.client.HTTPResponse:
    opener = OpenerDirector()  # urllib's own would follow a redirect to other kinds of addresses
    for handler in (ProxyHandler(), _Web(max_bytes), HTTPDefaultErrorHandler(), HTTPErrorProcessor(), UnknownHandler()):
        opener.add_handler(handler)
    return opener.open(url, timeout=SILENCE_SECONDS)


def _shown(url: str) -> str:
    return re.sub(r"//[^/?#]*@", "//…@", url)  # a password is nobody else's business


def _in_ascii(url: str) -> str:
    scheme, netloc, path, query, _ = parts = urlsplit(url)
    if scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with http:// or https:// and a host")
    if "@" in netloc:
        raise ValueError("an address with a user's name in it is not taken")
    host = parts.hostname.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (path, query))
    return urlunsplit((scheme, host if parts.port is None else f"{host}:{parts.port}", path, query, ""))


def read(path: Path, max_bytes: int) -> bytes:
    """A file on the disk.

    Raises:
        OSError: it is not there, larger than ``max_bytes``, or no file that ends: a pipe would be waited for.
    """
    _check_regular(path)
    if (size := path.stat().st_size) > max_bytes:
        raise OSError(f"{path} has {size:,} bytes, and {max_bytes:,} is the maximum")
    return path.read_bytes()


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")


def in_package(package: str, path: str) -> Path:
    """The place of a file of an installed package, found without running any of the package.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return Path(spec.origin).parent / path


@contextmanager
def intact(what: str, remedy: str) -> Iterator[None]:
    """Whatever a damaged file raises inside becomes an OSError that says which, why, and what to do."""
    try:
        yield
    except Exception as error:
        reason = error if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
        raise OSError(f"{what} is damaged ({reason}): {remedy}") from error


def as_json(record: Mapping[str, Any]) -> bytes:
    """A record as the course keeps it."""
    return (json.dumps(record, indent=1) + "\n").encode()


def write(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file beside its place and rename it, so that one of this name is always whole."""
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes | Iterable[bytes]]) -> None:
    """Write files that belong together: none gets its name before all are written, and all get it or none.

    Raises:
        OSError: one cannot be written, or is no regular file; all are what they were.
    """
    paths = [path.resolve() for path in contents]
    for path in paths:
        _check_regular(path)  # a device would be replaced
        _remove_leftovers(path)
    ending = f"{os.getpid()}.{threading.get_ident()}"
    parts = {path: path.with_name(f".{path.name}.{ending}.part") for path in paths}
    olds = {path: path.with_name(f".{path.name}.{ending}-old.part") for path in (paths if len(paths) > 1 else [])}
    try:
        for (path, part), content in zip(parts.items(), contents.values(), strict=True):
            with part.open("wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
            if path.exists():
                shutil.copymode(path, part)
        for path, old in olds.items():
            if path.exists():
                shutil.copy2(path, old)
        try:
            for path, part in parts.items():
                part.replace(path)
        except BaseException:
            for path, old in olds.items():
                if old.exists():
                    old.replace(path)
                else:
                    path.unlink(missing_ok=True)
            raise
    finally:
        for leftover in (*parts.values(), *olds.values()):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """What processes have left beside a file that were killed while they wrote it."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError, OverflowError, ValueError):
            if not psutil.pid_exists(int(part.name.split(".")[-3])):
                part.unlink()


@contextmanager
def alone(folder: Path, work: str) -> Iterator[None]:
    """One process at a time for a folder, which is made where it is missing; who waits says for whom.

    Raises:
        OSError: the folder cannot be written, or another process was not done after 15 minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = filelock.FileLock(folder / ".lock"), folder / ".lock.holder"
    try:
        lock.acquire(timeout=1)
    except filelock.Timeout:
        try:
            other = f"process {int(read(holder, 20))}"
        except (OSError, ValueError):
            other = "another process"
        with suppress(OSError, ValueError):  # standard error may be closed
            print(f"Waiting for {other}: {work}", file=sys.stderr)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except filelock.Timeout:
            raise TimeoutError(f"{other} holds {folder / '.lock'} for {LOCK_SECONDS} s already; end it") from None
    try:
        holder.unlink(missing_ok=True)  # if it were a pipe, one would wait for who reads it
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()
