"""
Every order in which two may meet at a schedule, and what goes wrong without the scripts' guards.

[T2] [T3] [T9] Two plans are stepped call by call, in each order of their calls.
"""

from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import pytest

from stepflow.engine.cancel import cancel
from stepflow.engine.schedules import verbs
from stepflow.engine.schedules.fire import fire
from stepflow.engine.schedules.spec import make_spec
from stepflow.store import scripts
from stepflow.store.connection.sync import SyncConnection, carry_out
from tests.orderings.test_guards import AlteredLink
from tests.schedules.conftest import Bench

pytestmark = pytest.mark.crash

#: more calls than any of these plans makes
MOST = 8


def step(plan, connection, answers):
    """Carry out the next calls of a plan; gives their answers, None at its end."""
    try:
        return connection.calls(plan.send(answers))
    except StopIteration:
        return None


def interleaved(bench, plans, order):
    """Step two plans in an order; what is left of them goes last."""
    answers, live = [None, None], [True, True]
    for number in [*order, *[0] * MOST, *[1] * MOST]:
        if live[number]:
            answers[number] = step(plans[number], bench.connection, answers[number])
            live[number] = answers[number] is not None


#: where the second one's first calls stand among those of the first
ORDERS = [
    [1 if place in second else 0 for place in range(MOST)]
    for second in combinations(range(MOST), MOST // 2)
]


def firing(bench):
    return fire("s", bench.env, bench.client.versions, declares=lambda _: False)


def each_order(redis_client, keys, make_clock, connection, meeting):
    for order in ORDERS:
        redis_client.flushall()
        meeting(Bench(connection, redis_client, keys, make_clock()), order)


def two_who_fire(bench, order):
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    bench.clock.advance(20)
    interleaved(bench, [firing(bench), firing(bench)], order)
    bench.look()
    assert bench.runs() == [20]
    assert bench.left() == [(10, "missed", 1)]
    assert bench.schedules.get("s").runs == 1


def a_time_that_waits_and_the_end_it_waits_for(bench, order):
    bench.schedules.put("s", "etl", every=10, overlap="buffer_one", max_runs=2)
    bench.go_to(10)
    bench.clock.advance(10)
    bench.move_due()
    ending = cancel("s-20270115T080010Z", "", bench.env)
    interleaved(bench, [firing(bench), ending], order)
    bench.look()
    assert bench.runs() == [10, 20]
    assert bench.live() == ["s-20270115T080020Z"]


def a_time_and_a_pause(bench, order):
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    bench.clock.advance(10)
    interleaved(bench, [firing(bench), verbs.pause("s", "", "me", bench.env)], order)
    ran = bench.runs()
    assert ran in ([], [10])
    bench.go_to(50)
    assert bench.runs() == ran
    assert bench.schedules.get("s").state == "paused"


def a_time_and_other_times(bench, order):
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    bench.clock.advance(10)
    spec = make_spec("s", "etl", None, None, {"every": 4, "overlap": "allow"})
    interleaved(bench, [firing(bench), verbs.put(spec, bench.env)], order)
    bench.go_to(13)
    assert bench.runs() in ([10, 12], [12])
    assert bench.schedules.get("s").when == "every 4 s"


def two_puts_of_a_new_one(bench, order):
    plans = [
        verbs.put(make_spec("s", "etl", None, number, {"every": 10}), bench.env)
        for number in range(2)
    ]
    interleaved(bench, plans, order)
    rev = bench.redis.hget(bench.keys.schedule("s"), "rev")
    assert rev == b"2"
    bench.go_to(10)
    assert bench.runs() == [10]


def a_trigger_whose_reply_is_lost(bench, order):
    del order
    bench.schedules.put("s", "etl", every=10)
    connection = SentTwice(bench.connection)
    carry_out(connection, verbs.trigger("s", bench.env, bench.client.versions))
    assert len(bench.runs()) == 1


def a_firing_whose_reply_is_lost(bench, order):
    del order
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    bench.clock.advance(10)
    carry_out(SentTwice(bench.connection), firing(bench))
    assert bench.runs() == [10]
    assert bench.redis.hget(bench.keys.schedule("s"), "rev") == b"2"


class SentTwice:
    """A connection whose first replies are all lost: it sends each script again."""

    def __init__(self, connection):
        self.connection, self.left = connection, 20

    def call(self, call):
        return self.calls([call])[0]

    def calls(self, calls):
        self.left -= 1
        assert self.left, "it never comes to an end"
        self.connection.calls([call for call in calls if call.script is not None])
        return self.connection.calls(calls)


MEETINGS = [
    two_who_fire,
    a_time_that_waits_and_the_end_it_waits_for,
    a_time_and_a_pause,
    a_time_and_other_times,
    two_puts_of_a_new_one,
    a_trigger_whose_reply_is_lost,
    a_firing_whose_reply_is_lost,
]


class Guard(NamedTuple):
    """A guard: its script, its text, and the meeting that needs it."""

    script: str
    text: str
    meeting: object


REV = "if (row[1] or '') ~= rev then return 0 end"
LIVE = "if (is_live and '1' or '0') ~= live then return 0 end"
ASK = "if row[2] == request then return 1 end"
GUARDS = [
    Guard("fire_schedule", REV, two_who_fire),
    Guard("fire_schedule", ASK, a_firing_whose_reply_is_lost),
    Guard("write_schedule", REV, two_puts_of_a_new_one),
    Guard("write_schedule", LIVE, a_time_that_waits_and_the_end_it_waits_for),
    Guard("write_schedule", ASK, a_trigger_whose_reply_is_lost),
]


@pytest.fixture
def make_clock(clock):
    return type(clock)


@pytest.mark.parametrize("meeting", MEETINGS)
def test_in_each_order_it_goes_well(fake, keys, make_clock, meeting):
    """[T2] [T3] [T9]"""
    each_order(fake, keys, make_clock, SyncConnection(fake, "the test's server"), meeting)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda it: f"{it.script}: {it.meeting.__name__}")
def test_without_its_guard_it_goes_wrong_in_some(real, keys, make_clock, guard):
    """[T2] [T3] Negative control of the one above."""
    script = getattr(scripts, guard.script.upper())
    assert script.text.count(guard.text) == 1
    altered = replace(script, text=script.text.replace(guard.text, ""))
    connection = SyncConnection(real, "the test's server")
    with pytest.raises(AssertionError):
        each_order(real, keys, make_clock, AlteredLink(connection, altered), guard.meeting)
    real.flushall()
