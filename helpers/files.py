"""Bytes from the web, within limits, and onto the disk, whole or not at all. A failure is an OSError that says why."""

import http.client
import os
import shutil
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
    UnknownHandler,
)

import filelock

SILENCE_SECONDS = 30  # without a byte
MINIMUM_RATE = 20_000  # bytes a second, on average; so every download ends
LOCK_SECONDS = 900  # for another process that does the same work


def chunks(url: str, max_bytes: int) -> Iterator[bytes]:
    """What lies at an http(s) address, piece by piece.

    Raises:
        OSError: it cannot be had, is larger than ``max_bytes``, breaks off, or comes too slowly.
    """
    start, count = time.monotonic(), 0
    try:
        with _opened(_in_ascii(url)) as response:
            while chunk := response.read1(1 << 16):
                count, waited = count + len(chunk), time.monotonic() - start
                if count > max_bytes:
                    raise OSError(f"it is larger than {max_bytes:,} bytes")
                if waited > SILENCE_SECONDS and count < MINIMUM_RATE * waited:
                    raise OSError(f"only {count:,} bytes came in {waited:.0f} s")
                yield chunk
            if response.length:  # of what the server had announced
                raise OSError(f"the connection broke off after {count:,} bytes, {response.length:,} before the end")
    except http.client.HTTPException as error:
        raise OSError(f"{url} cannot be fetched: no answer as of a web server ({type(error).__name__})") from None
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
        said = f"nothing came for {SILENCE_SECONDS} s" if isinstance(reason, TimeoutError) else reason
        raise OSError(f"{url} cannot be fetched: {said or type(reason).__name__}") from None


def _opened(url: str) -> http.client.HTTPResponse:
    opener = OpenerDirector()  # urllib's own would follow a redirect to other kinds of addresses
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPRedirectHandler, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    for last in (HTTPErrorProcessor, UnknownHandler):
        opener.add_handler(last())
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(opener.open(url, timeout=SILENCE_SECONDS))
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # each byte of an answer's head may come just in time
    thread.start()
    thread.join(2 * SILENCE_SECONDS)
    if not answers:
        raise OSError(f"no answer was complete in {2 * SILENCE_SECONDS} s")
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def _in_ascii(url: str) -> str:
    scheme, host, path, query, _ = urlsplit(url)
    if scheme not in ("http", "https") or not host:
        raise ValueError("an address begins with http:// or https:// and a host")
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (path, query))
    return urlunsplit((scheme, host.encode("idna").decode(), path, query, ""))


def write(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file beside its place and rename it, so that one of this name is always whole."""
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes | Iterable[bytes]]) -> None:
    """Write files that belong together: none gets its name before all are written."""
    ending = f".{os.getpid()}.{threading.get_ident()}.part"
    parts = {path: path.with_name(f".{path.name}{ending}") for path in map(Path.resolve, contents)}
    try:
        for (path, part), content in zip(parts.items(), contents.values(), strict=True):
            with part.open("wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
            if path.exists():
                shutil.copymode(path, part)
        for path, part in parts.items():
            part.replace(path)
    except BaseException:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise


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
        other = f"process {holder.read_text()}" if holder.is_file() else "another process"
        print(f"Waiting for {other}: {work}", file=sys.stderr)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except filelock.Timeout:
            raise TimeoutError(f"{other} holds {folder / '.lock'} for {LOCK_SECONDS} s already; end it") from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
