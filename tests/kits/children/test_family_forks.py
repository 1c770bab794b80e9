"""Forks and exported histories of runs that have children."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from stepflow import AsyncClient, ChildFailed, Context, RunState, Stepflow
from stepflow.kits.flow.replayer import check_history
from tests.conftest import Working
from tests.support import runs_of, until


@pytest.fixture
def family(app: Stepflow) -> Stepflow:
    """An app with children that wait when they are told to, alone and mapped."""

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> int:
        if number == 1000:
            await ctx.wait_for_signal("never")
        return number * 10

    async def step() -> str:
        return "done"

    @app.workflow("parent")
    async def parent(ctx: Context, items: list[int]) -> list[Any]:
        child = await ctx.spawn("child", items[0])
        await ctx.step("begun", step)
        told: list[Any] = []
        for wait in (child.result, lambda: ctx.map("child", items)):
            try:
                told.append(await wait())
            except ChildFailed as error:
                told.append(error.error_type)
        return [*told, await ctx.step("last", step)]

    return app


async def test_a_fork_knows_what_the_children_of_its_origin_told_and_begins_none_again(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""
    async with working(family):
        run = await aclient.submit("parent", [1, 2])
        assert await run.result(60) == [10, [10, 20], "done"]
        for step in ("last", "begun"):
            before = len(runs_of(real, "child"))
            fork = await aclient.fork(run.id, step)
            assert await fork.result(60) == [10, [10, 20], "done"]
            assert len(runs_of(real, "child")) == before + (0 if step == "last" else 2), (
                "the map comes after that step"
            )
            again = await aclient.fork(fork.id, "last")
            assert await again.result(60) == [10, [10, 20], "done"]


async def test_a_fork_does_not_wait_for_a_child_that_tells_another(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""

    async def is_parked(run_id: str) -> bool:
        return real.hget(f"stepflow:run:{run_id}", "state") == b"waiting"

    async with working(family):
        run = await aclient.submit("parent", [1000])
        await until(lambda: is_parked(run.id))
        fork = await aclient.fork(run.id, "begun")
        await until(lambda: is_parked(fork.id))  # for its own map
        assert len(runs_of(real, "child")) == 2
        journal = real.lrange(f"stepflow:run:{fork.id}:journal", 0, -1)
        assert any(b"NotTold" in entry for entry in journal)
        for each in (run, fork):
            await each.cancel()
            assert (await each.wait(60)).state is RunState.CANCELLED


async def test_the_fork_of_a_child_is_nobodys_child(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13] Else it would be counted in a map that it is not in."""

    @family.workflow("stepping")
    async def stepping(ctx: Context, number: int) -> int:
        await ctx.step("first", int, number)
        return await ctx.step("second", int, number)

    @family.workflow("over")
    async def over(ctx: Context) -> Any:
        told = await ctx.map("stepping", [1, 2])
        await ctx.wait_for_signal("go")
        return told

    async with working(family):
        run = await aclient.submit("over", headers={"k": "v"})
        await until(lambda: len(real.hgetall(f"stepflow:run:{run.id}:answers:0")) == 3)
        before = real.hgetall(f"stepflow:run:{run.id}:answers:0")
        fork = await aclient.fork(runs_of(real, "stepping")[0], "second")
        await fork.result(60)
        assert real.hgetall(f"stepflow:run:{run.id}:answers:0") == before
        await aclient.signal(run.id, "go")
        assert await run.result(60) == [1, 2]


async def test_a_history_with_children_and_maps_fits_the_code_that_made_it(
    family: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F13] The answers of settled maps go with it."""
    async with working(family):
        run = await aclient.submit("parent", [1, 2, 3])
        await run.result(60)
        parked = await aclient.submit("parent", [1000])
        await until(lambda: _waits(aclient, parked.id))
        await parked.cancel()
        await parked.wait(60)
        for run_id in (run.id, parked.id):
            document = await aclient.history(run_id)
            assert await check_history(document, family.registry) is None


async def _waits(client: AsyncClient, run_id: str) -> bool:
    status = await client.status(run_id)
    return status is not None and "child" in (status.waits_for or "")
