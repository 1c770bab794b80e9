"""The guard against leaked keys has a negative control, too: each thing it is to find, it finds."""

import pytest

from tests.support import Leaks

PLANTED = {
    "a key of nobody's": lambda real: real.set("stepflow:zombie", 1),
    "a run that ended and has no time to live": lambda real: real.hset(
        "stepflow:run:a", mapping={"state": "failed", "ended": 1}
    ),
    "data of no run": lambda real: real.hset("stepflow:run:a:data", "payload", 1),
    "a claim of nothing": lambda real: real.zadd("stepflow:claims", {"run:a": 1}),
    "a due time of nothing": lambda real: real.zadd("stepflow:due", {"hook:a": 1}),
    "a deadline of nothing": lambda real: real.zadd("stepflow:deadlines", {"a": 1}),
    "a pending mark of nothing": lambda real: real.zadd("stepflow:queued_at:default", {"run:a": 1}),
    "a live run that is not there": lambda real: real.zadd("stepflow:idx:live", {"a": 1}),
    "a runner's live run that is not there": lambda real: real.zadd(
        "stepflow:idx:live:x", {"a": 1}
    ),
    "an ended run that is not there": lambda real: real.zadd("stepflow:idx:ended:failed", {"a": 1}),
    "a runner's run that is not there": lambda real: real.zadd("stepflow:idx:failed:x", {"a": 1}),
    "a run of the version before": lambda real: real.zadd("stepflow:idx:runner:x", {"a": 1}),
    "a tagged run that is not there": lambda real: real.zadd("stepflow:idx:tag:a=b", {"a": 1}),
    "a dead hook that is not there": lambda real: real.zadd("stepflow:hooks:dead", {"a": 1}),
    "a delivered hook without a time to live": lambda real: real.hset(
        "stepflow:hook:a", "state", "delivered"
    ),
    "a waiting list of runs that are gone": lambda real: real.rpush(
        "stepflow:waiting:default:x", "run-a-0"
    ),
    "a wake token of no queue": lambda real: real.rpush("stepflow:wake:zzz", 1),
    "an RQ job that nobody waits for": lambda real: real.hset("rq:job:run-a-0", "status", "queued"),
    "an entry of work in progress": lambda real: real.zadd("rq:wip:default", {"run-a-0:t.1.": 1}),
    "an entry of what is scheduled": lambda real: real.zadd("rq:scheduled:default", {"run-a-0": 1}),
    "an RQ key of nobody's": lambda real: real.set("rq:zombie", 1),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_leaks_is_found(real, what):
    PLANTED[what](real)
    assert Leaks(real).find()
    for key in real.scan_iter():
        real.expire(key, 100)
    assert Leaks(real).find() == []


def test_an_empty_database_leaks_nothing(real):
    assert Leaks(real).find() == []
