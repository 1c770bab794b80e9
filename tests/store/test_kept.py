"""What records keep for those who ask why a run or a hook stands [O1]."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow.core.run import RunState, StopKind, StopRequest
from stepflow.store.claims import source_of
from stepflow.store.hooks import HookJob, commit_hook, load_hook, requeue_hook
from stepflow.store.keys import Keys
from stepflow.store.maintenance import bury_hook
from stepflow.store.runs import AGAIN, DONE, finish_run, mark_run, retry_run


def test_an_end_that_arrives_again_after_a_retry_knows_itself(store, keys):
    """[C13] Its record has moved, and the run is claimed by nobody."""
    run = store.held()
    end = finish_run(
        keys, run, store.fence(run, "fail"), state=RunState.FAILED, now=store.now, ttl_s=50
    )
    assert store.connection.call(end)[0] == DONE
    store.connection.call(retry_run(keys, store.load(), request="r1", now=store.now))
    before = store.dump()
    assert store.connection.call(end) == [AGAIN]
    assert store.dump() == before


def test_an_end_of_which_only_the_result_is_kept_knows_its_second_arrival(store, keys):
    """[C13] [K22] The record of its step stays, by which it does."""
    run = store.held()
    store.client.hset(keys.run("a") + ":steps", "0.x", "an attempt")
    end = finish_run(
        keys, run, store.fence(run), state=RunState.SUCCEEDED, now=store.now, ttl_s=50,
        keeps_all=False,
    )  # fmt: skip
    assert store.connection.call(end)[0] == DONE
    assert store.client.hlen(keys.run("a") + ":steps") == 1
    before = store.dump()
    assert store.connection.call(end) == [AGAIN]
    assert store.dump() == before
    assert store.load().is_cleared


@pytest.mark.parametrize("by", ["", "ann"])
def test_who_asked_a_claimed_run_to_stop_is_kept(store, keys, by):
    run = store.held()
    stop = StopRequest(StopKind.CANCEL, "enough", store.now, by)
    call = mark_run(keys, run, stop, request="r1", look_again_at=None, now=store.now)
    assert store.connection.call(call)[0] == DONE
    after = store.load()
    assert (after.stop.reason, after.stopped_by) == ("enough", by)
    assert store.client.hexists(keys.run("a"), "stop_by") == bool(by)


@pytest.fixture
def hook(store, keys):
    """A claimed hook delivery."""
    run = store.held()
    fields = [
        "run", "a", "runner", "@webhook", "state", "pending", "delivery", "hook-h1", "rev", 1,
        "target", b"t", "body", b"b", "queue", keys.hook_queue, "created", f"{store.now:.6f}",
    ]  # fmt: skip
    job = HookJob("h1", "hook-h1", fields)
    store.connection.call(
        finish_run(
            keys, run, store.fence(run), state=RunState.FAILED, now=store.now, ttl_s=9, hooks=[job]
        )
    )
    source = source_of(keys, keys.hook_queue, keys.wake(keys.hook_queue))
    assert store.claim(["@webhook"], sources=[source]) == ["hook-h1"]
    return store.connection.call(load_hook(keys, "h1"))


def live(store: Any, keys: Keys) -> list[str]:
    return [member.decode() for member in store.client.zrange(keys.live_hooks, 0, -1)]


@pytest.mark.parametrize(
    ("end", "stays"),
    [
        ({"fields": ["state", "delivered"], "ttl_s": 50.0}, False),
        ({"fields": ["state", "dead"], "ttl_s": 50.0, "died_at": 5.0}, False),
        ({"fields": ["state", "pending", "delivery", "hook-h1-r3"], "due_at": 9.0}, True),
    ],
)
def test_a_hook_is_listed_from_its_making_until_it_is_settled(store, keys, hook, end, stays):
    assert live(store, keys) == ["h1"]
    assert store.connection.call(commit_hook(keys, hook, **end)) == 1
    assert live(store, keys) == (["h1"] if stays else [])
    if not stays:
        record = store.connection.call(load_hook(keys, "h1"))
        store.connection.call(requeue_hook(keys, record, now=store.now, fresh=True))
        assert live(store, keys) == ["h1"]
    store.client.flushall()


def test_a_hook_that_is_buried_is_not_listed(store, keys, hook):
    store.connection.call(bury_hook(keys, hook, problem="p", now=store.now, ttl_s=9))
    assert live(store, keys) == []
