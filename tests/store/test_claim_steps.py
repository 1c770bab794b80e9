"""claim_steps.lua: takes what is due, once, in order; drops, sets aside or refuses the rest."""

import pytest

from stepflow.core.run import Priority, RunState
from stepflow.store.claims import claim_one, sources_of, waiting_source
from stepflow.store.runs import Fence, finish_run


def test_a_claim_gives_the_run_its_data_and_a_token(store, keys):
    """[C13]"""
    store.submit("a")
    [taken] = store.batch(worker="w7").taken
    run = store.load()
    assert (taken.rq_id, taken.token, run.token, run.claimed_rq_id, run.delivery) == (
        "run-a-0",
        "w7.100.",
        "w7.100.",
        "run-a-0",
        "",
    )
    assert (run.state, run.rev, run.started_at) == (RunState.RUNNING, 2, pytest.approx(store.now))
    assert taken.data[b"payload"]
    client = store.client
    assert client.zscore(keys.claims, "run:a") == pytest.approx(store.now + 15)
    assert client.zrange("rq:wip:default", 0, -1) == [b"run-a-0:w7.100."]
    assert client.hget("rq:job:run-a-0", "status") == b"started"
    assert client.hget("rq:job:run-a-0", "worker_name") == b"w7"
    assert client.exists("rq:queue:default", keys.queued_at("default"), keys.wake("default")) == 0


def test_every_claim_has_a_token_of_its_own_and_none_is_the_start_of_another(store):
    """[C13] Tokens are free of prefixes: a record that begins with one is that claim's."""
    for number in range(12):
        store.submit(f"r{number}")
    tokens = [taken.token for taken in store.batch(limit=12).taken]
    assert len(set(tokens)) == 12
    assert not [
        (one, other) for one in tokens for other in tokens if one != other and other.startswith(one)
    ]


def test_priorities_go_in_order_and_each_first_in_first_out(store):
    """[C5]"""
    for number in (1, 2):
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
            store.submit(f"{priority.name}{number}", priority=priority)
    assert store.claim() == [
        f"run-{name}{number}-0" for name in ("HIGH", "NORMAL", "LOW") for number in (1, 2)
    ]


def test_a_claim_takes_no_more_than_asked_for_and_leaves_a_token_for_the_rest(store, keys):
    for number in range(5):
        store.submit(f"r{number}")
    store.client.delete(keys.wake("default"))
    batch = store.batch(limit=2)
    assert (len(batch.taken), batch.waiting) == (2, 3)
    assert store.client.llen(keys.wake("default")) == 1


def test_a_claim_takes_the_workers_fair_share(store):
    for number in range(10):
        store.submit(f"r{number}")
    assert [len(store.claim(limit=64, live_workers=4)) for _ in range(4)] == [3, 2, 2, 1]


def test_what_is_not_due_is_not_claimed_although_its_id_is_in_the_queue(store):
    """[C10]"""
    store.submit("a", due_in=10.0)
    store.client.rpush("rq:queue:default", "run-a-0")
    assert store.claim() == []
    assert store.load().state is RunState.SCHEDULED


def test_the_next_due_time_comes_with_every_claim(store):
    assert store.batch().next_due is None
    store.submit("a", due_in=10.0)
    assert store.batch().next_due == pytest.approx(store.now + 10)


@pytest.mark.parametrize(
    "rq_id", ["run-a-0", "run-a-1", "run-a-0-r1", "run-a-0-g1", "run-nobody-0", "hook-nobody"]
)
def test_an_id_that_no_record_waits_for_is_dropped(store, rq_id):
    """[C13] Also one that comes a second time."""
    store.submit("a")
    assert store.claim() == ["run-a-0"]
    before = store.dump()
    store.client.rpush("rq:queue:default", rq_id)
    assert store.claim() == []
    assert store.dump() == before


def test_of_two_entries_for_one_delivery_one_is_claimed(store):
    """[C13]"""
    store.submit("a")
    store.client.rpush("rq:queue:default", "run-a-0")
    assert store.claim() == ["run-a-0"]


@pytest.mark.parametrize("run_id", ["a-1-g2", "x-r5", "run-a-0", "a-0", "-", "hook-a"])
def test_run_ids_that_look_like_deliveries_are_read_from_the_right(store, run_id):
    """[C2]"""
    store.submit(run_id)
    assert store.claim() == [f"run-{run_id}-0"]
    assert store.load(run_id).state is RunState.RUNNING


def test_a_cancelled_runs_entry_is_dropped(store):
    """[C25]"""
    store.submit("a")
    store.submit("b")
    run = store.load("a")
    store.connection.call(
        finish_run(
            store.keys, run, Fence("", "req"), state=RunState.CANCELLED, now=store.now, ttl_s=10
        )
    )
    assert store.entries() == ["run-a-0", "run-b-0"]
    assert store.claim() == ["run-b-0"]


def test_many_stale_entries_are_dropped_a_bounded_number_a_claim(store):
    """Nothing loops over a list of unknown length."""
    store.client.rpush("rq:queue:default", *[f"run-gone{number}-0" for number in range(500)])
    store.submit("a")
    batch = store.batch(limit=1)
    assert batch.taken == []
    assert 0 < batch.waiting < 500
    claims = 1
    while not store.claim(limit=1):
        claims += 1
    assert claims < 12


def test_while_rq_is_suspended_nothing_is_claimed(store):
    """[C38]"""
    store.submit("a")
    store.client.set("rq:suspended", 1)
    before = store.dump()
    assert (store.batch().waiting, store.batch().taken) == (-1, [])
    assert store.dump() == before
    store.client.delete("rq:suspended")
    assert store.claim() == ["run-a-0"]


# ---- runners and jobs that are not this worker's


def test_a_run_whose_runner_is_not_known_goes_to_its_waiting_list(store, keys):
    """[C24]"""
    store.submit("a", runner="special")
    store.submit("b")
    assert store.claim(["x"]) == ["run-b-0"]
    client, run = store.client, store.load()
    assert client.lrange(keys.waiting_list("default", "special"), 0, -1) == [b"run-a-0"]
    assert client.smembers(keys.waiting_lists) == {b"default|special"}
    assert client.llen(keys.wake("@special")) == 1
    assert (run.state, run.rev, run.unroutable_since, run.failures, run.crashes) == (
        "pending",
        1,
        pytest.approx(store.now),
        0,
        0,
    )
    assert store.claim(["x"]) == []


def test_a_worker_that_knows_the_runner_reads_its_waiting_list_too(store, keys):
    """[C24]"""
    store.submit("a", runner="special")
    store.claim(["x"])
    sources = [*sources_of(keys, "default"), waiting_source(keys, "default", "special")]
    assert store.claim(["special"], sources=sources) == ["run-a-0"]
    assert store.load().unroutable_since == 0
    assert store.client.exists(keys.waiting_list("default", "special"), keys.wake("@special")) == 0
    store.client.delete(keys.waiting_lists)


def test_a_foreign_job_goes_to_the_failed_registry_with_a_sentence(store):
    """[C38]"""
    store.client.hset("rq:job:theirs", mapping={"data": "x", "status": "queued"})
    store.client.rpush("rq:queue:default", "theirs", "not-even-a-job")
    assert store.claim() == []
    assert store.client.zrange("rq:failed:default", 0, -1) == [b"theirs"]
    job = store.client.hgetall("rq:job:theirs")
    assert job[b"status"] == b"failed"
    assert b"was not written by stepflow" in job[b"exc_info"]
    assert store.client.exists("rq:job:not-even-a-job") == 0


def test_a_run_of_another_name_space_is_foreign_here(store):
    store.client.hset("rq:job:other_run-a-0", mapping={"data": "x"})
    store.client.rpush("rq:queue:default", "other_run-a-0")
    assert store.claim() == []
    assert store.client.zcard("rq:failed:default") == 1


# ---- the way of a stock RQ worker


def one(store, token="stock.1.", rq_id="run-a-0"):
    call = claim_one(
        store.keys, "run:a", rq_id, token, "default", given=store.clock.given, lease_s=15.0
    )
    return store.connection.call(call)


def test_a_stock_worker_claims_the_one_delivery_it_popped(store, keys):
    """[C38]"""
    store.submit("a")
    store.client.lpop("rq:queue:default")
    taken = one(store)
    assert (taken.token, store.load().token, store.load().claimed_rq_id) == (
        "stock.1.",
        "stock.1.",
        "run-a-0",
    )
    assert store.client.zscore(keys.claims, "run:a") == pytest.approx(store.now + 15)


def test_a_claim_of_one_that_arrives_twice_knows_its_own_token(store):
    """[C13]"""
    store.submit("a")
    store.client.lpop("rq:queue:default")
    one(store)
    before = store.dump()
    assert one(store) is not None
    assert store.dump() == before


@pytest.mark.parametrize("how", ["taken", "other delivery", "not due", "unknown"])
def test_a_claim_of_one_that_the_record_does_not_wait_for_changes_nothing(store, how):
    """[C13]"""
    if how != "unknown":
        store.submit("a", due_in=10.0 if how == "not due" else 0.0)
    if how == "taken":
        store.claim()
    before = store.dump()
    assert one(store, rq_id="run-a-1" if how == "other delivery" else "run-a-0") is None
    assert store.dump() == before
