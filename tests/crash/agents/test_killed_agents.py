"""
Workers are killed while agents ask models and call tools.

AGENT_KILLS and AGENT_RUNS make it larger: 200 kills and 1,000 runs are 11,000 units.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter

import pytest

from stepflow import RunSpec
from tests.crash.agents.app import TOOLS, UNITS
from tests.crash.agents.nest import CONCURRENCY
from tests.crash.support.checker import nothing_left_over
from tests.crash.support.killing import pids_at_work

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("AGENT_KILLS", "4"))
RUNS = int(os.environ.get("AGENT_RUNS", "30"))
WORKERS = 2


def test_no_call_is_finished_twice_though_workers_are_killed_at_random(make_cluster):
    """[A2] Repeated is at most what was under way in the killed workers, and every run succeeds."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1, STEPFLOW_WORKER_MAX_CRASHES=1000)
    dice = random.Random(15)
    nest = cluster.spawn(sys.executable, "-m", "tests.crash.agents.nest", str(WORKERS))
    nest.has_said("listens to")
    runs = cluster.submit(RunSpec("clerk", "look", run_id=f"a-{n}") for n in range(RUNS))
    next_kill, killed = 0.0, set[int]()

    def attack() -> None:
        nonlocal next_kill
        if time.monotonic() < next_kill or len(killed) >= KILLS:
            return
        busy = pids_at_work(cluster) - killed
        if not busy or not cluster.witness.stat().st_size:
            return
        pid = dice.choice(sorted(busy))
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        next_kill = time.monotonic() + 0.8

    cluster.all_ended(runs, also=attack)
    assert len(killed) >= min(KILLS, 2)
    redis = cluster.server.client
    for run_id in runs:
        assert cluster.status(run_id).result == "done", run_id
        journal = redis.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
        heads = [entry.decode("latin-1").split("|", 2)[:2] for entry in journal]
        places = Counter(place for kind, place in heads if kind == "value")
        assert len(heads) == len(places) == UNITS, run_id
        assert set(places.values()) == {1}, run_id
    done = Counter(filter(None, cluster.witness.read_text().split("\n")))
    again = sum(count - 1 for line, count in done.items() if not line.endswith("is over"))
    print(f"{len(killed)} kills, {len(runs) * UNITS} units, {again} begun again")
    assert again <= len(killed) * CONCURRENCY * TOOLS
    assert len(killed) < KILLS or again > 0, "no kill cost a call: the attack missed"
    nothing_left_over(cluster)
