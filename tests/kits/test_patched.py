"""
`ctx.patched` lets runs in flight go the old way and new ones the new way; what it does not cover
pauses.
"""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import AsyncClient, Context, RunState, Stepflow, Succeed, TransientError
from stepflow.core.outcomes import Park, Pause, Raised
from stepflow.kits.flow.replayer import check_history
from stepflow.testing import Harness
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end
from tests.support import until


def upper(text: str) -> str:
    return text.upper()


async def is_in(client: AsyncClient, run_id: str, state: RunState) -> bool:
    run = await client.status(run_id)
    return run is not None and run.state is state


async def test_a_run_that_gets_to_a_patch_live_takes_the_new_way_and_keeps_to_it() -> None:
    """[F5]"""
    world, runtime, seen = World(), MemoryRuntime(), []

    async def workflow(ctx: Context) -> None:
        for n in range(2):
            await ctx.step("a", world.act, "a")
            seen.append(ctx.patched("p"))
            await ctx.sleep(60 + n)

    assert await to_the_end(runtime, workflow) == Succeed(None)
    assert set(seen) == {True}
    assert sum(entry.startswith(b"patch|") for entry in runtime.journal) == 1


async def test_a_run_that_had_gone_past_takes_the_old_way_in_every_later_turn_of_a_loop_too() -> (
    None
):
    """[F5]"""
    runtime, seen = MemoryRuntime(), []

    async def before(ctx: Context) -> None:
        for _ in range(3):
            await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        for _ in range(3):
            seen.append(ctx.patched("p"))
            await ctx.sleep(60)

    assert isinstance(await activate(runtime, before), Park)
    assert await to_the_end(runtime, after) == Succeed(None)
    assert set(seen) == {False}


async def test_a_run_in_flight_that_has_not_come_to_the_patch_takes_the_new_way() -> None:
    """[F5]"""
    world, runtime = World(), MemoryRuntime()

    async def before(ctx: Context) -> str:
        await ctx.step("a", world.act, "a")
        await ctx.sleep(60)
        return "old"

    async def after(ctx: Context) -> str:
        await ctx.step("a", world.act, "a")
        await ctx.sleep(60)
        return "new" if ctx.patched("p") else "old"

    assert isinstance(await activate(runtime, before), Park)
    assert await to_the_end(runtime, after) == Succeed("new")


async def test_a_patch_takes_no_place_and_may_be_removed_when_no_old_run_is_left() -> None:
    """[F5] [F7]"""
    runtime, seen = MemoryRuntime(), []

    async def with_patch(ctx: Context) -> None:
        ctx.patched("p")
        seen.append(ctx.uuid())
        await ctx.sleep(60)

    async def without(ctx: Context) -> None:
        seen.append(ctx.uuid())
        await ctx.sleep(60)

    assert isinstance(await activate(runtime, with_patch), Park)
    assert await to_the_end(runtime, without) == Succeed(None)
    assert len(set(seen)) == 1


@pytest.mark.parametrize("kind", ["step", "sleep", "timeout", "try"])
async def test_an_end_before_anything_that_is_remembered_pauses(kind: str) -> None:
    """[F5] Values, due times and counted attempts alike."""
    world, runtime = World(), MemoryRuntime()

    async def fails() -> None:
        raise TransientError("no")

    async def before(ctx: Context) -> None:
        await ctx.step("a", world.act, "a")
        if kind == "step":
            await ctx.step("b", world.act, "b")
        elif kind == "timeout":
            await ctx.wait_for_signal("b", timeout=60)
        elif kind == "try":
            await ctx.step("b", fails)
        await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        await ctx.step("a", world.act, "a")

    assert isinstance(await activate(runtime, before), Park)
    outcome = await activate(runtime, after)
    assert isinstance(outcome, Pause)
    assert outcome.reason.startswith("code changed: remembered ")
    assert outcome.reason.endswith(" at place 1, now the function ends before it")


async def test_a_function_that_raises_instead_pauses_too_but_a_transient_error_is_tried_again() -> (
    None
):
    """[F5] [F3]"""
    world, runtime = World(), MemoryRuntime()

    async def before(ctx: Context) -> str:
        await ctx.step("a", world.act, "a")
        await ctx.sleep(60)
        return "end"

    def raising(error: Exception) -> Any:
        async def after(ctx: Context) -> None:
            raise error

        return after

    assert isinstance(await activate(runtime, before), Park)
    assert isinstance(await activate(runtime, raising(ValueError("wrong"))), Pause)
    outcome = await activate(runtime, raising(TransientError("not now")))
    assert isinstance(outcome, Raised)
    assert outcome.retryable
    assert await to_the_end(runtime, before) == Succeed("end")


async def test_a_paused_run_goes_on_with_patched_code_and_a_new_run_takes_the_new_way(
    url: str, settings: Any, aclient: AsyncClient, working: Working
) -> None:
    """[F5]"""
    old, changed, patched = (Stepflow(url, settings=settings) for _ in range(3))

    @old.workflow("w")
    async def before(ctx: Context) -> str:
        await ctx.step("upper", upper, "a")
        return str(await ctx.wait_for_signal("go"))

    @changed.workflow("w")
    async def after(ctx: Context) -> str:
        await ctx.step("other", upper, "a")
        return str(await ctx.wait_for_signal("go"))

    @patched.workflow("w")
    async def both(ctx: Context) -> str:
        way = "other" if ctx.patched("other-name") else "upper"
        await ctx.step(way, upper, "a")
        return f"{await ctx.wait_for_signal('go')} by {way}"

    async with working(old):
        run = await aclient.submit("w")
        await until(lambda: is_in(aclient, run.id, RunState.WAITING))
    async with working(changed):
        await aclient.signal(run.id, "go", "on")
        await until(lambda: is_in(aclient, run.id, RunState.PAUSED))
        status = await run.status()
        assert status is not None
        assert (
            status.reason == "code changed: at place 0 remembered value 'upper', now step 'other'"
        )
    async with working(patched):
        await aclient.resume(run.id)
        assert await run.result(60) == "on by upper"
        fresh = await aclient.submit("w")
        await aclient.signal(fresh.id, "go", "on")
        assert await fresh.result(60) == "on by other"


async def test_a_history_that_ends_at_a_patch_is_checked_without_writing_anything() -> None:
    """
    [F5] What is chosen before the journal is used up is written when the run goes live, which a
    check does not.
    """

    async def before(ctx: Context) -> None:
        await ctx.step("upper", upper, "a")
        await ctx.wait_for_signal("go")

    async def after(ctx: Context) -> None:
        await ctx.step("upper", upper, "a")
        if ctx.patched("p"):
            await ctx.step("upper", upper, "b")
        await ctx.wait_for_signal("go")

    old, new = Stepflow(), Stepflow()
    old.workflow("w")(before)
    new.workflow("w")(after)
    async with Harness(old) as h:
        history = await h.history(await h.submit("w"))
    assert await check_history(history, new.registry) is None
