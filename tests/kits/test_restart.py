"""
`ctx.continue_as_new` ends a history and goes on under the same run id; a long history is replayed
in a short time.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from stepflow import AsyncClient, Context, RunState, Stepflow, Succeed, SyncContext
from stepflow.core.ids import Delivery
from stepflow.core.journal import start_entry
from stepflow.core.outcomes import ContinueAsNew, Park, Raised
from stepflow.core.run import Run
from stepflow.errors import UnknownStep
from stepflow.store.runs import AGAIN, DONE, STALE, Fence, hand_over
from stepflow.store.values.codec import pack
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end
from tests.support import dump, until


def upper(text: str) -> str:
    return text.upper()


async def test_a_loop_of_fifty_restarts_keeps_its_id_and_its_journal_short(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F18] Step records go as well: what the run costs does not grow with its turns."""

    @app.workflow("loop")
    async def loop(ctx: Context, turn: int) -> Any:
        for n in range(3):
            await ctx.step("upper", upper, str(n))
        if turn < 50:
            return await ctx.continue_as_new(turn + 1)
        return [turn, await ctx.wait_for_signal("go")]

    async with working(app):
        run = await aclient.submit("loop", 0)
        await aclient.signal(run.id, "go", "kept in the mailbox")
        assert await run.result(60) == [50, "kept in the mailbox"]
    assert real.llen(f"stepflow:run:{run.id}:journal") == 1 + 3 + 1
    assert real.lindex(f"stepflow:run:{run.id}:journal", 0).startswith(b"start|start|50|")
    assert real.hlen(f"stepflow:run:{run.id}:steps") <= 2
    status = await run.status()
    assert status is not None
    assert (status.payload, status.generation) == (50, 0)


async def test_a_plain_workflow_restarts_too(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F18] [F19]"""

    @app.workflow("loop")
    def loop(ctx: SyncContext, turn: int) -> Any:
        ctx.step("upper", upper, "a")
        return ctx.continue_as_new(turn + 1) if turn < 2 else turn

    async with working(app):
        run = await aclient.submit("loop", 0)
        assert await run.result(60) == 2


async def test_the_commit_of_a_restart_is_refused_or_known_again_and_leaves_no_half(
    app: Stepflow, aclient: AsyncClient, link_to_real: Any, real: redis.Redis
) -> None:
    """[F18] Its script is all or nothing, and sent again it changes nothing."""
    run_id = (await aclient.submit("loop", 0)).id
    key = f"stepflow:run:{run_id}"
    real.hset(
        key,
        mapping={
            "token": "w.1.",
            "state": "running",
            "rev": 2,
            "claimed_id": f"run-{run_id}-0",
            "delivery": "",
        },
    )
    real.rpush(f"{key}:journal", b"value|0|a|1.0|")
    real.hset(f"{key}:questions", "d", "asked")
    real.zadd("stepflow:questions", {run_id: 1.0})
    keys = aclient.env.keys

    def restart(rev: int, token: str) -> Any:
        run = Run(
            run_id,
            "loop",
            state=RunState.RUNNING,
            rev=rev,
            token=token,
            claimed_rq_id=Delivery(run_id, 0).rq_id,
        )
        return link_to_real.call(
            hand_over(
                keys, run, Fence(token, "0", f"{token}restart 1 1.000 2.000"),
                state=RunState.PENDING, step=1, failures=0, crashes=0, due_at=None, now=2.0,
                payload=pack(1), restarts=1,
            )
        )  # fmt: skip

    before = dump(real)
    assert restart(1, "w.1.")[0] == STALE
    assert restart(2, "other.1.")[0] == STALE
    assert dump(real) == before
    assert restart(2, "w.1.")[0] == DONE
    after = dump(real)
    assert real.lrange(f"{key}:journal", 0, -1) == [start_entry(1, 2.0, 1)]
    assert not real.exists(f"{key}:questions", "stepflow:questions")
    assert restart(2, "w.1.")[0] == AGAIN
    assert dump(real) == after
    await aclient.cancel(run_id)


async def test_time_and_chance_begin_anew_with_each_history() -> None:
    """[F18] [F7]"""
    world, runtime, seen = World(), MemoryRuntime(), []

    async def workflow(ctx: Context) -> Any:
        seen.append((ctx.now(), ctx.uuid()))
        await ctx.sleep(60)
        await ctx.step("a", world.act, "a")
        return await ctx.continue_as_new() if len(set(seen)) < 3 else "end"

    assert await to_the_end(runtime, workflow) == Succeed("end")
    assert len(set(seen)) == 3
    assert len({moment for moment, _ in seen}) == len({each for _, each in seen}) == 3
    assert sorted(seen) == seen


async def test_a_patch_of_the_old_history_is_chosen_anew_in_the_next() -> None:
    """[F18] [F5]"""
    runtime, seen = MemoryRuntime(), []

    async def before(ctx: Context) -> Any:
        await ctx.sleep(60)
        return await ctx.continue_as_new()

    async def after(ctx: Context) -> Any:
        seen.append(ctx.patched("p"))
        await ctx.sleep(60)
        return await ctx.continue_as_new() if len(seen) < 3 else "end"

    assert isinstance(await activate(runtime, before), Park)
    assert await to_the_end(runtime, after) == Succeed("end")
    assert (seen[0], seen[-1]) == (False, True)


async def test_what_was_done_is_not_undone_by_a_restart_nor_by_a_failure_after_it() -> None:
    """[F18] [F15]"""
    world, runtime = World(), MemoryRuntime()
    turns: list[int] = []

    async def undo(_: None) -> None:
        world.done.append("undo")

    async def workflow(ctx: Context) -> Any:
        turns.append(1)
        await ctx.step("act", world.act, "act", compensate=undo)
        if len(turns) == 1:
            return await ctx.continue_as_new()
        raise ValueError("no")

    outcome = await to_the_end(runtime, workflow)
    assert type(outcome).__name__ == "CleanedUp"
    assert world.done == ["act", "act", "undo"]


async def test_a_restart_whose_answer_is_not_returned_is_named() -> None:
    """[F18]"""

    async def workflow(ctx: Context) -> str:
        await ctx.continue_as_new(1)
        return "end"

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert "return await ctx.continue_as_new(...)" in outcome.error.message


async def test_a_crash_before_the_commit_restarts_the_same_history() -> None:
    """[F18] [F2] Until its commit a restart is nothing but the end of an activation."""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> Any:
        await ctx.step("a", world.act, "a")
        return await ctx.continue_as_new("next")

    assert await activate(runtime, workflow) == ContinueAsNew("next", 1)
    assert await activate(runtime, workflow) == ContinueAsNew("next", 1)
    runtime.restart(ContinueAsNew("next", 1))
    assert await activate(runtime, workflow) == ContinueAsNew("next", 2)
    assert world.done == ["a", "a"]


@pytest.mark.crash
@pytest.mark.parametrize("width", [1, 50])
async def test_a_history_of_five_thousand_steps_is_replayed_in_order(width: int) -> None:
    """[F18] The time it takes is measured in benchmarks/workloads/replay.py."""
    world, runtime = World(), MemoryRuntime()

    async def workflow(ctx: Context) -> int:
        total = 0
        for turn in range(5000 // width):
            commands = [ctx.step("add", world.act, "add", turn * width + n) for n in range(width)]
            total += sum([await command for command in commands])
        await ctx.sleep(60)
        return total

    assert isinstance(await activate(runtime, workflow), Park)
    assert await to_the_end(runtime, workflow) == Succeed(sum(range(5000)))
    assert len(world.done) == 5000


async def test_a_cancel_reaches_the_history_that_runs(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F18] [C25]"""

    @app.workflow("loop")
    async def loop(ctx: Context, turn: int) -> Any:
        return (
            await ctx.continue_as_new(turn + 1) if turn < 3 else await ctx.wait_for_signal("never")
        )

    async def is_waiting() -> bool:
        status = await run.status()
        return status is not None and status.state is RunState.WAITING

    async with working(app):
        run = await aclient.submit("loop", 0)
        await until(is_waiting)
        assert await run.cancel("enough")
        assert (await run.wait(60)).state is RunState.CANCELLED


async def test_a_fork_of_a_restarted_run_begins_in_its_present_history_with_the_variables_of_now(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F18] [F5] [F8]"""

    @app.workflow("loop")
    async def loop(ctx: Context, turn: int) -> Any:
        turns = await ctx.vars.incr("turns")
        drawn = str(ctx.uuid())
        await ctx.step("upper", upper, "a")
        return (
            await ctx.continue_as_new(turn + 1)
            if turn < 2
            else [turn, turns, drawn, await ctx.vars.incr("turns")]
        )

    async with working(app):
        run = await aclient.submit("loop", 0)
        turn, turns, drawn, last = await run.result(60)
        assert (turn, turns, last) == (2, 3, 4)
        with pytest.raises(UnknownStep, match="upper"):
            await aclient.fork(run.id, "start")
        forked = await aclient.fork(run.id, "upper")
        assert await forked.result(60) == [2, 3, drawn, 5]
    assert real.hget(f"stepflow:run:{run.id}:vars", "turns") == b"4"


async def test_children_outlive_a_restart_and_are_stopped_with_their_parent(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """
    [F18] [F14] Their parent ends last, as if it had not begun anew; a child of the new history is
    another one.
    """

    @app.workflow("child")
    async def child(ctx: Context) -> None:
        await ctx.wait_for_signal("never")

    @app.workflow("parent")
    async def parent(ctx: Context, turn: int) -> Any:
        if turn < 2:
            await ctx.spawn("child", key="c")
            return await ctx.continue_as_new(turn + 1)
        return await ctx.wait_for_signal("never")

    async def state_of(run_id: str) -> RunState | None:
        status = await aclient.status(run_id)
        return None if status is None else status.state

    async def children() -> list[str]:
        return [found.id for found in (await aclient.list(runner="child", limit=10)).runs]

    async with working(app):
        run = await aclient.submit("parent", 0)
        await until(lambda: _are(2, children))
        assert len(set(await children())) == 2
        await until(lambda: _is_waiting(state_of, run.id))
        assert await run.cancel("enough")
        ended = await run.wait(60)
        assert ended.state is RunState.CANCELLED
        for each in await children():
            status = await aclient.status(each)
            assert status is not None
            assert status.state is RunState.CANCELLED
            assert status.ended_at is not None
            assert ended.ended_at is not None
            assert status.ended_at <= ended.ended_at


async def _are(count: int, children: Any) -> bool:
    return len(await children()) == count


async def _is_waiting(state_of: Any, run_id: str) -> bool:
    return await state_of(run_id) is RunState.WAITING
