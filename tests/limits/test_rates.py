"""Rates at the claim: never more than rate x window + burst, and what waits goes on in time."""

import random

import pytest

from stepflow.core.limits.use import LimitUse


def begins(store, seconds, step=0.01):
    """Let time pass; gives when each run began, by a clock that moves on in steps."""
    found, start = [], store.now
    while store.now < start + seconds:
        store.due()
        for name in store.claimed():
            found.append(store.now - start)
            store.end(name)
        store.clock.advance(step)
    return found


def most_within(times, window):
    return max(sum(1 for each in times if at <= each < at + window) for at in times)


def test_runs_begin_at_the_rate(real_store):
    """[L9] Precise to 50 ms; the first at once, for nothing has begun for a while."""
    real_store.declare(interval=0.2, burst=1)
    for number in range(10):
        real_store.submit(f"r{number}", "stripe")
    times = begins(real_store, 3)
    assert len(times) == 10
    assert all(-1e-6 <= at - 0.2 * number < 0.05 for number, at in enumerate(times))
    assert real_store.left() == []


def test_a_burst_begins_at_once_after_quiet_times(store):
    """[L9]"""
    store.declare(interval=1.0, burst=5)
    for number in range(8):
        store.submit(f"r{number}", "stripe")
    assert len(store.claimed()) == 5
    for number in range(5):
        store.end(f"r{number}")
    store.clock.advance(100)
    store.due()
    assert len(store.claimed()) == 3


@pytest.mark.crash
def test_over_any_window_never_more_than_rate_times_window_plus_burst(real_store):
    """[L9] Submitted by chance, in gusts."""
    rng = random.Random(7)
    real_store.declare(interval=0.05, burst=4)
    times, start = [], real_store.now
    for number in range(400):
        if rng.random() < 0.3:
            for extra in range(rng.randrange(6)):
                real_store.submit(f"r{number}-{extra}", "stripe")
        real_store.due()
        for name in real_store.claimed():
            times.append(real_store.now - start)
            real_store.end(name)
        real_store.clock.advance(0.02)
    assert len(times) > 100
    for window in (0.05, 0.2, 1.0, 3.0):
        assert most_within(times, window) <= window / 0.05 + 4 + 0.001


def test_units_take_more_of_the_rate(store):
    """[L1] A run of more units than the burst begins when nothing has for long enough."""
    store.declare(interval=1.0, burst=4)
    store.submit("a", LimitUse("stripe", "", 3))
    store.submit("b", LimitUse("stripe", "", 3))
    store.submit("c", LimitUse("stripe", "", 10))
    assert store.claimed() == ["a"]
    store.clock.advance(1.99)
    store.due()
    assert store.claimed() == []
    store.clock.advance(0.02)
    store.due()
    assert store.claimed() == ["b"]
    store.clock.advance(5)
    store.due()
    assert store.claimed() == ["c"]


def test_one_timer_stands_for_a_whole_line(store):
    """[L9]"""
    store.declare(interval=10.0)
    for number in range(20):
        store.submit(f"r{number}", "stripe[a]")
        store.submit(f"s{number}", "stripe[b]")
    store.claimed()
    due = store.client.zrange(store.keys.due, 0, -1)
    assert sorted(due) == [b"limit:stripe|a", b"limit:stripe|b"]


def test_a_lost_timer_is_made_anew(store):
    """[L20] A round looks at lines, too."""
    from stepflow.engine.limits import turns

    store.declare(interval=10.0)
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    store.claimed()
    store.client.delete(store.keys.due)
    store.plan(turns.look_round(store.env))
    assert store.client.zrange(store.keys.due, 0, -1) == [b"limit:stripe|"]
    store.clock.advance(10)
    store.client.delete(store.keys.due)
    store.plan(turns.look_round(store.env))
    assert store.claimed() == ["b"]


def test_to_go_on_is_no_begin(store):
    """[L3] A next step, and the end of a sleep, are none; they pass those that wait to begin."""
    store.declare(interval=100.0)
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    assert store.claimed() == ["a"]
    store.give_back("a")
    assert store.claimed() == ["a"]
    store.give_back("a", due_in=1)
    store.clock.advance(2)
    store.due()
    assert store.claimed() == ["a"]
    assert store.line() == ["b"]


def test_rate_and_concurrency_of_one_limit_both_count(store):
    store.declare(concurrency=1, interval=1.0, burst=10)
    for name in "abc":
        store.submit(name, "stripe")
    assert store.claimed() == ["a"]
    store.end("a")
    assert store.claimed() == ["b"]
    store.set(burst=1)
    store.end("b")
    assert store.claimed() == []
    assert store.client.zrange(store.keys.due, 0, -1) == [b"limit:stripe|"]
    store.clock.advance(2.01)
    store.due()
    assert store.claimed() == ["c"]


def test_one_that_is_cancelled_in_line_leaves_it(store):
    store.declare(interval=5.0)
    for name in "abc":
        store.submit(name, "stripe")
    store.claimed()
    store.end("b")
    assert store.line() == ["c"]
    store.end("c")
    store.end("a")
    store.clock.advance(6)
    store.due()
    assert store.left() == []
    assert store.client.zcard(store.keys.due) == 0


def rest(store, run_id, key=None, for_s=10.0):
    """Commit what `RateLimited` leads to."""
    from stepflow.core.backoff import RetryPolicy
    from stepflow.core.outcomes import ErrorInfo, Raised, Rest
    from stepflow.core.transitions import decide
    from stepflow.store.runs import Fence, hand_over

    run, raised = (
        store.load(run_id),
        Raised(ErrorInfo("RateLimited", ""), rest=Rest("stripe", key, for_s)),
    )
    move = decide(run, run.step, raised, RetryPolicy(max_attempts=1), store.now)
    store.connection.call(
        hand_over(
            store.keys, run, Fence(run.token, f"{run.step}.{run.token}", f"{run.token} raised"),
            state=move.state, step=move.step, failures=move.failures, crashes=move.crashes,
            due_at=move.due_at, now=store.now, rests=move.rests,
        )
    )  # fmt: skip
    return move


def test_a_used_up_limit_rests_and_the_run_waits_first_in_line(store):
    """[L10] No attempt counts; other keys go on."""
    store.declare(concurrency=5)
    for name in "abc":
        store.submit(name, "stripe[x]")
        store.clock.advance(0.1)
    store.set(concurrency=1)
    assert store.claimed() == ["a"]
    assert rest(store, "a", "x").failures == 0
    store.submit("other", "stripe[y]")
    assert store.claimed() == ["other"]
    assert store.line(key="x") == ["a", "b", "c"]
    store.clock.advance(9.9)
    store.due()
    assert store.claimed() == []
    store.clock.advance(0.11)
    store.due()
    assert store.claimed() == ["a"]
    assert store.load("a").failures == 0


def test_without_a_key_the_whole_limit_rests(store):
    """[L10]"""
    store.declare(concurrency=5)
    store.submit("a", "stripe[x]")
    assert store.claimed() == ["a"]
    rest(store, "a")
    store.submit("b", "stripe[y]")
    assert store.claimed() == []
    store.clock.advance(10.01)
    store.due()
    assert sorted(store.claimed()) == ["a", "b"]


def test_a_run_that_does_not_have_the_limit_is_due_when_it_has_rested(store):
    """[L10]"""
    store.declare(concurrency=5)
    store.submit("a")
    assert store.claimed() == ["a"]
    assert rest(store, "a").due_at == store.now + 10
    store.submit("b", "stripe")
    assert store.claimed() == []
    store.clock.advance(10.01)
    store.due()
    assert sorted(store.claimed()) == ["a", "b"]
