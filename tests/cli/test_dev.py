import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stepflow import Client, embedded
from tests.support import until_blocking

ROOT = Path(__file__).parents[2]


@pytest.mark.crash
def test_dev_works_the_app_restarts_on_a_change_and_ends_whole(start, folder):
    process = start("dev", "capp:app")
    server = until_blocking(
        lambda: process.poll() is not None or embedded.status(folder / ".stepflow")
    )
    with Client(server.url) as client:
        (first,) = until_blocking(client.workers)
        assert client.submit("countdown", {"n": 2}).result(60) == {"steps": 3}
        source = (folder / "capp.py").read_text()
        (folder / "capp.py").write_text(source.replace("step.number + 1", "'changed'"))
        until_blocking(lambda: [worker for worker in client.workers() if worker.name != first.name])
        assert client.submit("countdown", {"n": 1}).result(60) == {"steps": "changed"}
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "changed: capp.py; restarting the worker" in out
    assert "the dashboard is http://127.0.0.1:" in out
    assert embedded.status(folder / ".stepflow") is None


@pytest.mark.crash
def test_dev_waits_for_a_change_when_the_code_does_not_load(start, folder):
    process = start("dev", "capp:app")
    server = until_blocking(
        lambda: process.poll() is not None or embedded.status(folder / ".stepflow")
    )
    with Client(server.url) as client:
        until_blocking(client.workers)
        source = (folder / "capp.py").read_text()
        (folder / "capp.py").write_text("x = (")
        for line in process.stdout:
            if "starts again when a file changes" in line:
                break
        (folder / "capp.py").write_text(source)
        until_blocking(client.workers)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 0


@pytest.mark.crash
def test_the_dashboard_leaves_with_a_dev_server_that_is_killed(url, tmp_path):
    """Nobody stops it then: it sees that the pipe to it is closed."""
    code = (
        "import time; from stepflow.cli.dev.dashboard import Dashboard\n"
        f"with Dashboard(['--redis-url', {url!r}], lambda line: print(line, flush=True)):\n"
        "    time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert starter.stdout is not None
    line = next(line for line in starter.stdout if "the dashboard is" in line)
    port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
    assert listens(port)
    starter.kill()
    starter.communicate()
    until_blocking(lambda: not listens(port), "the dashboard outlives who started it")


def listens(port):
    """Whether somebody listens at *port*."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
