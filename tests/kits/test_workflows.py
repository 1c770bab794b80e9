"""
Workflows on a real server with a real worker: parking, waking, signals, pausing, cancelling,
reviving.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from stepflow import (
    AsyncClient,
    Context,
    PermanentError,
    RetryPolicy,
    RunFailed,
    RunState,
    Stepflow,
)
from stepflow.errors import MailboxFull, NotResumable, RunNotFound, SignalRefused
from stepflow.store.values.codec import pack
from tests.conftest import Working
from tests.support import until


@dataclass
class Topic:
    text: str


@dataclass
class Report:
    words: int


async def count(topic: Topic) -> Report:
    return Report(len(topic.text.split()))


def upper(text: str) -> str:
    return text.upper()


async def state_of(client: AsyncClient, run_id: str) -> RunState:
    run = await client.status(run_id)
    assert run is not None
    return run.state


async def test_values_come_typed_by_the_function_and_plain_functions_run_in_threads(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F1] [F7]"""

    @app.workflow("report")
    async def report(ctx: Context, topic: Topic) -> str:
        found = await ctx.step(count, topic)
        return f"{found.words} {await ctx.step('upper', upper, topic.text)}"

    async with working(app):
        run = await aclient.submit("report", Topic("two words"))
        assert await run.result(60) == "2 TWO WORDS"


async def test_a_parked_run_is_held_by_nobody_and_goes_on_at_its_time(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F9]"""

    @app.workflow("nap")
    async def nap(ctx: Context) -> str:
        await ctx.sleep(1.0)
        return "awake"

    async with working(app) as worker:
        run = await aclient.submit("nap")
        await until(lambda: state_of(aclient, run.id))
        assert worker.worker_state is not None
        await until(lambda: real.hget(f"stepflow:run:{run.id}", "state") == b"waiting")
        await until(lambda: worker.worker_state is not None and not worker.worker_state.runs)
        assert real.zcard("stepflow:claims") == 0
        assert not list(real.scan_iter("rq:job:*"))
        status = await run.status()
        assert status is not None
        assert "sleep" in (status.waits_for or "")
        assert await run.result(60) == "awake"


async def test_a_signal_wakes_a_parked_run_and_the_same_one_again_changes_nothing(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F10]"""

    @app.workflow("review")
    async def review(ctx: Context) -> Any:
        return [
            await ctx.wait_for_signal("review"),
            await ctx.wait_for_signal("review", timeout=0.05),
        ]

    async with working(app):
        run = await aclient.submit("review")
        await until(lambda: _is(aclient, run.id, RunState.WAITING))
        assert await aclient.signal(run.id, "review", {"ok": True}, dedup="click-1") == "delivered"
        assert await aclient.signal(run.id, "review", {"ok": True}, dedup="click-1") == "delivered"
        assert await run.result(60) == [{"ok": True}, None]
        with pytest.raises(SignalRefused):
            await aclient.signal(run.id, "review")
        with pytest.raises(RunNotFound):
            await aclient.signal("unknown", "review")


async def _is(client: AsyncClient, run_id: str, state: RunState) -> bool:
    return await state_of(client, run_id) is state


async def test_a_signal_reaches_a_run_that_is_busy_with_something_else(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F9] [F10] A signal is served in place while a step of the run still runs."""
    said, started = asyncio.Event(), asyncio.Event()

    async def busy() -> str:
        started.set()
        await said.wait()
        return "done"

    async def heard() -> None:
        said.set()

    @app.workflow("both")
    async def both(ctx: Context) -> Any:
        async def listen() -> Any:
            word = await ctx.wait_for_signal("word")
            await ctx.step("heard", heard)
            return word

        async with asyncio.TaskGroup() as group:
            work, word = group.create_task(_step(ctx, busy)), group.create_task(listen())
        return [work.result(), word.result()]

    async with working(app):
        run = await aclient.submit("both")
        await started.wait()
        await aclient.signal(run.id, "word", "now")
        assert await run.result(60) == ["done", "now"]


async def _step(ctx: Context, function: Any) -> Any:
    return await ctx.step("busy", function)


async def test_a_mailbox_is_bounded(
    app: Stepflow, aclient: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[F10]"""
    monkeypatch.setattr("stepflow.store.journal.MAILBOX", 2)
    run = await aclient.submit("anything")
    assert [await aclient.signal(run.id, "s", n) for n in range(2)] == ["buffered", "buffered"]
    with pytest.raises(MailboxFull):
        await aclient.signal(run.id, "s", 3)
    await run.cancel()


async def test_changed_code_pauses_after_one_attempt_and_the_old_code_resumes(
    url: str, settings: Any, aclient: AsyncClient, working: Working
) -> None:
    """[F5]"""
    old, new = Stepflow(url, settings=settings), Stepflow(url, settings=settings)

    @old.workflow("w")
    async def before(ctx: Context) -> str:
        await ctx.step("upper", upper, "a")
        return str(await ctx.wait_for_signal("go"))

    @new.workflow("w")
    async def after(ctx: Context) -> str:
        await ctx.step("other", upper, "a")
        return str(await ctx.wait_for_signal("go"))

    async with working(old):
        run = await aclient.submit("w")
        await until(lambda: _is(aclient, run.id, RunState.WAITING))
    async with working(new):
        await aclient.signal(run.id, "go", "on")
        await until(lambda: _is(aclient, run.id, RunState.PAUSED))
        status = await run.status()
        assert status is not None
        assert (
            status.reason == "code changed: at place 0 remembered value 'upper', now step 'other'"
        )
        assert status.attempt == 1
    async with working(old):
        await aclient.resume(run.id)
        assert await run.result(60) == "on"
        with pytest.raises(NotResumable):
            await aclient.resume(run.id)


async def test_a_paused_and_a_parked_run_are_cancelled_inside_the_call(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[C25] [F9]"""

    @app.workflow("wait")
    async def wait(ctx: Context) -> None:
        await ctx.wait_for_signal("never")

    async with working(app):
        run = await aclient.submit("wait")
        await until(lambda: _is(aclient, run.id, RunState.WAITING))
        assert await run.cancel("enough")
        assert await state_of(aclient, run.id) is RunState.CANCELLED


async def test_cancelling_a_running_workflow_reaches_its_next_await(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F16] A step in a `finally` block still works."""
    started, cleaned = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        started.set()
        await asyncio.sleep(60)

    async def clean() -> None:
        cleaned.set()

    @app.workflow("long")
    async def workflow(ctx: Context) -> None:
        try:
            await ctx.step("long", long)
        finally:
            await ctx.step("clean", clean)

    async with working(app):
        run = await aclient.submit("long")
        await started.wait()
        assert await run.cancel("stop")
        assert (await run.wait(60)).state is RunState.CANCELLED
        assert cleaned.is_set()


async def test_retry_forgets_the_failure_that_ended_the_run_and_keeps_its_values(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F3]"""
    done: list[str] = []
    is_mended = False

    async def first() -> str:
        done.append("first")
        return "kept"

    async def second() -> str:
        if not is_mended:
            raise PermanentError("broken")
        return "mended"

    @app.workflow("w", retry=RetryPolicy(2, initial=0.01))
    async def workflow(ctx: Context) -> list[str]:
        return [await ctx.step(first), await ctx.step(second)]

    async with working(app):
        run = await aclient.submit("w")
        with pytest.raises(RunFailed, match="step 'second' failed"):
            await run.result(60)
        is_mended = True
        await aclient.retry(run.id)
        assert await run.result(60) == ["kept", "mended"]
        assert done == ["first"]


async def test_retry_after_a_deadline_takes_the_workflow_up_where_it_was_told_to_stop(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F3] [F16] The stop, and the steps of its `finally` block, are forgotten with it."""
    done: list[str] = []

    @app.workflow("w")
    async def workflow(ctx: Context) -> str:
        try:
            done.append(await ctx.step("first", str, "first"))
            return str(await ctx.wait_for_signal("go"))
        finally:
            done.append(await ctx.step("tidy", str, "tidy"))

    async with working(app):
        run = await aclient.submit("w", timeout=0.5)
        assert (await run.wait(60)).reason == "deadline"
        await aclient.retry(run.id)
        await aclient.signal(run.id, "go", "on")
        assert await run.result(60) == "on"
        assert done.count("tidy") == 2


async def test_ten_steps_cost_ten_journal_writes_a_claim_and_an_end(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F1] One round trip a step that succeeds at first."""

    @app.workflow("ten")
    async def ten(ctx: Context) -> int:
        for n in range(10):
            await ctx.step("upper", upper, str(n))
        return 10

    async with working(app) as worker:
        assert worker.worker_state is not None
        sent: list[str] = []
        send = worker.worker_state.connection.send
        worker.worker_state.connection.send = lambda call: (sent.append(call.name), send(call))[1]  # type: ignore[method-assign]
        run = await aclient.submit("ten")
        assert await run.result(60) == 10
        assert [name for name in sent if name != "scan_maintenance"].count("add_entry") == 10
        assert sent.count("finish_run") == 1
        assert "load_journal" not in sent
        assert "LRANGE" not in sent


async def test_a_signal_whose_message_was_lost_reaches_a_running_activation_at_the_next_renewal(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """
    [F9] What is put into its mailbox here is told to nobody; another step keeps the activation from
    parking.
    """
    busy, heard, tries = asyncio.Event(), asyncio.Event(), []

    async def long() -> None:
        tries.append("long")
        busy.set()
        await asyncio.wait_for(heard.wait(), 10)

    @app.workflow("w")
    async def workflow(ctx: Context) -> Any:
        async def listen() -> Any:
            said = await ctx.wait_for_signal("go")
            heard.set()
            return said

        return (await asyncio.gather(ctx.step("long", long), listen()))[1]

    async with working(app):
        run = await aclient.submit("w")
        await busy.wait()
        with real.pipeline() as pipe:
            pipe.rpush(f"stepflow:run:{run.id}:mail", b"go|" + pack("said"))
            pipe.hincrby(f"stepflow:run:{run.id}", "inbox", 1)
            pipe.execute()
        assert await run.result(60) == "said"
        assert tries == ["long"]
