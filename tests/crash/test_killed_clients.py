"""Clients are killed while they submit: a run is there whole, or not at all."""

import pytest

from tests.crash.support.checker import check
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


def test_a_client_killed_while_it_submits_leaves_no_half_a_run(make_cluster):
    cluster = make_cluster()
    redis = cluster.server.client
    for number, moment in enumerate((3, 30, 700, 1900)):
        before = redis.zcard("stepflow:idx:live")
        client = cluster.program("submit", "--prefix", f"b{number}", "--count", "2000")
        until(lambda: redis.zcard("stepflow:idx:live") >= before + moment, what="runs", look_s=0)  # noqa: B023
        client.kill()
    run_ids = [run_id.decode() for run_id in redis.zrange("stepflow:idx:live", 0, -1)]
    assert len(run_ids) > 2000
    for run_id in run_ids:
        with redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(f"stepflow:run:{run_id}")
            pipe.hexists(f"stepflow:run:{run_id}:data", "payload")
            pipe.exists(f"rq:job:run-{run_id}-0")
            pipe.zscore("stepflow:queued_at:default", f"run:{run_id}")
            row, has_payload, has_job, since = pipe.execute()
        assert row[b"delivery"] == f"run-{run_id}-0".encode()
        assert has_payload, run_id
        assert has_job, run_id
        assert since, run_id
    assert redis.llen("rq:queue:default") == len(run_ids)
    records = sum(
        1 for key in redis.scan_iter("stepflow:run:*", count=5000) if key.count(b":") == 2
    )
    assert records == len(run_ids)
    cluster.worker("--concurrency", "200")
    cluster.all_ended(run_ids)
    assert check(cluster, dict.fromkeys(run_ids, "succeeded"), hooks=False).all() == []


def test_a_client_killed_while_its_signals_start_runs_leaves_no_run_without_its_signal(
    make_cluster,
):
    """[K23] A run that is there has its signal, and ends by it; one that is not has neither."""
    cluster = make_cluster()
    redis = cluster.server.client
    for number, moment in enumerate((3, 40, 700)):
        before = redis.zcard("stepflow:idx:live")
        client = cluster.program("signal_start", "--prefix", f"s{number}", "--count", "2000")
        until(lambda: redis.zcard("stepflow:idx:live") >= before + moment, what="runs", look_s=0)  # noqa: B023
        client.kill()
    run_ids = [run_id.decode() for run_id in redis.zrange("stepflow:idx:live", 0, -1)]
    assert len(run_ids) > 700
    for run_id in run_ids:
        assert redis.llen(f"stepflow:run:{run_id}:mail") == 1, run_id
    mails = sum(1 for _ in redis.scan_iter("stepflow:run:*:mail", count=5000))
    assert mails == len(run_ids)
    assert redis.llen("rq:queue:default") == len(run_ids)
    cluster.worker("--concurrency", "200")
    cluster.all_ended(run_ids)
    assert {cluster.status(run_id).result for run_id in run_ids} == {7}
