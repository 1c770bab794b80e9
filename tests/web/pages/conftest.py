"""The pages of an app in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Start a worker as a program of its own, with these options."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> None:
        (tmp_path / "pages_app.py").write_text("from stepflow import Stepflow\napp = Stepflow()\n")
        command = [sys.executable, "-m", "stepflow", "worker", "pages_app:app", "--redis-url", url]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen([*command, *options], cwd=tmp_path, env=env, text=True))

    yield start
    for process in started:
        process.terminate()
        process.wait()


@pytest.fixture
def look(http: httpx.AsyncClient) -> Callable[..., object]:
    """Get a page that has to be there, as text."""

    async def look(path: str, **query: str) -> str:
        answer = await http.get(f"/ui/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    return look


@pytest.fixture
def press(http: httpx.AsyncClient) -> Callable[..., object]:
    """Send the form of a page; gives the page that it leads to."""

    async def press(path: str, **fields: str) -> httpx.Response:
        answer = await http.post(f"/ui/{path}", data=fields)
        assert answer.status_code == 303, answer.text
        return await http.get(answer.headers["location"])

    return press
