"""What observers are told of runs, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import (
    Context,
    Continue,
    Fail,
    PermanentError,
    RetryPolicy,
    RunState,
    Step,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.engine.observing.observers import tell
from stepflow.testing import Harness, RecordingObserver

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://unused")


@pytest.fixture
def seen(app: Stepflow) -> RecordingObserver:
    return app.observe(RecordingObserver())


async def test_a_workflows_steps_are_told_with_what_they_got_and_gave(app, seen) -> None:
    """[K15] Started, done, replayed from memory after a wait, ended."""

    def double(number: int, *, plus: int = 0) -> int:
        return number * 2 + plus

    @app.workflow
    async def flow(ctx: Context, number: int) -> int:
        first = await ctx.step(double, number, plus=1)
        await ctx.sleep(3600)
        return await ctx.step("again", double, first)

    async with Harness(app) as h:
        run = await h.submit(flow, 20, run_id="a")
        await h.settle()
        assert seen.names == [
            "on_run_submitted", "on_step_started", "on_step_done", "on_waiting",
        ]  # fmt: skip
        await h.advance(3600)
        assert await run.result() == 82
    assert seen.names[4:] == [
        "on_resumed", "on_replayed_step", "on_step_started", "on_step_done", "on_ended",
    ]  # fmt: skip
    submitted, ended = seen.of("on_run_submitted")[0], seen.of("on_ended")[0]
    assert (submitted.run_id, submitted.payload, submitted.worker) == ("a", 20, "")
    assert (ended.run_id, ended.state, ended.result) == ("a", RunState.SUCCEEDED, 82)
    [waits] = seen.of("on_waiting")
    assert "sleep" in waits.waits_for
    assert waits.until is not None
    started, done, replayed = (
        seen.of(name)[0] for name in ("on_step_started", "on_step_done", "on_replayed_step")
    )
    for fact in (started, done, replayed):
        assert (fact.name, fact.place, list(fact.args)) == ("double", "0", [20])
        assert fact.kwargs == {"plus": 1}
        assert fact.runner == "flow"
    assert (started.value, done.value, replayed.value) == (None, 41, 41)
    assert (done.from_memory, replayed.from_memory) == (False, True)
    assert done.took_s is not None
    assert ended.worker


async def test_failures_and_retries_are_told_of_steps(app, seen) -> None:
    """[K15]"""
    attempts = iter([TransientError("busy"), PermanentError("no")])

    def charge() -> None:
        raise next(attempts)

    @app.workflow
    async def flow(ctx: Context) -> None:
        await ctx.step(charge, retry=QUICK)

    async with Harness(app) as h:
        await h.submit(flow)
        await h.advance(60)
    [retry], [failed], [ended] = (
        seen.of(name) for name in ("on_retry", "on_step_failed", "on_ended")
    )
    assert (retry.attempt, retry.error.brief()) == (1, "TransientError: busy")
    assert retry.next_at is not None
    assert (failed.attempt, failed.error.type, failed.error.message) == (2, "PermanentError", "no")
    assert ended.state is RunState.FAILED
    assert [fact.attempt for fact in seen.of("on_step_started")] == [1, 2]


async def test_a_runners_steps_are_told(app, seen) -> None:
    """[K15] With a checkpoint for each step after which the run goes on."""

    @app.runner("chain", retry=QUICK)
    async def chain(step: Step[Any]) -> Any:
        if step.number == 1 and step.attempt == 1:
            raise TransientError("not yet")
        return Continue({"n": 1}) if step.number == 0 else Fail("enough")

    async with Harness(app) as h:
        await h.submit("chain", {"n": 0})
        await h.advance(60)
    assert seen.names == [
        "on_run_submitted", "on_step_started", "on_step_done", "on_checkpoint", "on_step_started",
        "on_retry", "on_resumed", "on_step_started", "on_step_failed", "on_ended",
    ]  # fmt: skip
    assert seen.of("on_step_done")[0].value == {"n": 1}
    assert [fact.place for fact in seen.of("on_step_started")] == ["0", "1", "1"]
    assert seen.of("on_step_failed")[0].error.message == "enough"
    assert seen.of("on_checkpoint")[0].step == 1


async def test_items_of_a_batch_and_keyed_steps_are_told(app, seen) -> None:
    """[K15] A keyed step that is asked for twice is done once, and then comes from memory."""

    @app.workflow
    async def flow(ctx: Context) -> int:
        await ctx.batch("half", lambda n: n // 2, [2, 4])
        await ctx.step("keyed", int, key="k")
        return await ctx.step("keyed", int, key="k")

    async with Harness(app) as h:
        assert await (await h.submit(flow)).result() == 0
    assert [(fact.name, fact.value) for fact in seen.of("on_step_done")] == [
        ("half[0]", 1), ("half[1]", 2), ("keyed", 0),
    ]  # fmt: skip
    [again] = seen.of("on_replayed_step")
    assert (again.name, again.value) == ("keyed", 0)


async def test_children_are_told_as_submitted_and_a_cancel_as_an_end(app, seen) -> None:
    """[K15] What stepflow calls on a workflow's behalf is no step of it."""

    @app.workflow
    async def child(ctx: Context) -> None:
        await ctx.wait_for_signal("never")

    @app.workflow
    async def parent(ctx: Context) -> None:
        begun = await ctx.spawn(child)
        await begun.result()

    async with Harness(app) as h:
        run = await h.submit(parent, run_id="p")
        await h.settle()
        begun = seen.of("on_run_submitted")[1]
        assert begun.runner == "child"
        assert begun.worker
        await h.cancel(run)
        await h.settle()
    assert seen.of("on_step_started") == []
    assert "p" in [fact.run_id for fact in seen.of("on_cancelled")]
    assert "p" in [fact.run_id for fact in seen.of("on_ended")]


async def test_what_a_step_does_by_the_way_is_told_with_its_run(app, seen) -> None:
    """[K15] From the loop and from threads; without observers nothing happens."""

    def plain() -> None:
        tell("on_tool_call", "search", query="x")

    async def on_loop() -> None:
        await asyncio.sleep(0)
        tell("on_llm_call", "model-1", tokens=3)

    @app.workflow
    async def flow(ctx: Context) -> None:
        await ctx.step(plain)
        await ctx.step(on_loop)

    tell("on_tool_call", "outside of all")
    async with Harness(app) as h:
        await (await h.submit(flow, run_id="r")).result()
    [tool], [llm] = seen.of("on_tool_call"), seen.of("on_llm_call")
    assert (tool.name, tool.run_id, tool.runner, dict(tool.details)) == (
        "search", "r", "flow", {"query": "x"},
    )  # fmt: skip
    assert (llm.name, dict(llm.details)) == ("model-1", {"tokens": 3})


async def test_submit_is_told_once_for_each_run_that_was_made(app, seen) -> None:
    """[K15] Not for one that was there."""

    @app.runner("r")
    async def runner(step: Step[Any]) -> Any:
        return Succeed()

    async with Harness(app) as h:
        await h.submit("r", 1, run_id="a")
        await h.submit("r", 1, run_id="a")
    assert [fact.run_id for fact in seen.of("on_run_submitted")] == ["a"]
