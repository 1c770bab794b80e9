"""
In which order the calls of several steps may come to a breaker, and what goes wrong without the
guards of its scripts.
"""

from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import pytest

from stepflow import Breaker
from stepflow.core.breakers.permit import Permit, Verdict
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.breakers.permits import Refused, settle_permit, take_permit
from stepflow.store.breakers.record import load_breaker, set_breaker
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.keys import Keys
from stepflow.store.runs import Fence, park_run
from stepflow.store.waiting import leave_waiting
from tests.orderings.test_guards import AlteredLink

NOW = 1_800_000_000.0
GOOD, BAD = Verdict.SUCCESS, Verdict.FAILURE


class Bench:
    """A breaker, and runs that are claimed, on one server; its clock stands still."""

    def __init__(self, connection, redis_client):
        self.connection, self.redis, self.keys = connection, redis_client, Keys()
        self.now, self.breaker = NOW, Breaker("b", failures=2, reset=10)

    def claimed(self, run_id, token="w.1.a", lease=100.0):
        self.redis.hset(
            self.keys.run(run_id),
            mapping={"rev": 1, "token": token, "queue": "default", "state": "running", "step": 0},
        )
        self.redis.zadd(self.keys.claims, {f"run:{run_id}": self.now + lease})
        return Run(run_id, "etl", rev=1, token=token)

    def take(self, run, permit="p", *, breaker=None):
        call = take_permit(
            self.keys, breaker or self.breaker, run, run.token, permit, given=f"{self.now:.6f}",
            waits=True,
        )  # fmt: skip
        return self.connection.call(call)

    def settle(self, permit, verdict, *, breaker=None):
        call = settle_permit(
            self.keys, breaker or self.breaker, permit, verdict, "ConnectTimeout: no answer",
            given=f"{self.now:.6f}", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)

    def leave(self, run):
        call = leave_waiting(
            self.keys, [f"{self.keys.breaker('b')}:waiting"], run, run.token,
            waits_for="breaker b", first=1, given=f"{self.now:.6f}", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)

    def set(self, verb, request="q", until=None):
        call = set_breaker(
            self.keys, "b", verb, by="me", request=request, given=f"{self.now:.6f}", now=self.now,
            until=until,
        )  # fmt: skip
        return self.connection.call(call)

    def park(self, run, refused):
        """Park a run as its worker would, by what it was told; gives the script's answer."""
        call = park_run(
            self.keys, run, Fence(run.token, "0", f"{run.token}|park"), due_at=refused.again_at,
            inbox=refused.inbox, waits_for="breaker b", now=self.now,
        )  # fmt: skip
        return self.connection.call(call)[0]

    def state(self, run_id):
        return self.redis.hget(self.keys.run(run_id), "state").decode()

    @property
    def record(self):
        return self.connection.call(load_breaker(self.keys, "b"))

    def opened(self):
        """Open the breaker by two failures, and go to the time of its first trial."""
        run = self.claimed("first")
        for permit in ("f1", "f2"):
            self.settle(self.take(run, permit), BAD)
        assert self.record.is_open
        self.now += 10


def two_after_the_time_of_the_trial(bench):
    """Of any number that ask, one is let through."""
    bench.opened()
    runs = [bench.claimed(name) for name in "abc"]
    answers = [bench.take(run, run.id) for run in runs]
    assert [isinstance(answer, Permit) for answer in answers] == [True, False, False]


def a_permit_that_is_asked_for_twice(bench):
    """The reply was lost: the same permit is given again, and is one trial."""
    bench.opened()
    run = bench.claimed("a")
    assert bench.take(run, "p") == bench.take(run, "p") == Permit("p", 2, is_trial=True)


def a_late_answer_of_an_earlier_time(bench):
    """It began before the breaker opened and ends when it is closed again: it counts nothing."""
    run = bench.claimed("slow")
    late = [bench.take(run, name) for name in ("s1", "s2")]
    bench.opened()
    bench.settle(bench.take(run, "t"), GOOD)
    assert not bench.record.is_open
    for permit in late:
        assert bench.settle(permit, BAD) == "late"
    assert not bench.record.is_open


def a_failure_that_arrives_twice(bench):
    """It counts once."""
    permit = bench.take(bench.claimed("a"), "p")
    for _ in range(3):
        bench.settle(permit, BAD)
    assert not bench.record.is_open


def a_trial_that_arrives_twice(bench):
    """Two trials have to go well: one that is told twice is one."""
    bench.breaker = Breaker("b", failures=2, reset=10, trials=2)
    bench.opened()
    permit = bench.take(bench.claimed("a"), "p")
    assert [bench.settle(permit, GOOD) for _ in range(2)] == ["kept", "late"]
    assert bench.record.is_open


def a_worker_that_dies_with_a_trial(bench):
    """Its permit ends with its claim, whether that lapses or is another's now."""
    bench.opened()
    bench.take(bench.claimed("dead", lease=5), "p")
    other = bench.claimed("b")
    assert isinstance(bench.take(other, "q"), Refused)
    bench.now += 6
    assert isinstance(bench.take(other, "q"), Permit)


def a_run_that_is_recovered_with_its_trial(bench):
    """The claim is another's now, whose lease runs: the old permit is void."""
    bench.opened()
    bench.take(bench.claimed("a"), "p")
    again = bench.claimed("a", token="w.2.b")
    assert isinstance(bench.take(again, "q"), Permit)


def one_who_waits_and_a_trial_that_goes_well(bench):
    """In each order the one who waits is told: it has a permit, is queued, or looks again."""
    for order in set(permutations(["take", "park", "settle"])):
        if order.index("park") < order.index("take"):
            continue
        bench.redis.flushall()
        bench.now = NOW
        bench.opened()
        trial = bench.take(bench.claimed("trial"), "t")
        run, answer, parked = bench.claimed("waiter"), None, None
        for act in order:
            if act == "take":
                answer = bench.take(run, "w")
            elif act == "settle":
                assert bench.settle(trial, GOOD) == "closed"
            elif isinstance(answer, Refused):
                parked = bench.park(run, answer)
        is_told = isinstance(answer, Permit) or bench.state("waiter") == "pending" or parked == 3
        assert is_told, order


def those_that_come_back(bench):
    """A trial that goes well wakes two; so does each call after it, until nobody waits."""
    bench.opened()
    trial = bench.take(bench.claimed("trial"), "t")
    waiters = [bench.claimed(f"w{number}") for number in range(6)]
    for run in waiters:
        bench.park(run, bench.take(run, run.id))
    bench.settle(trial, GOOD)
    assert [bench.state(run.id) for run in waiters] == ["pending"] * 2 + ["waiting"] * 4
    bench.settle(bench.take(bench.claimed("other"), "o"), GOOD)
    assert [bench.state(run.id) for run in waiters] == ["pending"] * 4 + ["waiting"] * 2


def one_who_has_ended(bench):
    """It holds up nobody: the next is woken in its place."""
    bench.opened()
    trial = bench.take(bench.claimed("trial"), "t")
    waiters = [bench.claimed(name) for name in ("gone", "ended", "a", "b")]
    for run in waiters:
        bench.park(run, bench.take(run, run.id))
    bench.redis.delete(bench.keys.run("gone"))
    bench.redis.hset(bench.keys.run("ended"), "ended", "1")
    bench.settle(trial, GOOD)
    assert [bench.state(name) for name in ("a", "b")] == ["pending"] * 2


def a_verb_that_arrives_twice(bench):
    """An operator's close whose reply was lost wakes two, not four."""
    bench.opened()
    bench.set("open", "q1")
    waiters = [bench.claimed(f"w{number}") for number in range(4)]
    for run in waiters:
        bench.park(run, bench.take(run, run.id))
    for _ in range(2):
        assert bench.set("close", "q2")
    assert [bench.state(run.id) for run in waiters] == ["pending"] * 2 + ["waiting"] * 2


def one_opened_by_hand(bench):
    """No time lets a trial through; the counts of those before are gone with its closing."""
    bench.settle(bench.take(bench.claimed("a"), "p"), BAD)
    bench.set("open", "q1")
    bench.now += 1_000_000
    assert isinstance(bench.take(bench.claimed("a"), "q"), Refused)
    bench.set("close", "q2")
    bench.settle(bench.take(bench.claimed("a"), "r"), BAD)
    assert not bench.record.is_open


def a_call_that_began_before_an_operator_acted(bench):
    """What it comes to says nothing of the time since."""
    permit = bench.take(bench.claimed("a"), "p")
    bench.set("open", "q1")
    bench.set("close", "q2")
    assert bench.settle(permit, BAD) == "late"


def one_that_leaves_before_the_next_trial(bench):
    """The one behind it looks anew, and comes for the trial; it would come half a minute later."""
    bench.settle(bench.take(run := bench.claimed("first"), "f1"), BAD)
    bench.settle(bench.take(run, "f2"), BAD)
    leaves, waits = bench.claimed("a"), bench.claimed("b")
    bench.take(leaves, "a")
    late = bench.take(waits, "b")
    assert late.again_at > bench.now + 10
    bench.park(waits, late)
    assert bench.leave(leaves) is True
    assert bench.state("b") == "pending"
    assert bench.take(bench.claimed("b"), "b").again_at == bench.now + 10


def one_that_leaves_by_a_claim_that_was_lost(bench):
    """Under its next claim the run waits again, and goes on waiting."""
    bench.opened()
    bench.now -= 1
    run = bench.claimed("a")
    bench.take(run, "a")
    bench.take(bench.claimed("a", token="v.1.a"), "a")
    assert bench.leave(run) is False
    assert bench.redis.zcard(f"{bench.keys.breaker('b')}:waiting") == 1


MEETINGS = [
    two_after_the_time_of_the_trial, a_permit_that_is_asked_for_twice,
    a_late_answer_of_an_earlier_time, a_failure_that_arrives_twice, a_trial_that_arrives_twice,
    a_worker_that_dies_with_a_trial, a_run_that_is_recovered_with_its_trial,
    one_who_waits_and_a_trial_that_goes_well, those_that_come_back, one_who_has_ended,
    a_verb_that_arrives_twice, one_opened_by_hand, a_call_that_began_before_an_operator_acted,
    one_that_leaves_before_the_next_trial, one_that_leaves_by_a_claim_that_was_lost,
]  # fmt: skip


class Guard(NamedTuple):
    """A guard: its script, its text, what stands in its place, and the meeting that needs it."""

    script: str
    text: str
    instead: str
    meeting: object


GUARDS = [
    Guard(
        "leave_waiting", "if soft('HGET', run_key, 'token') ~= token then return 0 end", "",
        one_that_leaves_by_a_claim_that_was_lost,
    ),
    Guard(
        "leave_waiting", "if not before or before < tonumber(first) then", "if false then",
        one_that_leaves_before_the_next_trial,
    ),
    Guard(
        "take_permit", "in_hand + (tonumber(row[4] or '') or 0) < tonumber(limit)", "true",
        two_after_the_time_of_the_trial,
    ),
    Guard(
        "take_permit", "if soft('HGET', trials_key, permit) then return {1, row[1], 1} end", "",
        a_permit_that_is_asked_for_twice,
    ),
    Guard(
        "take_permit", "(tonumber(redis.call('ZSCORE', claims, member) or 0) or 0) > now", "true",
        a_worker_that_dies_with_a_trial,
    ),
    Guard(
        "take_permit",
        "if soft('HGET', record_of(ns, member), 'token') ~= token then return false end", "",
        a_run_that_is_recovered_with_its_trial,
    ),
    Guard("take_permit", "till and till <= now", "true", one_opened_by_hand),
    Guard(
        "take_permit", "line_up(waiting_key, member, now, ttl)", "0",
        one_who_waits_and_a_trial_that_goes_well,
    ),
    Guard("settle_permit", "row[1] ~= epoch", "false", a_late_answer_of_an_earlier_time),
    Guard(
        "settle_permit", "soft('SADD', failed_key, permit)",
        "soft('SADD', failed_key, permit .. (soft('SCARD', failed_key) or 0))",
        a_failure_that_arrives_twice,
    ),
    Guard(
        "settle_permit", "soft('HDEL', trials_key, permit) ~= 1", "false",
        a_trial_that_arrives_twice,
    ),
    Guard(
        "settle_permit", "count_up(run, 'inbox')", "", one_who_waits_and_a_trial_that_goes_well
    ),
    Guard(
        "settle_permit",
        "if not row or not row[1] or (row[6] or '') ~= '' or not is_queue(row[5] or '') then "
        "return false end",
        "row = row or {}", one_who_has_ended,
    ),
    Guard("set_breaker", "if row[2] == request then return 1 end", "", a_verb_that_arrives_twice),
    Guard(
        "set_breaker", "count_up(breaker, 'epoch')", "",
        a_call_that_began_before_an_operator_acted,
    ),
]  # fmt: skip


@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda it: it.__name__)
def test_in_each_order_it_goes_well(connection, redis_client, meeting):
    """[K8] [K9]"""
    meeting(Bench(connection, redis_client))
    redis_client.flushall()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda it: f"{it.script}: {it.meeting.__name__}")
def test_without_its_guard_it_goes_wrong(real, guard):
    """[K8] [K9] Negative control of the one above."""
    script = getattr(scripts, guard.script.upper())
    assert script.text.count(guard.text) == 1
    altered = replace(script, text=script.text.replace(guard.text, guard.instead))
    connection = AlteredLink(SyncConnection(real, "the test's server"), altered)
    with pytest.raises(Exception):  # noqa: B017  an assertion, or what a script says of it
        guard.meeting(Bench(connection, real))
    real.flushall()
