"""[K4] Batches on the replay alone: a crash wherever a test wants one."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from stepflow import (
    Context,
    Failed,
    InvalidOption,
    PermanentError,
    RetryPolicy,
    StepFailed,
    Stepflow,
    Succeed,
    SyncContext,
)
from stepflow.core.journal import EntryKind, read_batch
from stepflow.core.outcomes import Park, Pause, Raised, Yield
from stepflow.errors import ClaimLost
from stepflow.kits.flow.commands import batch as batches
from stepflow.kits.flow.sync_context import carry_plain
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end

ONCE = RetryPolicy(max_attempts=1)


class Work:
    """A function of items that counts its calls; those of items below zero fail."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.at_work = self.most = 0

    async def __call__(self, number: int) -> int:
        self.calls.append(number)
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        for _ in range(number % 4 + 1):
            await asyncio.sleep(0)
        self.at_work -= 1
        if number < 0:
            raise PermanentError(f"no {number}")
        return number * 10


def kinds(runtime: MemoryRuntime) -> list[str]:
    return [entry.split(b"|")[0].decode() for entry in runtime.journal]


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
async def test_values_come_in_the_order_of_the_items_at_most_so_many_at_once(limit: int) -> None:
    work = Work()

    async def workflow(ctx: Context) -> Any:
        return await ctx.batch("tenfold", work, range(50), limit=limit)

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed([number * 10 for number in range(50)])
    assert work.most == min(limit, 50)
    assert set(kinds(runtime)) == {"batch"}
    assert len(runtime.journal) <= 50
    assert limit == 1 or len(runtime.journal) < 50, "answers that came together share an entry"
    assert await activate(runtime, workflow) == Succeed([number * 10 for number in range(50)])
    assert sorted(work.calls) == list(range(50))


async def test_an_item_that_fails_for_good_has_a_slot_or_ends_the_batch() -> None:
    seen: list[Any] = []

    async def workflow(ctx: Context) -> Any:
        items = [1, -2, 3]
        [first, failed, last] = await ctx.batch(Work(), items, errors="slot", retry=ONCE)
        assert isinstance(failed, Failed)
        seen.append((first, failed.index, str(failed.error), last))
        try:
            await ctx.batch("again", Work(), items, retry=ONCE, limit=1)
        except StepFailed as error:
            seen.append((error.step, error.error_type, error.error_message))
        return len(seen)

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed(2)
    assert await activate(runtime, workflow) == Succeed(4)
    told = "step 'Work' failed (PermanentError): no -2"
    expected = [(10, 1, told, 30), ("again", "PermanentError", "[1] no -2")]
    assert seen == expected * 2
    assert kinds(runtime)[-1] == "error"


async def test_a_batch_that_raises_leaves_off_what_is_in_progress() -> None:
    ended: list[str] = []

    async def work(number: int) -> None:
        if number:
            raise PermanentError("no")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("left off")

    async def workflow(ctx: Context) -> Any:
        try:
            await ctx.batch(work, [0, 1])
        except StepFailed:
            await ctx.step("next", asyncio.sleep, 0)
            return list(ended)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(["left off"])


async def test_failed_attempts_are_counted_durably_and_each_item_waits_for_itself() -> None:
    """The run is parked while all that is left waits; another limit after a deploy is no misfit."""
    tries: Counter[int] = Counter()

    async def flaky(number: int) -> int:
        tries[number] += 1
        if number in {1, 4} and tries[number] < 3:
            raise ValueError(f"try {tries[number]}")
        return number

    limit = 3

    async def workflow(ctx: Context) -> Any:
        policy = RetryPolicy(max_attempts=3, initial=60, jitter=0)
        return await ctx.batch("flaky", flaky, range(6), limit=limit, retry=policy)

    runtime = MemoryRuntime()
    parked = await activate(runtime, workflow)
    assert isinstance(parked, Park)
    assert parked.waits_for == "batch flaky: 4 of 6"
    assert tries == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    limit = 1
    assert await to_the_end(runtime, workflow) == Succeed(list(range(6)))
    assert tries == {0: 1, 1: 3, 2: 1, 3: 1, 4: 3, 5: 1}
    assert kinds(runtime).count("try") == 4


async def test_a_retry_is_begun_while_others_are_still_in_progress() -> None:
    done: list[str] = []
    released = asyncio.Event()

    async def work(number: int) -> int:
        if number == 0:
            await released.wait()
        elif "failed" not in done:
            done.append("failed")
            raise ValueError("once")
        else:
            released.set()
        return number

    async def workflow(ctx: Context) -> Any:
        policy = RetryPolicy(initial=0.01, jitter=0)
        return await ctx.batch(work, [0, 1], retry=policy)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed([0, 1])


@pytest.mark.parametrize("limit", [1, 4])
async def test_a_crash_at_every_write_calls_again_only_for_items_without_an_answer(
    limit: int,
) -> None:
    async def workflow(ctx: Context) -> Any:
        async def act(number: int) -> int:
            await world.act(str(number))
            if number == 5:
                raise PermanentError("no 5")
            return number

        found = await ctx.batch("act", act, range(12), limit=limit, errors="slot", retry=ONCE)
        return [each if isinstance(each, int) else "failed" for each in found]

    expected = Succeed([*range(5), "failed", *range(6, 12)])
    world, runtime = World(), MemoryRuntime()
    assert await to_the_end(runtime, workflow) == expected
    for crash_after in range(1, len(runtime.journal) + 1):
        world, runtime = World(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, workflow)
        runtime.crash_after, known = None, answered(runtime)
        assert await to_the_end(runtime, workflow) == expected
        calls = Counter(map(int, world.done))
        again = {number for number, count in calls.items() if count > 1}
        assert not again & known, "what has an answer is not called again"
        assert len(again) <= limit


def answered(runtime: MemoryRuntime) -> set[int]:
    """The items whose answers are remembered."""
    found = [
        batches.unpack(read_batch(entry.split(b"|", 4)[4])[1])
        for entry in runtime.journal
        if entry.startswith(EntryKind.BATCH.encode())
    ]
    return {index for answers in found for index, *_ in answers}


async def test_an_entry_holds_a_bounded_number_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_ANSWERS", 3)
    runtime = MemoryRuntime()

    async def workflow(ctx: Context) -> Any:
        return await ctx.batch(Work(), range(20), limit=20)

    assert await to_the_end(runtime, workflow) == Succeed([n * 10 for n in range(20)])
    sizes = [
        len(batches.unpack(read_batch(entry.split(b"|", 4)[4])[1])) for entry in runtime.journal
    ]
    assert max(sizes) == 3
    assert sum(sizes) == 20


async def test_a_batch_makes_room_for_others_between_its_items() -> None:
    """What is in progress ends, nothing more begins, and the run goes on from there."""
    work, runtime = Work(), MemoryRuntime()
    runtime.slice_s, runtime.runs_in_hand = 0.0, 0

    async def workflow(ctx: Context) -> Any:
        return await ctx.batch(work, range(30), limit=3)

    outcomes = [await activate(runtime, workflow)]
    while isinstance(outcomes[-1], Yield):
        outcomes.append(await activate(runtime, workflow))
    assert len(outcomes) > 2
    assert outcomes[-1] == Succeed([n * 10 for n in range(30)])
    assert sorted(work.calls) == list(range(30)), "none was left in the middle"


async def test_another_number_of_items_is_changed_code() -> None:
    work = Work()

    async def batch_of(ctx: Context, count: int) -> Any:
        await ctx.batch("work", work, range(count))
        await ctx.wait_for_signal("more")

    runtime = MemoryRuntime()
    assert isinstance(await activate(runtime, lambda ctx: batch_of(ctx, 3)), Park)
    outcome = await activate(runtime, lambda ctx: batch_of(ctx, 4))
    assert isinstance(outcome, Pause)
    assert "remembered batch 'work of 3', now batch 'work of 4'" in outcome.reason


async def test_a_cancelled_batch_leaves_off_and_the_workflow_goes_on() -> None:
    async def workflow(ctx: Context) -> Any:
        batch = ctx.batch(asyncio.sleep, [0, 3600, 3600])
        await ctx.step("a", asyncio.sleep, 0)
        batch.cancel()
        return await ctx.step("b", int, 7)

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed(7)
    assert await activate(runtime, workflow) == Succeed(7)


async def test_a_plain_workflow_has_batches() -> None:
    def plain(ctx: SyncContext) -> Any:
        return ctx.batch("tenfold", Work(), [1, 2], limit=2)

    async def workflow(ctx: Context) -> Any:
        return await carry_plain(plain, ctx, ctx._activation.loop)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed([10, 20])


async def test_a_batch_of_nothing_is_nothing() -> None:
    async def workflow(ctx: Context) -> Any:
        return await ctx.batch(Work(), [])

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed([])
    assert runtime.journal == []


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def test_a_value_that_could_not_be_read_in_an_entry_fails_its_item_alone() -> None:
    async def workflow(ctx: Context) -> Any:
        found = await ctx.batch(deep, [1, 1023, 2], errors="slot", retry=ONCE)
        return [type(each).__name__ for each in found]

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(["list", "Failed", "list"])


app = Stepflow()


@app.step(queue="gpu")
def elsewhere(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda ctx: ctx.batch("work"), "was given no function"),
        (lambda ctx: ctx.batch("work", int), "needs one list of items"),
        (lambda ctx: ctx.batch("work", int, "123"), "needs one list of items"),
        (lambda ctx: ctx.batch("work", int, ["1"], limit=0), "limit of batch 'work' is 0"),
        (lambda ctx: ctx.batch("work", int, ["1"], errors="drop"), "'raise' or 'slot'"),
        (lambda ctx: ctx.batch("work", lambda: 1, ["1"]), "cannot be called"),
        (lambda ctx: ctx.batch("work", int, [ctx.sleep(1)]), "await it first"),
        (lambda ctx: ctx.batch(elsewhere, [1]), "runs on another queue"),
    ],
)
async def test_what_a_batch_cannot_do_is_refused(wrong: Any, words: str) -> None:
    async def workflow(ctx: Context) -> None:
        await wrong(ctx)

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert outcome.error.type == InvalidOption.__name__
    assert words in outcome.error.message
