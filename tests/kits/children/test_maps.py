"""Maps on a real server: counted in Redis, at most so many at work, the parent woken once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from stepflow import (
    AsyncClient,
    ChildFailed,
    Context,
    Join,
    JoinNotMet,
    PermanentError,
    RunFailed,
    RunState,
    Stepflow,
)
from stepflow.kits.flow.commands import map as maps
from tests.conftest import Working
from tests.kits.dying import dying_at
from tests.support import runs_of, until


@pytest.fixture
def mapping(app: Stepflow) -> Stepflow:
    """An app whose parent maps as it is told; a child of a number below zero fails."""

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> Any:
        if number < 0:
            raise PermanentError(f"no {number}")
        if number == 1000:
            return await ctx.wait_for_signal("never")
        return number * 10

    @app.workflow("parent")
    async def parent(ctx: Context, how: dict[str, Any]) -> Any:
        found = await ctx.map(
            "child", how["items"], limit=how.get("limit"), join=how.get("join", "all")
        )
        return [str(each) if isinstance(each, ChildFailed) else each for each in found]

    return app


@pytest.mark.parametrize("limit", [None, 1, 7])
async def test_a_map_gives_the_results_in_the_order_of_its_items_and_wakes_its_parent_once(
    mapping: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis, limit: int | None
) -> None:
    """[F13] On one slot of one worker, too."""
    async with working(mapping, concurrency=1 if limit == 1 else 10):
        run = await aclient.submit("parent", {"items": list(range(30)), "limit": limit})
        assert await run.result(60) == [number * 10 for number in range(30)]
        assert real.hget(f"stepflow:run:{run.id}", "inbox") == b"1"
        assert real.hget(f"stepflow:run:{run.id}", "step") == b"1"
    assert len(runs_of(real, "child")) == 30


async def test_no_more_than_the_limit_are_at_work_at_any_time(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""
    at_work, most = 0, 0

    async def work() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(5):
            await asyncio.sleep(0)
        at_work -= 1

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> None:
        await ctx.step(work)

    @app.workflow("parent")
    async def parent(ctx: Context) -> int:
        return len(await ctx.map("child", range(60), limit=4))

    async with working(app, concurrency=50):
        run = await aclient.submit("parent")
        assert await run.result(60) == 60
    assert most == 4


async def test_a_map_that_cannot_be_met_any_more_fails_and_stops_the_rest(
    mapping: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13] Those at work as well as those that wait for their turn."""
    async with working(mapping):
        run = await aclient.submit("parent", {"items": [1000, 1000, -1, 1000, 5], "limit": 3})
        with pytest.raises(RunFailed, match="no -1"):
            await run.result(60)
        states = [(await aclient.wait(child, 60)).state for child in runs_of(real, "child")]
    assert sorted(states) == [RunState.CANCELLED] * 4 + [RunState.FAILED]


async def test_a_settled_map_gives_what_became_of_each(
    mapping: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""
    async with working(mapping):
        run = await aclient.submit(
            "parent", {"items": [-1, 2, -3, 4], "limit": 2, "join": "settled"}
        )
        first, second, third, fourth = await run.result(60)
    assert (second, fourth) == (20, 40)
    assert "failed (PermanentError): no -1" in first
    assert "failed (PermanentError): no -3" in third


async def test_the_first_so_many_are_enough(
    mapping: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""
    async with working(mapping):
        run = await aclient.submit("parent", {"items": [1000, 2, -3, 4], "join": 2})
        assert await run.result(60) == [(1, 20), (3, 40)]
        assert (await aclient.wait(runs_of(real, "child")[0], 10)).state is RunState.CANCELLED


@pytest.fixture
def joining(app: Stepflow) -> Stepflow:
    """An app whose children answer, fail, or wait; those clean up when they are stopped."""

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> Any:
        if number < 0:
            raise PermanentError(f"no {number}")
        try:
            return number if number < 1000 else await ctx.wait_for_signal("never")
        finally:
            if number >= 1000:
                await ctx.step("clean", int, number)

    @app.workflow("parent")
    async def parent(ctx: Context, how: dict[str, Any]) -> Any:
        join = getattr(Join, how["join"])(*how.get("args", ()), timeout=how.get("timeout"))
        try:
            found: list[Any] = await ctx.map(
                "child", how["items"], join=join, limit=how.get("limit")
            )
        except JoinNotMet as error:
            found = [type(error).__name__, error.succeeded, list(error.failed), error.timed_out]
        found = [each.error_type if isinstance(each, ChildFailed) else each for each in found]
        states = await ctx.step("states", states_of, ctx.run_id)
        return [found, states]

    async def states_of(run_id: str) -> list[str]:
        async with AsyncClient(app.url, settings=app.settings) as client:
            page = await client.list(runner="child", limit=1000)
            return sorted(status.state.value for status in page.runs)

    return app


@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize(
    ("how", "gives", "states"),
    [
        ({"join": "any", "items": [1000, 2, 1000]}, [[1, 2]], ["cancelled"] * 2 + ["succeeded"]),
        ({"join": "quorum", "args": [2], "items": [-1, 2, 3]}, [[1, 2], [2, 3]], None),
        ({"join": "quorum", "args": [4], "items": [1, 2]}, ["JoinNotMet", {}, [], False], []),
        ({"join": "quorum", "args": [0], "items": [1, 2]}, [], []),
        ({"join": "any", "items": []}, [], []),
        (
            {"join": "percentage", "args": [0.6], "items": [-1, -2, 1000]},
            ["MapNotMet", {}, [0, 1], False],
            ["cancelled", "failed", "failed"],
        ),
        (
            {"join": "settled", "timeout": 0.3, "items": [1, 1000, -1]},
            [1, "NotAnswered", "PermanentError"],
            ["cancelled", "failed", "succeeded"],
        ),
        (
            {"join": "all", "timeout": 0.3, "items": [1, 1000, 1000], "limit": 2},
            ["JoinNotMet", {0: 1}, [], True],
            ["cancelled", "cancelled", "succeeded"],
        ),
    ],
    ids=str,
)
async def test_a_join_of_a_map_gives_what_it_says_and_the_rest_has_ended_then(
    joining: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis,
    how: dict[str, Any], gives: Any, states: list[str] | None, concurrency: int,
) -> None:  # fmt: skip
    """[K1] [K2] On one slot of one worker, too, and where the rest has to clean up first."""
    async with working(joining, concurrency=concurrency):
        run = await aclient.submit("parent", how)
        found, seen = await run.result(60)
    assert [list(each) if isinstance(each, tuple) else each for each in found] == gives
    assert states is None or seen == states
    left = real.hgetall(f"stepflow:run:{run.id}:maps:0")
    assert left == {}


async def test_a_timeout_of_a_map_is_shown_and_told(
    joining: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[K1]"""
    how = {"join": "settled", "timeout": 300, "items": [1, 1000]}

    async def shown() -> bool:
        [*_, step] = (await aclient.steps(run.id)).steps
        return step.kind == "map" and step.until is not None and step.done == 1

    async with working(joining):
        run = await aclient.submit("parent", how)
        await until(shown)
        told = [event.details async for event in aclient.events(run.id, live=False)]
        assert [each["what"] for each in told if "what" in each] == ["map"]
        await run.cancel()
        await run.wait(60)


async def test_status_says_how_far_a_map_is(
    mapping: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""

    async def shown() -> str | None:
        status = await run.status()
        return None if status is None else status.waits_for

    async def is_shown(words: str) -> bool:
        return await shown() == words

    async with working(mapping):
        run = await aclient.submit(
            "parent", {"items": [1, 1000, 2, 1000, 1000], "join": "settled", "limit": 2}
        )
        await until(lambda: is_shown("map child of 5: 2 of 5 children"))
        last = next(child for child in runs_of(real, "child") if child.endswith("-4"))
        status = await aclient.status(last)
        assert status is not None
        assert status.waits_for == "its turn in the map of its parent"
        assert await run.cancel()
        for child in runs_of(real, "child"):
            await aclient.wait(child, 60)


@pytest.mark.parametrize("write", [2, 3, 6, 9, 10, 11, 12])
async def test_a_worker_lost_in_the_middle_of_making_a_map_doubles_no_child(
    mapping: Stepflow,
    aclient: AsyncClient,
    working: Working,
    real: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    write: int,
) -> None:
    """[F13]"""
    monkeypatch.setattr(maps, "BATCH", 3)
    async with working(mapping) as worker, dying_at(write, "parent", worker, real) as died:
        run = await aclient.submit("parent", {"items": list(range(10)), "limit": 2})
        assert await run.result(60) == [number * 10 for number in range(10)]
    assert died
    assert len(runs_of(real, "child")) == 10
    for child in runs_of(real, "child"):
        assert real.hget(f"stepflow:run:{child}", "ends") == b"1"


async def test_cancelling_a_parent_stops_the_map_it_waits_for(
    mapping: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F14] More than one page of them; none of those that wait for their turn begins."""
    async with working(mapping):
        run = await aclient.submit("parent", {"items": [1000] * 450, "limit": 5})

        async def is_parked() -> bool:
            return real.hget(f"stepflow:run:{run.id}", "state") == b"waiting"

        await until(is_parked)
        assert await run.cancel("enough")
        for child in runs_of(real, "child"):
            assert (await aclient.wait(child, 60)).state is RunState.CANCELLED
    begun = [
        child for child in runs_of(real, "child") if real.hget(f"stepflow:run:{child}", "started")
    ]
    assert len(begun) <= 5
