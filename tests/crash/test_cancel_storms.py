"""Runs are cancelled at random moments, twice each, from two processes: one end, one hook."""

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.checker import check

pytestmark = pytest.mark.crash


def test_a_storm_of_cancels_gives_each_run_one_end_and_one_hook(make_cluster):
    cluster = make_cluster()
    workers = [cluster.worker("--concurrency", "30") for _ in range(2)]
    kinds = [
        ("endless", path(1)),
        ("chain", path(30, pause=0.02)),
        ("delayed", path(30, delay=0.03)),
        ("listener", path(1)),
    ]
    runs = cluster.submit(
        RunSpec(kinds[n % 4][0], kinds[n % 4][1], run_id=f"m-{n}") for n in range(100)
    )
    storms = [cluster.program("cancel", "--seed", str(seed), "--runs", *runs) for seed in (1, 2)]
    assert [storm.wait() for storm in storms] == [0, 0]
    cluster.all_ended(runs)
    found = check(cluster, dict.fromkeys(runs, "cancelled|succeeded"))
    assert found.all() == []
    answers = [
        line.split()[:2]
        for storm in storms
        for line in storm.said.splitlines()
        if line.startswith("m-")
    ]
    said_yes = {run_id for run_id, answer in answers if answer == "True"}
    for run_id in runs:
        assert (cluster.status(run_id).state == "cancelled") == (run_id in said_yes)
    assert len(said_yes) > 50
    assert all("Traceback" not in worker.said for worker in workers)
