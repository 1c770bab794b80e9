"""
What is damaged in Redis concerns its run alone: good runs beside each kind of damage, on real
workers.
"""

import contextlib

import pytest

from stepflow import RunSpec
from stepflow.errors import StepflowError
from tests.crash.support.app import path
from tests.crash.support.cluster import Cluster
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

GOOD = 20
NS = "stepflow"
RUN = f"{NS}:run:bad"

#: field of the record x garbage; all are met by a claim, for the run is pending
FIELDS = {
    "rev": b"zz", "state": b"frozen", "step": b"zz", "failures": b"-1", "crashes": b"1e400",
    "handoff": b"x", "generation": b"zz", "inbox": b"zz", "created": b"nan", "started": b"inf",
    "updated": b"\xff", "deadline": b"zz", "due": b"zz", "stop": b"garbage", "cleanup": b"7",
    "runner": b"chain@zz", "origin": b"x|zz", "ends": b"zz", "waits_for": b"\xff\xfe",
    "unroutable": b"-inf", "token": b"\xff", "claimed_id": b"\xff",
}  # fmt: skip


def string_at(key):
    def hurt(real):
        real.delete(key)
        real.set(key, "no hash")

    return hurt


DAMAGES = {
    **{
        f"{name} {held!r}": lambda real, name=name, held=held: real.hset(RUN, name, held)
        for name, held in FIELDS.items()
    },
    "no rev": lambda real: real.hdel(RUN, "rev"),
    "no runner": lambda real: real.hdel(RUN, "runner"),
    "runner of other bytes": lambda real: real.hset(RUN, "runner", b"\xff"),
    "queue of other bytes": lambda real: real.hset(RUN, "queue", b"\xff"),
    "delivery that is none": lambda real: real.hset(RUN, "delivery", "zz"),
    "a string for the record": string_at(RUN),
    "a list for the record": lambda real: (real.delete(RUN), real.rpush(RUN, "x")),
    "a string for the data": string_at(f"{RUN}:data"),
    "a string for the steps": string_at(f"{RUN}:steps"),
    "payload": lambda real: real.hset(f"{RUN}:data", "payload", b"\xc1"),
    "spec": lambda real: real.hset(f"{RUN}:data", "spec", b"\xc1"),
    "spec of a later version": lambda real: real.hset(
        f"{RUN}:data", "spec", b"\x81\xa6policy\x81\xa1x\x01"
    ),
    "a string for its job": string_at("rq:job:run-bad-0"),
}
#: those that hinder nothing, or are mended by whatever is written next
HARMLESS = {
    "a string for the steps",
    "a string for its job",
    "token b'\\xff'",
    "claimed_id b'\\xff'",
    "state b'frozen'",
    "unroutable b'-inf'",
}

STRAYS = {
    "claims": [
        "bad",
        "run:",
        "run:a:b",
        b"\xff\xfe",
        "hook:\xe9",
        ":",
        "x:y",
        "run:gone",
        "hook:gone",
    ],
    "due": ["bad", "run:", b"\xff\xfe", "hook:a b", "run:gone", "hook:gone"],
    "deadlines": [b"\xff", "a b", "run:x", "", "gone"],
    "queued_at:default": ["bad", b"\xff", "run:gone", ":"],
    "idx:expiry": ["bad", b"\xff|\xff|\xff", "a|b", "succeeded|chain|gone", "failed|x|gone|\xff"],
    "expiry": ["bad", b"\xff|\xff|\xff", "a|b", "succeeded|chain|gone"],
    "idx:live": [b"\xff", "gone"],
    "idx:live:chain": [b"\xff", "gone"],
    "idx:ended:succeeded": [b"\xff", "gone"],
    "idx:succeeded": [b"\xff", "gone"],
    "idx:runner:chain": [b"\xff", "gone"],
    "idx:tag:a=b": [b"\xff", "gone"],
    "versions": ["trip@zz", b"\xff", "@", "chain@0"],
    "questions": [b"\xff", "gone"],
    "hooks:dead": [b"\xff", "gone"],
}


@pytest.fixture
def cluster():
    with Cluster(appendfsync="no") as cluster:
        yield cluster


def good(cluster, prefix):
    specs = [RunSpec("chain", path(3), f"{prefix}-{number}") for number in range(GOOD)]
    return [run.id for run in cluster.client.submit_many(specs)]


def everybody_answers(client):
    """All that looks at more than one run does so."""
    client.list(limit=500)
    client.list(runner="chain")
    for state in ("pending", "paused", "succeeded"):
        client.list(state=state)
    client.queues()
    client.workers()
    client.hooks()
    client.questions()


def test_a_later_data_format_keeps_a_worker_out_and_says_so(cluster):
    """[B13]"""
    cluster.server.client.set(f"{NS}:format", 3)
    worker = cluster.worker(ready=False)
    assert worker.wait() == 1
    assert (
        "error: a later stepflow has worked here: stepflow:format says data format 3" in worker.said
    )
    assert "Traceback" not in worker.said


def test_a_damaged_run_is_set_aside_and_nobody_beside_it_notices(cluster):
    """
    [B12] Every damage under the same living worker, one after another; each is named, and ended by
    hand.
    """
    real, client = cluster.server.client, cluster.client
    worker = cluster.worker()
    for number, (what, hurt) in enumerate(DAMAGES.items()):
        client.submit("chain", path(2), run_id="bad", delay=1000)
        real.hset(RUN, mapping={"due": ""})
        real.zrem(f"{NS}:due", "run:bad")
        hurt(real)
        real.zadd(f"{NS}:queued_at:default", {"run:bad": 1.0})
        real.rpush("rq:queue:default", "run-bad-0")
        cluster.all_ended(good(cluster, f"g{number}"))
        assert worker.is_alive, (what, worker.said[-2000:])
        everybody_answers(client)
        if what not in HARMLESS:
            found = until(
                lambda: paused(client), what=f"the pause for {what}: {client.status('bad')}"
            )
            assert found.unreadable or found.reason.startswith("unreadable: "), (what, found)
        with contextlib.suppress(StepflowError):
            client.signal("bad", "go")
        assert client.cancel("bad", "damaged") or client.status("bad").is_finished, what
        ended = client.status("bad")
        assert ended.is_finished, (what, ended)
        assert (
            ended.unreadable is None
            or "spec" in what
            or "data" in what
            or "payload" in ended.unreadable
        ), (
            what,
            ended,
        )
        assert not real.zscore(f"{NS}:idx:live", "bad"), what
        assert not real.zscore(f"{NS}:queued_at:default", "run:bad"), what
        for key in real.scan_iter(f"{RUN}*"):
            real.delete(key)
    assert "Traceback" not in worker.said, worker.said[-4000:]


def test_a_worker_starts_whatever_it_finds(cluster):
    """
    [B12] Damaged runs whose deadline has passed, whose lease ran out, that are due; members that
    name nothing.
    """
    real, client = cluster.server.client, cluster.client
    for number, (name, held) in enumerate(FIELDS.items()):
        for kind in ("claims", "due", "deadlines"):
            run_id = f"bad-{number}-{kind}"
            client.submit("chain", path(2), run_id=run_id, delay=1000, timeout=2000)
            real.hset(f"{NS}:run:{run_id}", name, held)
            if kind == "claims":
                real.hset(
                    f"{NS}:run:{run_id}",
                    mapping={"token": "w.1.", "state": "running"} | {name: held},
                )
            real.zadd(f"{NS}:{kind}", {run_id if kind == "deadlines" else f"run:{run_id}": 1.0})
    for key, members in STRAYS.items():
        real.zadd(f"{NS}:{key}", dict.fromkeys(members, 1.0))
    real.sadd(f"{NS}:waiting_lists", "zz", b"\xff|\xff", "default|gone")
    real.rpush("rq:queue:default", b"\xff", "zz", "run-x", "run--1")
    real.hset(f"{NS}:app_hooks", "chain", b"\xc1")
    real.sadd("rq:workers", "rq:worker:zz", b"\xff")
    real.hset(
        "rq:worker:zz",
        mapping={
            "pid": "zz",
            "birth": "zz",
            "concurrency": "zz",
            "queues": b"\xff",
            "last_heartbeat": "zz",
        },
    )
    everybody_answers(client)
    worker = cluster.worker()
    cluster.all_ended(good(cluster, "g"))
    everybody_answers(client)
    assert worker.is_alive
    for key in ("claims", "due", "deadlines"):
        until(lambda key=key: left_over(real, key) == [], what=f"{key}: {left_over(real, key)}")
    assert "Traceback" not in worker.said, worker.said[-4000:]


def left_over(real, key):
    """Members of an index that nothing good has put there and that are due."""
    return list(real.zrangebyscore(f"{NS}:{key}", "-inf", 100.0))


def paused(client):
    found = client.status("bad")
    return found if found.state == "paused" else None
