"""Forks with another input and another version."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import Context, RunConflict


async def test_a_fork_has_another_input_and_version(app, aclient, working):
    """[O10] It remembers what the first run did, and the same fork again finds it."""
    ran: list[Any] = []

    async def work(what: str) -> str:
        ran.append(what)
        return what

    @app.workflow("order")
    async def order(ctx: Context, item: str) -> list[str]:
        return [await ctx.step(work, "first"), await ctx.step("second", work, item)]

    @app.workflow("order", version=2)
    async def order_2(ctx: Context, item: str) -> list[str]:
        return [await ctx.step(work, "first"), await ctx.step("second", work, f"{item}!")]

    async with working(app):
        run = await aclient.submit("order", "tea", version=1)
        assert await run.result(10) == ["first", "tea"]
        options: dict[str, Any] = {"new_id": "fork", "version": 2, "payload": "milk"}
        fork = await aclient.fork(run.id, "second", **options)
        assert fork.created
        assert await fork.result(10) == ["first", "milk!"]
        assert ran == ["first", "tea", "milk!"]
        assert not (await aclient.fork(run.id, "second", **options)).created
        with pytest.raises(RunConflict):
            await aclient.fork(run.id, "second", **{**options, "payload": "beer"})
        status = await fork.status()
        assert (status.payload, status.version) == ("milk", 2)
