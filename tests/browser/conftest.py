"""Chromium for the tests here. Without one they are skipped; with BROWSER_TESTS=required that is a failure instead."""

import functools
import os

import pytest
from playwright.sync_api import expect, sync_playwright

from benchmarks import latency

PATIENCE = 30_000  # ms: a busy machine may need more than the five seconds that are the default
expect.set_options(timeout=PATIENCE)


class Watched:
    """A page that is watched: what it asks for, and what goes wrong in it. Only some addresses can be reached."""

    def __init__(self, browser, *allowed, **options):
        self.allowed, self.requests, self.faults = allowed, [], []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.context.route("**", self.let_pass_or_abort)
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.faults.append(f"{error}\n{error.stack}"))
        self.page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))

    def let_pass_or_abort(self, route):
        self.requests.append(route.request.url)
        route.continue_() if route.request.url.startswith(self.allowed) else route.abort()

    def check(self):
        """Nothing went wrong, and nothing was asked for that is not on this machine."""
        assert not self.faults
        assert all(url.startswith(self.allowed) for url in self.requests), self.requests


# For each file of tests, not for the session: while Playwright is there, asyncio has a running loop, which those tests
# that run later in the same process would stumble over.
@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        executable = latency.find_chromium(playwright)
        if not executable:
            say = "There is no Chromium to test the explorers in: .venv/bin/playwright install chromium gets one."
            (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(say)
        chromium = latency.launch(playwright, executable)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def watch(browser):
    """Opens a watched page."""
    return functools.partial(Watched, browser)


@pytest.fixture
def page_of(watch, tmp_path):
    """Opens a static page of explorers, given by name; at the end nothing may have gone wrong in it."""
    opened = []

    def open_page(*names, dark=False, width=1300, touch=False, motion=False):
        file = tmp_path / f"{len(opened)}.html"
        file.write_text(latency.standalone([latency.make(name) for name in names], dark))
        viewport, reduced = {"width": width, "height": 1000}, "no-preference" if motion else "reduce"
        options = {"viewport": viewport, "has_touch": touch, "reduced_motion": reduced}
        opened.append(watch(file.as_uri(), **options))
        opened[-1].page.goto(file.as_uri())
        return opened[-1].page

    yield open_page
    for watched in opened:
        watched.context.close()
        watched.check()
