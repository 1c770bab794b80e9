"""
Histories replayed against today's code: what fits, what does not, and that nothing is executed.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from stepflow import Context, RunFailed, Stepflow
from stepflow.errors import UnknownRunner
from stepflow.kits.flow.replayer import check_history
from stepflow.testing import Harness
from stepflow.testing.errors import ReplayMismatch


async def act(name: str) -> str:
    return name


async def never(*args: Any) -> str:
    raise AssertionError("a replay executes nothing")


async def trip(ctx: Context, name: str) -> list[Any]:
    first = await ctx.step("first", act, name)
    both = await asyncio.gather(ctx.step("left", act, "l"), ctx.step("right", act, "r"))
    await ctx.sleep(timedelta(days=1))
    word = await ctx.wait_for_signal("word", timeout=timedelta(days=1))
    return [first, *both, word, await ctx.step("last", act, "last")]


def app_of(function: Any, name: str = "trip") -> Stepflow:
    app = Stepflow()
    app.workflow(name)(function)
    return app


@pytest.fixture
async def histories() -> dict[str, dict[str, Any]]:
    """The history of one run, as it was at each stop on its way."""
    async with Harness(app_of(trip)) as h:
        run = await h.submit("trip", "a", run_id="a1")
        found = {"asleep": await h.history(run)}
        await h.advance(timedelta(days=1))
        found["listens"] = await h.history(run)
        await h.signal(run, "word", "go")
        found["ended"] = await h.history(run)
    return found


async def test_the_same_code_fits_at_every_stop_and_nothing_is_executed(histories: Any) -> None:
    """[F5]"""

    async def same(ctx: Context, name: str) -> list[Any]:
        first = await ctx.step("first", never, name)
        both = await asyncio.gather(ctx.step("left", never, "l"), ctx.step("right", never, "r"))
        await ctx.sleep(timedelta(days=9))
        word = await ctx.wait_for_signal("word", timeout=timedelta(days=1))
        return [
            first,
            *both,
            word,
            await ctx.step("last", never, "last"),
            await ctx.step("one-more", never),
        ]

    for history in histories.values():
        assert await check_history(history, app_of(trip).registry) is None
        assert await check_history(history, app_of(same).registry) is None


async def test_another_step_is_told_with_what_was_remembered_and_what_is_found(
    histories: Any,
) -> None:
    """[F5]"""

    async def other(ctx: Context, name: str) -> None:
        await ctx.step("first", never, name)
        await asyncio.gather(ctx.step("left", never), ctx.step("wrong", never))

    said = await check_history(histories["asleep"], app_of(other).registry)
    assert said is not None
    assert (
        said.splitlines()[0]
        == "code changed: at place 2 remembered value 'right', now step 'wrong'"
    )
    assert said.splitlines()[-1].startswith(">    2  value   right")


async def test_steps_taken_away_or_exchanged_and_an_early_end_do_not_fit(histories: Any) -> None:
    """[F5]"""

    async def early(ctx: Context, name: str) -> str:
        return await ctx.step("first", never, name)

    async def exchanged(ctx: Context, name: str) -> None:
        await ctx.step("first", never, name)
        await ctx.sleep(1)

    async def raising(ctx: Context, name: str) -> None:
        await trip(ctx, name)
        raise KeyError(name)

    for function in (early, exchanged):
        assert await check_history(histories["asleep"], app_of(function).registry)
    assert await check_history(histories["asleep"], app_of(raising).registry) is None
    said = await check_history(histories["ended"], app_of(raising).registry)
    assert said == "it has succeeded, and would fail now with KeyError: 'a'"


async def test_input_that_todays_code_does_not_take_does_not_fit(histories: Any) -> None:
    async def typed(ctx: Context, number: int) -> None:
        del number
        await ctx.step("first", never)

    said = await check_history(histories["asleep"], app_of(typed).registry)
    assert said is not None
    assert "does not have the type that runner 'trip' declares" in said


async def test_awaiting_what_cannot_be_replayed_does_not_fit(histories: Any) -> None:
    async def sleeps(ctx: Context, name: str) -> None:
        await trip(ctx, name)
        await asyncio.to_thread(print)

    said = await check_history(histories["ended"], app_of(sleeps).registry)
    assert said is not None
    assert "asyncio.to_thread" in said


async def test_a_run_that_failed_or_was_cancelled_fits_the_code_it_failed_with() -> None:
    async def fails(ctx: Context, name: str) -> None:
        try:
            await ctx.step("first", act, name, compensate=act)
            await ctx.wait_for_signal("word", timeout=60)
            raise KeyError(name)
        finally:
            await ctx.step("clean", act, "up")

    app = app_of(fails)
    async with Harness(app) as h:
        failed, cancelled = await h.submit("trip", "a"), await h.submit("trip", "b")
        await h.cancel(cancelled)
        await h.advance(60)
        with pytest.raises(RunFailed, match="KeyError"):
            await h.result(failed)
        for run in (failed, cancelled):
            await h.replay(await h.history(run))


async def test_time_and_chance_are_those_of_the_run() -> None:
    async def draws(ctx: Context) -> None:
        await ctx.step(f"at-{ctx.now():%Y}-{ctx.uuid()}", act, "x")
        await ctx.step(f"then-{ctx.now():%Y}-{ctx.random().random()}", act, "x")

    app = app_of(draws, "draws")
    async with Harness(app) as h:
        history = await h.history(await h.submit("draws"))
        await h.replay(history)


async def test_the_harness_raises_the_difference(histories: Any) -> None:
    async def other(ctx: Context, name: str) -> None:
        await ctx.step("second", never, name)

    async with Harness(app_of(other)) as h:
        with pytest.raises(
            ReplayMismatch,
            match=r"run 'a1' no longer fits today's code: .* 'first', now step 'second'",
        ):
            await h.replay(histories["ended"])


async def test_unknown_runners_and_runners_that_are_no_workflows(histories: Any) -> None:
    with pytest.raises(UnknownRunner, match="trip"):
        await check_history(histories["ended"], Stepflow().registry)
    app = Stepflow()
    app.register("trip", never)
    assert await check_history(histories["ended"], app.registry) is None
