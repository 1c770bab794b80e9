"""
One workflow of thirty steps with everything in it, its worker lost after each single write: the
same end every time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from stepflow import Context, PermanentError, RetryPolicy, Succeed, TransientError
from stepflow.core.outcomes import CleanedUp, Park, Yield
from stepflow.errors import ClaimLost
from stepflow.store.values.codec import pack
from tests.kits.memory import FamilyRuntime, activate
from tests.kits.replay.test_replay import World


def everything(world: World, *, fails: bool) -> Any:
    """
    Thirty steps: in turn, at once, in branches, retried, undone; a sleep, a signal, a child, a
    race.
    """
    flakes: Counter[str] = Counter()

    async def flaky(name: str) -> str:
        flakes[name] += 1
        if flakes[name] % 2:
            raise TransientError("not yet")
        return await world.act(name, name)

    async def undo(value: str) -> None:
        await world.act(f"undo {value}")

    async def refuse() -> None:
        raise PermanentError("no")

    async def workflow(ctx: Context) -> Any:
        seen: list[Any] = [await ctx.step(f"one-{n}", world.act, f"one-{n}", n) for n in range(4)]
        for n in range(4):
            seen.append(
                await ctx.step(f"book-{n}", world.act, f"book-{n}", f"b{n}", compensate=undo)
            )
        seen += await asyncio.gather(
            *(ctx.step(f"wide-{n}", world.act, f"wide-{n}", n) for n in range(6))
        )

        async def branch(k: int) -> list[Any]:
            return [
                await ctx.step(f"branch-{k}-{n}", world.act, f"branch-{k}-{n}", k * n)
                for n in range(3)
            ]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(k)) for k in range(3)]
        seen += [task.result() for task in tasks]
        await ctx.sleep(3600)
        seen.append(await ctx.wait_for_signal("go", timeout=60))
        child = await ctx.spawn("child", 7)
        for n in range(3):
            seen.append(await ctx.step(f"flaky-{n}", flaky, f"flaky-{n}"))
        seen.append(await child.result())
        seen += [await ctx.step(f"late-{n}", world.act, f"late-{n}", n) for n in range(4)]
        if fails:
            await ctx.step("refused", refuse)
        return [*seen, str(ctx.uuid())]

    return workflow


STEPS = 30
UNDONE = [f"undo b{n}" for n in reversed(range(4))]


def fresh_port() -> FamilyRuntime:
    runtime = FamilyRuntime()
    runtime.mail.append(b"go|" + pack("said"))
    runtime.inbox = 1
    return runtime


async def to_the_end(runtime: FamilyRuntime, workflow: Any) -> Any:
    """
    Activate until the run ends, moving the clock over every wait; the child ends when it is waited
    for.
    """
    for _ in range(100):
        outcome = await activate(runtime, workflow, policy=RetryPolicy(5, initial=1.0))
        if isinstance(outcome, Yield):
            runtime.yielded += 1
            continue
        if not isinstance(outcome, Park):
            return outcome
        for run_id, spec in runtime.children.items():
            if run_id not in runtime.answered:
                runtime.end(run_id, spec.payload, number=1)
        if outcome.due_at is not None:
            runtime.clock = max(runtime.clock, outcome.due_at)
    raise AssertionError("no end")


@pytest.mark.crash
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
async def test_a_worker_lost_after_any_write_changes_nothing_of_the_end(fails: bool) -> None:
    """
    [F1] [F2] [F4] [F13] [F15] No step runs again once its value is durable; children and
    compensations are there once.
    """
    world, runtime = World(), fresh_port()
    expected = await to_the_end(runtime, everything(world, fails=fails))
    steps = {name for name in world.done if not name.startswith("undo")}
    assert len(steps) == STEPS
    if fails:
        assert isinstance(expected, CleanedUp)
        assert world.done[-4:] == UNDONE
    else:
        assert isinstance(expected, Succeed)
    writes, children = len(runtime.journal), list(runtime.children)
    assert writes > STEPS + 5
    for crash_after in range(1, writes + 1):
        world, runtime = World(), fresh_port()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, everything(world, fails=fails))
        assert len(runtime.journal) == crash_after
        durable = {
            entry.split(b"|", 3)[2].decode()
            for entry in runtime.journal
            if entry.startswith(b"value|")
        }
        before = len(world.done)
        runtime.crash_after = None
        outcome = await to_the_end(runtime, everything(world, fails=fails))
        again = [name for name in world.done[before:] if name in durable]
        assert again == [], crash_after
        assert list(runtime.children) == children, crash_after
        values = [
            entry.split(b"|", 3)[2].decode()
            for entry in runtime.journal
            if entry.startswith(b"value|")
        ]
        assert [name for name in values if name.startswith("undo")] == (
            [f"undo book-{n}" for n in reversed(range(4))] if fails else []
        ), crash_after
        if isinstance(outcome, CleanedUp):
            # its traceback has what the step raised, or on replay the text of that
            assert outcome.error.summary == expected.error.summary, crash_after
            assert outcome.errors == expected.errors, crash_after
        else:
            assert outcome == expected, crash_after


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
async def test_a_turn_that_is_over_after_each_step_changes_nothing_of_the_end(fails: bool) -> None:
    """[F2]"""
    world, runtime = World(), fresh_port()
    expected = await to_the_end(runtime, everything(world, fails=fails))
    in_turns, hurried = World(), fresh_port()
    hurried.slice_s = hurried.runs_in_hand = 0
    outcome = await to_the_end(hurried, everything(in_turns, fails=fails))
    assert hurried.yielded > 5
    assert sorted(in_turns.done) == sorted(world.done)
    assert list(hurried.children) == list(runtime.children)
    assert (type(outcome), in_turns.done[-1]) == (type(expected), world.done[-1])
