"""[B34] The time limit of a poll holds whatever its interval and its function do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import RunState, Stepflow
from stepflow.testing import Harness


@pytest.mark.parametrize(
    ("every", "takes", "timeout", "tries"),
    [
        (3.0, 0.0, 0.5, 1),  # over while it waits for the second try
        (0.2, 0.0, 0.5, 3),
        (3.0, 10.0, 0.5, 1),  # over while the first is under way
        (0.1, 0.4, 0.75, 2),  # ... and the second
        (3.0, 0.0, 0.0, 1),
    ],
)
@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_a_poll_is_over_when_its_time_is(every, takes, timeout, tries, is_plain):
    app = Stepflow()
    tried: list[float] = []

    async with Harness(app) as h:

        async def look() -> None:
            tried.append(h.clock.now())
            await h.sleep(takes)

        @app.workflow("flow")
        async def flow(ctx):
            return [await ctx.poll(look, every=every, timeout=timeout)]

        @app.workflow("plain")
        def plain(ctx):
            return [ctx.poll(look, every=every, timeout=timeout)]

        began = h.clock.now()
        run = await h.submit("plain" if is_plain else "flow")
        while not (status := await h.status(run)).is_finished:
            await h.advance(0.01)
        assert (status.state, status.result) == (RunState.SUCCEEDED, [None])
        assert h.clock.now() - began == pytest.approx(timeout, abs=0.011)
        assert timeout == 0.0 or len(tried) == tries


async def test_what_comes_in_time_is_given_and_the_time_limit_is_of_no_account_any_more():
    app = Stepflow()
    answers: list[Any] = [None, None, {"status": "done"}]

    @app.workflow("flow")
    async def flow(ctx):
        found = await ctx.poll("look", answers.pop, 0, every=10, timeout=25)
        await ctx.sleep(60)
        return found

    async with Harness(app) as h:
        run = await h.submit("flow")
        await h.advance(80)
        assert await h.result(run) == {"status": "done"}


async def test_the_limit_of_a_poll_is_the_same_on_replay():
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx):
        first = await ctx.poll("look", lambda: None, every=1, timeout=3.5)
        second = await asyncio.gather(
            *[ctx.poll("look", lambda: None, every=1, timeout=t) for t in (0.5, 2.5)]
        )
        return [first, *second, await ctx.step("last", str, "x")]

    async with Harness(app) as h:
        h.crash_after("last")
        run = await h.submit("flow")
        await h.advance(10)
        assert await h.result(run) == [None, None, None, "x"]
        await h.replay(await h.history(run))


async def test_a_poll_whose_workflow_is_told_to_stop_leaves_nothing_behind():
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.poll("look", lambda: None, every=1, timeout=60)

    async with Harness(app) as h:
        run = await h.submit("flow")
        await h.advance(2.5)
        assert await h.cancel(run)
        assert (await h.status(run)).state is RunState.CANCELLED
