"""
The dashboard in a real Chromium: Debian's, driven by playwright.

Where there is none the tests are skipped and say so; with CI set they fail. STEPFLOW_SHOTS names a
folder for the pictures that tests take.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

ROOT = Path(__file__).parents[2]
#: milliseconds a page may take to show something; reached only when a test fails
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
CHROMIUM = Path(os.environ.get("STEPFLOW_CHROMIUM", "/usr/bin/chromium"))
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """
    The browser; each tab has a context of its own.

    Playwright runs an event loop in this thread for as long as it lives: it must not outlive these
    modules, for others have loops of their own.
    """
    if not CHROMIUM.exists():
        sentence = f"there is no {CHROMIUM}; apt-get install chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_QUIET))
        yield browser
        browser.close()


@contextmanager
def _serving(folder: Path) -> Iterator[Callable[..., str]]:
    """Start `stepflow web` in a folder as often as is wanted; they all end with the context."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str, *options: str) -> str:
        command = [sys.executable, "-m", "stepflow", "web", "--redis-url", url, "--port", "0"]
        process = subprocess.Popen(
            [*command, *options], cwd=folder, text=True, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        return next(word for word in line.split() if word.startswith("http")).rstrip(":")

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture
def serve_pages(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start `stepflow web` for a Redis, with these options; gives its address."""
    with _serving(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def _shared(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One dashboard for all tests: it keeps nothing of its own, so none sees another's runs."""
    with _serving(tmp_path_factory.mktemp("web")) as start:
        yield start(server)


@pytest.fixture
def site(url: str, _shared: str) -> str:
    """The address of the dashboard of the test's server, whose database is empty."""
    del url
    return _shared


class Tab:
    """One tab, and what must not happen in it: faults, and requests to anywhere else."""

    def __init__(self, page: Page, site: str) -> None:
        self.page, self.site = page, site
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("request", self._see)

    def _hear(self, kind: str, text: str) -> None:
        # that a request failed is told to the viewer, and is no fault
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.faults.append(text)

    def _see(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.site).netloc:
            self.faults.append(f"{request.url} is elsewhere")

    def open(self, place: str = "") -> Page:
        """Go to a page of the dashboard."""
        self.page.goto(f"{self.site}/ui/{place}")
        return self.page

    def shot(self, name: str) -> None:
        """Keep a picture, where somebody wants them."""
        folder = os.environ.get("STEPFLOW_SHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture
def open_tab(chromium: Browser, site: str) -> Iterator[Callable[..., Tab]]:
    """Open a tab with options of a browser context; at the end none may have had a fault."""
    tabs: list[Tab] = []

    def open_(**options: object) -> Tab:
        address = str(options.pop("site", site))
        options = {"viewport": {"width": 1280, "height": 820}, "reduced_motion": "reduce"} | options
        context = chromium.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        tabs.append(Tab(context.new_page(), address))
        return tabs[-1]

    yield open_
    for tab in tabs:
        tab.page.context.close()
    assert [fault for tab in tabs for fault in tab.faults] == []


@pytest.fixture
def tab(open_tab: Callable[..., Tab]) -> Tab:
    """A tab on a wide screen."""
    return open_tab()
