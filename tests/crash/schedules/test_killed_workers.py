"""Schedules while their workers are killed all the time, and the server once."""

import random
import time

import pytest

from tests.crash.support.on_time import OnTime

pytestmark = pytest.mark.crash

#: schedules of each kind, seconds of attack, workers
MANY, LASTS_S, WORKERS = 15, 14.0, 3


def test_each_time_has_exactly_one_run_whoever_dies(make_cluster):
    """[T3] [T9] [T23] None missed with `all`, none overlapping with `skip`, none doubled."""
    cluster = make_cluster()
    dice, kills = random.Random(11), 0
    workers = [cluster.worker("--concurrency", "50") for _ in range(WORKERS)]
    on_time = OnTime(cluster.client, MANY)
    end = time.monotonic() + LASTS_S
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
    expected = on_time.stop()
    cluster.all_ended(expected, 60)
    cluster.all_ended([run_id for name in on_time.skipping for run_id in on_time.runs(name)], 60)
    assert on_time.wrong() == []
    assert len(expected) >= MANY * (LASTS_S - 1)
    assert {cluster.status(run_id).state for run_id in expected} == {"succeeded"}
    assert sum(len(on_time.runs(name)) for name in on_time.skipping) > MANY
    assert kills >= 5
