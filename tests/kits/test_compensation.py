"""
Compensation: what was done is undone once, in reverse, whatever crashes; a success undoes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import Context, PermanentError, RetryPolicy, StepFailed, Succeed, TransientError
from stepflow.core.outcomes import CleanedUp, Park, Raised
from stepflow.core.run import Cleanup
from stepflow.errors import ClaimLost
from stepflow.store.values.codec import pack
from tests.kits.memory import MemoryRuntime, activate
from tests.kits.replay.test_replay import World, to_the_end


def saga(world: World, *, fails: bool = True, broken: str = "", waits: bool = False) -> Any:
    """
    Book three things in turn, then fail, wait or succeed; *broken* names a thing that cannot be
    given back.
    """

    async def book(name: str) -> str:
        return await world.act(f"book {name}", f"ticket {name}")

    async def give_back(ticket: str) -> None:
        await world.act(f"back {ticket}")
        if broken and broken in ticket:
            raise PermanentError("no refund")

    async def declined() -> None:
        raise PermanentError("declined")

    async def workflow(ctx: Context) -> str:
        for name in ("flight", "hotel", "car"):
            await ctx.step(f"book {name}", book, name, compensate=give_back)
        if waits:
            await ctx.wait_for_signal("go", timeout=3600)
        if fails:
            await ctx.step("charge", declined)
        return "booked"

    return workflow


BOOKED = ["book flight", "book hotel", "book car"]
UNDONE = ["back ticket car", "back ticket hotel", "back ticket flight"]


async def test_what_completed_is_undone_in_reverse_each_with_its_own_value() -> None:
    """[F15]"""
    world, runtime = World(), MemoryRuntime()
    outcome = await to_the_end(runtime, saga(world))
    assert isinstance(outcome, CleanedUp)
    assert outcome.error is not None
    assert "declined" in outcome.error.message
    assert world.done == BOOKED + UNDONE
    assert (runtime.run.cleanup, list(outcome.errors)) == (Cleanup.STARTED, [])


async def test_a_success_undoes_nothing() -> None:
    """[F15]"""
    world, runtime = World(), MemoryRuntime()
    assert await to_the_end(runtime, saga(world, fails=False)) == Succeed("booked")
    assert world.done == BOOKED
    assert runtime.run.cleanup is Cleanup.NEEDED


async def test_a_compensation_that_fails_is_recorded_and_the_rest_still_run() -> None:
    """[F15]"""
    world = World()
    outcome = await to_the_end(MemoryRuntime(), saga(world, broken="hotel"))
    assert world.done == BOOKED + UNDONE
    assert [(error.type, error.message) for error in outcome.errors] == [
        ("PermanentError", "undo book hotel: no refund")
    ]


@pytest.mark.parametrize("waits", [False, True], ids=["failed", "stopped"])
async def test_a_crash_at_every_write_undoes_each_step_once(waits: bool) -> None:
    """[F15]"""
    world, runtime = World(), MemoryRuntime()
    options: dict[str, Any] = {"waits": waits, "fails": not waits, "broken": "hotel"}
    if waits:
        assert isinstance(await activate(runtime, saga(world, **options)), Park)
        runtime.is_stopped = True
    expected = await to_the_end(runtime, saga(world, **options))
    assert isinstance(expected, CleanedUp), expected
    writes = len(runtime.journal)
    for crash_after in range(4 if waits else 1, writes + 1):
        world, runtime = World(), MemoryRuntime()
        if waits:
            await activate(runtime, saga(world, **options))
            runtime.is_stopped = True
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, saga(world, **options))
        durable = [
            entry.split(b"|", 3)[2].decode()
            for entry in runtime.journal
            if entry.startswith(b"value|")
        ]
        before = list(world.done)
        runtime.crash_after = None
        outcome = await to_the_end(runtime, saga(world, **options))
        assert [error.message for error in outcome.errors] == [
            error.message for error in expected.errors
        ], crash_after
        again = world.done[len(before) :]
        assert [name for name in again if name in durable] == [], crash_after
        if durable and durable[-1].startswith("undo"):
            assert BOOKED[0] not in again
        assert set(world.done) == {*BOOKED, *UNDONE}, crash_after


async def test_a_stop_is_remembered_where_it_came_and_replays_there() -> None:
    """
    [F15] [F16] The `finally` block's step is done once, though the activation after the stop
    crashes.
    """
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> None:
        try:
            await ctx.step("open", world.act, "open", compensate=lambda _: None)
            await ctx.wait_for_signal("go")
        finally:
            await ctx.step("close", world.act, "close")

    assert isinstance(await activate(runtime, workflow), Park)
    runtime.is_stopped = True
    runtime.crash_after = len(runtime.journal) + 2  # the stop, and the step of the finally block
    with pytest.raises(ClaimLost):
        await activate(runtime, workflow)
    runtime.crash_after = None
    assert await to_the_end(runtime, workflow) == CleanedUp(None, [])
    assert world.done == ["open", "close"]


async def test_a_parked_workflow_whose_finally_has_a_step_needs_its_cleanup() -> None:
    """[F16]"""
    world = World()

    async def tidy(ctx: Context) -> None:
        try:
            await ctx.sleep(60)
        finally:
            await ctx.step("close", world.act, "close")

    async def plain(ctx: Context) -> None:
        try:
            await ctx.sleep(60)
        finally:
            world.done.append("evicted")

    wanting, not_wanting = (
        await activate(MemoryRuntime(), tidy),
        await activate(MemoryRuntime(), plain),
    )
    assert isinstance(wanting, Park)
    assert isinstance(not_wanting, Park)
    assert (wanting.needs_cleanup, not_wanting.needs_cleanup) == (True, False)
    assert world.done == ["evicted"]


async def test_a_workflow_that_does_not_end_when_asked_to_is_left_after_its_grace() -> None:
    """[F16]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> None:
        await ctx.step("a", world.act, "a", compensate=lambda _: world.done.append("undone"))
        try:
            await ctx.wait_for_signal("go")
        finally:
            await ctx.wait_for_signal("never")

    await activate(runtime, workflow)
    runtime.is_stopped = True
    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    assert outcome.due_at == pytest.approx(runtime.clock + runtime.stop_grace_s, abs=0.1)
    assert await to_the_end(runtime, workflow) == CleanedUp(None, [])
    assert world.done == ["a", "undone"]


async def test_a_transient_error_of_the_function_undoes_only_after_its_last_attempt() -> None:
    """[F3] [F15]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> None:
        await ctx.step("a", world.act, "a", compensate=lambda _: world.done.append("undone"))
        raise TransientError("busy")

    policy = RetryPolicy(max_attempts=2)
    first = await activate(runtime, workflow, policy=policy)
    assert isinstance(first, Raised)
    assert first.retryable
    runtime.run.failures = 1
    second = await activate(runtime, workflow, policy=policy)
    assert isinstance(second, CleanedUp)
    assert world.done == ["a", "undone"]


async def test_a_caught_failure_undoes_nothing_and_a_compensation_is_tried_as_its_step_is() -> None:
    """[F15]"""
    runtime, calls = MemoryRuntime(), 0

    async def broken() -> None:
        raise PermanentError("never")

    def undo(value: str) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ValueError("not yet")

    async def workflow(ctx: Context) -> str:
        await ctx.step(
            "a", str, "x", compensate=undo, retry=RetryPolicy(3, initial=100, jitter=False)
        )
        try:
            await ctx.step("b", broken)
        except StepFailed:
            await ctx.sleep(10)
        raise ValueError("in the end")

    outcome = await to_the_end(runtime, workflow)
    assert isinstance(outcome, CleanedUp)
    assert outcome.error is not None
    assert (outcome.error.message, list(outcome.errors), calls) == ("in the end", [], 3)


async def test_a_branch_that_is_still_at_work_when_the_run_fails_takes_no_more_steps() -> None:
    """[F15]"""
    world, runtime = World(), MemoryRuntime()
    runtime.mail.append(b"go|" + pack(None))
    runtime.inbox = 1

    async def workflow(ctx: Context) -> None:

        async def other() -> None:
            await ctx.wait_for_signal("go")
            for n in range(100):
                await ctx.step(f"other {n}", world.act, f"other {n}")

        stray = asyncio.get_running_loop().create_task(other())
        await ctx.step("a", world.act, "a", compensate=lambda _: world.done.append("undone"))
        assert stray is not None
        raise ValueError("wrong")

    outcome = await to_the_end(runtime, workflow)
    assert isinstance(outcome, CleanedUp)
    assert world.done[-1] == "undone"
    assert len(world.done) < 50
