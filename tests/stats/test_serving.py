"""Where figures are served: `stepflow stats`, `GET /stats`, `GET /metrics`, a port of a worker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from stepflow import AsyncClient, Client, Stepflow
from stepflow.cli.main import cli
from stepflow.web import app as make_api
from stepflow.web import everything
from tests.conftest import Working
from tests.fork_server import ForkServer
from tests.support import until_blocking

ROOT = Path(__file__).parents[2]
APP = """
from stepflow import PermanentError, Stepflow, Succeed

app = Stepflow()

@app.runner("x")
async def x(step):
    if step.payload == "fail":
        raise PermanentError("no")
    return Succeed()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(url: str, forks: ForkServer, tmp_path: Path) -> Iterator[Start]:
    """Start the program on the test's server, in the folder of an app; it ends with the test."""
    (tmp_path / "served.py").write_text(APP)
    started: list[subprocess.Popen[str]] = []

    def popen(*args: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "STEPFLOW_REDIS_URL": url}
        process: Any = forks.start(args, cwd=tmp_path, env=env)
        started.append(process)
        return process

    yield popen
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def metrics_url(process: subprocess.Popen[str]) -> str:
    """Read where a worker says that its metrics are."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"metrics are at (\S+)", line):
            return found[1]
    raise AssertionError(f"it ended with {process.wait()} and said nothing of metrics")


@pytest.mark.parametrize("processes", ["1", pytest.param("2", marks=pytest.mark.crash)])
def test_a_worker_serves_metrics_at_its_port(start: Start, client: Client, processes: str) -> None:
    """[E20] Of several processes it is the supervisor that does."""
    worker = start(
        "worker", "served:app", "--metrics-port", "0", "--concurrency", "3", "-p", processes
    )
    where = metrics_url(worker)
    client.submit("x").wait(60)

    def scrape() -> str:
        return httpx.get(where).text

    until_blocking(lambda: 'stepflow_runs_ended_total{runner="x",state="succeeded"} 1' in scrape())
    until_blocking(lambda: f"stepflow_workers {float(processes)}" in scrape())
    assert f'stepflow_slots{{state="free"}} {3.0 * int(processes)}' in scrape()


def test_a_port_that_is_taken_is_a_sentence(start: Start, url: str) -> None:
    taken = metrics_url(start("worker", "served:app", "--metrics-port", "0")).split(":")[-1]
    second = start("worker", "served:app", "--metrics-port", taken.split("/")[0])
    _, told = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "cannot serve metrics at 127.0.0.1 port" in told
    assert "Traceback" not in told


async def test_the_program_and_the_api_tell_what_the_client_does(
    counted_app: Stepflow, aclient: AsyncClient, url: str, working: Working
) -> None:
    """[O16]"""
    async with working(counted_app):
        for payload in ("two steps", "fail"):
            await (await aclient.submit("chain", payload)).wait(60)
    transport = httpx.ASGITransport(make_api(aclient, access=everything))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/stats", params={"minutes": 5, "hours": 2})
        refused = await http.get("/stats", params={"minutes": 361})
    assert refused.status_code == 400
    found = answer.json()
    assert [len(found["minutes"]), len(found["hours"])] == [5, 2]
    [chain] = found["runners"]
    assert (chain["submitted"], chain["ended"]) == (2, {"failed": 1, "succeeded": 1})
    [group] = found["failing"]
    assert (group["error"], group["recent"]) == ("PermanentError", 1)

    arguments = ["--redis-url", url, "stats", "--hours", "2"]
    printed = CliRunner().invoke(cli, [*arguments, "--minutes", "5", "--json"])
    assert json.loads(printed.output)["runners"] == found["runners"]
    shown = CliRunner().invoke(cli, arguments).output
    assert re.search(r"^chain +2 +1 +1 +0 +3 ", shown, re.MULTILINE)
    assert re.search(r"^chain +PermanentError +1 +1 ", shown, re.MULTILINE)


def test_without_counts_the_program_says_so(url: str) -> None:
    printed = CliRunner().invoke(cli, ["--redis-url", url, "stats"])
    assert printed.exit_code == 0
    assert "nothing was counted" in printed.output


@pytest.mark.crash
def test_a_worker_without_a_port_loads_no_metrics() -> None:
    """[E20] And no client does."""
    code = "import sys, stepflow.entry, stepflow.client, stepflow.worker.worker, stepflow.web\n"
    code += (
        "print([name for name in sys.modules if name.startswith(('prometheus', 'stepflow.met'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


async def test_where_the_extra_is_missing_the_api_says_so(
    aclient: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("stepflow.metrics")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    transport = httpx.ASGITransport(make_api(aclient, access=everything))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 503
    assert "stepflow-rq[metrics]" in answer.json()["detail"]
