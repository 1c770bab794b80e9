"""Lanes and shared keys while workers are killed all the time, and the server once."""

import random

import pytest

from stepflow import Debounce, RunSpec, Singleton
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.killing import Killer
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

#: tenants, runs of each, and the steps of a run
TENANTS, RUNS, STEPS = 12, 12, 6
#: workers that are killed while keys are shared
KILLS = 5


def test_no_run_is_lost_or_doubled_and_the_lanes_are_drained(make_cluster):
    """[L12] [L14] Ten priorities, retries, delays; workers are killed, the server once."""
    cluster = make_cluster()
    redis, dice = cluster.server.client, random.Random(5)
    killer = Killer(cluster, "--concurrency", "10", seed=5, most=12, pause_s=0.7)
    runs = cluster.submit(
        RunSpec(
            "chain", path(STEPS, pause=0.03), run_id=f"t{tenant}-{number}", lane=f"t{tenant}",
            priority=dice.randrange(10), delay=dice.choice([None, None, 0.5]),
        )
        for number in range(RUNS) for tenant in range(TENANTS)
    )  # fmt: skip

    def attack() -> None:
        killer()
        if killer.kills >= 3 and not cluster.server.kills:
            cluster.server.restart()

    cluster.all_ended(runs, also=attack)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert killer.kills >= 3
    assert cluster.server.kills
    until(lambda: not list(redis.scan_iter("stepflow:lane*")), what="the lanes to be gone")


def test_shared_keys_have_one_run_at_a_time_and_are_left_free(make_cluster):
    """[L18] Whoever dies: a singleton lives once, debounced submits are one run."""
    cluster = make_cluster()
    redis, dice = cluster.server.client, random.Random(6)
    killer, ids = Killer(cluster, "--concurrency", "20", seed=6, most=KILLS, pause_s=1.0), set()
    while killer.kills < KILLS:
        key, way = f"k{dice.randrange(5)}", dice.choice(["same", "same", "replace"])
        once = [
            {"singleton": Singleton(key, way)}, {"debounce": Debounce(key, wait=0.3, max_wait=1.0)}
        ]  # fmt: skip
        run = cluster.client.submit("chain", path(4, pause=0.05), **dice.choice(once))
        ids.add(run.id)
        living = [
            record.get(b"once")
            for run_id in redis.zrange("stepflow:idx:live", 0, -1)
            if (record := redis.hgetall(b"stepflow:run:" + run_id)).get(b"once", b"")[:9]
            == b"singleton" and not record.get(b"stop") and not record.get(b"ended")
        ]  # fmt: skip
        assert len(living) == len(set(living))
        killer()
    cluster.all_ended(sorted(ids))
    assert {cluster.status(run_id).state for run_id in ids} <= {"succeeded", "cancelled"}
    assert not list(redis.scan_iter("stepflow:once:*"))
