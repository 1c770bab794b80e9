"""submit_run.lua: all, or nothing where the run id is taken."""

import pytest

from stepflow.core.run import Priority, RunState
from stepflow.store.keys import LIVE
from stepflow.store.run_hash import read_run
from stepflow.store.runs import finish_run


def test_a_submit_writes_record_index_entries_job_and_token_in_one_script(store, keys):
    """[C1]"""
    assert store.submit("a", timeout=60.0) is None
    client = store.client
    assert store.entries() == ["run-a-0"]
    assert client.hget("rq:job:run-a-0", "status") == b"queued"
    assert client.smembers("rq:queues") == {b"rq:queue:default"}
    assert client.lrange(keys.wake("default"), 0, -1) == [b"1"]
    for index in (keys.live, keys.runner_index(LIVE, "x")):
        assert client.zscore(index, "a") == pytest.approx(store.now)
    assert client.zscore(keys.deadlines, "a") == pytest.approx(store.now + 60)
    assert client.zscore(keys.queued_at("default"), "run:a") == pytest.approx(store.now)
    assert store.load() == store.run("a", timeout=60.0)


def test_a_second_arrival_of_the_same_request_is_answered_as_the_first_and_changes_nothing(store):
    """[C13] redis-py sends a command again when its reply was lost."""
    store.submit("a", request="r1")
    before = store.dump()
    assert store.submit("a", request="r1") is None
    assert store.dump() == before


def test_another_request_for_the_same_id_is_shown_the_run_that_is_there_and_changes_nothing(
    store, keys
):
    """[C3]"""
    store.submit("a", request="r1")
    before = store.dump()
    row = store.submit("a", request="r2", runner="y", priority=Priority.HIGH)
    assert read_run("a", row, keys).runner == "x"
    assert store.dump() == before


def test_a_second_arrival_is_known_even_when_the_run_has_moved_on(store):
    """[C13]"""
    store.submit("a", request="r1")
    store.claim()
    before = store.dump()
    assert store.submit("a", request="r1") is None
    assert store.dump() == before


def test_a_delayed_run_stands_in_the_due_set_and_in_no_queue(store, keys):
    """[C10]"""
    store.submit("far", due_in=1000.0)
    store.submit("near", due_in=5.0)
    client = store.client
    assert store.entries() == []
    assert client.zrange(keys.due, 0, -1) == [b"run:near", b"run:far"]
    assert client.exists("rq:job:run-near-0") == 1, "a brief delay shows in RQ's scheduled registry"
    assert client.zrange("rq:scheduled:default", 0, -1) == [b"run-near-0"]
    assert client.exists("rq:job:run-far-0") == 0, "a long one costs no job"
    assert store.load("far").state is RunState.SCHEDULED


@pytest.mark.parametrize(("first", "second", "tokens"), [(10.0, 20.0, 0), (20.0, 10.0, 1)])
def test_an_idle_worker_is_told_of_a_delay_only_when_it_is_the_next_one_due(
    store, keys, first, second, tokens
):
    store.submit("a", due_in=first)
    store.client.delete(keys.wake("default"))
    store.submit("b", due_in=second)
    assert store.client.llen(keys.wake("default")) == tokens


def test_a_delay_in_a_queue_that_nobody_works_leaves_no_token_for_good(store, keys):
    """Names of queues may be made of those of customers."""
    store.submit("a", due_in=1000.0)
    assert 0 < store.client.ttl(keys.wake("default")) <= 60
    store.submit("b")
    assert store.client.exists(keys.wake("default")), "it stands for what waits as well"


def test_a_thousand_submits_leave_one_token(store, keys):
    for number in range(20):
        store.submit(f"r{number}")
    assert store.client.llen(keys.wake("default")) == 1


# ---- restart


def ended(store, run_id="a"):
    run = store.held(run_id)
    store.connection.call(
        finish_run(
            store.keys, run, store.fence(run), state=RunState.SUCCEEDED, now=store.now, ttl_s=100
        )
    )
    return store.load(run_id)


def test_a_restart_replaces_the_ended_run_it_saw(store, keys):
    """[C8]"""
    old = ended(store)
    store.client.hset(keys.run("a") + ":kv", "k", "v")
    assert store.submit("a", request="r2", replaces=old, generation=1, runner="y") is None
    client, run = store.client, store.load()
    assert (run.generation, run.state, run.runner, run.delivery) == (
        1,
        "pending",
        "y",
        "run-a-0-g1",
    )
    assert client.exists(keys.run("a") + ":kv", keys.run("a") + ":steps") == 0
    assert client.zscore(keys.ended_index("succeeded"), "a") is None
    assert client.zscore(keys.runner_index("succeeded", "x"), "a") is None
    assert client.zscore(keys.runner_index(LIVE, "y"), "a") is not None
    assert client.zcard(keys.expiry) == 0
    assert client.ttl(keys.run("a")) == -1


def test_a_restart_of_a_run_that_somebody_else_restarted_first_changes_nothing(store):
    """[C8] The guard is rev."""
    old = ended(store)
    store.submit("a", request="r2", replaces=old, generation=1)
    before = store.dump()
    assert store.submit("a", request="r3", replaces=old, generation=1) is not None
    assert store.dump() == before


def test_a_second_arrival_of_a_restart_changes_nothing(store):
    """[C13]"""
    old = ended(store)
    store.submit("a", request="r2", replaces=old, generation=1)
    before = store.dump()
    assert store.submit("a", request="r2", replaces=old, generation=1) is None
    assert store.dump() == before
