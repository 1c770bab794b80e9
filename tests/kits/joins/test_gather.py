"""[K1] [K2] [K3] Branches side by side, on the replay alone: a crash wherever a test wants one."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from stepflow import (
    Context,
    Failed,
    InvalidOption,
    Join,
    JoinNotMet,
    NotAnswered,
    PermanentError,
    RetryPolicy,
    StepFailed,
    Succeed,
    SyncContext,
)
from stepflow.core.fanout.join import Verdict, goal_of
from stepflow.core.outcomes import Park, Raised
from stepflow.errors import ClaimLost
from stepflow.kits.flow.sync_context import carry_plain
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end

ONCE = RetryPolicy(max_attempts=1)


async def fail(text: str) -> None:
    raise PermanentError(text)


async def branch_of(ctx: Context, number: int) -> int:
    """A branch of two steps; one of a number below zero fails in the second."""
    value: int = await ctx.step("first", int, number)
    if number < 0:
        await ctx.step("second", fail, f"no {number}")
    return await ctx.step("second", int, value * 10)


def told(found: Any) -> Any:
    """Write what a join gave so that it can be compared."""
    if isinstance(found, Failed):
        return f"{type(found.error).__name__} {found.index}"
    return [told(each) for each in found] if isinstance(found, list) else found


@pytest.mark.parametrize(
    ("numbers", "join", "gives"),
    [
        ([], Join.quorum(3), []),
        ([1, 2, 3], "all", [10, 20, 30]),
        ([1, 2], Join.quorum(0), []),
        ([-1, 2], "settled", ["StepFailed 0", 20]),
        ([-1, 2, 3], Join.percentage(0.6), [(1, 20), (2, 30)]),
        ([-1, -2, 3], Join.any(), [(2, 30)]),
        ([-1, 2], Join.partial(1), ["StepFailed 0", 20]),
        ([1, 2], Join.partial(0), ["NotAnswered 0", "NotAnswered 1"]),
    ],
)
@pytest.mark.parametrize("limit", [None, 1, 2])
async def test_a_join_says_what_branches_give(
    numbers: list[int], join: Any, gives: Any, limit: int | None
) -> None:
    async def workflow(ctx: Context) -> Any:
        branches = [branch_of(ctx, number) for number in numbers]
        return told(await ctx.gather(*branches, join=join, limit=limit))

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(gives)


async def test_a_join_that_is_not_met_says_what_became_of_its_branches() -> None:
    seen: list[JoinNotMet] = []

    async def workflow(ctx: Context) -> None:
        numbers = [1, -2, -3, 4, -5, -6, -7]
        try:
            await ctx.gather(*(branch_of(ctx, each) for each in numbers), join=3, limit=1)
        except JoinNotMet as error:
            seen.append(error)

    await to_the_end(MemoryRuntime(), workflow)
    [error] = seen
    assert (error.join, error.total, error.timed_out) == ("quorum(3)", 7, False)
    assert (error.succeeded, error.failed) == ({0: 10, 3: 40}, (1, 2, 4, 5, 6))
    assert [(index, str(each)) for index, each in error.errors] == [
        (1, "step 'second' failed (PermanentError): no -2"),
        (2, "step 'second' failed (PermanentError): no -3"),
        (4, "step 'second' failed (PermanentError): no -5"),
    ]
    assert error.more == 2
    assert str(error) == (
        "join quorum(3) of 7 is not met: 2 succeeded, 5 failed: "
        "[1] StepFailed: step 'second' failed (PermanentError): no -2; "
        "[2] StepFailed: step 'second' failed (PermanentError): no -3; "
        "[4] StepFailed: step 'second' failed (PermanentError): no -5; and 2 more"
    )
    assert isinstance(error.__cause__, StepFailed)
    assert error.__cause__.__notes__[-1] == "in branch[1] of ctx.gather"


async def test_what_can_no_longer_be_met_ends_at_once_and_the_rest_has_ended_then() -> None:
    """Its `finally` has run, and what it had in progress is cancelled."""
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("step")

    async def slow(ctx: Context) -> None:
        try:
            await ctx.step("slow", forever)
        finally:
            await ctx.step("close", ended.append, "branch")

    async def workflow(ctx: Context) -> Any:
        try:
            await ctx.gather(slow(ctx), branch_of(ctx, -1))
        except JoinNotMet:
            return sorted(ended)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(["branch", "step"])


async def test_a_branch_that_waits_is_cancelled_when_the_first_has_won() -> None:
    async def workflow(ctx: Context) -> Any:
        first = await ctx.gather(ctx.wait_for_signal("never"), branch_of(ctx, 2), join=Join.any())
        await ctx.wait_for_signal("more")
        return first

    runtime = MemoryRuntime()
    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    assert outcome.waits_for == "signal 'more'"


async def test_a_timeout_settles_a_join_by_what_has_ended_by_then() -> None:
    async def workflow(ctx: Context) -> Any:
        found = await ctx.gather(
            branch_of(ctx, 1), ctx.wait_for_signal("never"), join=Join.settled(timeout=30)
        )
        try:
            await ctx.gather(
                branch_of(ctx, 2), ctx.wait_for_signal("never"), join=Join.quorum(2, timeout=5)
            )
        except JoinNotMet as error:
            return [told(found), error.timed_out, error.succeeded, str(error)]

    runtime = MemoryRuntime()
    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    assert outcome.due_at is not None
    assert round(outcome.due_at - runtime.clock) == 30
    assert await to_the_end(runtime, workflow) == Succeed(
        [
            [10, "NotAnswered 1"],
            True,
            {0: 20},
            (
                "join quorum(2, timeout=5) of 2 is not met: 1 succeeded, 0 failed, "
                "1 had not ended when its time was up"
            ),
        ]
    )


async def test_no_more_branches_than_the_limit_are_under_way() -> None:
    at_work, most = 0, 0

    async def work(number: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return number

    async def branch(ctx: Context, number: int) -> int:
        await ctx.step("work", work, number)
        return await ctx.step("work", work, number)

    async def workflow(ctx: Context) -> Any:
        return await ctx.gather(*(branch(ctx, number) for number in range(40)), limit=3)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(list(range(40)))
    assert most == 3


JOINS = [
    Join.all(), Join.any(), Join.quorum(2), Join.percentage(0.5), Join.partial(2), Join.settled(),
    Join.settled(at_least=2),
]  # fmt: skip


@pytest.mark.parametrize("join", JOINS, ids=str)
async def test_in_whatever_order_branches_end_the_join_is_settled_by_the_model_and_replays(
    join: Join,
) -> None:
    """Every order in which three branches end, each of which fails or succeeds; twice each."""
    total = 3
    for order in permutations(range(total)):
        for failing in range(2**total):
            bad = {number for number in range(total) if failing >> number & 1}
            found: list[Any] = []

            async def turn(ctx: Context, number: int, order: Any = order, bad: Any = bad) -> int:
                await ctx.wait_for_signal(f"go-{number}")
                if number in bad:
                    raise ValueError(number)
                return number

            async def workflow(ctx: Context, found: Any = found, turn: Any = turn) -> Any:
                branches = [turn(ctx, number) for number in range(total)]
                try:
                    found.append(told(await ctx.gather(*branches, join=join)))
                except JoinNotMet as error:
                    found.append(["not met", error.succeeded, error.failed])
                await ctx.wait_for_signal("end")

            runtime = MemoryRuntime()
            await activate(runtime, workflow)
            for number in order:
                runtime.mail.append(b"go-%d|\x01" % number)
                runtime.inbox += 1
                await activate(runtime, workflow)
            assert found, order
            assert all(each == found[0] for each in found)
            assert found[0] == model(join, order, bad), (order, bad)


def model(join: Join, order: tuple[int, ...], bad: set[int]) -> Any:
    """What a join gives whose branches end in *order*, those in *bad* by an error."""
    goal, won, failed = goal_of(join, len(order)), {}, []
    for number in order:
        if number in bad:
            failed.append(number)
        else:
            won[number] = number
        verdict = goal.verdict(len(won), len(failed))
        if verdict is not None:
            break
    if verdict is Verdict.NOT_MET:
        return ["not met", dict(sorted(won.items())), tuple(sorted(failed))]
    if join.kind == "all":
        return list(range(len(order)))
    if join.kind in {"any", "quorum", "percentage"}:
        return sorted(won.items())
    return [
        won.get(n, f"{'ValueError' if n in failed else 'NotAnswered'} {n}")
        for n in range(len(order))
    ]


async def test_a_crash_at_every_write_leads_to_the_same_end_with_the_same_winners() -> None:
    async def workflow(ctx: Context) -> Any:
        async def pair(number: int) -> Any:
            await ctx.step("a", world.act, f"a{number}")
            return await ctx.step("b", world.act, f"b{number}", number)

        first = await ctx.gather(*(pair(number) for number in range(5)), join=3, limit=2)
        second = await ctx.gather(*(pair(number) for number in range(5, 8)), join="settled")
        return [first, second]

    world, runtime = World(), MemoryRuntime()
    end = await to_the_end(runtime, workflow)
    assert isinstance(end, Succeed)
    writes = len(runtime.journal)
    for crash_after in range(1, writes + 1):
        world, runtime = World(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, workflow)
        kept = [entry.split(b"|")[1] for entry in runtime.journal]
        runtime.crash_after = None
        again = await to_the_end(runtime, workflow)
        assert isinstance(again, Succeed)
        assert again.result[1] == [5, 6, 7]
        assert len(again.result[0]) == 3
        places = Counter(entry.split(b"|")[1] for entry in runtime.journal)
        assert set(places.values()) == {1}, "one answer for each place"
        assert [entry.split(b"|")[1] for entry in runtime.journal][: len(kept)] == kept
        assert await activate(runtime, workflow) == again, "the winners are remembered"


async def test_a_plain_workflow_gathers_calls() -> None:
    def plain(ctx: SyncContext) -> Any:
        def branch(number: int) -> int:
            return ctx.step("work", int, number) * 10

        calls = [lambda number=number: branch(number) for number in range(4)]
        return [ctx.gather(*calls, limit=2), ctx.gather(*calls, join=Join.quorum(4))]

    async def workflow(ctx: Context) -> Any:
        return await carry_plain(plain, ctx, ctx._activation.loop)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(
        [[0, 10, 20, 30], [(0, 0), (1, 10), (2, 20), (3, 30)]]
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda ctx: ctx.gather(5), "branch[0] of ctx.gather is 5"),
        (lambda ctx: ctx.gather(lambda: ctx.sleep(1), limit=0), "limit 0"),
        (lambda ctx: ctx.gather(ctx.sleep(1), limit=2), "has begun already"),
        (lambda ctx: ctx.gather(ctx.sleep(1), join="most"), "'most'"),
    ],
)
async def test_what_cannot_be_gathered_is_refused(wrong: Any, words: str) -> None:
    async def workflow(ctx: Context) -> None:
        await wrong(ctx)

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert outcome.error.type == InvalidOption.__name__
    assert words in outcome.error.message


async def test_a_branch_that_cancels_itself_has_failed() -> None:
    async def own_end() -> None:
        raise asyncio.CancelledError

    async def workflow(ctx: Context) -> Any:
        [slot] = await ctx.gather(own_end(), join="settled")
        assert isinstance(slot, Failed)
        assert not isinstance(slot.error, NotAnswered)
        return str(slot.error)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(
        "step 'branch[0]' failed (Cancelled): it was cancelled"
    )
