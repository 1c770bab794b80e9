"""
keep_step, hand_over, finish_run, mark_run, retry_run: guarded by rev and token, known by their
second arrival.
"""

import dataclasses

import pytest

from stepflow.core.run import RunState, StopKind, StopRequest
from stepflow.store.hooks import HookJob
from stepflow.store.runs import (
    AGAIN,
    DONE,
    STALE,
    Fence,
    Writes,
    finish_run,
    hand_over,
    keep_step,
    mark_run,
    retry_run,
)
from stepflow.store.values.codec import pack

FX = Writes(["gone"], ["kept", b"v"])


def keep(store, run, fence, **options):
    return keep_step(store.keys, run, fence, pack(2), now=store.now, **options)


def hand(store, run, fence, *, due_at=None, step=None, **options):
    state = RunState.PENDING if due_at is None else RunState.SCHEDULED
    step = run.step if step is None else step
    return hand_over(
        store.keys, run, fence, state=state, step=step, failures=1, crashes=0, due_at=due_at,
        now=store.now, **options,
    )  # fmt: skip


def hook_of(store, run):
    fields = [
        "run",
        run.id,
        "runner",
        "@webhook",
        "state",
        "pending",
        "delivery",
        "hook-a-0-1-0",
        "rev",
        1,
        "target",
        b"",
        "body",
        b"",
    ]
    return HookJob(f"{run.id}-0-1-0", f"hook-{run.id}-0-1-0", fields)


def finish(store, run, fence, *, state=RunState.SUCCEEDED, **options):
    return finish_run(store.keys, run, fence, state=state, now=store.now, ttl_s=100, **options)


#: the three scripts a worker closes a step with, each with all it can carry
CLOSING = {
    "keep": lambda store, run, fence: keep(store, run, fence, effects=FX, drop_memo=True),
    "hand over now": lambda store, run, fence: hand(
        store, run, fence, step=1, payload=pack(2), effects=FX, drop_memo=True
    ),
    "hand over later": lambda store, run, fence: hand(store, run, fence, due_at=store.now + 5),
    "hand over much later": lambda store, run, fence: hand(
        store, run, fence, due_at=store.now + 5000
    ),
    "finish": lambda store, run, fence: finish(
        store, run, fence, data=["result", pack(3)], effects=FX, hooks=[hook_of(store, run)]
    ),
}
closing = pytest.mark.parametrize("closes", CLOSING.values(), ids=CLOSING)


@closing
def test_the_holder_of_the_claim_may_close_its_step(store, closes):
    """[C14] Negative control of the guards below: with the right rev and token it is written."""
    run = store.held()
    before = store.dump()
    assert store.connection.call(closes(store, run, store.fence(run)))[0] == DONE
    assert store.dump() != before
    assert store.load().rev == run.rev + 1


@closing
@pytest.mark.parametrize("wrong", ["token", "rev", "both", "older rev"])
def test_a_commit_with_another_token_or_rev_is_refused_and_changes_nothing(store, closes, wrong):
    """[C13]"""
    run = store.held()
    claimed = dataclasses.replace(run)
    if wrong in ("token", "both"):
        claimed.token = "w9.1."
    if wrong in ("rev", "both"):
        claimed.rev += 1
    if wrong == "older rev":
        claimed.rev -= 1
    before = store.dump()
    answer = store.connection.call(closes(store, claimed, store.fence(claimed)))
    assert answer == [STALE, str(run.rev).encode(), run.token.encode()]
    assert store.dump() == before


@closing
def test_a_commit_of_a_run_that_is_not_there_is_refused_and_writes_nothing(store, closes):
    """[C13]"""
    run = store.held()
    store.client.flushall()
    assert store.connection.call(closes(store, run, store.fence(run)))[0] == STALE
    assert store.dump() == {}


@closing
def test_a_second_arrival_is_answered_as_known_and_changes_nothing(store, closes):
    """[C13] Its reply was lost and the client library sent it again."""
    run = store.held()
    call = closes(store, run, store.fence(run))
    assert store.connection.call(call)[0] == DONE
    before = store.dump()
    assert store.connection.call(call) == [AGAIN]
    assert store.dump() == before


@closing
def test_a_second_arrival_is_known_even_after_the_run_has_moved_on(store, closes):
    """[C13]"""
    run = store.held()
    call = closes(store, run, store.fence(run))
    store.connection.call(call)
    now = store.load()
    if now.token:
        store.connection.call(keep(store, now, store.fence(now)))
    elif now.state is RunState.PENDING:
        store.claim(worker="w2")
    before = store.dump()
    assert store.connection.call(call) == [AGAIN]
    assert store.dump() == before


@closing
def test_what_another_claim_wrote_about_the_step_is_not_taken_for_ones_own(store, closes):
    """[C13] Negative control: a late commit is not a second arrival."""
    late = store.held()
    store.connection.call(hand(store, late, Fence("", "r", "w1.lost 1 0 0", record_name="0.lost")))
    assert store.claim(worker="w2")
    other = store.load()
    store.connection.call(closes(store, other, store.fence(other)))
    before = store.dump()
    assert store.connection.call(closes(store, late, store.fence(late)))[0] == STALE
    assert store.dump() == before


# ---- keep


def test_a_kept_step_is_closed_and_the_next_is_the_same_claims(store, keys):
    """[C14] Nothing of RQ's changes."""
    run = store.held()
    claim = store.client.zrange(keys.claims, 0, -1, withscores=True)
    rq_side = {key: value for key, value in store.dump().items() if key.startswith(b"rq:")}
    store.connection.call(keep(store, run, store.fence(run)))
    after = store.load()
    assert (after.step, after.token, after.state, after.claimed_rq_id) == (
        1,
        run.token,
        "running",
        "run-a-0",
    )
    assert store.client.hget(keys.run("a") + ":data", "payload") == pack(2)
    assert store.client.hkeys(keys.run("a") + ":steps") == [b"0"]
    assert store.client.zrange(keys.claims, 0, -1, withscores=True) == claim
    assert {key: value for key, value in store.dump().items() if key.startswith(b"rq:")} == rq_side


def test_a_keep_says_what_waits(store, keys):
    run = store.held()
    for number in range(3):
        store.submit(f"b{number}")
    answer = store.connection.call(
        keep(store, run, store.fence(run), look_at=["rq:queue:default.high", "rq:queue:default"])
    )
    assert answer == [DONE, 0, 3]


def test_effects_are_written_and_deleted_with_the_step(store, keys):
    """[C17]"""
    run = store.held()
    store.client.hset(keys.run("a") + ":kv", "gone", 1)
    store.connection.call(keep(store, run, store.fence(run), effects=FX))
    assert store.client.hgetall(keys.run("a") + ":kv") == {b"kept": b"v"}


def test_the_memo_goes_with_its_step(store, keys):
    """[C15]"""
    run = store.held()
    store.client.hset(keys.run("a") + ":memo", "0.k", 1)
    store.connection.call(keep(store, run, store.fence(run), drop_memo=True))
    assert store.client.exists(keys.run("a") + ":memo") == 0


# ---- hand over


def test_handing_over_takes_the_old_delivery_away_and_puts_the_new_one_into_its_queue(store, keys):
    """[C14]"""
    run = store.held()
    store.connection.call(hand(store, run, store.fence(run), step=1, payload=pack(2)))
    after, client = store.load(), store.client
    assert (after.step, after.state, after.token, after.delivery) == (1, "pending", "", "run-a-1")
    assert store.entries() == ["run-a-1"]
    assert client.exists("rq:job:run-a-0", keys.claims, "rq:wip:default") == 0
    assert client.llen(keys.wake("default")) == 1
    assert client.zscore(keys.queued_at("default"), "run:a") == pytest.approx(store.now)
    assert store.claim() == ["run-a-1"]


def test_a_step_handed_over_again_has_a_delivery_of_another_name(store):
    """[C13] RQ's clean-up of the old job must not swallow the new one."""
    run = store.held()
    store.connection.call(hand(store, run, store.fence(run)))
    assert store.load().delivery == "run-a-0-r1"
    assert store.claim() == ["run-a-0-r1"]
    again = store.load()
    store.connection.call(hand(store, again, store.fence(again)))
    assert store.load().delivery == "run-a-0-r2"


def test_an_outsider_needs_no_token_but_the_rev_it_saw(store):
    """[C13] Recovery."""
    run = store.held()
    fence = Fence("", "request-1", "w1.100.lost 1 0 0", record_name="0.w1.100.lost")
    stale = dataclasses.replace(run, rev=run.rev - 1)
    before = store.dump()
    assert store.connection.call(hand(store, stale, fence))[0] == STALE
    assert store.dump() == before
    assert store.connection.call(hand(store, run, fence))[0] == DONE
    before = store.dump()
    assert store.connection.call(hand(store, run, fence)) == [AGAIN]
    assert store.dump() == before


def test_recovery_is_refused_while_the_lease_runs(store):
    """[C35] A renewal that came between the look and the hand-over keeps the claim."""
    run = store.held()
    for ahead, answer in ((-0.5, STALE), (20.0, DONE)):
        fence = Fence("", "r", lapsed=f"{store.now + ahead:.6f}")
        assert store.connection.call(hand(store, run, fence))[0] == answer


# ---- finish


def test_an_end_writes_all_that_follows_from_it_in_one_script(store, keys):
    """[C14] [C37] Times to live on its keys, index entries moved, hook and its job written."""
    run = store.held(timeout=50.0)
    store.connection.call(CLOSING["finish"](store, run, store.fence(run)))
    client, after = store.client, store.load()
    assert (after.state, after.ends, after.ended_at, after.token, after.delivery) == (
        "succeeded",
        1,
        pytest.approx(store.now),
        "",
        "",
    )
    for part in ("", ":data", ":steps", ":kv"):
        assert 0 < client.ttl(keys.run("a") + part) <= 100
    assert (
        client.exists(
            keys.claims,
            keys.live,
            keys.deadlines,
            "rq:wip:default",
            "rq:job:run-a-0",
            keys.queued_at("default"),
        )
        == 0
    )
    assert client.zrange(keys.ended_index("succeeded"), 0, -1) == [b"a"]
    assert client.zrange(keys.expiry, 0, -1) == [b"succeeded|x|a"]
    assert store.entries("stepflow.hooks") == ["hook-a-0-1-0"]
    assert client.hget("rq:job:hook-a-0-1-0", "status") == b"queued"
    assert client.hget(keys.hook("a-0-1-0"), "state") == b"pending"
    assert b"rq:queue:stepflow.hooks" in client.smembers("rq:queues")


@pytest.mark.parametrize("due_in", [0.0, 5.0, 5000.0])
def test_a_waiting_run_ends_from_outside_and_its_job_is_deleted(store, keys, due_in):
    """[C25]"""
    store.submit("a", due_in=due_in)
    run = store.load()
    assert (
        store.connection.call(
            finish(store, run, Fence("", "r1"), state=RunState.CANCELLED, data=["reason", "no"])
        )[0]
        == DONE
    )
    client = store.client
    assert (
        client.exists(
            "rq:job:run-a-0", keys.due, "rq:scheduled:default", keys.queued_at("default"), keys.live
        )
        == 0
    )
    before = store.dump()
    assert store.connection.call(finish(store, run, Fence("", "r1"), state=RunState.CANCELLED)) == [
        AGAIN
    ]
    assert (
        store.connection.call(finish(store, run, Fence("", "r2"), state=RunState.CANCELLED))[0]
        == STALE
    )
    assert store.dump() == before


def test_a_cancel_that_comes_after_the_claim_is_refused(store):
    """[C25] Negative control: what it saw was a waiting run."""
    store.submit("a")
    run = store.load()
    store.claim()
    before = store.dump()
    assert (
        store.connection.call(finish(store, run, Fence("", "r1"), state=RunState.CANCELLED))[0]
        == STALE
    )
    assert store.dump() == before


# ---- mark


def mark(store, run, request="r1"):
    stop = StopRequest(StopKind.CANCEL, "enough|of this", store.now)
    return mark_run(
        store.keys, run, stop, request=request, look_again_at=store.now + 5, now=store.now
    )


def test_a_mark_leaves_the_claim_and_writes_the_wish(store, keys):
    """[C26]"""
    run = store.held()
    assert store.connection.call(mark(store, run))[0] == DONE
    after = store.load()
    assert (after.token, after.state, after.rev) == (run.token, "running", run.rev + 1)
    assert after.stop == StopRequest(StopKind.CANCEL, "enough|of this", pytest.approx(store.now))
    assert store.client.zscore(keys.deadlines, "a") == pytest.approx(store.now + 5)


def test_a_mark_is_guarded_by_rev_and_knows_its_second_arrival(store):
    """[C13] [C28]"""
    run = store.held()
    store.connection.call(mark(store, run))
    before = store.dump()
    assert store.connection.call(mark(store, run)) == [AGAIN]
    assert store.connection.call(mark(store, run, request="r2"))[0] == STALE
    assert store.dump() == before


def test_a_commit_that_did_not_see_the_mark_is_refused(store):
    """[C27] So that it looks again and obeys."""
    run = store.held()
    store.connection.call(mark(store, run))
    before = store.dump()
    assert store.connection.call(finish(store, run, store.fence(run)))[0] == STALE
    assert store.dump() == before
    marked = store.load()
    assert (
        store.connection.call(finish(store, marked, store.fence(marked), state=RunState.CANCELLED))[
            0
        ]
        == DONE
    )


# ---- revive


def failed(store):
    run = store.held()
    store.connection.call(
        finish(
            store,
            run,
            store.fence(run, "fail"),
            state=RunState.FAILED,
            data=["error", pack(["E", "m", ""]), "reason", "m"],
        )
    )
    return store.load()


def test_a_revived_run_stands_in_its_queue_without_a_time_to_live(store, keys):
    """[C21] [C37]"""
    run = failed(store)
    assert store.connection.call(retry_run(keys, run, request="r1", now=store.now))[0] == DONE
    after, client = store.load(), store.client
    assert (after.state, after.ended_at, after.failures, after.ends, after.step) == (
        "pending",
        0,
        0,
        1,
        0,
    )
    assert {client.ttl(key) for key in client.scan_iter(keys.run("a") + "*")} == {-1}
    assert client.exists(keys.ended_index("failed"), keys.expiry) == 0
    assert client.zrange(keys.live, 0, -1) == [b"a"]
    assert client.hkeys(keys.run("a") + ":data") == [b"payload"]
    assert store.claim() == ["run-a-0-r1"]


def test_a_revival_is_guarded_by_rev_and_knows_its_second_arrival(store, keys):
    """[C13]"""
    run = failed(store)
    store.connection.call(retry_run(keys, run, request="r1", now=store.now))
    before = store.dump()
    assert store.connection.call(retry_run(keys, run, request="r1", now=store.now)) == [AGAIN]
    assert store.connection.call(retry_run(keys, run, request="r2", now=store.now))[0] == STALE
    assert store.dump() == before
