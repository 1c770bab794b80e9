"""
In which order the calls of several steps may come to a budget, and what goes wrong without the
guards of its scripts.
"""

from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import pytest

import stepflow
from stepflow import Cost
from stepflow.core.budgets.cost import NOTHING
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.budgets.record import load_budget, load_sheet, set_budget
from stepflow.store.budgets.spending import NoRoom, Reservation, reserve_budget, settle_budget
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.keys import Keys
from stepflow.store.runs import Fence, park_run
from tests.orderings.test_guards import AlteredLink

NOW = 1_800_000_000.0


class Bench:
    """A budget of 100 tokens, and runs that are claimed, on one server; its clock stands still."""

    def __init__(self, connection, redis_client):
        self.connection, self.redis, self.keys = connection, redis_client, Keys()
        self.now, self.budget = NOW, stepflow.budget("b", tokens=100, on_exceeded="wait")
        self.granted = {}

    def claimed(self, run_id, token="w.1.a"):
        self.redis.hset(
            self.keys.run(run_id),
            mapping={"rev": 1, "token": token, "queue": "default", "state": "running", "step": 0},
        )
        self.redis.zadd(self.keys.claims, {f"run:{run_id}": self.now + 100})
        return Run(run_id, "etl", rev=1, token=token)

    def reserve(self, run, tokens=40, *, slot=None, attempt="p"):
        call = reserve_budget(
            self.keys, [self.budget], Cost(tokens=tokens), run, run.token, slot or run.id, attempt,
            granted=self.granted, given=f"{self.now:.6f}", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)

    def settle(self, run, reserved, tokens=None, *, index=None, entry=b"value|0|ask|0.0|"):
        used = None if tokens is None else Cost(tokens=tokens)
        call = settle_budget(
            self.keys, run.id, run.token, reserved, used, index=index, entry=entry,
            given=f"{self.now:.6f}", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)

    def set(self, verb, request="q", tokens="-"):
        call = set_budget(
            self.keys, "b", verb, window="", tokens=tokens, by="me", request=request,
            given=f"{self.now:.6f}", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)

    def park(self, run, refused):
        """Park a run as its worker would, by what it was told; gives the script's answer."""
        call = park_run(
            self.keys, run, Fence(run.token, "0", f"{run.token}|park"), due_at=refused.again_at,
            inbox=refused.inbox, waits_for="budget b", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)[0]

    def state(self, run_id):
        return self.redis.hget(self.keys.run(run_id), "state").decode()

    @property
    def sums(self):
        """What is settled, reserved, and lost at most."""
        sheet = self.connection.call(load_sheet(self.keys, "b", ""))
        return sheet.settled_tokens, sheet.reserved_tokens, sheet.lost_tokens


def many_at_once(bench):
    """Of any number those are called for which there is room, and nobody beyond."""
    answers = [bench.reserve(bench.claimed(name)) for name in "abcd"]
    assert [isinstance(each, Reservation) for each in answers] == [True, True, False, False]
    assert [each.is_spent for each in answers[2:]] == [False, False]
    assert bench.sums == (0, 80, 0)


def a_reservation_that_is_asked_for_twice(bench):
    """The reply was lost: the same call is reserved once."""
    run = bench.claimed("a")
    assert bench.reserve(run) == bench.reserve(run)
    assert bench.sums == (0, 40, 0)


def a_value_that_is_written_twice(bench):
    """The reply was lost: it is settled once, and remembered once."""
    run = bench.claimed("a")
    reserved = bench.reserve(run)
    assert [bench.settle(run, reserved, 30, index=0) for _ in range(2)] == [1, 1]
    assert bench.sums == (30, 0, 0)
    assert bench.redis.llen(f"{bench.keys.run('a')}:journal") == 1


def a_settlement_that_arrives_twice(bench):
    """Of a call that the journal does not remember."""
    run = bench.claimed("a")
    reserved = bench.reserve(run)
    for _ in range(2):
        bench.settle(run, reserved, 30)
    assert bench.sums == (30, 0, 0)


def a_worker_that_dies_with_a_call(bench):
    """The next attempt finds what its slot had reserved: that is lost, and reserved once more."""
    bench.reserve(bench.claimed("a"))
    again = bench.claimed("a", token="w.2.b")
    assert isinstance(bench.reserve(again, attempt="q"), Reservation)
    assert bench.sums == (0, 40, 40)


def a_late_worker_writes(bench):
    """Its claim is another's now: its value is refused, and settles nothing."""
    late = bench.claimed("a")
    reserved = bench.reserve(late)
    again = bench.claimed("a", token="w.2.b")
    mine = bench.reserve(again, attempt="q")
    assert bench.settle(late, reserved, 1, index=0) == 0
    assert bench.settle(late, reserved, 1) == 1
    assert bench.settle(again, mine, 30, index=0) == 1
    assert bench.sums == (30, 0, 40)


def a_late_worker_reserves(bench):
    """Its claim is another's now: it is to call nothing."""
    late = bench.claimed("a")
    bench.claimed("a", token="w.2.b")
    assert bench.reserve(late) is None
    assert bench.sums == (0, 0, 0)


def an_entry_that_comes_too_early(bench):
    """A gap in the journal: nothing is written, and nothing settled."""
    run = bench.claimed("a")
    reserved = bench.reserve(run)
    assert bench.settle(run, reserved, 30, index=1) == 0
    assert bench.sums == (0, 40, 0)


def those_that_are_dead_make_no_one_wait(bench):
    """What they had reserved is spent: who asks learns that no waiting helps."""
    for name in "ab":
        bench.reserve(bench.claimed(name))
        bench.claimed(name, token="w.2.b")
    refused = bench.reserve(bench.claimed("c"))
    assert (refused.is_spent, bench.sums) == (True, (0, 0, 80))


def one_who_waits_and_one_who_settles(bench):
    """In each order the one who waits is told: it has room, is queued, or looks again."""
    for order in set(permutations(["take", "park", "settle"])):
        if order.index("park") < order.index("take"):
            continue
        bench.redis.flushall()
        first, run = bench.claimed("first"), bench.claimed("waiter")
        reserved, answer, parked = bench.reserve(first, 80), None, None
        for act in order:
            if act == "take":
                answer = bench.reserve(run)
            elif act == "settle":
                assert bench.settle(first, reserved, 10, index=0) == 1
            elif isinstance(answer, NoRoom):
                parked = bench.park(run, answer)
        is_told = isinstance(answer, Reservation) or bench.state("waiter") == "pending"
        assert is_told or parked == 3, order


def two_yeses_to_one_question(bench):
    """People were asked by two runs at the same amount: it is granted once more, not twice."""
    run = bench.claimed("a")
    bench.settle(run, bench.reserve(run, 90), 90)
    refused = bench.reserve(run, 20, attempt="q")
    bench.granted = {"b": refused.granted + 1}
    for name in ("a", "b"):
        other = bench.claimed(name)
        reserved = bench.reserve(other, 50, attempt=f"{name}2")
        bench.settle(other, reserved, 50)
    assert isinstance(bench.reserve(run, 20, attempt="r"), NoRoom)


def a_grant_wakes_those_that_wait(bench):
    """Another run's people said yes."""
    run, waiter = bench.claimed("a"), bench.claimed("waiter")
    bench.settle(run, bench.reserve(run, 90), 90)
    bench.park(waiter, bench.reserve(waiter))
    bench.granted = {"b": 1}
    bench.reserve(run, 20, attempt="q")
    assert bench.state("waiter") == "pending"


def a_verb_that_arrives_twice(bench):
    """An operator's reset whose reply was lost forgets no call that was made since."""
    run = bench.claimed("a")
    bench.settle(run, bench.reserve(run), 30)
    bench.set("reset", "q1")
    bench.settle(run, bench.reserve(run, attempt="q"), 20)
    bench.set("reset", "q1")
    assert bench.sums == (20, 0, 0)


def a_reset_while_a_call_is_under_way(bench):
    """It stays reserved, and is settled as any other."""
    run = bench.claimed("a")
    reserved = bench.reserve(run)
    bench.set("reset")
    assert bench.sums == (0, 40, 0)
    bench.settle(run, reserved, 30)
    assert bench.sums == (30, 0, 0)


def an_operator_who_raises_it(bench):
    """What is set holds over what the code says, and those that wait look again."""
    run, waiter = bench.claimed("a"), bench.claimed("waiter")
    bench.settle(run, bench.reserve(run, 90), 90)
    bench.park(waiter, bench.reserve(waiter))
    bench.set("set", tokens=200)
    assert bench.state("waiter") == "pending"
    assert isinstance(bench.reserve(bench.claimed("waiter")), Reservation)
    assert bench.connection.call(load_budget(bench.keys, "b")).set_tokens == 200


def a_call_that_was_never_made(bench):
    """Its task was cancelled while it asked: what it had reserved is free again."""
    run = bench.claimed("a")
    reserved = bench.reserve(run)
    call = settle_budget(
        bench.keys, run.id, run.token, reserved, NOTHING, given=f"{NOW:.6f}", now=NOW
    )
    bench.connection.call(call)
    assert bench.sums == (0, 0, 0)


MEETINGS = [
    many_at_once, a_reservation_that_is_asked_for_twice, a_value_that_is_written_twice,
    a_settlement_that_arrives_twice, a_worker_that_dies_with_a_call, a_late_worker_writes,
    a_late_worker_reserves, an_entry_that_comes_too_early, those_that_are_dead_make_no_one_wait,
    one_who_waits_and_one_who_settles, two_yeses_to_one_question, a_grant_wakes_those_that_wait,
    a_verb_that_arrives_twice, a_reset_while_a_call_is_under_way, an_operator_who_raises_it,
    a_call_that_was_never_made,
]  # fmt: skip


class Guard(NamedTuple):
    """A guard: its script, its text, what stands in its place, and the meeting that needs it."""

    script: str
    text: str
    instead: str
    meeting: object


GUARDS = [
    Guard("reserve_budget", "spent + reserved + most[unit]", "spent + most[unit]", many_at_once),
    Guard(
        "reserve_budget", "if string.sub(soft('HGET', open_keys[1], slot) or '', 1, #mine) == mine "
        "then return {1} end", "", a_reservation_that_is_asked_for_twice,
    ),
    Guard(
        "reserve_budget", "if redis.call('HGET', run_key, 'token') ~= token then return {-1} end",
        "", a_late_worker_reserves,
    ),
    Guard(
        "reserve_budget", "lose_open(sheet, open_keys[i], slot, '')", "",
        a_worker_that_dies_with_a_call,
    ),
    Guard(
        "reserve_budget", "lose_dead(ns, sheet, open_keys[i])", "false",
        those_that_are_dead_make_no_one_wait,
    ),
    Guard(
        "reserve_budget", "line_up(waiting_keys[i], member, now, ttl)", "",
        one_who_waits_and_one_who_settles,
    ),
    Guard("settle_budget", "if length > at then", "if false then", a_value_that_is_written_twice),
    Guard(
        "settle_budget", "if redis.call('HGET', run_key, 'token') ~= token then return 0 end", "",
        a_late_worker_writes,
    ),
    Guard("settle_budget", "if length < at then return 0 end", "", an_entry_that_comes_too_early),
    Guard(
        "settle_budget", "redis.call('HDEL', open, slot)", "", a_settlement_that_arrives_twice
    ),
    Guard(
        "settle_budget", "string.sub(row, 1, #mine) ~= mine", "false", a_late_worker_writes
    ),
    Guard(
        "settle_budget", "count_up(run, 'inbox')", "", one_who_waits_and_one_who_settles
    ),
    Guard(
        "set_budget", "if row and row[1] == request then return 1 end", "",
        a_verb_that_arrives_twice,
    ),
    Guard("set_budget", "kept[2] or '0'", "'0'", a_reset_while_a_call_is_under_way),
]  # fmt: skip


@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda it: it.__name__)
def test_in_each_order_it_goes_well(connection, redis_client, meeting):
    """[A12]"""
    meeting(Bench(connection, redis_client))
    redis_client.flushall()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda it: f"{it.script}: {it.meeting.__name__}")
def test_without_its_guard_it_goes_wrong(real, guard):
    """[A12] Negative control of the one above."""
    script = getattr(scripts, guard.script.upper())
    assert script.text.count(guard.text) == 1
    altered = replace(script, text=script.text.replace(guard.text, guard.instead))
    connection = AlteredLink(SyncConnection(real, "the test's server"), altered)
    with pytest.raises(Exception):  # noqa: B017  an assertion, or what a script says of it
        guard.meeting(Bench(connection, real))
    real.flushall()
