"""The command line in this process, as a program, and with a real worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stepflow import Client
from stepflow.cli.main import cli
from tests.fork_server import ForkServer
from tests.support import until_blocking

ROOT = Path(__file__).parents[2]

APP = """
from stepflow import Continue, Fail, PermanentError, Stepflow, Succeed

app = Stepflow()

@app.runner("countdown")
def countdown(step):
    n = step.payload["n"]
    return Continue({"n": n - 1}) if n else Succeed({"steps": step.number + 1})

@app.runner("fails")
async def fails(step):
    raise PermanentError("no luck")

@app.runner("waits")
async def waits(step):
    await step.cancel.wait()
    return Succeed(None)
"""

Run = Callable[..., Result]
Program = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(url: str) -> Run:
    """Run a verb in this process, on the test's server."""

    def invoke(*args: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli, ["--redis-url", url, *args], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app: `capp:app`."""
    (tmp_path / "capp.py").write_text(APP)
    return tmp_path


@pytest.fixture
def bare_env() -> dict[str, str]:
    """An environment without a URL or any other setting."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPFLOW_", "REDIS_URL"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def start(forks: ForkServer, folder: Path, bare_env: dict[str, str]) -> Iterator[Start]:
    """
    Start the program in the app's folder; what still runs at the end is killed, and its children
    leave with it.
    """
    started: list[subprocess.Popen[str]] = []

    def popen(*args: str, **env: str) -> subprocess.Popen[str]:
        process: Any
        if not any(name.startswith("PYTHON") for name in env):
            process = forks.start(args, cwd=folder, env=bare_env | env)
            started.append(process)
            return process
        process = subprocess.Popen(
            [sys.executable, "-m", "stepflow", *args], cwd=folder, env=bare_env | env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip
        started.append(process)
        return process

    yield popen
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def program(start: Start, url: str) -> Program:
    """Run the program to its end, on the test's server."""

    def complete(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = start(*args, **({"STEPFLOW_REDIS_URL": url} | env))
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    return complete


@pytest.fixture
def at_work(start: Start, url: str, client: Client) -> Iterator[subprocess.Popen[str]]:
    """A worker process for the app."""
    process = start("worker", "capp:app", "--lease", "2", STEPFLOW_REDIS_URL=url)
    until_blocking(lambda: process.poll() is not None or client.workers())
    yield process
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
