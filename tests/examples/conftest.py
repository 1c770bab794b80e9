"""
Every example runs as its reader would run it: a process of its own, on an embedded server of its
own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from stepflow import embedded
from tests.examples.reader import Reader

ROOT = Path(__file__).parents[2]

#: starts a command in the background and ends it: `with background("stepflow", "worker", ...) as
#: process:`
Background = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def home() -> Iterator[Path]:
    """The folder of an embedded server, gone with the test; a short path, for it holds a socket."""
    with tempfile.TemporaryDirectory(prefix="sf") as folder:
        yield Path(folder)
        embedded.stop(Path(folder))


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """
    The environment of a reader: no setting but the server's folder, this Python's programs first on
    the path.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPFLOW_", "REDIS_"))
    }
    return {
        **kept,
        "STEPFLOW_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def run_example(environment: dict[str, str]) -> Callable[..., str]:
    """Run an example to its end and give what it printed; it must end well."""

    def run(name: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, f"examples/{name}"],
            cwd=ROOT,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=180,  # on a busy machine the library of an agent takes long to import
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def background(environment: dict[str, str]) -> Background:
    @contextmanager
    def start(*command: str, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=cwd,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            _, said = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM), said

    return start


@pytest.fixture
def reader(home: Path, environment: dict[str, str]) -> Iterator[Reader]:
    """Someone who does what a page says, in a folder of their own."""
    one = Reader(home, environment)
    yield one
    one.stop()
