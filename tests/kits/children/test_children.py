"""Children of workflows on a real server: made once, told of once, stopped with their parent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from stepflow import (
    AsyncClient,
    ChildFailed,
    Context,
    PermanentError,
    RunFailed,
    RunState,
    Stepflow,
)
from stepflow.core.ids import child_run_id
from stepflow.settings import LimitSettings
from tests.conftest import Working
from tests.kits.dying import dying_at
from tests.support import runs_of, until


async def is_in(client: AsyncClient, run_id: str, *states: str) -> bool:
    run = await client.status(run_id)
    return run is not None and run.state in states


def answers_of(real: redis.Redis, run_id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = real.hgetall(f"stepflow:run:{run_id}:answers:0")
    return found


async def _nothing(ctx: Context) -> None:
    """Stand for a child that is never begun."""


@pytest.fixture
def family(app: Stepflow) -> Stepflow:
    """An app with a child that waits for a word, and fails when that is "fail"."""

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> Any:
        word = await ctx.wait_for_signal("word")
        if word == "fail":
            raise PermanentError(f"no {number}")
        return [number, word]

    @app.workflow("parent")
    async def parent(ctx: Context, how: dict[str, Any]) -> Any:
        begun = [
            await ctx.spawn("child", n, abandon=how.get("abandon", False))
            for n in range(how.get("children", 1))
        ]
        await ctx.wait_for_signal(*how.get("after", ["go"])) if how.get("waits") else None
        if how.get("leaves"):
            return "left"
        try:
            return [await child.result() for child in begun]
        except ChildFailed as error:
            if how.get("fails"):
                raise
            return [error.run_id, error.status, error.error_type, error.error_message]

    return app


async def test_a_parent_and_its_children_need_no_more_than_one_slot_of_one_worker(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13] The parent is held by nobody while it waits, so its children run where it ran."""

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> int:
        return number * 10

    @app.workflow("parent")
    async def parent(ctx: Context, count: int) -> Any:
        begun = [await ctx.spawn("child", number) for number in range(count)]
        first = await begun[0].result()
        rest = await asyncio.gather(*(child.result() for child in begun[1:]))
        return [first, *rest, await begun[0].result()]

    async with working(app, concurrency=1):
        run = await aclient.submit("parent", 3)
        assert await run.result(60) == [0, 10, 20, 0]
    assert len(runs_of(real, "child")) == 3


@pytest.mark.parametrize(
    "waits", [True, False], ids=["ended before it is asked", "asked before it ends"]
)
async def test_a_childs_result_comes_whether_it_ends_before_or_after_it_is_asked_for(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis, *, waits: bool
) -> None:
    """[F13]"""
    async with working(family):
        run = await aclient.submit("parent", {"waits": waits})
        await until(lambda: is_in(aclient, run.id, "waiting"))
        (child,) = runs_of(real, "child")
        if not waits:
            status = await run.status()
            assert status is not None
            assert status.waits_for == f"child {child}"
        await aclient.signal(child, "word", "done")
        await aclient.wait(child, 60)
        if waits:
            await aclient.signal(run.id, "go")
        assert await run.result(60) == [[0, "done"]]


async def test_a_child_that_failed_or_was_cancelled_raises_child_failed_with_its_error(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13]"""
    async with working(family):
        first = await aclient.submit("parent", {})
        await until(lambda: runs_of(real, "child"))
        (child,) = runs_of(real, "child")
        await aclient.signal(child, "word", "fail")
        assert await first.result(60) == [child, "failed", "PermanentError", "no 0"]
        second = await aclient.submit("parent", {})
        await until(lambda: len(runs_of(real, "child")) == 2)
        (other,) = set(runs_of(real, "child")) - {child}
        await aclient.cancel(other, "enough")
        assert await second.result(60) == [other, "cancelled", "Cancelled", "enough"]


async def test_a_key_makes_a_child_known_wherever_it_stands(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """
    [F13] Children of one run with one key and place are one; those of another run, or generation,
    are others.
    """

    @app.workflow("child")
    async def child(ctx: Context) -> str:
        return ctx.run_id

    @app.workflow("parent")
    async def parent(ctx: Context) -> Any:
        return await (await ctx.spawn("child", key="pub")).result()

    async with working(app):
        first, second = (
            await aclient.submit("parent", run_id="a"),
            await aclient.submit("parent", run_id="b"),
        )
        ids = [await first.result(60), await second.result(60)]
        again = await aclient.submit("parent", run_id="a", on_conflict="restart")
        ids.append(await again.result(60))
    assert len(set(ids)) == 3
    assert set(ids) == set(runs_of(real, "child"))


async def test_a_plain_def_has_children_as_well_and_versions_are_those_of_a_submit(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13] [F19] [F6]"""

    @app.workflow("child")
    async def old(ctx: Context, number: int) -> list[int]:
        return [1, number]

    @app.workflow("child", version=2)
    async def new(ctx: Context, number: int) -> list[int]:
        return [2, number]

    @app.workflow("parent")
    def parent(ctx: Any) -> Any:
        child = ctx.spawn("child", 7, version=1)
        return [child.result(), ctx.map("child", [8, 9]), child.id]

    async with working(app):
        run = await aclient.submit("parent")
        first, mapped, child = await run.result(60)
    assert (first, mapped) == ([1, 7], [[2, 8], [2, 9]])
    assert child in runs_of(real, "child")


async def test_runs_are_nested_eight_deep_and_no_deeper(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F14]"""

    @app.workflow("endless")
    async def endless(ctx: Context) -> Any:
        return await (await ctx.spawn("endless")).result()

    async with working(app):
        run = await aclient.submit("endless")
        with pytest.raises(RunFailed, match="is nested 8 deep, the limit"):
            await run.result(60)
    assert len(runs_of(real, "endless")) == 9


async def test_how_deep_runs_may_be_nested_is_a_setting(app: Stepflow, working: Working) -> None:
    """[K20]"""
    settings = app.settings.model_copy(update={"limits": LimitSettings(nested_runs=2)})
    nested = Stepflow(app.url, settings=settings)

    @nested.workflow("nested")
    async def endless(ctx: Context) -> Any:
        return await (await ctx.spawn("nested")).result()

    async with working(nested), AsyncClient(app.url, settings=settings) as client:
        run = await client.submit("nested")
        with pytest.raises(RunFailed, match="is nested 2 deep, the limit"):
            await run.result(60)


async def test_a_parent_looks_at_its_child_without_waiting_and_remembers_what_it_saw(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[K20] The replay sees what was recorded, whatever the child has come to."""
    seen: list[Any] = []

    async def has_looked(run_id: str) -> bool:
        return any(step.name == "child status" for step in await aclient.steps(run_id))

    @app.workflow("child")
    async def child(ctx: Context) -> Any:
        return await ctx.wait_for_signal("go")

    @app.workflow("parent")
    async def parent(ctx: Context) -> Any:
        one = await ctx.spawn(child, key="one")
        await ctx.wait_for_signal("look")
        before = await one.status()
        await ctx.wait_for_signal("look")
        seen.append((before, await one.status()))
        return await one.result()

    async with working(app):
        run = await aclient.submit("parent")
        await until(lambda: is_in(aclient, run.id, "waiting"))
        [name] = [each.id for each in (await aclient.list(runner="child")).runs]
        await until(lambda: is_in(aclient, name, "waiting"))
        await aclient.signal(run.id, "look")
        await until(lambda: has_looked(run.id))
        await aclient.signal(name, "go", 7)
        assert await aclient.result(name, 60) == 7
        await aclient.signal(run.id, "look")
        assert await run.result(60) == 7
    assert seen[-1] == (RunState.WAITING, RunState.SUCCEEDED)


async def test_a_parent_that_ends_first_stops_its_children_but_for_those_left_to_themselves(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F14]"""
    async with working(family):
        kept = await aclient.submit("parent", {"leaves": True, "abandon": True})
        assert await kept.result(60) == "left"
        (alone,) = runs_of(real, "child")
        run = await aclient.submit("parent", {"leaves": True, "children": 3})
        assert await run.result(60) == "left"
        for child in set(runs_of(real, "child")) - {alone}:
            assert (await aclient.wait(child, 60)).state is RunState.CANCELLED
        assert await is_in(aclient, alone, "waiting")
        await aclient.signal(alone, "word", "on")
        assert await aclient.result(alone, 60) == [0, "on"]


async def test_cancelling_a_parked_parent_stops_its_children_and_theirs_and_each_ends_after_its_own(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F14] What the parent did is undone when its children are gone."""
    done: list[str] = []

    async def book(name: str) -> str:
        done.append(name)
        return name

    async def undo(name: str) -> None:
        done.append(f"undo {name}")

    @app.workflow("tree")
    async def tree(ctx: Context, name: str) -> None:
        await ctx.step("book", book, name, compensate=undo)
        for n in range(2 if len(name) < 3 else 0):
            await ctx.spawn("tree", f"{name}{n}")
        await ctx.wait_for_signal("never")

    async with working(app, concurrency=2):
        run = await aclient.submit("tree", "t")
        await until(lambda: len(runs_of(real, "tree")) == 7)
        await until(lambda: is_in(aclient, run.id, "waiting"))
        assert await run.cancel("enough")
        status = await run.wait(60)
        assert (status.state, status.reason) == (RunState.CANCELLED, "enough")
        for each in runs_of(real, "tree"):
            assert await is_in(aclient, each, "cancelled")
    undone = [name.removeprefix("undo ") for name in done[7:]]
    assert sorted(undone) == sorted(done[:7])
    for name in undone[:-1]:
        assert undone.index(name) < undone.index(name[:-1]), undone


async def test_a_cancelled_parent_waits_for_a_child_that_takes_its_time_and_holds_nobody_meanwhile(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """
    [F14] `fail` waits for nobody; its children are stopped by the delivery that its end leaves.
    """
    let_go = asyncio.Event()

    async def slow(value: int) -> None:
        await let_go.wait()

    @app.workflow("child")
    async def child(ctx: Context) -> None:
        await ctx.step("book", int, 1, compensate=slow)
        await ctx.wait_for_signal("never")

    @app.workflow("parent")
    async def parent(ctx: Context) -> None:
        begun = [await ctx.spawn("child") for _ in range(2)]
        await begun[0].result()

    async def waits_for(run_id: str, words: str) -> bool:
        row = real.hgetall(f"stepflow:run:{run_id}")
        return row[b"state"] == b"waiting" and words in row[b"waits_for"].decode()

    async with working(app) as worker:
        first, second = await aclient.submit("parent"), await aclient.submit("parent")
        for run in (first, second):
            await until(lambda run=run: waits_for(run.id, "child "))
            assert await run.cancel("enough")
            await until(lambda run=run: waits_for(run.id, "children to end"))
            assert await is_in(aclient, run.id, "cancelling")
            assert worker.worker_state is not None
            assert run.id not in worker.worker_state.runs
        assert await aclient.fail(first.id, "now")
        assert (await first.wait(60)).state is RunState.FAILED
        let_go.set()
        assert (await second.wait(60)).state is RunState.CANCELLED
        for each in runs_of(real, "child"):
            assert (await aclient.wait(each, 60)).state is RunState.CANCELLED


async def test_a_child_that_ends_again_after_a_retry_tells_nothing_twice(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F13] The first answer stays."""
    async with working(family):
        run = await aclient.submit("parent", {"waits": True})
        await until(lambda: is_in(aclient, run.id, "waiting"))
        (child,) = runs_of(real, "child")
        await aclient.signal(child, "word", "fail")
        await aclient.wait(child, 60)
        before, inbox = answers_of(real, run.id), real.hget(f"stepflow:run:{run.id}", "inbox")
        await aclient.retry(child)
        await aclient.wait(child, 60)
        assert answers_of(real, run.id) == before
        assert real.hget(f"stepflow:run:{run.id}", "inbox") == inbox
        await aclient.signal(run.id, "go")
        assert await run.result(60) == [child, "failed", "PermanentError", "no 0"]


async def test_a_parent_that_is_retried_hears_of_the_children_that_were_stopped_with_it(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """
    [F14] An ended parent is told as well: what it would else wait for after its revival never comes
    again.
    """
    is_mended = False

    @app.workflow("child")
    async def child(ctx: Context) -> None:
        await ctx.wait_for_signal("never")

    async def step() -> None:
        if not is_mended:
            raise PermanentError("broken")

    @app.workflow("parent")
    async def parent(ctx: Context) -> str:
        begun = await ctx.spawn("child")
        await ctx.step(step)
        try:
            await begun.result()
        except ChildFailed as error:
            return error.status
        return "?"

    async with working(app):
        run = await aclient.submit("parent")
        with pytest.raises(RunFailed, match="broken"):
            await run.result(60)
        (id_,) = runs_of(real, "child")
        await aclient.wait(id_, 60)
        assert (
            0 < real.ttl(f"stepflow:run:{run.id}:answers:0") <= real.ttl(f"stepflow:run:{run.id}")
        )
        is_mended = True
        await aclient.retry(run.id)
        assert await run.result(60) == "cancelled"


async def test_a_run_that_was_asked_to_stop_begins_no_more_children(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F14] Also not in a `finally` block."""
    started, said = asyncio.Event(), []

    async def long() -> None:
        started.set()
        await asyncio.sleep(60)

    @app.workflow("parent")
    async def parent(ctx: Context) -> None:
        try:
            await ctx.step(long)
        finally:
            try:
                await ctx.spawn("child")
            except Exception as error:
                said.append(str(error))
                raise

    app.workflow("child")(_nothing)
    async with working(app):
        run = await aclient.submit("parent")
        await started.wait()
        await run.cancel("enough")
        assert (await run.wait(60)).state is RunState.CANCELLED
    assert "was asked to stop; it may not start a child" in said[0]
    assert not runs_of(real, "child")


async def test_an_id_that_another_runner_has_is_no_child(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F13]"""

    @app.workflow("parent")
    async def parent(ctx: Context) -> None:
        await ctx.spawn("child")

    app.workflow("child")(_nothing)
    async with working(app):
        taken = await aclient.submit("other", run_id=child_run_id("p", 0, 0, "0"))
        run = await aclient.submit("parent", run_id="p")
        with pytest.raises(RunFailed, match=r"RunConflict.*different runner"):
            await run.result(60)
        await taken.cancel()


async def test_a_child_whose_input_cannot_be_read_is_paused_and_its_parent_hears_of_its_end_by_hand(
    url: str,
    settings: Any,
    family: Stepflow,
    aclient: AsyncClient,
    working: Working,
    real: redis.Redis,
) -> None:
    """[F13]"""
    alone = Stepflow(url, settings=settings)

    @alone.workflow("parent")
    async def parent(ctx: Context, how: dict[str, Any]) -> None:
        await (await ctx.spawn("child", 1)).result()

    real.zadd("stepflow:versions", {"child": 1.0})  # its worker has been here
    async with working(alone):
        run = await aclient.submit("parent", {})
        await until(lambda: is_in(aclient, run.id, "waiting"))
    (child,) = runs_of(real, "child")
    real.hset(f"stepflow:run:{child}:data", "payload", b"\xc1")
    async with working(family):
        await until(lambda: is_in(aclient, child, "paused"))
        assert await aclient.fail(child, "unreadable")
        assert (await run.result(60))[:3] == [child, "failed", "FailedByHand"]


async def test_a_child_whose_record_is_gone_holds_up_nobody(
    family: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F14]"""
    async with working(family):
        run = await aclient.submit("parent", {})
        await until(lambda: is_in(aclient, run.id, "waiting"))
        (child,) = runs_of(real, "child")
        await until(lambda: is_in(aclient, child, "waiting"))
        real.delete(*real.scan_iter(f"stepflow:run:{child}*"))
        for index in real.scan_iter("stepflow:idx:*"):
            real.zrem(index, child)
        assert await run.cancel()
        assert (await run.wait(60)).state is RunState.CANCELLED


@pytest.mark.parametrize("write", range(1, 7))
async def test_a_worker_lost_at_any_write_leaves_each_child_made_once_and_its_answer_taken_once(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis, write: int
) -> None:
    """[F13] The write is carried out, the reply comes to nobody."""
    begun: list[int] = []

    async def witness(number: int) -> None:
        begun.append(number)

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> int:
        await ctx.step(witness, number, key=f"{number}")
        return number

    @app.workflow("parent")
    async def parent(ctx: Context) -> Any:
        first, second = await ctx.spawn("child", 1), await ctx.spawn("child", 2)
        return [await second.result(), await first.result()]

    async with working(app) as worker, dying_at(write, "parent", worker, real) as died:
        run = await aclient.submit("parent", run_id="p")
        assert await run.result(60) == [2, 1]
    assert died
    assert sorted(set(begun)) == [1, 2]
    assert len(runs_of(real, "child")) == 2
    journal = real.lrange(f"stepflow:run:{run.id}:journal", 0, -1)
    assert sorted(entry.split(b"|")[0] for entry in journal) == [
        b"child",
        b"child",
        b"value",
        b"value",
    ]
