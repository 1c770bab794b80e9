"""The chat of examples/agents, in a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from stepflow import Client
from stepflow.agents.chat import read_turns
from tests.ports import free_port
from tests.support import until_blocking

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chat(url: str) -> Iterator[str]:
    """Run the example on the server of the test; gives its address."""
    port = free_port()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(port), "STEPFLOW_REDIS_URL": url}
    program = subprocess.Popen([sys.executable, "examples/agents/13_chat.py"], cwd=ROOT, env=env)
    until_blocking(lambda: is_listening(port))
    yield f"http://127.0.0.1:{port}"
    program.send_signal(signal.SIGINT)
    program.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as wire:
        return wire.connect_ex(("127.0.0.1", port)) == 0


def at_work(client: Client) -> int | None:
    """Find the process of the worker that is answering."""
    return next((worker.pid for worker in client.workers() if worker.running), None)


def test_the_page_shows_the_committed_answer_though_the_worker_dies_in_the_middle(
    chat, url, open_tab
):
    """[A13] [A16] Also a page that is opened later. The model says something else each time."""
    page = open_tab(site=chat).page
    page.goto(f"{chat}/kites")
    page.locator("input").fill("What makes tides?")
    page.locator("input").press("Enter")
    answer = page.locator("p").nth(1)
    expect(answer).to_contain_text(" ")
    with Client(url) as client:
        dying = at_work(client)
        assert dying is not None
        begun = answer.text_content()
        os.kill(dying, signal.SIGKILL)
        until_blocking(lambda: "turn:0" in client.vars("kites"))
        [_, said] = read_turns(client.vars("kites"))
    [part] = said.parts
    assert len(part.content.split()) == 30
    assert not part.content.startswith(begun)
    expect(answer).to_have_text(part.content)
    assert answer.text_content() == part.content
    late = open_tab(site=chat).page
    late.goto(f"{chat}/kites")
    expect(late.locator("p")).to_have_text([part.content])
