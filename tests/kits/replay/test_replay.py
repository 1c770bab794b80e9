"""
The replay: whatever was remembered is never done again, and the workflow takes the same turns each
time.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from stepflow import Context, PermanentError, RetryPolicy, StepFailed, Succeed, TransientError
from stepflow.core.outcomes import Park, Pause, Raised
from stepflow.errors import ClaimLost
from stepflow.store.values.codec import pack
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end


def rich(world: World) -> Any:
    """
    A workflow with gather, tasks, a retried step, a sleep, a signal, a race and a caught failure.
    """
    tries = 0

    async def flaky() -> str:
        nonlocal tries
        tries += 1
        if tries % 2:
            raise TransientError("not yet")
        return await world.act("flaky", "at last")

    async def broken() -> None:
        raise PermanentError("never")

    async def branch(ctx: Context, k: int) -> Any:
        first = await ctx.step(f"b{k}", world.act, f"b{k}", k)
        return await ctx.step(f"c{k}", world.act, f"c{k}", first + 10)

    async def workflow(ctx: Context) -> Any:
        seen = [await ctx.step("one", world.act, "one", None)]
        seen += await asyncio.gather(*(ctx.step(f"g{k}", world.act, f"g{k}", k) for k in range(3)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(ctx, k)) for k in range(3)]
        seen += [task.result() for task in tasks]
        await ctx.sleep(3600)
        seen.append(await ctx.step("flaky", flaky))
        seen.append(await ctx.wait_for_signal("go", timeout=60))
        done, rest = await asyncio.wait(
            [
                ctx.step("race-a", world.act, "race-a", "a"),
                ctx.step("race-b", world.act, "race-b", "b"),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        seen += sorted(future.result() for future in done)
        for future in rest:
            future.cancel()
        try:
            await ctx.step("broken", broken)
        except StepFailed as error:
            seen.append(error.error_type)
        return [*seen, str(ctx.uuid()), ctx.random().random()]

    return workflow


def with_signal() -> MemoryRuntime:
    runtime = MemoryRuntime()
    runtime.mail.append(b"go|" + pack("said"))
    runtime.inbox = 1
    return runtime


async def test_a_remembered_step_is_not_executed_again_null_results_included() -> None:
    """[F1]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> str:
        assert await ctx.step("nothing", world.act, "nothing", None) is None
        await ctx.sleep(60)
        return "end"

    assert isinstance(await activate(runtime, workflow), Park)
    assert await to_the_end(runtime, workflow) == Succeed("end")
    assert world.done == ["nothing"]


async def test_a_crash_at_every_write_leads_to_the_same_end_and_no_durable_step_runs_twice() -> (
    None
):
    """[F1] [F2] [F4] The harness crashes after every single write of a rich workflow."""
    world, runtime = World(), with_signal()
    expected = await to_the_end(runtime, rich(world))
    assert isinstance(expected, Succeed), expected
    writes = len(runtime.journal)
    for crash_after in range(1, writes + 1):
        world, runtime = World(), with_signal()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, rich(world))
        assert len(runtime.journal) == crash_after
        durable = [
            entry.split(b"|", 3)[2].decode()
            for entry in runtime.journal
            if entry.startswith(b"value|")
        ]
        before = [name for name in world.done if name in durable]
        runtime.crash_after = None
        outcome = await to_the_end(runtime, rich(world))
        assert isinstance(outcome, Succeed), (crash_after, outcome)
        assert outcome.result[:-4] == expected.result[:-4], crash_after
        assert outcome.result[-2:] == expected.result[-2:], crash_after
        for name in before:
            assert world.done.count(name) == 1, (crash_after, name)


@pytest.mark.crash
async def test_a_thousand_interleavings_of_branches_replay_equal() -> None:
    """[F4] Steps end in random order; the replay hands their values over in the order they came."""
    for seed in range(1000):
        chance = random.Random(seed)
        traces: list[list[str]] = []

        async def jittery(name: str, chance: random.Random = chance) -> str:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            return name

        async def workflow(
            ctx: Context, traces: list[list[str]] = traces, jittery: Any = jittery
        ) -> list[str]:
            trace: list[str] = []
            traces.append(trace)

            async def branch(k: int) -> None:
                for n in range(3):
                    trace.append(await ctx.step(f"{k}.{n}", jittery, f"{k}.{n}"))

            await asyncio.gather(*(branch(k) for k in range(3)))
            await ctx.sleep(1)
            return trace

        runtime = MemoryRuntime()
        assert isinstance(await activate(runtime, workflow), Park)
        outcome = await to_the_end(runtime, workflow)
        assert isinstance(outcome, Succeed)
        assert all(trace == traces[0] for trace in traces), seed


async def test_a_changed_workflow_pauses_with_what_it_remembers_and_what_it_finds() -> None:
    """[F5]"""
    world, runtime = World(), MemoryRuntime()

    async def before(ctx: Context) -> None:
        await ctx.step("old", world.act, "old")
        await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        await ctx.step("new", world.act, "new")
        await ctx.sleep(60)

    await activate(runtime, before)
    outcome = await activate(runtime, after)
    assert outcome == Pause("code changed: at place 0 remembered value 'old', now step 'new'")
    assert world.done == ["old"]
    assert await to_the_end(runtime, before) == Succeed(None)


async def test_a_workflow_that_ends_with_remembered_steps_never_reached_pauses() -> None:
    """[F5]"""
    world, runtime = World(), MemoryRuntime()

    async def before(ctx: Context) -> None:
        await ctx.step("a", world.act, "a")
        await ctx.step("b", world.act, "b")
        await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        await ctx.step("a", world.act, "a")

    await activate(runtime, before)
    outcome = await activate(runtime, after)
    assert isinstance(outcome, Pause)
    assert "remembered value 'b' at place 1" in outcome.reason


async def test_attempts_are_counted_durably_and_the_wait_is_not_started_anew() -> None:
    """[F3] [F9]"""
    runtime, calls = MemoryRuntime(), 0

    async def failing() -> None:
        nonlocal calls
        calls += 1
        raise ValueError("no")

    async def workflow(ctx: Context) -> str:
        try:
            await ctx.step("failing", failing, retry=RetryPolicy(3, initial=100, jitter=False))
        except StepFailed as error:
            return f"{error.error_type}: {error.error_message}"
        return "?"

    first = await activate(runtime, workflow)
    assert isinstance(first, Park)
    assert (await activate(runtime, workflow)) == first
    assert calls == 1
    assert await to_the_end(runtime, workflow) == Succeed("ValueError: no")
    assert calls == 3


async def test_a_sleep_ends_when_it_was_to_end_however_often_it_is_looked_at() -> None:
    """[F9]"""
    runtime = MemoryRuntime()

    async def workflow(ctx: Context) -> None:
        await ctx.sleep(1000)

    first = await activate(runtime, workflow)
    runtime.clock += 500
    assert await activate(runtime, workflow) == first
    assert isinstance(first, Park)
    runtime.clock = first.due_at or 0.0
    assert await activate(runtime, workflow) == Succeed(None)


async def test_a_signal_sent_before_the_run_asks_is_taken_and_remembered() -> None:
    """[F10]"""
    runtime = with_signal()

    async def workflow(ctx: Context) -> Any:
        said = await ctx.wait_for_signal("other", "go")
        await ctx.sleep(60)
        return said

    assert isinstance(await activate(runtime, workflow), Park)
    assert runtime.mail == []
    assert await to_the_end(runtime, workflow) == Succeed("said")


async def test_a_signal_that_comes_after_the_timeout_stays_for_the_next_wait() -> None:
    """[F10]"""
    runtime = MemoryRuntime()

    async def workflow(ctx: Context) -> list[Any]:
        first = await ctx.wait_for_signal("go", timeout=10)
        await ctx.sleep(10)
        return [first, await ctx.wait_for_signal("go", timeout=10)]

    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    runtime.clock = outcome.due_at or 0.0
    assert isinstance(await activate(runtime, workflow), Park)
    runtime.mail.append(b"go|" + pack("late"))
    runtime.inbox = 1
    assert await to_the_end(runtime, workflow) == Succeed([None, "late"])


@pytest.mark.parametrize("what", ["getaddrinfo", "create_server", "to_thread"])
async def test_what_a_replay_cannot_repeat_is_refused_in_words(what: str) -> None:
    """[F4]"""

    async def workflow(ctx: Context) -> None:
        if what == "getaddrinfo":
            await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        elif what == "to_thread":
            await asyncio.to_thread(print)
        else:
            await asyncio.get_running_loop().create_server(asyncio.Protocol, "localhost", 1)

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert not outcome.retryable
    assert "it would not repeat itself on replay" in outcome.error.message


async def test_waiting_for_nothing_that_could_answer_is_said() -> None:
    async def workflow(ctx: Context) -> None:
        await asyncio.get_running_loop().create_future()

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert "nothing will ever answer" in outcome.error.message


async def test_time_chance_and_uuids_are_the_same_on_replay() -> None:
    """[F7]"""
    runtime, seen = MemoryRuntime(), []
    world = World()

    async def workflow(ctx: Context) -> None:
        await ctx.step("a", world.act, "a")
        seen.append((ctx.now(), ctx.uuid(), ctx.random().random()))
        await ctx.sleep(60)

    await activate(runtime, workflow)
    await to_the_end(runtime, workflow)
    assert len(seen) > 1
    assert all(each == seen[0] for each in seen)


async def test_an_exception_fails_the_run_and_a_transient_error_tries_it_again() -> None:
    """[F3]"""

    async def wrong(ctx: Context) -> None:
        raise ValueError("wrong")

    async def unlucky(ctx: Context) -> None:
        raise TransientError("unlucky", retry_after=5)

    first, second = await activate(MemoryRuntime(), wrong), await activate(MemoryRuntime(), unlucky)
    assert isinstance(first, Raised)
    assert isinstance(second, Raised)
    assert (first.retryable, second.retryable, second.retry_after_s) == (False, True, 5)


async def test_a_poll_tries_until_something_is_there_and_is_parked_between_tries() -> None:
    """[F12]"""
    runtime, tries = MemoryRuntime(), 0

    async def look() -> str | None:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise ValueError("not now")
        return "found" if tries == 4 else None

    async def workflow(ctx: Context) -> Any:
        return await ctx.poll("look", look, every=30)

    first = await activate(runtime, workflow)
    assert isinstance(first, Park)
    assert tries == 1
    assert await to_the_end(runtime, workflow) == Succeed("found")
    assert tries == 4


async def test_a_poll_gives_up_after_its_time_or_after_failures_in_a_row() -> None:
    """[F12]"""

    async def nothing() -> None:
        return None

    async def broken() -> None:
        raise ValueError("no")

    async def patient(ctx: Context) -> Any:
        return await ctx.poll(nothing, every=30, timeout=100)

    async def unlucky(ctx: Context) -> Any:
        try:
            await ctx.poll(broken, every=30, max_errors=2)
        except StepFailed as error:
            return error.error_message

    assert await to_the_end(MemoryRuntime(), patient) == Succeed(None)
    assert await to_the_end(MemoryRuntime(), unlucky) == Succeed("no")
