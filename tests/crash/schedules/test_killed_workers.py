"""Schedules while their workers are killed all the time, and the server once."""

import random
import time
from itertools import pairwise

import pytest

from stepflow.core.schedules.times import between, every, run_id_of
from stepflow.store.schedules.reads import load_schedule
from tests.crash.support.app import path
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

#: schedules of each kind, seconds of attack, workers
MANY, LASTS_S, WORKERS = 15, 14.0, 3
EACH = every(1)


def test_each_time_has_exactly_one_run_whoever_dies(make_cluster):
    """[T3] [T9] [T23] None missed with `all`, none overlapping with `skip`, none doubled."""
    cluster = make_cluster()
    dice = random.Random(11)
    all_of_them = [f"all-{number}" for number in range(MANY)]
    skipping = [f"skip-{number}" for number in range(MANY)]
    workers = [cluster.worker("--concurrency", "50") for _ in range(WORKERS)]
    schedules, begins = cluster.client.schedules, {}
    for name in all_of_them:
        schedules.put(name, "chain", every=1, payload=path(1), catch_up="all", overlap="allow")
        begins[name] = record_of(cluster, name).state.through
    for name in skipping:
        schedules.put(name, "chain", every=1, payload=path(2, pause=0.7))
    end, kills = time.monotonic() + LASTS_S, 0
    while time.monotonic() < end:
        victim = workers.pop(dice.randrange(len(workers)))
        victim.kill()
        kills += 1
        workers.append(cluster.worker("--concurrency", "50", ready=False))
        if kills == 4:
            cluster.server.kill()
            cluster.server.start()
        workers[0].has_said("listens to")
        time.sleep(dice.random())
    until(lambda: all(is_up_to_date(cluster, name) for name in all_of_them), what="catching up")
    for name in [*all_of_them, *skipping]:
        schedules.pause(name)
    for name in all_of_them:
        through = record_of(cluster, name).state.through
        times = [run_id_of(name, nominal) for nominal in between(EACH, begins[name], through)]
        cluster.all_ended(times, 60)
        assert len(times) >= LASTS_S - 1
        assert schedules.get(name).runs == len(times)
        assert {cluster.status(run_id).state for run_id in times} == {"succeeded"}
    assert sum(overlaps(cluster, name) for name in skipping) == 0
    assert sum(schedules.get(name).runs for name in skipping) > MANY
    assert kills >= 5


def record_of(cluster, name):
    env = cluster.client.env
    return cluster.client.connection.call(load_schedule(env.keys, name))


def is_up_to_date(cluster, name):
    return record_of(cluster, name).state.through > time.time() - 1.5


def overlaps(cluster, name):
    """Count the runs that began before the one before them had ended."""
    lines = reversed(cluster.client.schedules.history(name))
    runs = [line.run_id for line in lines if line.run_id]
    assert len(runs) == len(set(runs))
    cluster.all_ended(runs, 60)
    seen = [cluster.status(run_id) for run_id in runs]
    return sum(after.created_at < before.ended_at for before, after in pairwise(seen))
