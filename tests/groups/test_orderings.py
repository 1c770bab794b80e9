"""
Every order in which two may meet at a group, and what goes wrong without the scripts' guards.

[K6] [K7] Two plans are stepped call by call, in each order of their calls.
"""

from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import pytest

from stepflow.core.fanout.group import GroupState
from stepflow.engine.doctor.groups import broken_groups, mend_group
from stepflow.engine.groups import verbs
from stepflow.engine.groups.carry import look
from stepflow.engine.groups.manifest import make_manifest
from stepflow.engine.groups.submit import submit_group
from stepflow.engine.retry import retry
from stepflow.errors import NotRetryable
from stepflow.store import scripts
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.groups.moves import advance_group, mend_member, write_slice
from stepflow.store.groups.reads import load_group
from stepflow.store.groups.record import write_members, write_names
from tests.groups.conftest import Bench
from tests.orderings.test_guards import AlteredLink

pytestmark = pytest.mark.crash

#: calls of two plans of which every order is taken; what is left of both comes after
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
    for number in [*order, *[0] * 60, *[1] * 60]:
        if live[number]:
            answers[number] = step(plans[number], bench.connection, answers[number])
            live[number] = answers[number] is not None
    assert not any(live), "they never come to an end"


#: where the second one's first calls stand among those of the first
ORDERS = [
    [1 if place in second else 0 for place in range(MOST)]
    for second in combinations(range(MOST), MOST // 2)
] + [[0] * first + [1] * 60 for first in range(2 * MOST)]


def each_order(redis_client, keys, make_clock, connection, meeting):
    for order in [None] if meeting in WITHOUT_ORDER else ORDERS:
        redis_client.flushall()
        meeting(Bench(connection, redis_client, keys, make_clock()), order)


def submitting(bench, keys="abc", **options):
    specs = bench.members(keys)
    manifest = make_manifest("g", specs, specs, options.get("join"), (), bench.env)
    return submit_group(manifest, bench.env)


def carrying(bench):
    """Do what a worker does that comes by while there is more to do."""

    async def carry():
        while await look("g", bench.env):
            pass

    return carry()


def settle(bench):
    """Let workers come by until nothing is due; a group must not stand for good."""
    for _ in range(5):
        bench.work()
        bench.clock.advance(10)
    return bench.groups.status("g")


def counted(bench):
    """The counts of a group, which agree with the runs that are there."""
    info = bench.groups.status("g")
    states = [bench.client.status(f"g--{key}") for key in "abc"]
    found = [run.state.value for run in states if run is not None]
    for state in ("succeeded", "failed", "cancelled"):
        assert getattr(info, state) == found.count(state), (state, info, found)
    assert info.live == sum(not run.is_finished for run in states if run is not None)
    return info


def two_who_submit(bench, order):
    interleaved(bench, [submitting(bench), submitting(bench)], order)
    assert counted(bench).live == 3
    assert bench.redis.llen(f"{bench.keys.group('g')}:names") == 1
    bench.succeed("a", "b", "c")
    assert settle(bench).state == "succeeded"


def a_submit_and_a_worker(bench, order):
    interleaved(bench, [submitting(bench), carrying(bench)], order)
    assert settle(bench).live == 3
    counted(bench)


def a_submit_and_a_cancel(bench, order):
    specs = bench.members("abc")
    written_by_hand(bench, make_manifest("g", specs, specs, None, (), bench.env))
    plans = [carrying(bench), verbs.cancel("g", "", bench.env, by="me")]
    interleaved(bench, plans, order)
    info = settle(bench)
    assert info.state == "cancelled"
    assert (info.live, info.cancelled + info.waiting) == (0, 3)
    counted(bench)


def two_last_ends(bench, order):
    bench.submit("abc")
    bench.succeed("a")
    interleaved(bench, [bench._succeed("g--b"), bench._succeed("g--c")], order)
    assert settle(bench).state == "succeeded"
    counted(bench)


def the_last_end_and_a_look(bench, order):
    bench.submit("abc")
    bench.succeed("a", "b")
    interleaved(bench, [carrying(bench), bench._succeed("g--c")], order)
    info = settle(bench)
    assert (info.state, info.end) == ("succeeded", 1)


def an_end_and_a_look_that_settles(bench, order):
    bench.submit("abc", join=1)
    bench.succeed("a")
    interleaved(bench, [carrying(bench), bench._succeed("g--b")], order)
    info = settle(bench)
    assert (info.state, info.end, info.live) == ("succeeded", 1, 0)
    counted(bench)


def two_looks_at_the_end(bench, order):
    bench.submit("abc")
    bench.succeed("a", "b", "c")
    interleaved(bench, [carrying(bench), carrying(bench)], order)
    info = settle(bench)
    assert (info.state, info.end) == ("succeeded", 1)


def the_end_and_a_retry_by_hand(bench, order):
    bench.submit("abc")
    bench.succeed("a", "b")
    bench.fail("c")
    interleaved(bench, [carrying(bench), retry("g--c", bench.env)], order)
    info = counted(bench)
    assert (info.live, info.is_finished) == (1, False)
    bench.succeed("c")
    assert settle(bench).state == "succeeded"


def two_retries(bench, order):
    bench.submit("abc")
    bench.fail("a", "b")
    bench.succeed("c")
    bench.work()
    plans = [verbs.retry_failed("g", bench.env), verbs.retry_failed("g", bench.env)]
    interleaved(bench, plans, order)
    assert counted(bench).live == 2
    bench.succeed("a", "b")
    info = settle(bench)
    assert (info.state, info.succeeded) == ("succeeded", 3)


def a_retry_and_one_that_fails_again(bench, order):
    bench.submit("abc")
    bench.fail("a", "b")
    bench.work()

    async def again():
        with suppress(NotRetryable):
            await retry("g--a", bench.env)
        await bench._fail("g--a")

    interleaved(bench, [verbs.retry_failed("g", bench.env), again()], order)
    counted(bench)
    for key in "abc":
        if not bench.client.status(f"g--{key}").is_finished:
            bench.succeed(key)
    assert settle(bench).is_finished
    counted(bench)


def a_cancel_and_an_end(bench, order):
    bench.submit("abc")
    plans = [verbs.cancel("g", "", bench.env, by="me"), bench._succeed("g--a")]
    interleaved(bench, plans, order)
    assert settle(bench).state == "cancelled"
    counted(bench)


def a_forget_and_a_retry_by_hand(bench, order):
    bench.submit("abc")
    bench.fail("a")
    bench.succeed("b", "c")
    bench.work()

    async def forgotten():
        with suppress(verbs.GroupBusy):
            await verbs.forget("g", bench.env)

    interleaved(bench, [forgotten(), retry("g--a", bench.env)], order)
    left = {key.decode().split(":")[2] for key in bench.redis.keys("stepflow:group:*")}
    listed = bench.redis.zrange(bench.keys.groups, 0, -1)
    assert left == {name.decode() for name in listed}
    if left:
        assert counted(bench).live == 1


def replies_are_lost(bench, order):
    """Each script is sent again, with all that it was sent."""
    del order
    sure = bench.connection
    bench.connection = SentTwice(sure)
    for plan in (submitting(bench), bench._succeed("g--a"), bench._fail("g--b")):
        carry_out(bench.connection, plan)
    counted(bench)
    carry_out(bench.connection, bench._succeed("g--c"))
    carry_out(bench.connection, carrying(bench))
    assert bench.groups.status("g").end == 1
    assert carry_out(bench.connection, verbs.retry_failed("g", bench.env)) == 1
    assert bench.redis.hget(bench.keys.group("g"), "wave") == b"1"
    counted(bench)
    carry_out(bench.connection, verbs.cancel("g", "", bench.env, by="me"))
    assert settle(bench).end == 2
    counted(bench)


class SentTwice:
    """A connection whose first replies are all lost: it sends each script again."""

    def __init__(self, connection):
        self.connection, self.left = connection, 200

    def call(self, call):
        return self.calls([call])[0]

    def calls(self, calls):
        self.left -= 1
        assert self.left, "it never comes to an end"
        self.connection.calls([call for call in calls if call.script is not None])
        return self.connection.calls(calls)


def the_end_and_a_cancel(bench, order):
    bench.submit("abc", webhooks=["https://example.com/told"])
    bench.succeed("a", "b", "c")
    interleaved(bench, [carrying(bench), verbs.cancel("g", "", bench.env, by="me")], order)
    info = settle(bench)
    assert (info.is_finished, info.end) == (True, 1)
    assert bench.redis.llen(bench.keys.rq_list(bench.keys.hook_queue)) == 1


def an_end_and_who_takes_it_for_lost(bench, order):
    bench.submit("abc")
    call = mend_member(bench.keys, "g", "g--a", now=bench.clock.now())
    interleaved(bench, [as_plan(call), bench._succeed("g--a")], order)
    interleaved(bench, [as_plan(call), as_plan(call)], order)
    counted(bench)


async def as_plan(call):
    await call


def a_slice_whose_beginner_died(bench, order):
    del order
    specs = bench.members("abc")
    written_by_hand(bench, make_manifest("g", specs, specs, None, (), bench.env))
    plan, answers = look("g", bench.env), None
    for _ in range(4):  # the group, a hold, the slice, its members
        answers = step(plan, bench.connection, answers)
    plan.close()
    assert bench.groups.status("g").live == 3
    bench.succeed("a")
    bench.client.delete("g--a")
    settle(bench)
    assert bench.client.status("g--a") is None


def written_by_hand(bench, manifest):
    [(first, part)] = manifest.slices
    name = write_names([(member.key, digest) for digest, member in part])
    spec = write_members(first, [member for _, member in part])
    bench.connection.call(write_slice(bench.keys, manifest.group, 0, name, spec, ttl_s=9, due_at=1))


def an_end_by_who_saw_no_live_member(bench, order):
    """The count of live members was read before one of them was retried, the rest after it."""
    del order
    bench.submit("abc")
    group = bench.do(load_group(bench.keys, "g"))
    ended = replace(group, state=GroupState.SUCCEEDED, rev=group.rev + 1)
    call = advance_group(
        bench.keys, ended, rev=group.rev, request="r", now=bench.clock.now(), ttl_s=9
    )
    assert not bench.connection.call(call)


def a_recount_and_an_end(bench, order):
    bench.submit("abc")
    bench.succeed("a")
    bench.redis.hset(bench.keys.group("g"), "n.succeeded", 5)

    async def mended():
        for broken in await broken_groups(bench.env):
            await mend_group(broken, bench.env)

    interleaved(bench, [mended(), bench._succeed("g--b")], order)
    assert bench.groups.status("g").succeeded in {2, 6}
    bench.do(mended())
    counted(bench)
    bench.succeed("c")
    assert settle(bench).state == "succeeded"


def a_forget_that_comes_late(bench, order):
    """Meanwhile the group was forgotten by somebody else, and submitted again."""
    del order
    bench.submit("abc")
    bench.groups.cancel("g")
    plan = verbs.forget("g", bench.env)
    answers = step(plan, bench.connection, None)
    bench.groups.forget("g")
    for key in "abc":
        bench.client.delete(f"g--{key}")
    bench.submit("abc")
    with suppress(verbs.GroupBusy):
        while answers is not None:
            answers = step(plan, bench.connection, answers)
    assert [info.id for info in bench.groups.list()] == ["g"]
    assert counted(bench).live == 3


MEETINGS = [
    a_forget_that_comes_late,
    a_recount_and_an_end,
    two_who_submit,
    a_submit_and_a_worker,
    a_submit_and_a_cancel,
    two_last_ends,
    the_last_end_and_a_look,
    an_end_and_a_look_that_settles,
    two_looks_at_the_end,
    the_end_and_a_retry_by_hand,
    the_end_and_a_cancel,
    two_retries,
    a_retry_and_one_that_fails_again,
    a_cancel_and_an_end,
    a_forget_and_a_retry_by_hand,
    an_end_and_who_takes_it_for_lost,
    an_end_by_who_saw_no_live_member,
    a_slice_whose_beginner_died,
    replies_are_lost,
]


#: which try one order only
WITHOUT_ORDER = (
    an_end_by_who_saw_no_live_member, a_slice_whose_beginner_died, replies_are_lost,
    a_forget_that_comes_late,
)  # fmt: skip


class Guard(NamedTuple):
    """A guard: its script, its text, what stands there instead, and the meeting that needs it."""

    script: str
    text: str
    instead: str
    meeting: object


COUNTED_ONCE = "if soft('ZREM', live, run_id) ~= 1 then return false end"
LOOKED_AT = "  look_if_settled(group, live, to)\n  return true\nend"
GUARDS = [
    Guard(
        "write_slice", "if row[1] and written ~= tonumber(at) then return written end", "",
        two_who_submit,
    ),
    Guard(
        "submit_member", "redis.call('SETBIT', begun_key, index, 1) == 1", "false",
        a_slice_whose_beginner_died,
    ),
    Guard("submit_member", "~= submitting then return 0 end", "== 1 then return 0 end",
          a_submit_and_a_cancel),
    Guard("advance_group", "row[1] ~= rev or ", "", the_end_and_a_cancel),
    Guard("advance_group", "(soft('ZCARD', group_live_key) or 0) > 0", "false",
          an_end_by_who_saw_no_live_member),
    Guard("advance_group", "if row[2] == request then return 1 end", "", replies_are_lost),
    Guard("advance_group", "look_if_settled(group_key, group_live_key,",
          "select('#', group_key, group_live_key,", the_last_end_and_a_look),
    Guard("mend_member", COUNTED_ONCE, "", an_end_and_who_takes_it_for_lost),
    Guard("mend_member", "(row[3] or '') == ''", "false", an_end_and_who_takes_it_for_lost),
    Guard("finish_run", LOOKED_AT, "  return true\nend", two_last_ends),
    Guard("forget_group", "if there and there ~= rev then return 0 end", "",
          a_forget_that_comes_late),
    Guard("recount_group", "~= seen[i] then return 0 end", "== 1 then return 0 end",
          a_recount_and_an_end),
    Guard("retry_run", "if not ended or ", "if ", a_forget_and_a_retry_by_hand),
]  # fmt: skip


@pytest.fixture
def make_clock(clock):
    return type(clock)


@pytest.mark.parametrize("meeting", MEETINGS)
def test_in_each_order_it_goes_well(fake, keys, make_clock, meeting):
    """[K6] [K7]"""
    each_order(fake, keys, make_clock, SyncConnection(fake, "the test's server"), meeting)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda it: f"{it.script}: {it.meeting.__name__}")
def test_without_its_guard_it_goes_wrong_in_some(real, keys, make_clock, guard):
    """[K6] [K7] Negative control of the one above."""
    script = getattr(scripts, guard.script.upper())
    assert script.text.count(guard.text) == 1
    altered = replace(script, text=script.text.replace(guard.text, guard.instead))
    connection = SyncConnection(real, "the test's server")
    with pytest.raises(AssertionError):
        each_order(real, keys, make_clock, AlteredLink(connection, altered), guard.meeting)
    real.flushall()
