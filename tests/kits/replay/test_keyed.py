"""Keyed steps are known by their key alone; forgetting one is remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import (
    AsyncClient,
    Context,
    PermanentError,
    RetryPolicy,
    StepFailed,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.core.outcomes import Park, Pause
from stepflow.errors import ClaimLost
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end


async def test_a_key_asked_for_twice_gives_the_remembered_value() -> None:
    """[F4]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> list[Any]:
        first = await ctx.step("ask", world.act, "first", 1, key="k")
        await ctx.sleep(60)
        return [first, await ctx.step("other name", world.act, "second", 2, key="k")]

    assert await to_the_end(runtime, workflow) == Succeed([1, 1])
    assert world.done == ["first"]


async def test_a_key_asked_for_by_two_branches_at_once_runs_once() -> None:
    """[F4]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> list[Any]:
        values = await asyncio.gather(
            *(ctx.step("ask", world.act, f"n{n}", n, key="k") for n in range(3))
        )
        await ctx.sleep(60)
        return list(values)

    assert await to_the_end(runtime, workflow) == Succeed([0, 0, 0])
    assert world.done == ["n0"]


async def test_a_key_that_one_branch_lets_go_of_is_taken_on_by_the_other() -> None:
    """[F4]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> Any:
        first = ctx.step("ask", world.act, "first", 1, key="k")
        second = ctx.step("ask", world.act, "second", 2, key="k")
        first.cancel()
        value = await second
        await ctx.sleep(60)
        return value

    assert await to_the_end(runtime, workflow) == Succeed(2)
    assert world.done[-1] == "second"


async def test_a_key_whose_value_is_on_its_way_is_not_run_again_for_the_next_who_asks() -> None:
    """[F4] [F1] The one who asked first lets go while the value is being written."""
    world, runtime = World(), MemoryRuntime()
    loop, add_entry = asyncio.get_running_loop(), runtime.add_entry
    held_back: list[asyncio.Future[int]] = []

    def slow(index: int, entry: bytes, *rest: Any) -> asyncio.Future[int]:
        """Answer the write of the step beside when that of the keyed one is under way as well."""
        if index > 1:
            return add_entry(index, entry, *rest)
        reply: asyncio.Future[int] = loop.create_future()

        def written(done: asyncio.Future[int]) -> None:
            held_back.append(reply)
            if len(held_back) == 2:
                held_back[0].set_result(1)

        add_entry(index, entry, *rest).add_done_callback(written)
        return reply

    def answer_the_keyed_one() -> None:
        if not held_back[1].done():
            held_back[1].set_result(1)

    runtime.add_entry = slow  # type: ignore[method-assign]

    async def workflow(ctx: Context) -> Any:
        beside = ctx.step("beside", world.act, "beside")
        first = ctx.step("ask", world.act, "first", "first", key="k")
        await beside
        first.cancel()
        second = ctx.step("ask", world.act, "second", "second", key="k")
        loop.call_soon(loop.call_soon, answer_the_keyed_one)  # long after it was asked for
        return await second

    assert await to_the_end(runtime, workflow) == Succeed("first")
    assert world.done == ["beside", "first"]


async def test_keyed_steps_may_be_asked_for_in_another_order_and_left_over_on_replay() -> None:
    """[F4] [F5]"""
    world, runtime = World(), MemoryRuntime()

    async def before(ctx: Context) -> None:
        for key in "abc":
            await ctx.step("ask", world.act, key, key, key=key)
        await ctx.sleep(60)

    async def after(ctx: Context) -> list[Any]:
        await ctx.sleep(60)
        return [await ctx.step("ask", world.act, key, key, key=key) for key in "cb"]

    assert isinstance(await activate(runtime, before), Park)
    assert await to_the_end(runtime, after) == Succeed(["c", "b"])
    assert world.done == ["a", "b", "c"]


async def test_a_forgotten_key_runs_again_and_stays_forgotten_on_replay() -> None:
    """[F8]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> list[Any]:
        values = []
        for n in range(3):
            values.append(await ctx.step("ask", world.act, f"n{n}", n, key="k"))
            values.append(await ctx.step("ask", world.act, f"again{n}", None, key="k"))
            await ctx.forget("k")
            await ctx.sleep(60)
        return values

    assert await to_the_end(runtime, workflow) == Succeed([0, 0, 1, 1, 2, 2])
    assert world.done == ["n0", "n1", "n2"]


async def test_forgetting_clears_from_the_call_on_whether_it_is_awaited_or_not() -> None:
    """[F8]"""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> list[Any]:
        first = await ctx.step("ask", world.act, "first", 1, key="k")
        ctx.forget("k")
        second = await ctx.step("ask", world.act, "second", 2, key="k")
        await ctx.sleep(60)
        return [first, second, await ctx.step("ask", world.act, "third", 3, key="k")]

    assert await to_the_end(runtime, workflow) == Succeed([1, 2, 2])


async def test_a_forgetting_that_is_gone_from_the_code_is_changed_code() -> None:
    """[F8] [F5]"""
    runtime = MemoryRuntime()

    async def before(ctx: Context) -> None:
        await ctx.forget("k")
        await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        await ctx.sleep(60)

    await activate(runtime, before)
    assert await activate(runtime, after) == Pause(
        "code changed: at place 0 remembered forget 'k', now sleep 'sleep'"
    )


async def test_failures_of_a_key_are_counted_and_remembered_by_the_key() -> None:
    """[F3] [F4]"""
    runtime, calls = MemoryRuntime(), 0

    async def failing() -> None:
        nonlocal calls
        calls += 1
        raise TransientError("no")

    async def broken() -> None:
        raise PermanentError("never asked")

    async def workflow(ctx: Context) -> list[str]:
        seen = []
        for function in (failing, broken):
            try:
                await ctx.step(
                    "ask", function, key="k", retry=RetryPolicy(3, initial=100, jitter=False)
                )
            except StepFailed as error:
                seen.append(error.error_message)
            await ctx.sleep(60)
        return seen

    assert await to_the_end(runtime, workflow) == Succeed(["no", "no"])
    assert calls == 3


async def test_a_crash_at_every_write_of_keyed_steps_leads_to_the_same_end() -> None:
    """[F2] [F4] [F8]"""

    def make(world: World) -> Any:
        async def workflow(ctx: Context) -> list[Any]:
            values = list(
                await asyncio.gather(
                    *(
                        ctx.step("ask", world.act, f"k{n % 2}", n % 2, key=f"k{n % 2}")
                        for n in range(4)
                    )
                )
            )
            ctx.forget("k0")
            values.append(await ctx.step("ask", world.act, "k0 again", 7, key="k0"))
            await ctx.sleep(60)
            values.append(ctx.patched("p"))
            values.append(await ctx.step("ask", world.act, "k1 again", 8, key="k1"))
            await ctx.sleep(60)
            return values

        return workflow

    runtime = MemoryRuntime()
    expected = await to_the_end(runtime, make(World()))
    assert expected == Succeed([0, 1, 0, 1, 7, True, 1])
    for crash_after in range(1, len(runtime.journal) + 1):
        world, runtime = World(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, make(world))
        runtime.crash_after = None
        assert await to_the_end(runtime, make(world)) == expected, crash_after


async def test_what_a_key_did_is_undone_once_though_it_is_asked_for_late_and_twice() -> None:
    """[F4] [F15]"""
    world, runtime = World(), MemoryRuntime()

    async def undo(value: str) -> None:
        world.done.append(f"undo {value}")

    async def before(ctx: Context) -> None:
        await ctx.step("ask", world.act, "k", "k", key="k", compensate=undo)
        await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        await ctx.sleep(60)
        for _ in range(2):
            await ctx.step("ask", world.act, "k", "k", key="k", compensate=undo)
        raise PermanentError("no")

    assert isinstance(await activate(runtime, before), Park)
    await to_the_end(runtime, after)
    assert world.done == ["k", "undo k"]


async def test_a_keyed_step_on_another_queue_is_done_once_and_again_when_it_was_forgotten(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F8] [F17]"""
    done: list[int] = []

    @app.step(queue="gpu")
    def render(n: int) -> int:
        done.append(n)
        return n

    @app.workflow("w")
    async def workflow(ctx: Context) -> list[int]:
        values = [await ctx.step(render, 1, key="k"), await ctx.step(render, 2, key="k")]
        ctx.forget("k")
        values.append(await ctx.step(render, 3, key="k"))
        await ctx.sleep(0.05)
        return [*values, *await asyncio.gather(*(ctx.step(render, n, key="k") for n in (4, 5)))]

    async with working(app, queues=["default", "gpu"]):
        run = await aclient.submit("w")
        assert await run.result(60) == [1, 1, 3, 3, 3]
    assert done == [1, 3]
