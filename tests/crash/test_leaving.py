"""
Workers that are told to leave, and Redis that is not there: nothing lost, said in words, with an
exit code.
"""

import os
import signal
import sys
import time

import pytest

from stepflow import RunSpec
from stepflow.client import Client
from stepflow.errors import RedisUnreachable
from stepflow.settings import RedisSettings, Settings
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


def busy(cluster, count):
    """Submit so many runs and wait until each is in its first step, which the gate keeps open."""
    runs = cluster.submit(
        RunSpec("chain", path(3, gate=cluster.gate.file), run_id=f"j-{n}") for n in range(count)
    )
    until(lambda: len(cluster.witness.read_text().splitlines()) == count, what="all to be at work")
    return runs


def attempts(cluster):
    """Give the attempt numbers that user code has seen."""
    return {line.split()[2] for line in cluster.witness.read_text().splitlines()}


def test_a_worker_told_to_leave_commits_what_it_runs_and_gives_up_the_rest(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=60, STEPFLOW_WORKER_LEASE_S=60)
    leaving = cluster.worker("--name", "leaving")
    runs = busy(cluster, 10)
    leaving.send(signal.SIGTERM)
    leaving.has_said("leaves")
    cluster.gate.open()
    assert leaving.wait() == 0
    redis = cluster.server.client
    assert redis.zcard("stepflow:claims") == 0, "it gave up its claims, none has to run out"
    assert [cluster.status(run_id).step for run_id in runs] == [1] * 10, "what it ran was committed"
    cluster.worker("--name", "heir")
    cluster.all_ended(runs)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert found.attempts_lost == 0
    assert attempts(cluster) == {"1"}


def test_what_outlasts_the_grace_is_handed_back_and_counts_nothing(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=0.3, STEPFLOW_WORKER_LEASE_S=60)
    leaving = cluster.worker("--name", "leaving")
    runs = busy(cluster, 10)
    leaving.send(signal.SIGTERM)
    assert leaving.wait() == 0
    cluster.gate.open()
    assert {cluster.status(run_id).step for run_id in runs} == {0}
    assert {
        (cluster.status(run_id).attempt, cluster.status(run_id).crashes) for run_id in runs
    } == {(1, 0)}
    cluster.worker("--name", "heir")
    cluster.all_ended(runs)
    assert attempts(cluster) == {"1"}
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []


def test_a_second_signal_leaves_at_once_and_loses_nothing(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=60)
    leaving = cluster.worker("--name", "leaving")
    runs = busy(cluster, 10)
    leaving.send(signal.SIGTERM)
    leaving.has_said("leaves")
    leaving.send(signal.SIGTERM)
    assert leaving.wait() == 128 + signal.SIGTERM
    assert "second signal" in leaving.said
    cluster.gate.open()
    cluster.worker("--name", "heir")
    cluster.all_ended(runs)
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []


#: calls after those that take the signals: threads and locks, the check of Redis, RQ, the loop
TOLD_AT = [1, 5, *range(150, 400, 25), 1_000, *range(3_000, 18_000, 2_500)]


def told(cluster, at):
    """Start a worker by the command line that is told to leave at that call; at 0 it is not."""
    command = ["-m", "tests.crash.support.told", "worker", "tests.crash.support.app:app"]
    return cluster.spawn(sys.executable, *command, TOLD_AT=at)


@pytest.mark.parametrize("at", TOLD_AT)
def test_a_worker_told_anywhere_in_its_start_leaves_and_that_is_no_fault(make_cluster, at):
    cluster = make_cluster()
    worker = told(cluster, at)
    assert worker.wait() == 0, worker.said
    assert "ERROR" not in worker.said
    assert "Traceback" not in worker.said
    assert not cluster.server.client.smembers("rq:workers")


def test_a_worker_that_waits_for_redis_leaves_when_told(make_cluster):
    cluster = make_cluster(STEPFLOW_REDIS_RETRY_FOR_S=3600)
    cluster.server.kill()
    worker = told(cluster, 0)
    worker.has_said("signals are taken")
    time.sleep(0.5)  # it is in the middle of its tries
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.said


def test_a_worker_can_leave_while_redis_is_gone(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=0.5)
    leaving = cluster.worker("--name", "leaving")
    runs = busy(cluster, 5)
    cluster.server.kill()
    cluster.gate.open()
    leaving.has_said("claims could not be renewed")
    leaving.send(signal.SIGTERM)
    leaving.wait()
    cluster.server.start()
    cluster.worker("--name", "heir")
    cluster.all_ended(runs)
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []


def test_a_worker_that_finds_no_redis_says_so_and_exits_with_a_code(make_cluster):
    cluster = make_cluster(STEPFLOW_REDIS_RETRY_FOR_S=0.2)
    cluster.server.kill()
    worker = cluster.worker(ready=False)
    assert worker.wait() == 1
    assert "does not answer" in worker.said
    assert "Traceback" not in worker.said


def test_the_command_line_finds_no_redis_and_says_so(make_cluster):
    cluster = make_cluster(STEPFLOW_REDIS_RETRY_FOR_S=0.2)
    cluster.server.kill()
    for arguments in (
        ["worker", "tests.crash.support.app:app"],
        ["submit", "chain", '{"steps": 1, "trail": []}'],
    ):
        process = cluster.spawn("stepflow", *arguments)
        assert process.wait() > 0
        assert "does not answer" in " ".join(process.said.split())
        assert "Traceback" not in process.said


def test_the_command_lines_supervisor_survives_the_death_of_its_children(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=300)
    crew = cluster.spawn(
        sys.executable,
        "-m",
        "stepflow",
        "worker",
        "tests.crash.support.app:app",
        "-p",
        "2",
        "-c",
        "20",
    )
    until(lambda: crew.said.count("listens to") == 2, what="two workers")
    runs = busy(cluster, 10)
    begun = cluster.witness.read_text().split()
    os.kill(int(begun[3]), signal.SIGKILL)
    cluster.gate.open()
    cluster.all_ended(runs)
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []
    crew.send(signal.SIGTERM)
    assert crew.wait() == 0


def test_a_submit_that_finds_no_redis_says_so(make_cluster):
    cluster = make_cluster()
    client = Client(cluster.server.url, settings=Settings(redis=RedisSettings(retry_for_s=0.2)))
    cluster.server.kill()
    with pytest.raises(RedisUnreachable, match="does not answer"):
        client.submit("chain", path(1))
    cluster.server.start()
    assert client.submit("chain", path(1), run_id="after").created, "and goes on when it is back"
    client.close()


def test_a_redis_that_comes_late_is_waited_for_by_a_submit(make_cluster):
    cluster = make_cluster()
    cluster.server.kill()
    submitting = cluster.program("submit", "--prefix", "late", STEPFLOW_REDIS_RETRY_FOR_S=30)
    until(lambda: submitting.is_alive, what="the client")
    cluster.server.start()
    submitting.has_said("one 3")
