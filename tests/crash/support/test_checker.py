"""The checker finds what it looks for: every zero has its negative control."""

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.checker import check

pytestmark = pytest.mark.crash


def test_the_checker_finds_whatever_is_wrong(make_cluster):
    cluster = make_cluster()
    worker = cluster.worker()
    runs = cluster.submit(RunSpec("chain", path(4), run_id=f"t-{n}") for n in range(8))
    runs += cluster.submit([RunSpec("steps", 3, run_id="t-8")])
    cluster.all_ended(runs)
    expected = dict.fromkeys(runs, "succeeded")
    assert check(cluster, expected).all() == []
    worker.kill()
    redis = cluster.server.client
    redis.delete("stepflow:run:t-0")
    redis.hset("stepflow:run:t-1", "state", "failed")
    redis.hdel("stepflow:run:t-2:steps", "1")
    redis.hset("stepflow:run:t-3:steps", "4", "another.0.continue 1 0 0")
    record = redis.hget("stepflow:run:t-4:steps", "2").decode()
    redis.hset(
        "stepflow:run:t-4:steps",
        f"2.{record[: record.rindex('.', 0, record.index(' ')) + 1]}",
        record,
    )
    redis.hset("stepflow:run:t-5", "state", "running")
    redis.hdel("stepflow:run:t-6:kv", "step-3")
    cluster.sink.receiver.told.pop("t-7-0-1-0")
    redis.rpush("stepflow:run:t-8:journal", redis.lindex("stepflow:run:t-8:journal", 0))
    redis.zadd("stepflow:claims", {"run:t-7": 1})
    redis.set("stepflow:stray", 1)
    found = check(cluster, expected, patience_s=0.1)
    assert [said for said in found.lost if "t-0" in said or "t-1" in said] == found.lost
    assert len(found.lost) == 2
    assert {run_id for run_id in runs for said in found.doubled if f"run {run_id}" in said} >= {
        "t-2",
        "t-3",
        "t-4",
        "t-6",
        "t-8",
    }
    assert any("t-5" in said for said in found.stuck)
    assert any("stepflow:claims" in said for said in found.stuck)
    assert any("t-7" in said for said in found.hooks_missing)
    assert any("stray" in said for said in found.left_over)
