"""Servers on this machine that go wrong in the ways that servers do."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n"


def silent(connection):
    """Takes the request, and never says a word."""
    time.sleep(60)


def stalling(connection):
    """Begins well, and stalls."""
    connection.sendall(ENDLESS + b"x" * 1000)
    time.sleep(60)


def trickling(connection):
    """A byte every tenth of a second."""
    connection.sendall(ENDLESS)
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def flooding(connection):
    """More than anyone asked for."""
    connection.sendall(ENDLESS)
    while True:
        connection.sendall(b"x" * 65536)


def cutting(connection):
    """Breaks off in the middle."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")


def chunk_cutting(connection):
    """Breaks off in the middle of a chunk."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nonly this")


def babbling(connection):
    """Is no web server at all."""
    connection.sendall(b"220 mail.example.org ESMTP\r\n")


def closing(connection):
    """Hangs up at once."""


def refusing(connection):
    """Has no such page."""
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def leading_astray(connection):
    """Sends one on to a file of this machine."""
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")


def circling(connection):
    """Sends one on to itself, for ever."""
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


BROKEN = [
    *(silent, stalling, trickling, flooding, cutting, chunk_cutting),
    *(babbling, closing, refusing, leading_astray, circling),
]


@contextmanager
def serving(answer):
    """The address of a server that treats each connection so."""
    listener = socket.create_server(("127.0.0.1", 0))

    def treat(connection):
        with connection:
            connection.recv(65536)
            with suppress(OSError):  # the other side has had enough
                answer(connection)

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=treat, args=(connection,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.close()


def dripping(connection):
    """An answer whose head comes byte by byte, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def sending_elsewhere(connection):
    """Sends one on to another kind of server."""
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n")


BROKEN += [dripping, sending_elsewhere]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ELSEWHERE = b"HTTP/1.1 302 Found\r\nLocation: /again\r\n"


def _drip(connection, piece=b"x"):
    while True:
        connection.sendall(piece)
        time.sleep(0.1)


def dripping_chunk_size(connection):
    """The size of the first chunk never ends."""
    connection.sendall(CHUNKED + b"0")
    _drip(connection, b"0")


def flooding_chunk_size(connection):
    """The size of the first chunk is very long."""
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(b"0" * 65536)


def dripping_trailers(connection):
    """All is there but for what may follow it, which never ends."""
    connection.sendall(CHUNKED + b"4\r\nfour\r\n0\r\n")
    _drip(connection, b"X-Still: here\r\n")


def flooding_trailers(connection):
    """As before, and fast."""
    connection.sendall(CHUNKED + b"4\r\nfour\r\n0\r\n")
    while True:
        connection.sendall(b"X-Still: here\r\n" * 5000)


def dripping_redirect(connection):
    """Sends one on, with a text that never ends."""
    connection.sendall(ELSEWHERE + b"\r\n")
    _drip(connection)


def flooding_redirect(connection):
    """As before, and fast."""
    connection.sendall(ELSEWHERE + b"\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def always_about_to(connection):
    """Says that it goes on, and on."""
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


BROKEN += [
    *(dripping_chunk_size, flooding_chunk_size, dripping_trailers, flooding_trailers),
    *(dripping_redirect, flooding_redirect, always_about_to),
]
