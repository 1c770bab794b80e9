"""Concurrency at the claim: who begins, who waits in line, whose turn it is."""

import pytest

from stepflow.core.limits.use import LimitUse
from stepflow.core.run import Priority, RunState
from stepflow.engine.limits import turns


def test_no_more_begin_than_the_limit_says(store):
    """[L5] The others leave their queue; no attempt counts."""
    store.declare(concurrency=2)
    for name in "abcd":
        store.submit(name, "stripe")
    assert store.claimed() == ["a", "b"]
    assert (store.slots(), store.line()) == ({"a", "b"}, ["c", "d"])
    assert store.client.llen("rq:queue:default") == 0
    run = store.load("c")
    assert (run.state, run.token, run.held.split("|")[:2]) == (RunState.PENDING, "", ["stripe", ""])
    assert store.client.zrange(store.keys.queued_at("default"), 0, -1) == []


def test_one_that_waits_holds_up_nobody_behind_it(store):
    """[L5]"""
    store.declare(concurrency=1)
    for number in range(50):
        store.submit(f"r{number}", "stripe")
    store.submit("other")
    store.submit("of-another-key", "stripe[b]")
    assert store.claimed() == ["r0", "other", "of-another-key"]


def test_a_freed_slot_goes_to_the_first_in_line(store):
    """[L8] One for each slot, and no other is looked at."""
    store.declare(concurrency=2)
    for name in "abcdef":
        store.submit(name, "stripe")
    store.claimed()
    store.end("a")
    assert (store.slots(), store.line()) == ({"b"}, ["d", "e", "f"])
    assert store.client.lrange("rq:queue:default", 0, -1) == [b"run-c-0"]
    assert store.claimed() == ["c"]
    store.end("b")
    store.end("c")
    assert store.client.lrange("rq:queue:default", 0, -1) == [b"run-e-0", b"run-d-0"]
    assert sorted(store.claimed()) == ["d", "e"]
    assert (store.slots(), store.line()) == ({"d", "e"}, ["f"])


def test_one_whose_turn_has_come_goes_before_the_rest_of_its_queue(store):
    """It has waited in the queue before. Its mark does not make others look lost."""
    store.declare(concurrency=1)
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    store.claimed()
    for number in range(3):
        store.clock.advance(1)
        store.submit(f"other{number}")
    store.clock.advance(5)
    store.end("a")
    assert store.client.lrange("rq:queue:default", 0, 0) == [b"run-b-0"]
    marks = store.client.zrange(store.keys.queued_at("default"), 0, -1, withscores=True)
    assert min(score for _, score in marks) == dict(marks)[b"run:b"]


def test_nobody_takes_the_room_of_one_whose_turn_has_come(store):
    """[L8] Neither what comes fresh nor what stands behind in the line."""
    store.declare(concurrency=1)
    for name in "abc":
        store.submit(name, "stripe")
    store.claimed()
    store.end("a")
    store.submit("fresh", "stripe", queue="elsewhere")
    assert store.claimed(queue="elsewhere") == []
    assert store.line() == ["c", "fresh"]
    assert store.claimed() == ["b"]


def test_room_that_one_does_not_take_in_a_second_goes_to_the_next(store):
    """[L20] It may be in a queue that no worker serves; its turn comes when it is claimed."""
    store.declare(concurrency=1)
    store.submit("a", "stripe")
    store.submit("b", "stripe", queue="unserved")
    assert store.claimed() == ["a"]
    store.claimed(queue="unserved")
    store.submit("c", "stripe")
    store.claimed()
    store.end("a")
    assert store.line() == ["c"]
    store.plan(turns.look_round(store.env))
    assert store.line() == ["c"]
    store.clock.advance(1.1)
    store.plan(turns.look_round(store.env))
    assert store.claimed() == ["c"]
    assert store.claimed(queue="unserved") == []
    assert store.line() == ["b"]


@pytest.mark.parametrize("way", ["end", "go on", "sleep", "fail from outside"])
def test_a_slot_is_given_back_with_the_claim(store, way):
    """[L7] By the script that ends the claim; nothing is left where nobody waits."""
    store.declare(concurrency=1)
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    store.claimed()
    assert store.left() == [
        "stepflow:line:stripe:",
        "stepflow:lines",
        "stepflow:slots",
        "stepflow:slots:stripe:",
    ]
    match way:
        case "go on":
            store.give_back("a")
        case "sleep":
            store.give_back("a", due_in=100)
        case _:
            store.end("a")
    assert store.slots() == set()
    assert store.claimed() == ["b"]
    store.end("b")
    if way == "go on":
        assert store.claimed() == ["a"]
        store.end("a")
    assert store.left() == []


def test_with_scope_run_the_slot_stays_from_the_first_start_to_the_end(store):
    """[L3] Asleep or not."""
    store.declare(concurrency=1, scope="run")
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    store.claimed()
    store.give_back("a", due_in=10)
    assert store.claimed() == []
    store.clock.advance(11)
    store.due()
    assert store.claimed() == ["a"]
    store.end("a")
    assert store.claimed() == ["b"]


def test_all_limits_of_a_run_or_none(store):
    """[L6] No run keeps a slot of one while it waits for another."""
    store.declare("x", concurrency=1)
    store.declare("y", concurrency=1)
    store.submit("a", "x")
    store.submit("b", "y")
    store.submit("both", "x", "y")
    assert store.claimed() == ["a", "b"]
    store.clock.advance(1)
    store.submit("back", "y", "x")
    assert store.claimed() == []
    assert (store.line("x"), store.line("y")) == (["both"], ["back"])
    store.end("a")  # `both` gets its turn in x, and waits for y from then on
    assert (store.slots("x"), store.line("x")) == (set(), [])
    assert store.line("y") == ["both", "back"]
    store.submit("c", "x")
    assert store.claimed() == ["c"]
    store.end("b")
    assert (store.line("x"), store.line("y")) == (["both", "back"], [])
    store.end("c")
    assert store.claimed() == ["both"]
    store.end("both")
    assert store.claimed() == ["back"]
    store.end("back")
    assert store.left() == []


def test_those_that_come_in_one_instant_stand_in_line_as_they_came(store):
    store.declare(concurrency=0)
    for name in "zyxabc":
        store.submit(name, "stripe")
    store.claimed()
    store.submit("B", "stripe")
    store.claimed()
    assert store.line() == [*"zyxabcB"]


def test_a_line_goes_by_priority_and_then_by_time(store):
    """[L15]"""
    store.declare(concurrency=0)
    for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
        for number in (1, 2):
            store.submit(f"{priority.name}{number}", "stripe", priority=priority)
            store.claimed()
            store.clock.advance(1)
    assert store.line() == ["HIGH1", "HIGH2", "NORMAL1", "NORMAL2", "LOW1", "LOW2"]


def test_raising_a_limit_hands_over_at_once_and_lowering_waits_for_ends(store):
    """[L16]"""
    store.declare(concurrency=1)
    for name in "abcdef":
        store.submit(name, "stripe")
    store.claimed()
    store.set(concurrency=4)
    store.plan(turns.call_lines("stripe", store.env))
    assert sorted(store.claimed()) == ["b", "c", "d"]
    store.set(concurrency=2)
    store.end("a")
    store.end("b")
    assert (store.claimed(), store.line()) == ([], ["e", "f"])
    store.end("c")
    assert store.claimed() == ["e"]


def test_what_an_operator_sets_for_a_key_counts_over_all_else(store):
    """[L16] Field by field; the code is the last to be asked."""
    store.declare(concurrency=1, interval=0.001)
    store.set(concurrency=3)
    store.set("stripe", "acme", concurrency=2)
    for number in range(5):
        store.submit(f"a{number}", "stripe[acme]")
        store.submit(f"b{number}", "stripe[b]")
        store.clock.advance(1)
        store.claimed()
    assert (len(store.slots(key="acme")), len(store.slots(key="b"))) == (2, 3)


def test_a_limit_that_nobody_has_declared_limits_nothing(store):
    store.submit("a", "unknown", "other[x y]")
    assert store.claimed() == ["a"]
    assert store.slots("other", "x%20y") == {"a"}


def test_the_units_of_a_run_do_not_count_for_its_slots(store):
    store.declare(concurrency=2)
    store.submit("a", LimitUse("stripe", "", 100))
    store.submit("b", LimitUse("stripe", "", 100))
    assert store.claimed() == ["a", "b"]


def test_a_stock_worker_begins_nothing_that_its_limits_keep_back(store):
    """[L24] What it took out of the queue goes to the line of its limit."""
    from stepflow.store.claims import claim_one

    store.declare(concurrency=1)
    for name in "ab":
        store.submit(name, "stripe")

    def one(name):
        return store.connection.call(
            claim_one(
                store.keys, f"run:{name}", f"run-{name}-0", f"w.{name}.", "default",
                given=store.clock.given, lease_s=15.0,
            )
        )  # fmt: skip

    store.client.delete("rq:queue:default")
    assert one("a").token == "w.a."
    assert one("b") is None
    assert store.line() == ["b"]
    store.end("a")
    assert store.client.lrange("rq:queue:default", 0, -1) == [b"run-b-0"]
    assert one("b").token == "w.b."
    store.end("b")
