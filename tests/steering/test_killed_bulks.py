"""A bulk of ten thousand runs, whose workers are all killed half way."""

import time

import pytest

from stepflow import BulkInfo, RunSpec
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

RUNS, RATE = 10_000, 400.0


def test_ten_thousand_runs_are_signalled_once_each_at_the_pace_though_workers_are_killed(
    make_cluster,
):
    """[O13]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=2)
    client = cluster.client
    runs = [f"s-{number}" for number in range(RUNS)]
    for start in range(0, RUNS, 1000):
        client.submit_many(
            RunSpec("chain", None, run_id=run_id, delay=100_000)
            for run_id in runs[start : start + 1000]
        )
    workers = [cluster.worker(), cluster.worker()]
    assert client.preview("signal", "state=scheduled").count == RUNS
    begun = client.bulk("signal", "state=scheduled", rate=RATE, signal="go", expect=RUNS)
    since = time.monotonic()

    def look() -> BulkInfo:
        """Look how far it is: never further than its pace allows, however long a look takes."""
        nonlocal since
        before, told = time.monotonic(), client.bulk_info(begun.id)
        if told.state == "selecting":
            since = before
        assert told.done <= RATE * (time.monotonic() - since) * 1.01
        return told

    until(lambda: look().done >= RUNS / 2, what="half of it")
    for worker in workers:
        worker.kill()
    heir = cluster.worker()
    until(lambda: look().state == "done", what="its end")
    told = look()
    assert (told.total, told.done) == (RUNS, RUNS)
    redis = cluster.server.client
    with redis.pipeline(transaction=False) as pipe:
        for run_id in runs:
            pipe.llen(f"stepflow:run:{run_id}:mail")
        assert set(pipe.execute()) == {1}
    assert "all is done" in heir.said
