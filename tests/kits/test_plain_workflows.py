"""
Plain `def` workflows: the same `ctx`, blocking. They replay, park, are cancelled and evicted as
coroutines are.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import uvloop

from stepflow import (
    AsyncClient,
    Context,
    PermanentError,
    RunState,
    StepFailed,
    Stepflow,
    Succeed,
    SyncContext,
    TransientError,
)
from stepflow.core.outcomes import Park, Pause, Raised
from stepflow.errors import ClaimLost
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.replay.fiber import Fiber
from stepflow.kits.flow.replay.loop import Evicted
from stepflow.kits.flow.step_options import Readers
from stepflow.kits.flow.sync_context import carry_plain
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, activate
from tests.kits.replay.test_replay import World, to_the_end, with_signal
from tests.support import until


def plain(function: Any) -> Any:
    """The coroutine function that a plain workflow is carried as."""
    return lambda ctx: carry_plain(function, ctx, ctx._activation.loop)


@pytest.fixture(autouse=True)
def no_greenlet_is_left() -> Iterator[None]:
    yield
    gc.collect()
    assert [line for line in gc.get_objects() if isinstance(line, Fiber) and not line.dead] == []


def rich(world: World) -> Any:
    """
    A workflow with parallel branches, a retried step, a sleep, a signal, a poll and a caught
    failure.
    """
    tries = 0

    def flaky() -> str:
        nonlocal tries
        tries += 1
        if tries % 2:
            raise TransientError("not yet")
        world.done.append("flaky")
        return "at last"

    def broken() -> None:
        raise PermanentError("never")

    async def look() -> str | None:
        return await world.act("look", "there" if "look" in world.done else None)

    def workflow(ctx: SyncContext) -> Any:
        def branch(k: int) -> Any:
            first = ctx.step(f"b{k}", world.act, f"b{k}", k)
            return ctx.step(f"c{k}", world.act, f"c{k}", first + 10)

        seen = [ctx.step("one", world.act, "one", None)]
        seen += ctx.parallel(*(partial(branch, k) for k in range(3)))
        ctx.sleep(3600)
        seen.append(ctx.step(flaky))
        seen.append(ctx.wait_for_signal("go", timeout=60))
        try:
            ctx.step(broken)
        except StepFailed as error:
            seen.append(error.error_type)
        return [*seen, ctx.poll(look, every=5), str(ctx.uuid()), ctx.random().random()]

    return plain(workflow)


async def test_a_plain_workflow_survives_a_crash_at_every_journal_write() -> None:
    """[F19] [F2] The harness crashes after every single write; no durable step runs twice."""
    world, runtime = World(), with_signal()
    expected = await to_the_end(runtime, rich(world))
    assert isinstance(expected, Succeed), expected
    assert expected.result[:7] == [None, 10, 11, 12, "at last", "said", "PermanentError"]
    for crash_after in range(1, len(runtime.journal) + 1):
        world, runtime = World(), with_signal()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, rich(world))
        durable = [
            entry.split(b"|", 3)[2].decode()
            for entry in runtime.journal
            if entry.startswith(b"value|")
        ]
        before = {name: world.done.count(name) for name in durable if name != "look"}
        runtime.crash_after = None
        outcome = await to_the_end(runtime, rich(world))
        assert isinstance(outcome, Succeed), (crash_after, outcome)
        assert outcome.result == expected.result, crash_after
        assert all(world.done.count(name) == count for name, count in before.items()), crash_after


async def test_a_plain_and_an_async_workflow_leave_the_same_journal() -> None:
    """[F19] One may be rewritten as the other while runs are in flight."""
    world = World()

    async def awaiting(ctx: Context) -> Any:
        one = await ctx.step("one", world.act, "one", 1)
        both = await asyncio.gather(_two(ctx, world), _two(ctx, world))
        return [one, *both, await ctx.wait_for_signal("go", timeout=5)]

    def blocking(ctx: SyncContext) -> Any:
        def two() -> Any:
            return ctx.step("two", world.act, "two", 2)

        return [
            ctx.step("one", world.act, "one", 1),
            *ctx.parallel(two, two),
            ctx.wait_for_signal("go", timeout=5),
        ]

    first = MemoryRuntime()
    assert isinstance(await activate(first, awaiting), Park)
    before = len(first.journal)
    assert await to_the_end(first, plain(blocking)) == Succeed([1, 2, 2, None])
    assert len(first.journal) == before + 1
    assert world.done == ["one", "two", "two"]


async def _two(ctx: Context, world: World) -> Any:
    return await ctx.step("two", world.act, "two", 2)


async def test_finally_runs_when_a_plain_workflow_is_put_aside_and_ctx_ends_it_there() -> None:
    """[F19]"""
    seen: list[str] = []

    def workflow(ctx: SyncContext) -> str:
        def branch() -> None:
            try:
                ctx.sleep(60)
            finally:
                seen.append("branch")

        try:
            ctx.parallel(branch, branch)
        finally:
            seen.append("before")
            for call in (
                partial(ctx.step, seen.append, "never"),
                partial(ctx.poll, seen.append, 1, every=1),
                ctx.uuid,
            ):
                with contextlib.suppress(Evicted):
                    call()
                    seen.append("answered")
                seen.append("after")
        return "end"

    runtime = MemoryRuntime()
    assert isinstance(await activate(runtime, plain(workflow)), Park)
    assert sorted(seen) == ["after", "after", "after", "before", "branch", "branch"]


async def test_the_first_branch_that_fails_cancels_the_others_and_is_raised() -> None:
    """[F19]"""
    ended: list[str] = []

    def broken() -> None:
        raise PermanentError("no")

    def workflow(ctx: SyncContext) -> list[str]:
        def patient() -> None:
            try:
                ctx.sleep(1000)
            finally:
                ended.append("cancelled")

        try:
            ctx.parallel(patient, partial(ctx.step, broken), patient)
        except StepFailed as error:
            return [*ended, error.error_message, str(ctx.parallel())]
        return []

    assert await activate(MemoryRuntime(), plain(workflow)) == Succeed(
        ["cancelled", "cancelled", "no", "[]"]
    )


@pytest.mark.parametrize("what", ["add_signal_handler", "run_in_executor", "run_until_complete"])
async def test_what_a_replay_cannot_repeat_is_refused(what: str) -> None:
    """[F19] [F4]"""

    def workflow(ctx: SyncContext) -> None:
        loop = asyncio.get_running_loop()
        match what:
            case "add_signal_handler":
                loop.add_signal_handler(1, print)
            case "run_in_executor":
                loop.run_in_executor(None, print)
            case "run_until_complete":
                loop.run_until_complete(loop.create_future())

    outcome = await activate(MemoryRuntime(), plain(workflow))
    assert isinstance(outcome, Raised)
    assert not outcome.retryable
    assert "it would not repeat itself on replay" in outcome.error.message


async def test_ctx_inside_a_step_is_refused_and_does_not_hang() -> None:
    """[F19]"""

    def workflow(ctx: SyncContext) -> None:
        def inside() -> None:
            ctx.step("x", print)

        ctx.step("outside", inside)

    outcome = await activate(MemoryRuntime(), plain(workflow))
    assert isinstance(outcome, Raised)
    assert "such as inside a step" in outcome.error.message


async def test_errors_of_the_function_mean_what_they_mean_in_a_coroutine() -> None:
    """[F19] [F3]"""

    def wrong(ctx: SyncContext) -> None:
        raise ValueError("wrong")

    def unlucky(ctx: SyncContext) -> None:
        raise TransientError("unlucky", retry_after=5)

    first, second = (
        await activate(MemoryRuntime(), plain(wrong)),
        await activate(MemoryRuntime(), plain(unlucky)),
    )
    assert isinstance(first, Raised)
    assert isinstance(second, Raised)
    assert (first.retryable, second.retryable, second.retry_after_s) == (False, True, 5)


async def test_changed_code_pauses_a_plain_workflow() -> None:
    """[F19] [F5]"""
    world, runtime = World(), MemoryRuntime()

    def workflow(name: str) -> Any:
        def code(ctx: SyncContext) -> None:
            ctx.step(name, world.act, name)
            ctx.sleep(60)

        return plain(code)

    await activate(runtime, workflow("old"))
    assert await activate(runtime, workflow("new")) == Pause(
        "code changed: at place 0 remembered value 'old', now step 'new'"
    )


async def test_every_method_of_context_is_there_and_blocks() -> None:
    """[F19] Also those that SyncContext does not name, and the methods of what they give."""

    class Handle:
        __module__ = "stepflow.kits.flow.example"

        def __init__(self, ctx: Any) -> None:
            self.ctx = ctx

        async def result(self) -> Any:
            await self.ctx.sleep(0)
            return "ended"

    class Later(Context):
        async def spawn(self) -> Handle:
            await self.sleep(0)
            return Handle(self)

    def workflow(ctx: Any) -> list[Any]:
        handle = ctx.spawn()
        return [handle.result(), ctx.run_id, dict(ctx.headers)]

    runtime = MemoryRuntime()
    activation = Activation(runtime)  # type: ignore[arg-type]
    later = Later(activation, headers={"a": "b"}, readers=Readers())
    outcome = await activation.carry(lambda: carry_plain(workflow, later, activation.loop))
    assert outcome == Succeed(["ended", "r", {"a": "b"}])
    for name in [name for name in vars(Context) if not name.startswith("_")]:
        assert hasattr(SyncContext(later, activation.loop), name)


def test_many_plain_runs_share_one_uvloop() -> None:
    """[F19] Each activation has greenlets of its own; steps run in threads and on the loop."""

    def shout(text: str) -> str:
        time.sleep(0)
        return f"{text} {threading.current_thread() is threading.main_thread()}"

    def workflow(ctx: SyncContext) -> Any:
        first = ctx.parallel(*(partial(ctx.step, f"s{k}", shout, str(k)) for k in range(5)))
        return [*first, ctx.step(asyncio.sleep, 0, "slept")]

    async def many() -> list[Any]:
        return await asyncio.gather(
            *(activate(MemoryRuntime(), plain(workflow)) for _ in range(50))
        )

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(many())
    assert outcomes == [Succeed([*(f"{k} False" for k in range(5)), "slept"])] * 50


# with a real worker


async def test_plain_workflows_run_beside_each_other_and_wait_for_signals(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F19]"""

    @app.workflow("greet")
    def greet(ctx: SyncContext, who: str) -> str:
        greeting = ctx.step("greeting", str.upper, "hello")
        ctx.sleep(0.01)
        return f"{greeting} {who} {ctx.wait_for_signal('go')}"

    async with working(app):
        runs = [await aclient.submit("greet", str(k)) for k in range(20)]
        for run in runs:
            await aclient.signal(run.id, "go", run.id)
        assert [await run.result(60) for run in runs] == [
            f"HELLO {k} {run.id}" for k, run in enumerate(runs)
        ]


async def test_a_cancel_is_raised_in_the_blocking_call_and_finally_may_use_ctx(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F19] [F16]"""
    started, cleaned = asyncio.Event(), asyncio.Event()
    caught: list[type[BaseException]] = []

    async def long() -> None:
        started.set()
        await asyncio.Event().wait()

    async def clean() -> None:
        cleaned.set()

    @app.workflow("long")
    def workflow(ctx: SyncContext) -> None:
        try:
            ctx.parallel(partial(ctx.step, long), partial(ctx.sleep, 1000))
        except BaseException as error:
            caught.append(type(error))
            raise
        finally:
            ctx.step(clean)

    async with working(app):
        run = await aclient.submit("long")
        await started.wait()
        assert await run.cancel("stop")
        assert (await run.wait(60)).state is RunState.CANCELLED
        assert cleaned.is_set()
        assert caught == [asyncio.CancelledError]


async def test_a_worker_that_leaves_ends_its_greenlets(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F19] The run goes on in another worker; `finally` ran in both."""
    started, ended = asyncio.Event(), []
    is_held_up = True

    async def long() -> str:
        started.set()
        if is_held_up:
            await asyncio.Event().wait()
        return "done"

    @app.workflow("long")
    def workflow(ctx: SyncContext) -> str:
        try:
            return str(ctx.step(long))
        finally:
            ended.append("here")

    async with working(app) as worker:
        run = await aclient.submit("long")
        await started.wait()
        assert worker.worker_state is not None
        worker.worker_state.hand_back(worker.worker_state.runs[run.id])
        worker.leave()
        await until(lambda: not worker.worker_state.runs)  # type: ignore[union-attr]
    is_held_up = False
    async with working(app):
        assert await run.result(60) == "done"
    assert len(ended) >= 2


async def test_a_parked_plain_workflow_is_undone_and_runs_its_finally_steps_when_it_is_cancelled(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F19] [F15] [F16]"""
    done: list[str] = []

    @app.step(compensate=lambda value: done.append(f"undo {value}"))
    def book(what: str) -> str:
        done.append(what)
        return what

    @app.workflow("trip")
    def trip(ctx: SyncContext) -> None:
        try:
            ctx.step(book, "hotel")
            ctx.step("train", book, "train")
            ctx.wait_for_signal("never")
        finally:
            ctx.step("note", done.append, "note")

    async with working(app):
        run = await aclient.submit("trip")
        await until(lambda: _is_waiting(aclient, run.id))
        assert await run.cancel("stop")
        assert (await run.wait(60)).state is RunState.CANCELLED
    assert done == ["hotel", "train", "note", "undo train", "undo hotel"]


async def _is_waiting(client: AsyncClient, run_id: str) -> bool:
    run = await client.status(run_id)
    return run is not None and run.state is RunState.WAITING
