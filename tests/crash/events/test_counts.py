"""What was counted, though workers are killed in the middle of it."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

RUNS, STEPS = 60, 10
#: when each worker of the queue began its last round
WORKERS = "stepflow:workers:default"


def closed_steps(cluster: Any, runs: list[str]) -> list[float]:
    """Give when each step of these runs was closed, by their records."""
    redis = cluster.server.client
    records = [
        record
        for run_id in runs
        for name, record in redis.hgetall(f"stepflow:run:{run_id}:steps").items()
        if name.isdigit()
    ]
    return [float(record.split()[3]) for record in records]


def test_a_killed_worker_loses_the_counts_of_its_last_second(make_cluster: Any) -> None:
    """[E21] No more of them: what it had sent before is there, and nothing is counted twice."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=2)
    doomed = cluster.worker("--name", "doomed")
    runs = cluster.submit(
        RunSpec("chain", path(STEPS, pause=0.5), run_id=f"n-{n}") for n in range(RUNS)
    )
    rounds = [0.0]

    def has_done_enough() -> bool:
        [(_, began_at)] = cluster.server.client.zrange(WORKERS, 0, -1, withscores=True)
        rounds.extend([began_at] if began_at != rounds[-1] else [])
        return len(closed_steps(cluster, runs)) > RUNS * 3 and len(rounds) > 2

    until(has_done_enough, what="steps that are closed")
    doomed.kill()
    closed, counted = closed_steps(cluster, runs), done(cluster)
    missing = len(closed) - counted
    # each round sends what was counted, so what was closed before the last but one was sent
    assert 0 <= missing <= sum(at > rounds[-2] for at in closed)
    assert counted > 0

    cluster.worker("--name", "heir", ready=False)
    cluster.all_ended(runs)
    until(lambda: done(cluster) == RUNS * STEPS - missing, what="the counts of the other worker")
    [chain] = cluster.client.stats().runners
    assert chain.submitted == RUNS
    assert chain.ended == {"succeeded": RUNS}
    assert chain.steps["lost"] > 0


def done(cluster: Any) -> int:
    """Give how many steps were counted as done."""
    return sum(runner.steps.get("done", 0) for runner in cluster.client.stats().runners)
