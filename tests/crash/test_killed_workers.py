"""Workers are killed all the time: with a supervisor or without, one by one or as the acceptance of the issue has it."""

import random
import signal
import time

import pytest

from stepflow import RunSpec
from tests.crash.app import path
from tests.crash.checker import check
from tests.crash.waiting import until

pytestmark = pytest.mark.crash


def test_three_hundred_runs_end_well_though_a_worker_is_killed_every_second(make_cluster):
    cluster = make_cluster()
    dice = random.Random(7)
    workers = [cluster.worker("--concurrency", "25") for _ in range(2)]
    runs = cluster.submit(RunSpec("chain", path(10, pause=0.05), run_id=f"a-{n}") for n in range(300))
    next_kill, kills = time.monotonic() + 1, 0

    def kill_one() -> None:
        nonlocal next_kill, kills
        if time.monotonic() < next_kill:
            return
        victim = workers.pop(dice.randrange(len(workers)))
        victim.kill()
        kills += 1
        workers.append(cluster.worker("--concurrency", "25", ready=False))
        next_kill = time.monotonic() + 1

    cluster.all_ended(runs, 60, also=kill_one)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert kills >= 3
    assert found.attempts_lost > 0, "no kill cost a step: the attack missed"
