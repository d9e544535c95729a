"""One simulated student: logs in, opens a lesson and runs it cell by cell, with the requests that a browser makes."""

import asyncio
import contextlib
import json
import random
import re
import struct
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import nbformat
from yarl import URL

FOLDER = "convnet-course"
SAVE_EVERY = 8  # cells; JupyterLab does so every two minutes
PATIENCE = 180.0  # seconds that a student tries again where the hub does not answer, or waits for a server
CELL_SECONDS = 300.0
POLL_SECONDS = 10.0  # as often as JupyterLab asks what runs


@dataclass
class Record:
    """What one student met."""

    name: str
    login: float | None = None  # seconds until the hub's page
    start: float | None = None  # seconds from there to an open lesson with a kernel
    cells: list[float] = field(default_factory=list)  # seconds, in the order of the lesson
    errors: list[str] = field(default_factory=list)  # what failed for good
    retries: int = 0  # requests that were sent again, sockets that were opened again
    lost: list[str] = field(default_factory=list)  # work that is not there any more
    done: bool = False


class Student:
    """A student with a browser of their own.

    Args:
        address: of the hub, such as ``http://127.0.0.1:8000``.
        name, password: what they log in with.
        lesson: the name of a notebook.
        think: mean seconds between two cells.
        seed: of the thinking times.
        stop_after: cells to run; None for all.
    """

    def __init__(
        self,
        address: str,
        name: str,
        password: str,
        lesson: str,
        think: float,
        seed: int,
        stop_after: int | None = None,
    ) -> None:
        self.address, self.password, self.lesson, self.think = address, password, lesson, think
        self.record = Record(name)
        self.random = random.Random(f"{seed} {name}")
        self.path = f"{FOLDER}/{lesson}"
        self.server = f"{address}/user/{name}"
        self.stop_after = stop_after
        self.note, self.kept = "", ""  # what was last saved, and what the kernel is to remember
        self.session = uuid.uuid4().hex

    async def attend(self, leave: bool = False) -> None:
        """From the login to the last cell, and to a server that is stopped; what goes wrong is in the record."""
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address in numbers
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as self.web:
            try:
                await self._log_in()
                await self._open()
                async with self._asking_what_runs():
                    await self._run()
                await self._check()
                if leave:
                    await self._ask("DELETE", f"{self.address}/hub/api/users/{self.record.name}/server")
                self.record.done = True
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
                self.record.errors.append(f"{type(error).__name__}: {error}"[:300])

    # --- Requests -----------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, url: str, **options: Any) -> str:
        """The text of an answer; asks again while the hub is away, as a person would."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                headers = {"X-XSRFToken": self._token(url)} if method != "GET" else {}
                async with self.web.request(method, url, headers=headers, **options) as response:
                    text = await response.text()
                    if response.status < 400:
                        self.last = str(response.url)
                        return text
                    if response.status < 500 and response.status != 429:
                        raise ValueError(f"{method} {url}: {response.status} {text[:150]!r}")
                    said = str(response.status)
            except (aiohttp.ClientConnectionError, TimeoutError) as error:
                said = type(error).__name__
            if time.monotonic() > end:
                raise ValueError(f"{method} {url}: still {said} after {PATIENCE:.0f} s")
            self.record.retries += 1
            await asyncio.sleep(1 + self.random.random())

    def _token(self, url: str) -> str:
        cookies = self.web.cookie_jar.filter_cookies(URL(url))
        return cookies["_xsrf"].value if "_xsrf" in cookies else ""

    async def _log_in(self) -> None:
        start = time.perf_counter()
        login = f"{self.address}/hub/login"
        await self._ask("GET", login)
        form = {"username": self.record.name, "password": self.password, "_xsrf": self._token(login)}
        await self._ask("POST", login, data=form)  # leads on to the page that shows how the server starts
        if "/hub/login" in self.last:
            raise ValueError("the hub does not let this student in")
        self.record.login = time.perf_counter() - start

    async def _open(self) -> None:
        """Wait for the server, load JupyterLab's page, open the lesson and its kernel."""
        start = time.perf_counter()
        known = f"{self.address}/hub/api/users/{self.record.name}"
        while not json.loads(await self._ask("GET", known))["servers"].get("", {}).get("ready"):
            if time.perf_counter() - start > PATIENCE:
                raise ValueError(f"the server was not ready after {PATIENCE:.0f} s")
            await asyncio.sleep(1)
        page = await self._ask("GET", f"{self.server}/lab/tree/{self.path}")
        for script in re.findall(r'<script[^>]* src="([^"]+)"', page):
            await self._ask("GET", f"{self.address}{script}")
        for part in ("lab/api/settings", "api/kernelspecs", "api/contents", "api/me"):
            await self._ask("GET", f"{self.server}/{part}")
        self.notebook = json.loads(await self._ask("GET", f"{self.server}/api/contents/{self.path}"))["content"]
        wanted = {"path": self.path, "name": self.lesson, "type": "notebook", "kernel": {"name": "python3"}}
        session = json.loads(await self._ask("POST", f"{self.server}/api/sessions", json=wanted))
        self.kernel = session["kernel"]["id"]
        await self._connect()
        await self._execute("pass")  # answers when the kernel is up
        self.record.start = time.perf_counter() - start

    @contextlib.asynccontextmanager
    async def _asking_what_runs(self) -> AsyncIterator[None]:
        async def ask() -> None:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                    await self._ask("GET", f"{self.server}/api/sessions")

        task = asyncio.create_task(ask())
        try:
            yield
        finally:
            task.cancel()

    async def _save(self) -> None:
        """The notebook as it is, with a note by which it will be known again."""
        note = f"{self.record.name} has run {len(self.record.cells)} cells ({self.random.random():.12f})"
        cell = {"cell_type": "markdown", "id": "note", "metadata": {}, "source": note}
        content = self.notebook | {"cells": [*self.notebook["cells"], cell]}
        await self._ask("PUT", f"{self.server}/api/contents/{self.path}", json={"type": "notebook", "content": content})
        self.note = note

    # --- The kernel ---------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        url = f"{self.server}/api/kernels/{self.kernel}/channels?session_id={self.session}"
        headers = {"Origin": self.address}
        self.socket = await self.web.ws_connect(url, headers=headers, max_msg_size=0, heartbeat=60)

    async def _execute(self, code: str) -> list[dict[str, Any]]:
        """The outputs of a cell, in the form in which a notebook keeps them.

        Raises:
            ValueError: the connection broke while the cell ran.
        """
        if self.socket.closed:
            self.record.retries += 1
            await self._connect()
        name = uuid.uuid4().hex
        header = {"msg_id": name, "msg_type": "execute_request", "username": self.record.name, "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        message = {"header": header | {"session": self.session, "date": ""}, "content": content}
        await self.socket.send_json(message | {"parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []})
        outputs: list[dict[str, Any]] = []
        replied = idle = False
        async with asyncio.timeout(CELL_SECONDS):
            while not (replied and idle):
                received = await self.socket.receive()
                if received.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    raise ValueError(f"the connection to the kernel broke while a cell ran ({received.type.name})")
                told = unpacked(received.data)
                if told["parent_header"].get("msg_id") != name:
                    continue
                replied = replied or told["msg_type"] == "execute_reply"
                idle = idle or (told["msg_type"] == "status" and told["content"]["execution_state"] == "idle")
                if told["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                    outputs.append(nbformat.v4.output_from_msg(told))
        return outputs

    async def _run(self) -> None:
        self.kept = f"{self.random.random():.12f}"
        await self._execute(f"kept_by_the_student = {self.kept!r}")
        cells = [cell for cell in self.notebook["cells"] if cell["cell_type"] == "code"]
        for cell in cells[: self.stop_after]:
            if self.think:
                await asyncio.sleep(min(self.random.expovariate(1 / self.think), 4 * self.think))
            start = time.perf_counter()
            cell["outputs"] = await self._execute(cell["source"])
            self.record.cells.append(time.perf_counter() - start)
            self.record.errors += [
                f"cell {len(self.record.cells)}: {output['ename']}: {output['evalue']}"[:300]
                for output in cell["outputs"]
                if output["output_type"] == "error"
            ]
            if len(self.record.cells) % SAVE_EVERY == 0:
                await self._save()
        await self._save()

    async def _check(self) -> None:
        """At the end: what was saved is there, the kernel has kept its variables, and the hub knows the server."""
        saved = json.loads(await self._ask("GET", f"{self.server}/api/contents/{self.path}"))["content"]
        if saved["cells"][-1]["source"] != self.note:
            self.record.lost.append(f"the notebook ends in {saved['cells'][-1]['source']!r}, not in {self.note!r}")
        told = await self._execute("print(kept_by_the_student)")
        if not told or told[0].get("text") != f"{self.kept}\n":
            self.record.lost.append("the kernel has forgotten its variables")
        await self.socket.close()
        user = json.loads(await self._ask("GET", f"{self.address}/hub/api/users/{self.record.name}"))
        if not user["servers"].get("", {}).get("ready"):
            self.record.lost.append("the hub does not know the server any more")


def unpacked(data: str | bytes) -> dict[str, Any]:
    """A message of a kernel; one with buffers comes as bytes, the first part of which is the message itself."""
    if isinstance(data, bytes):
        count = struct.unpack_from("!i", data)[0]
        begin, *rest = struct.unpack_from(f"!{count}i", data, 4)
        data = data[begin : rest[0] if rest else None].decode()
    return json.loads(data)
