"""
The scripts that leave rev alone, and those that look after all runs: renew, extend, memo, due,
rounds, sweep, hooks.
"""

import pytest

from stepflow.core.run import RunState, StopKind, StopRequest
from stepflow.store.claims import (
    extend_claim,
    load_memo,
    put_memo,
    renew_claims,
    source_of,
    sources_of,
)
from stepflow.store.hooks import HookJob, commit_hook, load_hook, requeue_hook
from stepflow.store.keys import LIVE
from stepflow.store.maintenance import move_due, scan_maintenance, sweep_expired
from stepflow.store.runs import finish_run, mark_run
from tests.support import runs_of


def renew(store, *claims):
    return store.connection.call(renew_claims(store.keys, claims, given=store.clock.given))


def lease(store, member="run:a"):
    found = store.client.zscore(store.keys.claims, member)
    return None if found is None else found - store.now


# ---- renew, extend


def test_a_renewal_lengthens_a_claim_from_now_and_never_shortens_it(store):
    """[C35] [C16]"""
    run = store.held()
    store.clock.advance(10)
    now, answers = renew(store, ("run:a", run.token, 15.0))
    assert (now, answers) == (pytest.approx(store.now), [1])
    assert lease(store) == pytest.approx(15)
    renew(store, ("run:a", run.token, 1.0))
    assert lease(store) == pytest.approx(15)


@pytest.mark.parametrize("seconds", [15.0, 0.0])
def test_a_renewal_of_a_claim_that_is_anothers_says_lost_and_changes_nothing(store, seconds):
    """[C13]"""
    store.held()
    before = store.dump()
    assert renew(
        store, ("run:a", "w9.1.", seconds), ("run:gone", "w1.1.", seconds), ("hook:gone", "x.", 1.0)
    )[1] == [
        0,
        0,
        0,
    ]
    assert store.dump() == before


def test_a_renewal_brings_the_stop_that_the_channel_may_have_missed(store):
    """[C26]"""
    run = store.held()
    stop = StopRequest(StopKind.CANCEL, "enough", store.now)
    store.connection.call(
        mark_run(store.keys, run, stop, request="r", look_again_at=None, now=store.now)
    )
    [answer] = renew(store, ("run:a", run.token, 5.0))[1]
    assert answer == f"cancel|{store.now:.6f}|enough".encode()


def test_a_renewal_by_no_seconds_only_asks(store):
    """[C23] Past its limit a claim is not lengthened, but its stop is still heard."""
    run = store.held()
    before = store.dump()
    assert renew(store, ("run:a", run.token, 0.0))[1] == [1]
    assert store.dump() == before


def test_a_renewal_does_not_bring_back_a_claim_that_was_given_up(store):
    """[C13] ZADD XX: the claim set is not where a claim is made."""
    run = store.held()
    store.client.zrem(store.keys.claims, "run:a")
    renew(store, ("run:a", run.token, 15.0))
    assert lease(store) is None


def test_extend_keeps_at_least_so_long_and_never_shortens(store):
    """[C16]"""
    run = store.held()
    for seconds, left in ((100.0, 100), (1.0, 100)):
        assert store.connection.call(
            extend_claim(store.keys, "run:a", run.token, seconds, given=store.clock.given)
        )
        assert lease(store) == pytest.approx(left)
    before = store.dump()
    assert not store.connection.call(
        extend_claim(store.keys, "run:a", "w9.1.", 500.0, given=store.clock.given)
    )
    assert store.dump() == before


# ---- memo


def test_a_memo_is_written_under_the_claim_and_sets_the_count_of_crashes_back(store, keys):
    """[C15] [C22]"""
    run = store.held()
    store.client.hset(keys.run("a"), "crashes", 3)
    assert store.connection.call(put_memo(keys, "a", run.token, 0, "0.k", b"v"))
    assert store.connection.call(load_memo(keys, "a")) == {b"0.k": b"v"}
    assert (store.load().crashes, store.load().rev) == (0, run.rev)


@pytest.mark.parametrize(("token", "step"), [("w9.1.", 0), (None, 1), ("", 0)])
def test_a_memo_without_the_claim_or_of_another_step_is_refused(store, keys, token, step):
    """[C15]"""
    run = store.held()
    before = store.dump()
    assert not store.connection.call(
        put_memo(keys, "a", run.token if token is None else token, step, "0.k", b"v")
    )
    assert store.dump() == before


# ---- due


def move(store, limit=100):
    return store.connection.call(
        move_due(store.keys, given=store.clock.given, now=store.now, limit=limit)
    )


@pytest.mark.parametrize("due_in", [5.0, 5000.0])
def test_what_has_come_due_is_moved_into_its_queue_once(store, keys, due_in):
    """[C10]"""
    store.submit("a", due_in=due_in)
    store.client.delete(keys.wake("default"))
    assert move(store)[1:3] == (0, pytest.approx(store.now + due_in))
    store.clock.advance(due_in)
    assert move(store)[1:3] == (1, None)
    before = store.dump()
    assert move(store)[1:3] == (0, None)
    assert store.dump() == before
    run, client = store.load(), store.client
    assert (run.state, run.rev) == (RunState.PENDING, 2)
    assert store.entries() == ["run-a-0"]
    assert client.hget("rq:job:run-a-0", "status") == b"queued"
    assert client.exists("rq:scheduled:default", keys.due) == 0
    assert client.llen(keys.wake("default")) == 1
    assert store.claim() == ["run-a-0"]


def test_the_mover_moves_a_bounded_number_and_says_when_the_next_is_due(store):
    for number in range(5):
        store.submit(f"r{number}", due_in=1.0 + number)
    store.clock.advance(10)
    assert move(store, limit=3)[1] == 3
    assert move(store, limit=3)[1:3] == (2, None)
    assert store.entries() == [f"run-r{number}-0" for number in range(5)]


def test_the_mover_goes_by_the_record_and_not_by_the_entry(store, keys):
    """[C13] An entry of a run that was cancelled, claimed or put off is no reason to move it."""
    store.submit("later", due_in=50.0)
    store.client.zadd(
        keys.due,
        {"run:later": store.now - 1, "run:nobody": store.now - 1, "hook:nobody": store.now - 1},
    )
    move(store)
    assert store.entries() == []
    assert store.client.zrange(keys.due, 0, -1, withscores=True) == [
        (b"run:later", pytest.approx(store.now + 50))
    ]


def test_each_priority_goes_to_its_own_queue_and_wakes_the_one(store, keys):
    """[C5]"""
    from stepflow.core.run import Priority

    for priority in Priority:
        store.submit(priority.name, due_in=1.0, priority=priority)
    store.client.delete(keys.wake("default"))
    store.clock.advance(1)
    move(store)
    assert [store.entries(f"default{suffix}") for suffix in (".high", "", ".low")] == [
        ["run-HIGH-0"],
        ["run-NORMAL-0"],
        ["run-LOW-0"],
    ]
    assert store.client.llen(keys.wake("default")) == 1


# ---- the round


def look(store, worker="w1"):
    sources = [
        *sources_of(store.keys, "default"),
        source_of(store.keys, store.keys.hook_queue, store.keys.wake(store.keys.hook_queue)),
    ]
    return store.connection.call(
        scan_maintenance(
            store.keys,
            sources,
            "default",
            worker,
            given=store.clock.given,
            silent_s=5.0,
            dead_s=60.0,
        )
    )


def test_a_round_of_an_idle_server_finds_nothing(store):
    found = look(store)
    assert (found.suspended, found.live_workers, found.next_due) == (False, 1, None)
    assert (
        found.lapsed == found.overdue == found.waiting_lists == found.missing == found.strays == []
    )
    assert not found.expired


def test_a_round_counts_the_workers_that_were_seen_lately(store):
    assert [look(store, worker).live_workers for worker in ("w1", "w2", "w3")] == [1, 2, 3]
    store.clock.advance(6)
    assert look(store, "w2").live_workers == 1


def test_a_round_sees_a_claim_once_it_has_lapsed_and_not_before(store):
    """[C35]"""
    store.held()
    store.clock.advance(14.9)
    assert look(store).lapsed == []
    store.clock.advance(0.2)
    assert look(store).lapsed == ["run:a"]


def test_a_round_sees_passed_deadlines_due_times_waiting_lists_and_suspension(store, keys):
    """[C23] [C24] [C38]"""
    store.submit("a", timeout=5.0, due_in=10.0)
    assert look(store).overdue == []
    store.submit("b", runner="special")
    store.claim(["x"])
    store.client.set("rq:suspended", 1)
    store.clock.advance(6)
    found = look(store)
    assert (found.overdue, found.waiting_lists, found.suspended) == (
        ["a"],
        ["default|special"],
        True,
    )
    assert found.next_due == pytest.approx(store.now + 4)
    store.client.delete("rq:suspended")


def test_a_round_leaves_a_token_where_jobs_wait_without_one(store, keys):
    """Seen so: plain `rq enqueue`, requeue, a token that a dead worker ate."""
    store.submit("a")
    store.client.delete(keys.wake("default"))
    look(store)
    assert store.client.llen(keys.wake("default")) == 1


def test_a_round_sees_a_pending_run_whose_entry_is_gone(store):
    """[C13] Queued earlier than the queue's head, or in an empty queue."""
    store.submit("lost")
    store.clock.advance(2)
    store.submit("head")
    store.client.lrem("rq:queue:default", 0, "run-lost-0")
    assert look(store).missing == ["run:lost"]
    store.client.delete("rq:queue:default")
    store.clock.advance(2)
    assert sorted(look(store).missing) == ["run:head", "run:lost"]


def test_a_round_does_not_miss_what_only_waits_its_turn(store):
    """[C13] Negative control: also behind a foreign job, and behind an id that is stale."""
    store.client.rpush("rq:queue:default", "run-gone-0")
    store.submit("a")
    store.clock.advance(100)
    store.submit("b")
    assert look(store).missing == []
    store.client.lpop("rq:queue:default")
    assert look(store).missing == []


def test_no_list_of_a_round_is_longer_than_fifty(store):
    for number in range(60):
        store.submit(f"r{number}", timeout=1.0)
    store.claim(limit=64)
    store.clock.advance(20)
    found = look(store)
    assert (len(found.lapsed), len(found.overdue)) == (50, 50)


# ---- what has expired


def sweep(store, limit=100):
    return store.connection.call(sweep_expired(store.keys, given=store.clock.given, limit=limit))


def finished(store, run_id="a", ttl_s=100):
    run = store.held(run_id)
    store.connection.call(
        finish_run(
            store.keys, run, store.fence(run), state=RunState.SUCCEEDED, now=store.now, ttl_s=ttl_s
        )
    )


def test_index_entries_are_swept_once_the_record_is_gone(store, keys):
    """[C37]"""
    finished(store)
    store.clock.advance(99)
    assert not look(store).expired
    before = store.dump()
    assert sweep(store) == 0
    assert store.dump() == before
    store.client.delete(*store.client.scan_iter(keys.run("a") + "*"))
    store.clock.advance(1)
    assert look(store).expired
    assert sweep(store) == 1
    assert store.client.exists(keys.expiry, keys.ended_index("succeeded")) == 0
    assert runs_of(store.client, "x", keys) == []


def test_many_are_swept_at_once_out_of_each_of_their_indexes(store, keys):
    """[B18] [C37]"""
    for number in range(70):
        store.submit(f"r{number}")
    store.batch(limit=100)
    for number in range(70):
        run = store.load(f"r{number}")
        end = RunState.FAILED if number % 2 else RunState.SUCCEEDED
        store.connection.call(
            finish_run(keys, run, store.fence(run), state=end, now=store.now, ttl_s=100)
        )
        store.client.delete(*(keys.run(run.id) + part for part in ("", ":data", ":steps")))
    store.client.zadd(keys.expiry, {b"no \xff member of ours": 1.0})
    store.clock.advance(100)
    assert [sweep(store, limit=50), sweep(store, limit=50), sweep(store, limit=50)] == [50, 21, 0]
    left = (
        keys.ended_index("failed"),
        keys.ended_index("succeeded"),
        keys.expiry,
    )
    assert runs_of(store.client, "x", keys) == []
    assert store.client.exists(*left) == 0


def test_a_run_submitted_anew_before_the_sweep_is_left_in_the_indexes(store, keys):
    """[C37]"""
    finished(store)
    store.client.delete(*store.client.scan_iter(keys.run("a") + "*"))
    store.submit("a", request="r2")
    store.clock.advance(101)
    assert sweep(store) == 1
    assert store.client.zrange(keys.runner_index(LIVE, "x"), 0, -1) == [b"a"]
    assert store.client.zrange(keys.live, 0, -1) == [b"a"]


# ---- hooks


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


def test_a_hook_is_claimed_like_a_step(store, keys, hook):
    """[C29]"""
    assert (hook.token[:3], hook.claimed_rq_id, hook.delivery, hook.rev, hook.state) == (
        "w1.",
        "hook-h1",
        "",
        2,
        "running",
    )
    assert lease(store, "hook:h1") == pytest.approx(15)


SETTLED = {
    "delivered": {"fields": ["rev", 3, "state", "delivered", "claimed_id", ""], "ttl_s": 50.0},
    "dead": {
        "fields": ["rev", 3, "state", "dead", "claimed_id", ""],
        "ttl_s": 50.0,
        "died_at": 5.0,
    },
    "again": {
        "fields": [
            "rev",
            3,
            "state",
            "pending",
            "claimed_id",
            "",
            "delivery",
            "hook-h1-r3",
            "due",
            "9",
        ],
        "due_at": 9.0,
    },
}


@pytest.mark.parametrize("how", SETTLED)
def test_a_try_is_settled_once(store, keys, hook, how):
    """[C29] [C13]"""
    call = commit_hook(keys, hook, **SETTLED[how])
    assert store.connection.call(call) == 1
    before = store.dump()
    assert store.connection.call(call) == 2
    assert store.dump() == before
    client = store.client
    assert client.exists(keys.claims, f"rq:wip:{keys.hook_queue}", "rq:job:hook-h1") == 0
    assert (client.ttl(keys.hook("h1")) > 0) is (how != "again")
    assert client.exists(keys.dead_hooks) == (how == "dead")
    assert client.exists(keys.due) == (how == "again")
    if how == "again":
        client.hset(keys.hook("h1"), "due", "")
        store.connection.call(
            requeue_hook(keys, store.connection.call(load_hook(keys, "h1")), now=store.now)
        )


def test_a_try_whose_claim_is_gone_is_refused(store, keys, hook):
    """[C13]"""
    store.connection.call(requeue_hook(keys, hook, now=store.now))
    before = store.dump()
    assert store.connection.call(commit_hook(keys, hook, **SETTLED["dead"])) == 0
    assert store.dump() == before


def test_a_hook_is_queued_again_once(store, keys, hook):
    """[C29] Guarded by rev."""
    call = requeue_hook(keys, hook, now=store.now)
    assert store.connection.call(call) == 1
    before = store.dump()
    assert store.connection.call(call) == 0
    assert store.dump() == before
    assert store.entries(keys.hook_queue) == ["hook-h1-r2"]
    assert store.client.exists(keys.claims, "rq:job:hook-h1") == 0


def test_a_hook_whose_lease_runs_is_not_taken_from_its_worker(store, keys, hook):
    """[C29]"""
    assert (
        store.connection.call(
            requeue_hook(keys, hook, now=store.now, lapsed=f"{store.now + 14:.6f}")
        )
        == 0
    )
    assert (
        store.connection.call(
            requeue_hook(keys, hook, now=store.now, lapsed=f"{store.now + 16:.6f}")
        )
        == 1
    )


def test_a_dead_hook_that_is_sent_again_is_no_longer_dead_and_lives_on(store, keys, hook):
    """[C29]"""
    store.connection.call(commit_hook(keys, hook, **SETTLED["dead"]))
    store.connection.call(
        requeue_hook(keys, store.connection.call(load_hook(keys, "h1")), now=store.now, fresh=True)
    )
    after = store.connection.call(load_hook(keys, "h1"))
    assert (after.state, after.tries) == ("pending", 0)
    assert store.client.ttl(keys.hook("h1")) == -1
    assert store.client.exists(keys.dead_hooks) == 0
