"""`stepflow health`: exit codes for what starts and restarts processes [O30]."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stepflow.cli.main import cli
from tests.web.conftest import serve, serving, started

__all__ = ["serve", "serving", "started"]

#: a Redis that is not there
AWAY = "unix:///nowhere/redis.sock"


def health(url: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--redis-url", url, "health", *words])


@pytest.fixture
def here(scene: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The scene, on the host of its workers, with a client that soon gives up."""
    monkeypatch.setattr(socket, "gethostname", lambda: "host-a")
    monkeypatch.setattr("stepflow.cli.look.health.ANSWER_S", 0.1)
    yield scene
    for key in scene.real.scan_iter("stepflow:workers:*"):
        scene.real.delete(key)


def test_while_redis_refuses_writes_nobody_is_restarted_for_it(here):
    """No worker can say that it lives then; it has its outcomes in memory."""
    here.register("w1", seen_ago=60)
    here.real.config_set("maxmemory", "1mb")
    try:
        answer = health(here.url, "worker", "--live")
        assert (answer.exit_code, answer.stderr) == (0, "")
        answer = health(here.url, "worker")
        assert (answer.exit_code, "Redis refuses writes: its memory" in answer.stderr) == (7, True)
        answer = CliRunner().invoke(cli, ["--redis-url", here.url, "workers"])
        assert ("lost" in answer.stdout, "no worker can say that" in answer.stderr) == (True, True)
    finally:
        here.real.config_set("maxmemory", "0")
    assert health(here.url, "worker", "--live").exit_code == 1


@pytest.mark.parametrize("probe", [[], ["--live"]])
def test_a_host_with_live_workers_is_healthy(here, probe):
    here.register("w1")
    here.register("w2", seen_ago=60.0)  # one that was killed, and its successor
    result = health(here.url, "worker", *probe)
    assert (result.exit_code, result.output) == (0, "1 worker on host host-a at work\n")


@pytest.mark.parametrize("probe", [[], ["--live"]])
def test_a_host_whose_workers_are_gone_is_not_healthy(here, probe, monkeypatch):
    """Workers on other hosts are others' business."""
    here.register("w1", seen_ago=60.0)
    assert health(here.url, "worker", *probe).exit_code == 1
    here.register("w1")
    monkeypatch.setattr(socket, "gethostname", lambda: "host-b")
    result = health(here.url, "worker", *probe)
    assert (result.exit_code, "no live worker is on host host-b" in result.output) == (1, True)


def test_only_workers_of_a_queue_are_looked_at(here):
    here.register("w1", queues=["gpu", "mail"])
    assert health(here.url, "worker", "--queue", "gpu").exit_code == 0
    assert health(here.url, "worker", "--queue", "default").exit_code == 1


@pytest.mark.parametrize("condition", ["blocked", "leaving", "unhealthy: pool: gone"])
def test_a_worker_that_takes_nothing_lives_and_is_not_ready(here, condition):
    """A restart would make its steps run again."""
    here.register("w1")
    row = {"condition": condition, "last_heartbeat": datetime.now(UTC).isoformat()}
    here.real.hset("rq:worker:w1", mapping=row)
    ready = health(here.url, "worker")
    assert (ready.exit_code, f"worker w1 is {condition}" in ready.output) == (1, True)
    assert health(here.url, "worker", "--live").exit_code == 0


def test_a_redis_that_is_away_is_no_reason_to_restart_workers(here, monkeypatch):
    """Whoever probes has a time limit of its own: the settings' patience does not count."""
    monkeypatch.setenv("STEPFLOW_REDIS_RETRY_FOR_S", "3600")
    assert health(AWAY, "worker").exit_code == 7
    alive = health(AWAY, "worker", "--live")
    assert (alive.exit_code, alive.output.startswith("not known: ")) == (0, True)


async def test_a_probe_looks_at_no_run(here):
    """However many there are: it asks for the workers, and nothing else."""
    here.register("w1")
    before = here.real.info("commandstats")
    result = await asyncio.to_thread(health, here.url, "worker")
    after = here.real.info("commandstats")
    assert result.exit_code == 0
    called = {name for name in after if after[name] != before.get(name)} - {"cmdstat_info"}
    assert called <= {
        "cmdstat_smembers", "cmdstat_hgetall", "cmdstat_zscore", "cmdstat_time", "cmdstat_get",
        "cmdstat_client|setname", "cmdstat_select", "cmdstat_ping", "cmdstat_auth",
        "cmdstat_script|load",
    }  # fmt: skip


def test_a_web_server_is_asked_whether_it_and_its_redis_answer(url, serving):
    with serving() as http:
        answer = health(url, "web", str(http.base_url), "--json")
        assert (answer.exit_code, "answers" in json.loads(answer.output)["health"]) == (0, True)
        assert health(url, "web", str(http.base_url), "--live").exit_code == 0
    nobody = health(url, "web", "http://127.0.0.1:1")
    assert (nobody.exit_code, "does not answer" in nobody.output) == (1, True)


@pytest.mark.crash  # a process, seconds
def test_a_web_server_without_its_redis_lives_and_is_not_ready(serving, monkeypatch):
    monkeypatch.setattr("stepflow.cli.look.health.ANSWER_S", 10.0)
    with serving("--redis-url", AWAY) as http:
        assert health(AWAY, "web", str(http.base_url)).exit_code == 7
        assert health(AWAY, "web", str(http.base_url), "--live").exit_code == 0
