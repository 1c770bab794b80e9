"""
In which order several runs may ask for one value, and what goes wrong without the guards of the
scripts.
"""

from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import pytest

from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.keys import Keys
from stepflow.store.runs import Fence, park_run
from stepflow.store.shared.values import (
    Computing,
    claim_shared,
    drop_shared,
    load_shared,
    settle_shared,
)
from tests.orderings.test_guards import AlteredLink

NOW = 1_800_000_000.0


class Bench:
    """One value, and runs that are claimed, on one server; its clock stands still."""

    def __init__(self, connection, redis_client):
        self.connection, self.redis, self.keys, self.now = connection, redis_client, Keys(), NOW

    @property
    def given(self):
        return f"{self.now:.6f}"

    def claimed(self, run_id, token="w.1.a", lease=100.0):
        self.redis.hset(
            self.keys.run(run_id),
            mapping={"rev": 1, "token": token, "queue": "default", "state": "running", "step": 0},
        )
        self.redis.zadd(self.keys.claims, {f"run:{run_id}": self.now + lease})
        return Run(run_id, "etl", rev=1, token=token)

    def ask(self, run, claim=""):
        call = claim_shared(
            self.keys, "v", "d", run, run.token, claim or run.id, given=self.given, now=self.now
        )
        return self.connection.call(call)

    def settle(self, claim, packed=b"value", lasts_s=60.0):
        call = settle_shared(
            self.keys, "v", "d", claim, packed, lasts_s=lasts_s, given=self.given, now=self.now
        )
        return self.connection.call(call)

    def park(self, run, told):
        call = park_run(
            self.keys, run, Fence(run.token, "0", f"{run.token}|park"), due_at=told.again_at,
            inbox=told.inbox, waits_for="shared v", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)[0]

    def value(self):
        return self.connection.call(load_shared(self.keys, "v", "d"))

    def states(self, runs):
        return [self.redis.hget(self.keys.run(run.id), "state").decode() for run in runs]


def many_who_ask(bench):
    """One computes."""
    answers = [bench.ask(bench.claimed(name)) for name in "abc"]
    assert answers[0] is None
    assert all(isinstance(answer, Computing) for answer in answers[1:])


def one_who_asks_twice(bench):
    """The reply was lost: it is the one that computes, both times."""
    run = bench.claimed("a")
    assert bench.ask(run) is None
    assert bench.ask(run) is None
    assert isinstance(bench.ask(run, "again"), Computing)


def one_who_dies(bench):
    """Its right ends with its claim."""
    bench.ask(bench.claimed("dead", lease=5))
    bench.now += 6
    other = bench.claimed("b")
    assert bench.ask(other) is None
    assert not bench.settle("dead", b"late")
    assert bench.settle("b")
    assert bench.ask(bench.claimed("c")) == b"value"


def one_whose_run_is_recovered(bench):
    """The claim is another's now, whose lease runs."""
    bench.ask(bench.claimed("a"))
    again = bench.claimed("a", token="w.2.b")
    assert bench.ask(again, "anew") is None


def a_value_that_arrives_twice(bench):
    """The second time it does not take the place of what was computed since."""
    bench.ask(bench.claimed("a"))
    assert bench.settle("a", b"first", lasts_s=5)
    bench.now += 6
    bench.ask(bench.claimed("b"))
    assert bench.settle("b", b"second")
    assert not bench.settle("a", b"first")
    assert bench.value()[0] == b"second"


def one_who_waits_and_a_value(bench):
    """In each order the one who waits has the value, is queued, or looks again."""
    for order in set(permutations(["ask", "park", "settle"])):
        if order.index("park") < order.index("ask"):
            continue
        bench.redis.flushall()
        bench.ask(bench.claimed("first"))
        run, answer, parked = bench.claimed("waiter"), None, None
        for act in order:
            if act == "ask":
                answer = bench.ask(run)
            elif act == "settle":
                assert bench.settle("first")
            elif isinstance(answer, Computing):
                parked = bench.park(run, answer)
        is_told = answer == b"value" or bench.states([run]) == ["pending"] or parked == 3
        assert is_told, order


def those_that_wait_for_a_value(bench):
    """It wakes two, and whoever is given it two more: they come back by and by."""
    bench.ask(bench.claimed("first"))
    runs = [bench.claimed(f"w{number}") for number in range(6)]
    for run in runs:
        bench.park(run, bench.ask(run))
    bench.settle("first")
    assert bench.states(runs) == ["pending"] * 2 + ["waiting"] * 4
    assert bench.ask(bench.claimed("w0")) == b"value"
    assert bench.states(runs[1:]) == ["pending"] * 3 + ["waiting"] * 2


def one_that_expires_or_is_dropped(bench):
    """It is computed once more; a drop takes nothing from who computes."""
    bench.ask(bench.claimed("a"))
    bench.connection.call(drop_shared(bench.keys, "v", ["d"]))
    assert isinstance(bench.ask(bench.claimed("b")), Computing)
    bench.settle("a", lasts_s=5)
    bench.now += 6
    assert bench.ask(bench.claimed("c")) is None


MEETINGS = [
    many_who_ask, one_who_asks_twice, one_who_dies, one_whose_run_is_recovered,
    a_value_that_arrives_twice, one_who_waits_and_a_value, those_that_wait_for_a_value,
    one_that_expires_or_is_dropped,
]  # fmt: skip


class Guard(NamedTuple):
    """A guard: its script, its text, what stands in its place, and the meeting that needs it."""

    script: str
    text: str
    instead: str
    meeting: object


HELD = "row[3] and is_held(ns, claims_key, row[4], now)"
GUARDS = [
    Guard("claim_shared", HELD, "false", many_who_ask),
    Guard("claim_shared", "if row[3] == claim then return {2} end", "", one_who_asks_twice),
    Guard(
        "claim_shared", "(tonumber(redis.call('ZSCORE', claims, member) or 0) or 0) > now", "true",
        one_who_dies,
    ),
    Guard(
        "claim_shared",
        "if soft('HGET', record_of(ns, member), 'token') ~= token then return false end", "",
        one_whose_run_is_recovered,
    ),
    Guard("claim_shared", "(tonumber(row[2] or '') or 0) > now", "true",
          one_that_expires_or_is_dropped),
    Guard("claim_shared", "line_up(waiting_key, member, now, ttl)", "0", one_who_waits_and_a_value),
    Guard(
        "settle_shared", "if claim ~= '' and row[1] ~= claim then return row[2] == claim and 1 or "
        "0 end", "", a_value_that_arrives_twice,
    ),
    Guard("settle_shared", "count_up(run, 'inbox')", "", one_who_waits_and_a_value),
]  # fmt: skip


@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda it: it.__name__)
def test_in_each_order_it_goes_well(connection, redis_client, meeting):
    """[K17]"""
    meeting(Bench(connection, redis_client))
    redis_client.flushall()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda it: f"{it.script}: {it.meeting.__name__}")
def test_without_its_guard_it_goes_wrong(real, guard):
    """[K17] Negative control of the one above."""
    script = getattr(scripts, guard.script.upper())
    assert script.text.count(guard.text) == 1
    altered = replace(script, text=script.text.replace(guard.text, guard.instead))
    connection = AlteredLink(SyncConnection(real, "the test's server"), altered)
    with pytest.raises(AssertionError):
        guard.meeting(Bench(connection, real))
    real.flushall()
