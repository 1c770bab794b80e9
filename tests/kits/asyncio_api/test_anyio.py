"""[G1] What anyio and asyncio give to any code works in workflow code, and replays."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from stepflow import Context, RunFailed, Stepflow
from stepflow.core.journal import Entry
from stepflow.core.outcomes import Park, Succeed
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


async def double(value: int) -> int:
    return 2 * value


async def double_later(value: int) -> int:
    """Like `double`, but never done where it is begun, as a step may be from Python 3.12 on."""
    await asyncio.sleep(0)
    return 2 * value


async def task_group(ctx: Context) -> Any:
    found: list[int] = []

    async def branch(value: int) -> None:
        found.append(await ctx.step(double, value))

    async with anyio.create_task_group() as group:
        for value in range(3):
            group.start_soon(branch, value)
    return sorted(found)


async def started(ctx: Context) -> Any:
    async def serve(*, task_status: anyio.abc.TaskStatus[int]) -> None:
        task_status.started(await ctx.step(double, 3))
        await ctx.step(double, 4)

    async with anyio.create_task_group() as group:
        return await group.start(serve)


async def failing(ctx: Context) -> Any:
    cancelled: list[str] = []

    async def fail() -> None:
        await ctx.step(double, 1)
        raise ValueError("no")

    async def wait() -> None:
        try:
            await ctx.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append("cancelled")
            raise

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(fail)
    except* ValueError as errors:
        cancelled.append(str(errors.exceptions[0]))
    return cancelled


async def streams(ctx: Context) -> Any:
    send, receive = anyio.create_memory_object_stream[int](1)

    async def produce() -> None:
        async with send:
            for value in range(4):
                await send.send(await ctx.step(double, value))

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        async with receive:
            return [value async for value in receive]


async def locks(ctx: Context) -> Any:
    lock, event, slots = anyio.Lock(), anyio.Event(), anyio.Semaphore(2)
    limiter, condition, sums = anyio.CapacityLimiter(1), anyio.Condition(), [0]

    async def branch(value: int) -> None:
        await event.wait()
        async with lock, slots, limiter:
            sums[0] += await ctx.step(double, value)
        async with condition:
            condition.notify_all()

    async with anyio.create_task_group() as group:
        for value in range(3):
            group.start_soon(branch, value)
        await anyio.lowlevel.checkpoint()
        event.set()
        async with condition:
            while sums[0] < 6:
                await condition.wait()
    return sums


async def scopes(ctx: Context) -> Any:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await ctx.step(double, 1)
                scope.cancel()

            group.start_soon(cancel)
            try:
                await ctx.sleep(1000)
            finally:
                with anyio.CancelScope(shield=True):
                    last = await ctx.step(double, 4)
    return [scope.cancelled_caught, last, anyio.current_effective_deadline() == math.inf]


async def cleaned_up(ctx: Context) -> Any:
    """The scope cancels who waits for the group at each turn, and that waits for a step."""
    cleaned: list[int] = []

    async def child() -> None:
        try:
            await ctx.sleep(1000)
        finally:
            cleaned.append(await ctx.step(double, 2))

    with anyio.move_on_after(1000) as scope:

        async def cancel() -> None:
            await ctx.step(double_later, 1)  # the child's sleep is written before
            scope.cancel()

        cancelling = asyncio.create_task(cancel())
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
    await cancelling
    return cleaned


async def in_order(ctx: Context) -> Any:
    """A group cancels its tasks in one order, whatever process they are in."""
    ended: list[int] = []

    async def child(number: int) -> None:
        try:
            await ctx.sleep(1000)
        finally:
            ended.append(number)

    async def fail() -> None:
        await ctx.step(double, 1)
        raise ValueError("no")

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(child(number))
            group.create_task(fail())
    except* ValueError:
        pass
    return ended


async def queues(ctx: Context) -> Any:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for value in range(3):
            await queue.put(await ctx.step(double, value))

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        return [await queue.get() for _ in range(3)]


async def bare_task(ctx: Context) -> Any:
    """A library may make its tasks past the loop."""

    async def branch(value: int) -> int:
        first = await ctx.step(double, value)
        return await ctx.step(double, first)

    tasks = [asyncio.Task(branch(value)) for value in range(3)]
    return [await task for task in tasks]


async def asked_of_the_loop(ctx: Context) -> Any:
    loop = asyncio.get_running_loop()
    names = [info.name for info in anyio.get_running_tasks()]
    answers = [loop.get_debug(), loop.is_running(), loop.is_closed(), loop.get_task_factory()]
    return [len(names), *answers, loop.get_exception_handler(), anyio.get_current_task().id > 0]


ALL: list[tuple[Any, Any]] = [
    (task_group, [0, 2, 4]), (started, 6), (failing, ["cancelled", "no"]), (streams, [0, 2, 4, 6]),
    (locks, [6]), (scopes, [True, 8, True]), (queues, [0, 2, 4]), (bare_task, [0, 4, 8]),
    (cleaned_up, [4]), (in_order, [*range(6)]),
    (asked_of_the_loop, [1, False, True, False, None, None, True]),
]  # fmt: skip


@pytest.mark.parametrize(("workflow", "result"), ALL, ids=[each.__name__ for each, _ in ALL])
async def test_it_works_as_anywhere_and_replays_from_each_place(workflow: Any, result: Any) -> None:
    """[G1] [G10]"""
    runtime = MemoryRuntime()
    assert await activate(runtime, workflow) == Succeed(result)
    journal = runtime.journal
    for count in range(len(journal) + 1):
        again = MemoryRuntime()
        again.journal, again.run.has_journal = journal[:count], True
        assert await activate(again, workflow) == Succeed(result)
        assert {Entry.read(one).place for one in again.journal} == {
            Entry.read(one).place for one in journal
        }


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: anyio.to_thread.run_sync(len, "x"), r"anyio\.to_thread\.run_sync"),
        (lambda: asyncio.to_thread(len, "x"), r"asyncio\.to_thread"),
    ],
)
async def test_threads_are_refused_in_words(h: Harness, call: Any, name: str) -> None:
    """[G9]"""

    @h.app.workflow("threads")
    async def threads(ctx: Context) -> None:
        await call()

    run = await h.submit("threads")
    with pytest.raises(RunFailed, match=rf"NotReplayable.*may not use {name} \(line"):
        await h.result(run)


async def test_a_call_in_a_task_of_a_library_is_named_with_the_line_that_waits_for_it(
    h: Harness,
) -> None:
    """[G9]"""

    @h.app.workflow("threads")
    async def threads(ctx: Context) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, len, "x")

    run = await h.submit("threads")
    by_way = r"\(line \d+ of .*test_anyio\.py, by way of anyio\.to_thread\.run_sync\)"
    with pytest.raises(RunFailed, match=by_way):
        await h.result(run)


async def test_threads_in_steps_and_elsewhere_are_as_ever(h: Harness) -> None:
    """[G9]"""

    async def step() -> int:
        return await anyio.to_thread.run_sync(len, "abc")

    @h.app.workflow("threads")
    async def threads(ctx: Context) -> int:
        return await ctx.step(step)

    assert await h.result(await h.submit("threads")) == 3
    assert await anyio.to_thread.run_sync(len, "ab") == 2


async def test_cleanup_that_waits_ends_with_the_activation_it_is_of() -> None:
    """[G12] Else it would go on when it is collected, in the task of whichever run that is."""
    ended: list[tuple[str, bool]] = []

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[None]:
        task = asyncio.current_task()
        try:
            with anyio.CancelScope():
                yield
        finally:
            try:
                await anyio.sleep(1)
            finally:
                ended.append((name, asyncio.current_task() is task))

    async def workflow(ctx: Context) -> None:
        async with opened("outer"), opened("inner"):
            await ctx.wait_for_signal("never")

    assert isinstance(await activate(MemoryRuntime(), workflow), Park)
    gc.collect()
    assert ended == [("inner", True), ("outer", True)]


async def test_tasks_that_cleanup_begins_are_put_aside_as_well() -> None:
    """[G12] They never begin, and nobody complains that they were not awaited."""
    begun: list[str] = []

    async def close(name: str) -> None:
        begun.append(name)

    async def workflow(ctx: Context) -> None:
        try:
            await ctx.wait_for_signal("never")
        finally:
            begun.append("cleanup")
            await asyncio.gather(close("a"), asyncio.create_task(close("b")))

    assert isinstance(await activate(MemoryRuntime(), workflow), Park)
    gc.collect()
    assert begun == ["cleanup"]
