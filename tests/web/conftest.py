"""The API in this process, and as a program of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stepflow import AsyncClient
from stepflow.web import app as make_api
from stepflow.web import everything
from tests.fork_server import ForkServer

ROOT = Path(__file__).parents[2]

#: give it options of `stepflow web`; it has a client of the server that it started
Serving = Callable[..., httpx.Client]


@pytest.fixture
async def api(aclient: AsyncClient) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Make the API with options of `app`, and have an HTTP client of it."""
    opened: list[httpx.AsyncClient] = []

    def make(**options) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(make_api(aclient, **{"access": everything, **options}))
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60)
        opened.append(http)
        return http

    yield make
    for http in opened:
        await http.aclose()


@pytest.fixture
async def http(api) -> httpx.AsyncClient:
    """An HTTP client that may do everything."""
    return api()


@pytest.fixture
def started(url: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """The programs that a test has started; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def serve(
    url: str, started, forks: ForkServer, tmp_path: Path
) -> Callable[..., subprocess.Popen[str]]:
    """Start `stepflow web` with these options."""

    def start(*options: str) -> subprocess.Popen[str]:
        process: Any = forks.start(
            ["web", "--redis-url", url, "--port", "0", *options], cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        started.append(process)
        return process

    return start


@pytest.fixture
def serving(serve) -> Serving:
    """Start `stepflow web` and have an HTTP client of it once it listens."""

    def start(*options: str) -> httpx.Client:
        process = serve(*options)
        line = process.stdout.readline()
        assert "listens at" in line, process.communicate()
        return httpx.Client(base_url=line.split()[3].rstrip(":"), timeout=30)

    return start
