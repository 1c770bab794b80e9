"""A bulk of ten thousand runs, whose workers are all killed half way."""

import time

import pytest

from stepflow import RunSpec
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

RUNS, RATE = 10_000, 200.0


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

    def done() -> int:
        return client.bulk_info(begun.id).done

    until(lambda: done() > RATE, what="the bulk has begun")
    first, at = done(), time.monotonic()
    until(lambda: time.monotonic() - at > 15, what="15 seconds")
    pace = (done() - first) / (time.monotonic() - at)
    until(lambda: done() >= RUNS / 2, what="half of it")
    for worker in workers:
        worker.kill()
    heir = cluster.worker()
    until(lambda: client.bulk_info(begun.id).state == "done", what="its end")
    told = client.bulk_info(begun.id)
    assert (told.total, told.done) == (RUNS, RUNS)
    redis = cluster.server.client
    with redis.pipeline(transaction=False) as pipe:
        for run_id in runs:
            pipe.llen(f"stepflow:run:{run_id}:mail")
        assert set(pipe.execute()) == {1}
    assert "all is done" in heir.said
    assert pace == pytest.approx(RATE, rel=0.05)
