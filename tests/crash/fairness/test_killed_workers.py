"""Lanes and shared keys while workers are killed all the time, and the server once."""

import random
import time

import pytest

from stepflow import Debounce, RunSpec, Singleton
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

#: tenants, runs of each, and the steps of a run
TENANTS, RUNS, STEPS = 12, 12, 6


def test_no_run_is_lost_or_doubled_and_the_lanes_are_drained(make_cluster):
    """[L12] [L14] Ten priorities, retries, delays; workers are killed, the server once."""
    cluster = make_cluster()
    redis, dice, kills = cluster.server.client, random.Random(5), 0
    workers = [cluster.worker("--concurrency", "10") for _ in range(2)]
    runs = cluster.submit(
        RunSpec(
            "chain", path(STEPS, pause=0.03), run_id=f"t{tenant}-{number}", lane=f"t{tenant}",
            priority=dice.randrange(10), delay=dice.choice([None, None, 0.5]),
        )
        for number in range(RUNS) for tenant in range(TENANTS)
    )  # fmt: skip
    next_kill = time.monotonic() + 0.7

    def attack() -> None:
        nonlocal next_kill, kills
        if time.monotonic() < next_kill:
            return
        workers.pop(dice.randrange(len(workers))).kill()
        kills += 1
        if kills == 3:
            cluster.server.kill()
            cluster.server.start()
        workers.append(cluster.worker("--concurrency", "10", ready=False))
        next_kill = time.monotonic() + 0.7

    cluster.all_ended(runs, 90, also=attack)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert kills >= 3
    until(lambda: not list(redis.scan_iter("stepflow:lane*")), what="the lanes to be gone")


def test_shared_keys_have_one_run_at_a_time_and_are_left_free(make_cluster):
    """[L18] Whoever dies: a singleton lives once, debounced submits are one run."""
    cluster = make_cluster()
    redis, dice = cluster.server.client, random.Random(6)
    workers = [cluster.worker("--concurrency", "20") for _ in range(2)]
    ids, end, next_kill = set(), time.monotonic() + 6, time.monotonic() + 1
    while time.monotonic() < end:
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
        if time.monotonic() > next_kill:
            workers.pop(0).kill()
            workers.append(cluster.worker("--concurrency", "20", ready=False))
            next_kill = time.monotonic() + 1
    cluster.all_ended(sorted(ids), 60)
    assert {cluster.status(run_id).state for run_id in ids} <= {"succeeded", "cancelled"}
    assert not list(redis.scan_iter("stepflow:once:*"))
