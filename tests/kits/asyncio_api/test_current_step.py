"""[G5] [G7] [G3] What code can know of where it is, and the context variables that it sees."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import pytest

import stepflow
from stepflow import (
    Context,
    CurrentStep,
    InvalidOption,
    RetryPolicy,
    RunFailed,
    Stepflow,
    SyncContext,
)
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.outcomes import Park, Succeed
from stepflow.errors import ClaimLost, NotInStep
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate, to_the_end

PATIENT = RetryPolicy(max_attempts=3, initial=10, jitter=False)


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


def here() -> CurrentStep:
    """Return the present step, which there is."""
    found = stepflow.current_step(required=True)
    assert repr(found) == repr(stepflow.current_step())
    return found


def facts() -> list[Any]:
    step = here()
    return [step.run_id, step.name, step.key, step.attempt, step.is_last_attempt]


async def async_facts() -> list[Any]:
    await asyncio.sleep(0)
    return await asyncio.create_task(asyncio.to_thread(facts))


async def test_the_function_of_a_step_knows_itself_on_the_loop_and_in_threads(h: Harness) -> None:
    """[G5]"""

    @h.app.workflow("knows")
    async def knows(ctx: Context) -> list[Any]:
        return [
            await ctx.step("plain", facts, retry=RetryPolicy(max_attempts=1)),
            await ctx.step("async", async_facts, key="k", retry=PATIENT),
            stepflow.current_step(),
        ]

    run = await h.submit("knows")
    assert await h.result(run) == [
        [run.id, "plain", None, 1, True], [run.id, "async", "k", 1, False], None,
    ]  # fmt: skip
    assert stepflow.current_step() is None
    with pytest.raises(
        NotInStep, match=r"current_step\(required=True\) was called outside of a step"
    ):
        stepflow.current_step(required=True)


async def test_attempts_are_counted_over_parks_and_the_last_one_knows(h: Harness) -> None:
    """[G5]"""
    seen: list[tuple[int, bool, str]] = []

    async def shaky() -> str:
        step = here()
        seen.append((step.attempt, step.is_last_attempt, step.idempotency_key))
        if not step.is_last_attempt:
            raise ValueError("again")
        return step.idempotency_key

    @h.app.workflow("tries")
    async def tries(ctx: Context) -> list[str]:
        return [
            await ctx.step(shaky, retry=PATIENT),
            await ctx.step(shaky, retry=RetryPolicy(max_attempts=1)),
        ]

    run = await h.submit("tries")
    await h.advance(timedelta(hours=1))
    first, second = await h.result(run)
    assert first != second
    assert seen == [(1, False, first), (2, False, first), (3, True, first), (1, True, second)]
    fork = await h.client.fork(run.id, "0")
    await h.advance(timedelta(hours=1))
    assert await h.result(fork) == [first, second]


async def test_a_memo_is_seen_by_later_attempts_also_after_a_crash() -> None:
    """[G5]"""
    runtime, calls = MemoryRuntime(), []

    async def pages() -> list[int]:
        memo = here().memo
        done = await memo.get("done", 0)
        calls.append(done)
        for page in range(done, 4):
            await memo.put("done", page + 1)
            if page in {1, 2} and calls.count(page + 1) == 0:
                raise ValueError(page)
        return [await memo.get("done")]

    async def workflow(ctx: Context) -> Any:
        return await ctx.step(pages, retry=PATIENT, key="pages")

    for crash_after in range(12):
        runtime.crash_after = crash_after
        with suppress(ClaimLost):
            if not isinstance(await activate(runtime, workflow), Park):
                break
            runtime.clock += 1000
    runtime.crash_after = None
    assert await to_the_end(runtime, workflow) == Succeed([4])
    assert sorted(set(calls) & {0, 2, 3}) == [0, 2, 3]
    memos = [Entry.read(one) for one in runtime.journal]
    assert len([entry for entry in memos if entry.kind is EntryKind.MEMO]) == 4


async def test_a_memo_is_put_and_got_in_threads_and_refused_too_late(h: Harness) -> None:
    """[G5]"""
    kept: list[CurrentStep] = []

    def remembers() -> int:
        step = here()
        kept.append(step)
        count: int = step.memo.get("count", 0)
        step.memo.put("count", count + 1)
        if count < 2:
            raise ValueError("again")
        return step.memo.get("count")  # type: ignore[no-any-return]

    async def late() -> None:
        await kept[0].memo.put("count", 1)

    @h.app.workflow("remembers")
    async def flow(ctx: Context) -> int:
        count = await ctx.step(remembers, retry=PATIENT)
        await ctx.step(late)
        return count

    run = await h.submit("remembers")
    await h.advance(100)
    with pytest.raises(RunFailed, match="its memo comes too late"):
        await h.result(run)
    history = await h.history(run)
    assert [entry["kind"] for entry in history["journal"]].count("memo") == 3
    await h.replay(history)


async def test_the_token_of_a_step_fires_when_nobody_wants_its_value(h: Harness) -> None:
    """[G5]"""
    seen: list[tuple[str, str | None]] = []

    async def works(name: str) -> None:
        cancel = here().cancel
        try:
            await h.sleep(1000)
        finally:
            await asyncio.sleep(0)
            cancel.subscribe(lambda: seen.append((name, cancel.reason)))

    @h.app.workflow("leaves")
    async def leaves(ctx: Context) -> None:
        with anyio.move_on_after(5):
            await ctx.step(works, "left")
        await ctx.step(works, "stopped")

    run = await h.submit("leaves")
    await h.advance(6)
    await h.cancel(run, "enough")
    await h.advance(10)
    assert seen == [("left", "the attempt has ended"), ("stopped", "enough")]


# the ctx of the code that runs


async def test_code_finds_its_ctx_in_tasks_of_libraries_and_not_in_steps(h: Harness) -> None:
    """[G7]"""

    async def in_a_step() -> bool:
        with pytest.raises(InvalidOption, match="where no code of a workflow runs, such as in the"):
            stepflow.current(Context)
        return stepflow.current() is None

    def in_a_thread() -> bool:
        return stepflow.current() is None

    @h.app.workflow("finds")
    async def finds(ctx: Context) -> list[Any]:
        seen: list[Any] = [stepflow.current() is ctx]

        with pytest.raises(InvalidOption, match="where ctx is a Context; ask for that"):
            stepflow.current(SyncContext)

        async def branch() -> None:
            found = stepflow.current(Context)
            seen.append(await found.step("a", str, "a"))

        async with anyio.create_task_group() as group:
            group.start_soon(branch)
        await asyncio.Task(branch())
        return [*seen, await ctx.step(in_a_step), await ctx.step(in_a_thread)]

    run = await h.submit("finds")
    assert await h.result(run) == [True, "a", "a", True, True]
    assert stepflow.current() is None


async def test_a_plain_workflow_runs_coroutines_that_find_a_ctx_to_await(h: Harness) -> None:
    """[G15]"""

    async def library() -> list[str]:
        ctx = stepflow.current(Context)
        async with asyncio.timeout(60):
            said = [await ctx.step("a", str, "a")]
        await asyncio.sleep(60)
        return [*said, await ctx.step("b", str, "b")]

    @h.app.workflow("plain")
    def plain(ctx: SyncContext) -> list[str]:
        assert isinstance(stepflow.current(SyncContext), SyncContext)
        return [*ctx.run(library()), ctx.step("c", str, "c")]

    run = await h.submit("plain")
    h.crash_after("b")
    await h.advance(60)
    assert await h.result(run) == ["a", "b", "c"]
    await h.replay(await h.history(run))


async def test_what_is_no_coroutine_is_refused_in_words(h: Harness) -> None:
    """[G15]"""

    @h.app.workflow("plain")
    def plain(ctx: SyncContext) -> None:
        ctx.run(print)  # type: ignore[arg-type]

    run = await h.submit("plain")
    with pytest.raises(RunFailed, match=r"ctx\.run takes a coroutine"):
        await h.result(run)


# context variables

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


def read_and_set() -> str:
    found = var.get()
    var.set("changed by a step")
    return found


async def async_read_and_set() -> str:
    await asyncio.sleep(0)
    return read_and_set()


@pytest.mark.parametrize("function", [read_and_set, async_read_and_set])
async def test_a_step_sees_the_context_variables_of_its_branch_and_changes_none(
    h: Harness, function: Any
) -> None:
    """[G3]"""

    @h.app.workflow("sees")
    async def sees(ctx: Context) -> list[Any]:
        async def branch(value: str) -> list[str]:
            var.set(value)
            first: str = await ctx.step(function)
            await ctx.sleep(1)
            return [first, await ctx.step(function, key=value), var.get()]

        told = [*await asyncio.gather(branch("a"), branch("b")), var.get()]
        var.set("main")
        return [*told, await ctx.batch("each", function_of_item, [1, 2])]

    async def function_of_item(item: int) -> str:
        del item
        return read_and_set()

    run = await h.submit("sees")
    await h.advance(1)
    assert await h.result(run) == [["a"] * 3, ["b"] * 3, "unset", ["main", "main"]]


async def test_an_attempt_does_not_see_what_the_one_before_it_changed(h: Harness) -> None:
    """[G3]"""
    seen: list[str] = []

    async def shaky() -> None:
        seen.append(read_and_set())
        if len(seen) < 3:
            raise ValueError("again")

    @h.app.workflow("tries")
    async def tries(ctx: Context) -> None:
        var.set("mine")
        await ctx.step(shaky, retry=RetryPolicy(max_attempts=3, initial=0))

    run = await h.submit("tries")
    await h.advance(1)
    await h.result(run)
    assert seen == ["mine"] * 3


async def test_a_variable_is_reset_by_what_is_evicted(h: Harness) -> None:
    """[G12] In its own context, where `reset` takes the token."""
    done: list[str] = []

    @h.app.workflow("resets")
    async def resets(ctx: Context) -> None:
        async def branch(name: str) -> None:
            token = var.set(name)
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 10)
            finally:
                assert var.get() == name
                var.reset(token)
                done.append(name)

        async def pages() -> AsyncIterator[int]:
            token = var.set("pages")
            try:
                yield 1
                await ctx.sleep(10)
            finally:
                var.reset(token)
                done.append("pages")

        async def read() -> None:
            async for _ in pages():
                await ctx.sleep(10)

        await asyncio.gather(branch("a"), branch("b"), read())

    run = await h.submit("resets")
    assert sorted(done) == ["a", "b", "pages"]
    await h.cancel(run)
