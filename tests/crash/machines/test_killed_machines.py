"""Workers are killed while machines are in all their states."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from stepflow import RunSpec
from tests.crash.support.checker import nothing_left_over

pytestmark = pytest.mark.crash

OPTIONS = ("--app", "tests.crash.machines.app:app", "--concurrency", "10")
ROUNDS = 3
DONE = [
    name
    for visit in range(1, ROUNDS + 1)
    for name in (f"work-{visit}", *(f"page-{visit}-{at}" for at in (3, 4, 5)))
]
WAY = ["work", "split", "pages"] * ROUNDS + ["end"]


def test_machines_go_their_way_though_workers_are_killed_at_random(make_cluster):
    """[M1] [M4] [M6] Each state is entered once, each branch and page has one answer."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    dice = random.Random(16)
    workers = [cluster.worker(*OPTIONS) for _ in range(2)]
    specs = (RunSpec("tour", {"rounds": ROUNDS}, run_id=f"t-{n}") for n in range(40))
    runs = cluster.submit(specs)
    next_kill, kills = time.monotonic() + 0.3, 0

    def attack() -> None:
        nonlocal next_kill, kills
        if time.monotonic() < next_kill or kills >= 6:
            return
        workers.pop(dice.randrange(len(workers))).kill()
        kills += 1
        workers.append(cluster.worker(*OPTIONS, ready=False))
        next_kill = time.monotonic() + 0.3

    cluster.all_ended(runs, 60, also=attack)
    assert kills >= 2
    redis = cluster.server.client
    for run_id in runs:
        result = cluster.status(run_id).result
        assert result["state"] == "end", run_id
        assert result["data"]["done"] == DONE, run_id
        journal = redis.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
        heads = [entry.decode("latin-1").split("|", 3)[:3] for entry in journal]
        assert set(Counter(place for _, place, _ in heads).values()) == {1}, run_id
        assert [name for _, place, name in heads if place.endswith(".enter")] == WAY, run_id
    done = Counter(filter(None, cluster.witness.read_text().split("\n")))
    assert sum(count - 1 for count in done.values()) > 0, "no kill cost a step: the attack missed"
    nothing_left_over(cluster)
