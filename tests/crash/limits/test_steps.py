"""Limits of steps while workers are killed and stopped past their leases, and so is the server."""

import random
import signal

import pytest

from tests.crash.limits.gauge import Gauge
from tests.crash.limits.hurting import Hurter
from tests.crash.limits.steps import KEYS, MOST

pytestmark = pytest.mark.crash

APP, RUNS, KILLS = ("--app", "tests.crash.limits.steps:app"), 60, 6


def test_steps_are_never_above_the_limit_whoever_dies(make_cluster):
    """[L20] [L11] Each step that a claim has counts, at any instant; nothing is left over."""
    cluster = make_cluster()
    dice = random.Random(3)
    killer = Hurter(cluster, *APP, "--concurrency", "10", seed=3, most=KILLS, pause_s=0.7)
    gauge = Gauge(lambda: cluster.server.client, "gate", KEYS, MOST)
    gauge.start()
    runs = [cluster.client.submit("limited", dice.choice(KEYS)).id for _ in range(RUNS)]

    def attack() -> None:
        killer()
        if killer.kills >= 4 and not cluster.server.kills:
            cluster.server.restart()

    cluster.all_ended(runs, also=attack)
    killer.let_go()
    gauge.stop()
    ended_well(cluster, gauge, runs)
    assert killer.kills > 0
    print(f"{gauge.told}, {killer.kills} kills")


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
    cluster.all_ended(runs)
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
