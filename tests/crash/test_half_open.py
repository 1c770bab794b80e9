"""
[B21] [B20] Every connection goes dead without a word, or the server is demoted: the promises hold
soon after.
"""

import itertools
import signal
import time

import pytest

from stepflow import Client, RunSpec
from stepflow.settings import RedisSettings, Settings
from tests.crash.support.app import path
from tests.crash.support.proxy import CUT, LOSE, PASS, Proxy
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


@pytest.fixture
def behind(make_cluster):
    """
    A cluster whose worker and client reach the server through a proxy; the lease is what it is by
    default.
    """
    cluster = make_cluster()
    with Proxy(cluster.server.socket, cluster.folder / "proxy.sock") as proxy:
        cluster.environment |= {"STEPFLOW_REDIS_URL": proxy.url, "STEPFLOW_WORKER_LEASE_S": "15"}
        client = Client(proxy.url, settings=Settings(redis=RedisSettings(retry_for_s=10.0)))
        yield cluster, proxy, client
        client.close()
        for process in cluster.processes:
            process.kill_group()


def test_all_connections_go_silent_and_no_step_runs_twice(behind):
    """
    [B21] Was: claims lost with RQ's heartbeat, a step run four times, cancels late for good, a
    client that hangs.
    """
    cluster, proxy, client = behind
    worker = cluster.worker()
    client.submit_many(
        [RunSpec("chain", path(3, pause=4.0), run_id=f"held-{number}") for number in range(5)]
    )
    cluster.reached("held-4", "running")
    for turn in range(2):
        proxy.go_silent()
        assert client.status("held-0") is not None, "a client's call is answered"
        client.submit("listener", path(1), run_id=f"stopped-{turn}")
        cluster.reached(f"stopped-{turn}", "running")
        until(
            lambda: "listening connection" in worker.said or "dead" in worker.said,
            what="the worker to notice",
        )
    cluster.all_ended([f"held-{number}" for number in range(5)])
    for number in range(5):
        found = cluster.status(f"held-{number}")
        assert found.state == "succeeded"
    assert "no longer holds it" not in worker.said
    assert "taken from" not in worker.said
    assert any(hears_a_cancel(cluster, proxy, client, turn) for turn in range(5))
    assert "Traceback" not in worker.said


def hears_a_cancel(cluster, proxy, client, turn):
    """Cancel a run; say whether its worker ended it before it renewed its claims."""
    renewals = itertools.count()

    def rule(name):
        if name == "renew_claims":
            next(renewals)
        return PASS

    run_id = f"quick-{turn}"
    client.submit("listener", path(1), run_id=run_id)
    cluster.reached(run_id, "running")
    proxy.rule = rule
    assert client.cancel(run_id)
    cluster.reached(run_id, "cancelled")
    return next(renewals) == 0


def test_a_worker_waits_for_a_replica_and_lives_through_a_demotion(behind):
    """[B20] Was: exit 7 at the start, a line a second for ever later."""
    cluster, _, client = behind
    cluster.server.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    worker = cluster.worker(ready=False)
    worker.has_said("waiting for it")
    cluster.server.client.execute_command("REPLICAOF", "NO", "ONE")
    worker.has_said("listens to")
    for turn in range(2):
        runs = client.submit_many(
            [RunSpec("chain", path(4, pause=0.3), run_id=f"{turn}-{n}") for n in range(10)]
        )
        cluster.server.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        until(lambda: "READONLY" in worker.said, what="the worker to be refused")
        cluster.server.client.execute_command("REPLICAOF", "NO", "ONE")
        cluster.all_ended([run.id for run in runs])
    assert worker.is_alive
    assert "Traceback" not in worker.said
    assert worker.said.count("READONLY") < 20


def test_a_worker_whose_server_loads_for_long_waits_longer_than_its_budget(behind):
    """[B20]"""
    cluster, _, client = behind
    client.submit("chain", path(1), run_id="early")
    # a key that takes long to load: the server's own way to be slow at it
    filler = cluster.server.client
    filler.eval(
        "for n = 1, 9999 do redis.call('SET', 'filler' .. n, string.rep('x', 100), 'EX', 600) end",
        0,
    )
    filler.execute_command("BGREWRITEAOF")
    until(
        lambda: filler.info("persistence")["aof_rewrite_in_progress"] == 0,
        what="the file to be written",
    )
    cluster.server.kill()
    cluster.server.start_loading(delay_us=20_000)  # minutes
    worker = cluster.worker(ready=False, STEPFLOW_REDIS_RETRY_FOR_S=1)
    worker.has_said("still loading its data")
    time.sleep(2)  # longer than it tries what does not answer
    cluster.server.client.config_set("key-load-delay", 0)
    worker.has_said("listens to")
    cluster.all_ended(["early"])
    assert "Traceback" not in worker.said


@pytest.mark.parametrize("what", [CUT, LOSE])
def test_a_connection_cut_anywhere_in_a_workers_start_is_made_anew(make_cluster, what):
    """
    [B21] Was: a traceback of redis-py out of RQ's registration, and a worker that had to be started
    again.
    """
    cluster = make_cluster()
    with Proxy(cluster.server.socket, cluster.folder / "proxy.sock") as proxy:
        for begins in range(0, 36, 3):
            ordinals = itertools.count()
            cut = set(range(begins, begins + 3))
            proxy.rule = lambda name, ordinals=ordinals, cut=cut: (
                what if next(ordinals) in cut else PASS
            )
            worker = cluster.worker("--name", f"from-{begins}", STEPFLOW_REDIS_URL=proxy.url)
            worker.has_said("listens to")
            assert next(ordinals) > begins, "so many requests there are, so this start was cut"
            worker.send(signal.SIGTERM)
            assert worker.wait() == 0
            assert "Traceback" not in worker.said
        assert proxy.count(what) > 24
