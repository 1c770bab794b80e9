"""
[G8] Timers of asyncio and anyio in workflow code: remembered waits that write nothing unless they
fire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from stepflow import Context, PermanentError, RunState, Stepflow, TransientError
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.outcomes import Park, Pause, Succeed
from stepflow.errors import ClaimLost
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end

DAY_S = 86_400.0


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


async def sleep(ctx: Context, world: World) -> Any:
    await asyncio.sleep(3 * DAY_S)
    return await ctx.step("after", world.act, "after", "slept")


async def sleep_anyio(ctx: Context, world: World) -> Any:
    await anyio.sleep(DAY_S)
    return await ctx.step("after", world.act, "after", "slept")


async def timeout(ctx: Context, world: World) -> Any:
    try:
        async with asyncio.timeout(DAY_S):
            await ctx.wait_for_signal("never")
    except TimeoutError:
        return await ctx.step("late", world.act, "late", "late")


async def timeout_at(ctx: Context, world: World) -> Any:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(loop.time() + DAY_S) as limit:
            limit.reschedule(loop.time() + 2 * DAY_S)
            await ctx.sleep(DAY_S + 1)
            await ctx.step("in time", world.act, "in time")
            await ctx.sleep(DAY_S)
    except TimeoutError:
        return await ctx.step("late", world.act, "late", "late")


async def wait_for(ctx: Context, world: World) -> Any:
    with suppress(TimeoutError):
        await asyncio.wait_for(ctx.sleep(2 * DAY_S), DAY_S)
    return await ctx.step("late", world.act, "late", "late")


async def wait(ctx: Context, world: World) -> Any:
    sleeps = [asyncio.ensure_future(ctx.sleep(days * DAY_S)) for days in (1, 3)]
    done, pending = await asyncio.wait(sleeps, timeout=2 * DAY_S)
    for one in pending:
        one.cancel()
    return await ctx.step("count", world.act, "count", [len(done), len(pending)])


async def as_completed(ctx: Context, world: World) -> Any:
    async def branch(days: int) -> int:
        await asyncio.sleep(days * DAY_S)
        await ctx.step(f"day {days}", world.act, f"day {days}")
        return days

    days: list[int] = []
    with suppress(TimeoutError):
        tasks = [asyncio.create_task(branch(days)) for days in (3, 1, 2)]
        for one in asyncio.as_completed(tasks, timeout=2.5 * DAY_S):
            days.append(await one)
    return days


async def fail_after(ctx: Context, world: World) -> Any:
    try:
        with anyio.fail_after(DAY_S):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 2 * DAY_S)
                await ctx.step("in time", world.act, "in time")
    except TimeoutError:
        return await ctx.step("late", world.act, "late", "late")


async def move_on_after(ctx: Context, world: World) -> Any:
    found = []
    with anyio.move_on_after(2.5 * DAY_S):
        for day in range(5):
            found.append(await ctx.step(f"day {day}", world.act, f"day {day}", day))
            await anyio.sleep(DAY_S)
    return found


async def call_later(ctx: Context, world: World) -> Any:
    called: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    loop.call_later(DAY_S, lambda: loop.call_later(DAY_S, called.set_result, "called"))
    await ctx.step("meanwhile", world.act, "meanwhile")
    return await called


async def nested(ctx: Context, world: World) -> Any:
    said: list[str] = []
    for outer_s, inner_s in ((10, 20), (20, 10), (10, 10)):
        try:
            async with asyncio.timeout(outer_s):
                try:
                    async with asyncio.timeout(inner_s):
                        await ctx.wait_for_signal("never")
                except TimeoutError:
                    said.append(await ctx.step("inner", world.act, "inner", "inner"))
        except TimeoutError:
            said.append(await ctx.step("outer", world.act, "outer", "outer"))
    return said


ALL = [
    (sleep, "slept", 1), (sleep_anyio, "slept", 1), (timeout, "late", 1), (timeout_at, "late", 1),
    (wait_for, "late", 1), (wait, [1, 1], 1), (as_completed, [1, 2], 3), (fail_after, "late", 1),
    (move_on_after, [0, 1, 2], 3), (call_later, "called", 2),
]  # fmt: skip


def timers(runtime: MemoryRuntime) -> list[Entry]:
    entries = [Entry.read(written) for written in runtime.journal]
    return [entry for entry in entries if entry.kind is EntryKind.TIMER]


@pytest.mark.parametrize(
    ("workflow", "result", "fired"), ALL, ids=[workflow.__name__ for workflow, *_ in ALL]
)
async def test_a_timer_fires_once_and_a_crash_at_every_write_leads_to_the_same_end(
    workflow: Any, result: Any, fired: int
) -> None:
    """[G8]"""
    whole, world = MemoryRuntime(), World()
    assert await to_the_end(whole, lambda ctx: workflow(ctx, world)) == Succeed(result)
    assert len(timers(whole)) == fired
    began = whole.run.created_at
    for crash_after in range(len(whole.journal) + 1):
        runtime, again = MemoryRuntime(), World()
        runtime.crash_after = crash_after
        with suppress(ClaimLost):
            await to_the_end(runtime, lambda ctx, again=again: workflow(ctx, again))
        runtime.crash_after = None
        assert await to_the_end(runtime, lambda ctx, again=again: workflow(ctx, again)) == Succeed(
            result
        )
        due = [float(entry.data) - began for entry in timers(runtime)]
        assert due == pytest.approx([float(entry.data) - began for entry in timers(whole)], abs=1)
        assert len(again.done) <= len(world.done) + 1


async def test_a_run_parks_until_its_timer_is_due() -> None:
    """[G8]"""
    runtime, world = MemoryRuntime(), World()
    outcome = await activate(runtime, lambda ctx: sleep(ctx, world))
    assert isinstance(outcome, Park)
    assert outcome.due_at == pytest.approx(runtime.run.created_at + 3 * DAY_S, abs=1)
    assert outcome.waits_for == "a timer of its code"
    assert runtime.journal == []


async def test_a_run_that_waits_for_a_timer_says_so(h: Harness) -> None:
    """[G8]"""

    @h.app.workflow("waits")
    async def waits(ctx: Context) -> None:
        await asyncio.sleep(60)
        async with asyncio.timeout(100):
            await ctx.wait_for_signal("go")

    run = await h.submit("waits")
    assert (await h.client.why(run.id)).sentence.startswith("it has a timer in its code until")
    await h.advance(60)
    why = await h.client.why(run.id)
    assert "signal 'go'; has a timer in its code until" in why.sentence
    assert (await h.status(run)).waits_for == (
        "signal 'go', a timer of its code, until 2030-01-01 00:02:40 UTC"
    )
    slept, *_ = await h.client.steps(run.id)
    assert (slept.kind, slept.place, slept.state) == ("sleep", "t0", "succeeded")


async def test_a_timer_that_does_not_fire_writes_nothing() -> None:
    """[G8]"""
    world = World()

    async def limited(ctx: Context) -> None:
        async with asyncio.timeout(60):
            await ctx.step("a", world.act, "a")
        with anyio.fail_after(60):
            await ctx.step("b", world.act, "b")
        await asyncio.wait_for(ctx.step("c", world.act, "c"), 60)

    async def plain(ctx: Context) -> None:
        for name in "abc":
            await ctx.step(name, world.act, name)

    with_timers, without = MemoryRuntime(), MemoryRuntime()
    assert await to_the_end(with_timers, limited) == Succeed(None)
    assert await to_the_end(without, plain) == Succeed(None)
    kinds = [Entry.read(written).kind for written in with_timers.journal]
    assert kinds == [EntryKind.VALUE] * 3
    assert [Entry.read(written).name for written in without.journal] == ["a", "b", "c"]


async def test_a_timeout_put_around_a_step_leaves_the_places_of_runs_in_flight() -> None:
    """[G8]"""
    runtime, world = MemoryRuntime(), World()

    async def before(ctx: Context) -> str:
        await ctx.step("a", world.act, "a")
        await ctx.wait_for_signal("go")
        return "before"

    async def after(ctx: Context) -> str:
        async with asyncio.timeout(1000):
            await ctx.step("a", world.act, "a")
        await ctx.wait_for_signal("go", "stop")
        return "after"

    assert isinstance(await activate(runtime, before), Park)
    assert isinstance(await activate(runtime, after), Park)
    assert world.done == ["a"]


async def test_a_step_that_hangs_is_cancelled_when_the_time_is_up(h: Harness) -> None:
    """[G8]"""
    seen: list[str] = []

    async def hang() -> None:
        try:
            await h.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    @h.app.workflow("limited")
    async def limited(ctx: Context) -> str:
        try:
            with anyio.fail_after(30):
                await ctx.step(hang)
        except TimeoutError:
            return "timed out"
        return "came back"

    run = await h.submit("limited")
    await h.advance(29)
    assert (await h.status(run)).state is RunState.RUNNING
    await h.advance(2)
    assert await h.result(run) == "timed out"
    assert seen == ["cancelled"]
    await h.replay(await h.history(run))


async def test_of_several_timers_that_came_due_together_the_earliest_is_first() -> None:
    """[G8] As when no worker was there for a while."""
    runtime, order = MemoryRuntime(), []

    async def workflow(ctx: Context) -> list[int]:
        async def branch(seconds: int) -> None:
            await asyncio.sleep(seconds)
            order.append(seconds)

        await asyncio.gather(*(branch(seconds) for seconds in (30, 10, 20)))
        return order[-3:]

    assert isinstance(await activate(runtime, workflow), Park)
    runtime.clock += DAY_S
    assert await activate(runtime, workflow) == Succeed([10, 20, 30])


async def test_the_inner_of_two_timeouts_is_left_alone_once_the_outer_is_due() -> None:
    """[G8] Whether they come due one by one or together."""
    for step_s in (None, DAY_S):
        runtime, world = MemoryRuntime(), World()
        outcome = await activate(runtime, lambda ctx, world=world: nested(ctx, world))
        while isinstance(outcome, Park):
            assert outcome.due_at is not None
            runtime.clock = outcome.due_at if step_s is None else runtime.clock + step_s
            outcome = await activate(runtime, lambda ctx, world=world: nested(ctx, world))
        assert isinstance(outcome, Succeed)
        result = outcome.result
        # together: the step of the inner one has no time left
        assert result[:2] == (["outer", "inner"] if step_s is None else ["outer", "outer"])
        assert await activate(runtime, lambda ctx: nested(ctx, World())) == Succeed(result)


async def test_a_timer_that_is_due_at_another_time_now_pauses_the_run() -> None:
    """[G8]"""
    runtime, waits_s = MemoryRuntime(), [60.0]

    async def workflow(ctx: Context) -> None:
        await asyncio.sleep(waits_s[0])
        await ctx.wait_for_signal("go")

    assert isinstance(await activate(runtime, workflow), Park)
    runtime.clock += 100
    assert isinstance(await activate(runtime, workflow), Park)
    waits_s[0] = 90.0
    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Pause)
    assert "is due +30.000 s from when it was due" in outcome.diff + outcome.reason


async def test_a_remembered_timer_that_the_code_does_not_set_pauses_the_run() -> None:
    """[G8]"""
    runtime = MemoryRuntime()

    async def workflow(ctx: Context) -> None:
        await asyncio.sleep(60)
        await ctx.wait_for_signal("go")

    async def without(ctx: Context) -> None:
        await ctx.wait_for_signal("go")

    assert isinstance(await activate(runtime, workflow), Park)
    runtime.clock += 100
    assert isinstance(await activate(runtime, workflow), Park)
    assert isinstance(await activate(runtime, without), Pause)


# what timers count from


async def test_the_timers_of_a_run_that_begins_late_count_from_its_beginning(h: Harness) -> None:
    """[G8]"""

    @h.app.workflow("late")
    async def late(ctx: Context) -> str:
        try:
            async with asyncio.timeout(60):
                return await ctx.wait_for_signal("go", type=str)
        except TimeoutError:
            return "timed out"

    run = await h.submit("late", delay=DAY_S)
    await h.advance(DAY_S)
    assert (await h.status(run)).state is RunState.WAITING
    await h.advance(59)
    await h.signal(run, "go", "in time")
    assert await h.result(run) == "in time"
    other = await h.submit("late", delay=DAY_S)
    await h.advance(DAY_S + 61)
    assert await h.result(other) == "timed out"
    for each in (run, other):
        history = await h.history(each)
        assert [entry["kind"] for entry in history["journal"]].count("time") == 1
        await h.replay(history)


async def test_a_run_that_wakes_late_has_its_timers_where_it_set_them() -> None:
    """[G8]"""
    runtime = MemoryRuntime()

    async def workflow(ctx: Context) -> str:
        await ctx.step("a", World().act, "a")
        try:
            async with asyncio.timeout(100):
                await ctx.wait_for_signal("go")
        except TimeoutError:
            return "timed out"
        return "came"

    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    runtime.clock += 50
    again = await activate(runtime, workflow)
    assert isinstance(again, Park)
    assert again.due_at == pytest.approx(outcome.due_at, abs=0.01)
    assert len(runtime.journal) == 1


async def test_a_crash_prolongs_no_timeout() -> None:
    """[G8]"""
    runtime, world = MemoryRuntime(), World()

    async def workflow(ctx: Context) -> str:
        await ctx.step("a", world.act, "a")
        with anyio.move_on_after(100):
            await ctx.step("b", world.act, "b")
            await ctx.sleep(1000)
        return "over"

    runtime.crash_after = 1
    with suppress(ClaimLost):
        await activate(runtime, workflow)
    runtime.crash_after = None
    runtime.clock += 70
    runtime.run.crashes, runtime.run.step = 1, 3
    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    assert outcome.due_at == pytest.approx(runtime.clock + 30, abs=1)


async def test_a_retried_run_has_its_timeouts_anew(h: Harness) -> None:
    """[G8]"""
    calls: list[int] = []

    async def shaky() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise PermanentError("no")
        await h.sleep(30)
        return "fine"

    @h.app.workflow("limited")
    async def limited(ctx: Context) -> str:
        await ctx.sleep(1)
        async with asyncio.timeout(60):
            return await ctx.step(shaky)

    run = await h.submit("limited")
    await h.advance(DAY_S)
    assert (await h.status(run)).state is RunState.FAILED
    await h.client.retry(run.id)
    await h.advance(31)
    assert await h.result(run) == "fine"


async def test_a_fork_has_its_timeouts_anew(h: Harness) -> None:
    """[G8]"""

    @h.app.workflow("limited")
    async def limited(ctx: Context) -> str:
        await ctx.step("a", str, "a")
        try:
            async with asyncio.timeout(60):
                return await ctx.wait_for_signal("go", type=str)
        except TimeoutError:
            return "timed out"

    run = await h.submit("limited")
    await h.signal(run, "go", "first")
    await h.advance(DAY_S)
    fork = await h.client.fork(run.id, "go")
    await h.settle()
    assert (await h.status(fork)).state is RunState.WAITING
    await h.advance(61)
    assert await h.result(fork) == "timed out"


async def test_an_attempt_of_the_workflow_that_is_made_again_has_its_timeouts_anew(
    h: Harness,
) -> None:
    """[G8]"""
    failed: list[int] = []

    @h.app.workflow("shaky")
    async def shaky(ctx: Context) -> str:
        async with asyncio.timeout(60):
            if not failed:
                failed.append(1)
                raise TransientError("later", retry_after=100)
            return await ctx.step("a", str, "a")

    run = await h.submit("shaky")
    await h.advance(100)
    assert await h.result(run) == "a"
