"""Limits of steps while workers are killed and stopped past their leases, and so is the server."""

import random
import signal
import time

import pytest

from tests.crash.limits.gauge import Gauge
from tests.crash.limits.steps import KEYS, MOST

pytestmark = pytest.mark.crash

APP, RUNS, KILLS = ("--app", "tests.crash.limits.steps:app"), 60, 6


def test_steps_are_never_above_the_limit_whoever_dies(make_cluster):
    """[L20] [L11] Each step that a claim has counts, at any instant; nothing is left over."""
    cluster = make_cluster()
    dice, kills, stopped, last = random.Random(3), 0, [], time.monotonic()
    workers = [cluster.worker(*APP, "--concurrency", "10", ready=False) for _ in range(2)]
    for worker in workers:
        worker.has_said("listens to")
    gauge = Gauge(lambda: cluster.server.client, "gate", KEYS, MOST)
    gauge.start()
    runs = [cluster.client.submit("limited", dice.choice(KEYS)).id for _ in range(RUNS)]

    def hurt() -> None:
        nonlocal kills, last
        now = time.monotonic()
        for moment, process in list(stopped):
            if now > moment:
                stopped.remove((moment, process))
                process.send(signal.SIGCONT)
        if now < last + 0.7 or kills >= KILLS:
            return
        last, kills = now, kills + 1
        victim = workers.pop(0)
        if kills % 3 == 0:
            victim.send(signal.SIGSTOP)
            stopped.append((now + 3, victim))
        else:
            victim.kill()
        if kills == 4:
            cluster.server.kill()
            cluster.server.start()
        workers.append(cluster.worker(*APP, "--concurrency", "10", ready=False))

    cluster.all_ended(runs, 120, also=hurt)
    for _, process in stopped:
        process.send(signal.SIGCONT)
    gauge.stop()
    ended_well(cluster, gauge, runs)
    assert kills > 0
    print(f"{gauge.told}, {kills} kills")


@pytest.mark.parametrize("point", ["limit.ready", "limit.taken", "journal.ready", "journal.done"])
@pytest.mark.parametrize("times", [1, 5, 20])
def test_a_worker_killed_there_costs_no_slot(make_cluster, point, times):
    """[L20] [L11] Around the ask for slots, and around the entry that gives them back."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    doomed = cluster.worker(*APP, "--concurrency", "10", CRASH_AT=f"{point}:{times}")
    gauge = Gauge(lambda: cluster.server.client, "gate", KEYS, MOST)
    gauge.start()
    runs = [cluster.client.submit("limited", KEYS[number % 2]).id for number in range(12)]
    assert doomed.wait() == -signal.SIGKILL
    cluster.worker(*APP, "--concurrency", "10")
    cluster.all_ended(runs, 60)
    gauge.stop()
    ended_well(cluster, gauge, runs)


def ended_well(cluster, gauge, runs):
    """Check that each run has its result, and that nothing is left of their limits."""
    assert {tuple(cluster.client.result(run_id)) for run_id in runs} == {(0, 1, 2, 3, 4)}
    assert gauge.wrong == []
    assert gauge.most == MOST
    redis = cluster.server.client
    assert not redis.exists("stepflow:slots", "stepflow:lines")
    assert redis.keys("stepflow:run:*:asks") == []
