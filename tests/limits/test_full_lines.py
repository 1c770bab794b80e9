"""A line has an end: submits are refused while so many wait, however many come at once."""

import random
from dataclasses import replace

import pytest

from stepflow.core.run import RunState
from stepflow.store.runs import Full, submit_run
from tests.limits.conftest import Limited
from tests.limits.test_orderings import Altered

MOST = 2
SEEDS, MOVES = range(3), 60


def test_what_is_queued_counts_with_what_stands_in_line(store):
    """[L17] One begins at once, two may wait."""
    store.declare(concurrency=1, max_line=MOST)
    assert [store.submit(f"r{n}", "stripe") for n in range(3)] == [None] * 3
    assert store.submit("more", "stripe") == Full("stripe", "", 3, MOST)
    assert store.load("more") is None
    assert store.claimed() == ["r0"]
    assert store.submit("more", "stripe") == Full("stripe", "", 2, MOST)
    store.end("r0")
    assert store.submit("more", "stripe") is None


def test_by_a_rate_as_many_more_are_taken_as_may_begin(store):
    """[L17]"""
    store.declare(interval=10.0, burst=3, max_line=1)
    taken = [store.submit(f"r{n}", "stripe") for n in range(6)]
    assert taken == [None] * 4 + [Full("stripe", "", 4, 1)] * 2
    assert len(store.claimed()) == 3
    assert store.submit("more", "stripe") == Full("stripe", "", 1, 1)


def test_each_key_has_a_line_of_its_own_and_an_operator_may_make_it_longer(store):
    """[L17]"""
    store.declare(concurrency=0, max_line=1)
    assert store.submit("a1", "stripe[a b]") is None
    assert store.submit("a2", "stripe[a b]") == Full("stripe", "a b", 1, 1)
    assert store.submit("c1", "stripe[c]") is None
    store.set(key="a b", max_line=2)
    assert store.submit("a2", "stripe[a b]") is None


def test_one_that_is_refused_is_counted_nowhere(store):
    """[L17] All of its limits or none."""
    store.declare("x", concurrency=0, max_line=1)
    store.declare("y", concurrency=0, max_line=1)
    store.submit("y1", "y")
    assert isinstance(store.submit("both", "x", "y"), Full)
    assert store.submit("x1", "x") is None


def test_a_run_that_is_there_is_answered_however_many_wait(store):
    """[L17] A submit may be repeated."""
    store.declare(concurrency=0, max_line=1)
    store.submit("a", "stripe")
    assert store.submit("a", "stripe") is None
    other = replace(store.load("a"))
    there = store.connection.call(
        submit_run(store.keys, other, request="r2", data=["payload", b""])
    )
    assert isinstance(there, dict)
    assert there[b"submit_id"] == b"a"


def test_an_ended_run_stays_where_its_restart_is_refused(store):
    """[L17]"""
    store.declare(concurrency=1, max_line=1)
    store.submit("a", "stripe")
    store.claimed()
    store.end("a")
    ended = store.load("a")
    store.set(concurrency=0)
    store.submit("b", "stripe")
    again = replace(ended, generation=1, rev=ended.rev + 1, state=RunState.PENDING, delivery="d")
    call = submit_run(store.keys, again, request="r2", data=["payload", b""], replaces=ended)
    assert isinstance(store.connection.call(call), Full)
    assert store.load("a").state == "succeeded"


def test_what_is_due_later_is_not_counted(store):
    """[L17] It joins the line when it is due."""
    store.declare(concurrency=0, max_line=1)
    store.submit("z", "stripe")
    later = replace(store.load("z"), id="later", state=RunState.SCHEDULED, due_at=store.now + 60)
    store.end("z")
    call = submit_run(store.keys, later, request="r", data=["payload", b""])
    assert store.connection.call(call) is None
    assert store.submit("a", "stripe") is None
    assert isinstance(store.submit("b", "stripe"), Full)


def test_one_that_ends_before_it_begins_is_counted_no_longer(store):
    """[L17]"""
    store.declare(concurrency=0, max_line=1)
    store.submit("a", "stripe")
    store.end("a")
    assert store.submit("b", "stripe") is None
    store.end("b")
    assert not store.client.exists("stepflow:ahead:stripe:")


def test_what_a_worker_of_the_version_before_has_claimed_is_counted_no_longer(store):
    """It says nothing of that, so it is looked at before anybody is refused."""
    store.declare(concurrency=1, max_line=1)
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    store.claimed()
    store.client.zadd("stepflow:ahead:stripe:", {"a": store.now, "b": store.now, "gone": 1})
    assert store.submit("c", "stripe") == Full("stripe", "", 1, 1)
    store.end("b")
    assert store.submit("c", "stripe") is None


class World:
    """Runs that are submitted, claimed and ended by chance; none of them comes back."""

    def __init__(self, store, seed):
        self.store, self.dice, self.made = store, random.Random(seed), 0
        self.waiting, self.at_work = set[str](), set[str]()
        for name in "xy":
            store.declare(name, concurrency=1, max_line=MOST)

    def move(self):
        act = self.dice.choice(["submit", "submit", "submit", "claim", "end", "cancel"])
        if act == "submit":
            self.made += 1
            uses = self.dice.choice(["x", "y", "xy"])
            answer = self.store.submit(f"r{self.made}-{uses}", *uses)
            room = [name for name in uses if len(self.of(name)) < MOST + 1]
            assert (answer is None) == (len(room) == len(uses)), f"{answer} with room in {room}"
            if answer is None:
                self.waiting.add(f"r{self.made}-{uses}")
        elif act == "claim":
            begun = set(self.store.claimed())
            self.waiting -= begun
            self.at_work |= begun
        elif act == "end" and self.at_work:
            self._end(self.at_work)
        elif act == "cancel" and self.waiting:
            self._end(self.waiting)
        for name in "xy":
            assert len(self.store.line(name)) <= MOST

    def of(self, name):
        """Who waits for a limit or has it."""
        return {each for each in self.waiting | self.at_work if name in each.partition("-")[2]}

    def _end(self, some):
        run_id = self.dice.choice(sorted(some))
        some.remove(run_id)
        self.store.end(run_id)


def play(store, seed):
    world = World(store, seed)
    for _ in range(MOVES):
        world.move()
    for run_id in sorted(world.waiting | world.at_work):
        store.end(run_id)
    assert store.left() == []
    assert store.client.keys("stepflow:ahead:*") == []


@pytest.mark.parametrize("seed", SEEDS)
def test_in_each_order_no_line_is_overfilled_and_none_is_refused_in_vain(real_store, seed):
    """[L17] [L22]"""
    play(real_store, seed)


GUARDS = {
    "those ahead of a line": ("+ (soft('ZCARD', limit.ahead) or 0)", ""),
    "who is called": ("stand_ahead(use.limit, time, run.id)", ""),
    "who stands in line": ("soft('ZREM', limit.ahead, run.id)", ""),
    "who begins": ("soft('ZREM', one.ahead, id)", ""),
    "who ends": ("soft('ZREM', limit.ahead, id)\n    if redis", "if redis"),
    "room that is free": ("most + spare(at, limit, use.units)", "most"),
}  # fmt: skip


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_it_goes_wrong_in_some(link_to_real, real, keys, clock, guard):
    """[L17] [L22] Negative control of the one above."""
    link = Altered(link_to_real, *GUARDS[guard])
    for seed in range(8):
        real.flushdb()
        try:
            play(Limited(link, real, keys, clock), seed)
        except AssertionError:
            real.flushdb()
            return
    pytest.fail(f"nothing went wrong without: {guard}")
