"""Late and doubled asks of steps for their limits: each goes well because of one guard."""

from __future__ import annotations

import pytest

from stepflow.core.limits.slot import StepSlot
from stepflow.core.limits.use import LimitUse
from stepflow.core.outcomes import Resting
from stepflow.core.run import RunState
from stepflow.store.limits.lines import settle_units
from stepflow.store.limits.steps import InLine, add_entry_limited, leave_slots, take_slots
from stepflow.store.runs import Fence, hand_over
from tests.limits.conftest import Limited
from tests.limits.test_orderings import Altered


def claimed(store, run_id="a"):
    store.submit(run_id)
    store.batch(limit=1)
    return store.load(run_id)


def ask(store, run, number, name="stripe"):
    slot = StepSlot("0/1", number, [LimitUse(name)])
    call = take_slots(
        store.keys, run, run.token, slot, name="s", said={}, first_since=None,
        takes_place=False, given=store.clock.given,
    )  # fmt: skip
    return slot, store.connection.call(call)


def leave(store, run, slot):
    call = leave_slots(store.keys, run, run.token, [slot], given=store.clock.given, now=store.now)
    return store.connection.call(call)


def an_ask_that_is_sent_twice(store):
    """It is one begin."""
    store.declare(interval=10.0, burst=5)
    run = claimed(store)
    ask(store, run, 1)
    once = store.client.get(store.keys.of_limit("tat", "stripe", ""))
    assert ask(store, run, 1)[1] is True
    assert store.client.get(store.keys.of_limit("tat", "stripe", "")) == once


def an_ask_that_comes_after_a_later_one(store):
    """The later one waits, and is given up: nobody is left in line."""
    store.declare(concurrency=1)
    ask(store, claimed(store, "b"), 1)
    run = claimed(store)
    later, answer = ask(store, run, 5)
    assert isinstance(answer, InLine)
    assert ask(store, run, 4)[1] is False
    leave(store, run, later)
    assert store.line() == []


def a_step_given_up_after_it_has_asked_again(store):
    """What it has by the later ask stays its own."""
    store.declare(concurrency=1)
    run = claimed(store)
    first, _ = ask(store, run, 1)
    leave(store, run, first)
    ask(store, run, 2)
    leave(store, run, first)
    assert store.slots() == {"a/0/1"}


def an_ask_that_comes_after_its_end_and_an_older_end(store):
    """It takes nothing: nobody would give that back."""
    store.declare(concurrency=1)
    run = claimed(store)
    first, _ = ask(store, run, 1)
    leave(store, run, first)
    second, _ = ask(store, run, 2)
    leave(store, run, second)
    leave(store, run, first)
    assert ask(store, run, 2)[1] is False
    assert store.slots() == set()


def an_entry_of_a_claim_that_was_lost(store):
    """It has no limit rest."""
    store.declare(concurrency=1)
    run = claimed(store)
    store.connection.call(
        hand_over(
            store.keys, run, Fence("", "lost"), state=RunState.PENDING, step=run.step, failures=0,
            crashes=1, due_at=None, now=store.now,
        )
    )  # fmt: skip
    written = store.connection.call(
        add_entry_limited(
            store.keys, run, run.token, 0, b"e", None, slots=[],
            rests=[Resting("stripe", None, store.now + 60)], given=store.clock.given, now=store.now,
        )
    )  # fmt: skip
    assert written == 0
    assert not store.client.exists(store.keys.of_limit("rest", "stripe", ""))


def settle(store, run, number, units):
    """What the step of a run says it has used; gives the units that count against the rate now."""
    slot = StepSlot("", number, [LimitUse("stripe", "", 5)])
    slot.settle("stripe", units)
    call = settle_units(store.keys, run, slot, given=store.clock.given, now=store.now)
    store.connection.call(call)
    tat = store.client.get(store.keys.of_limit("tat", "stripe", ""))
    return round((float(tat or store.now) - store.now) / 10)


def charged(store):
    """A claimed run that was charged five units."""
    store.declare(interval=10.0, burst=5)
    store.submit("a", LimitUse("stripe", "", 5))
    assert store.claimed() == ["a"]
    return store.load("a")


def a_settlement_that_is_sent_twice(store):
    """It counts once, and so does one that comes after a later one."""
    run = charged(store)
    assert settle(store, run, 1, 3) == 3
    assert settle(store, run, 2, 3) == 6
    assert settle(store, run, 1, 3) == 6


def a_settlement_of_a_step_that_went_on(store):
    """The first stands for the charge, the next comes on top."""
    run = charged(store)
    assert settle(store, run, 1, 3) == 3
    assert settle(store, run, 2, 1) == 4


def a_settlement_of_a_claim_that_was_lost(store):
    """It leaves the charge of the next one alone."""
    run = charged(store)
    store.connection.call(
        hand_over(
            store.keys, run, Fence("", "lost"), state=RunState.PENDING, step=run.step, failures=0,
            crashes=1, due_at=None, now=store.now,
        )
    )  # fmt: skip
    store.clock.advance(60)
    assert store.claimed() == ["a"]
    assert settle(store, run, 1, 3) == 5


GUARDS = [
    (an_ask_that_is_sent_twice, "if ask and ask.token == token then return {1} end"),
    (
        an_ask_that_comes_after_a_later_one,
        "if ask and not again and is_past(ask.asked, token, number) then return {3} end",
    ),
    (a_step_given_up_after_it_has_asked_again, "ask.asked == token .. '|' .. number and "),
    (
        an_ask_that_comes_after_its_end_and_an_older_end,
        "if not is_past(before, token, number) then",
    ),
    (an_entry_of_a_claim_that_was_lost, "if row[1] ~= token then return 0 end"),
    (
        a_settlement_that_is_sent_twice,
        "if tonumber(last) >= tonumber(number) then return 1 end",
    ),
    (a_settlement_of_a_step_that_went_on, " or not is_new"),
    (a_settlement_of_a_claim_that_was_lost, "if not row or row[1] ~= token then return 0 end"),
]
INSTEAD = {"if not is_past(before, token, number) then": "if true then"}


@pytest.mark.parametrize("meeting", [meeting for meeting, _ in GUARDS])
def test_with_its_guard_it_goes_well(real_store, meeting):
    """[L11] [L22]"""
    meeting(real_store)
    real_store.client.flushdb()


@pytest.mark.parametrize(("meeting", "guard"), GUARDS)
def test_without_its_guard_it_goes_wrong(link_to_real, real, keys, clock, meeting, guard):
    """[L11] [L22] Negative control of the one above."""
    link = Altered(link_to_real, guard, INSTEAD.get(guard, ""))
    with pytest.raises(AssertionError):
        meeting(Limited(link, real, keys, clock))
    real.flushdb()
