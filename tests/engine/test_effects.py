"""
Effects and crashes as a step sees them: no effect after the step has returned, and how often it was
lost.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from stepflow import AsyncClient, RetryPolicy, Step, Stepflow, Succeed
from stepflow.errors import InvalidOption, StepOver
from stepflow.testing import Harness
from tests.conftest import Working
from tests.support import until


@pytest.mark.parametrize("first", [True, False], ids=["known before", "asked for after"])
async def test_an_effect_after_the_step_has_returned_raises(
    app: Stepflow, aclient: AsyncClient, working: Working, first
):
    """[B30] Was: it was dropped without a word."""
    kept: list[Step[Any]] = []

    @app.runner("leaves")
    async def leaves(step: Step[Any]) -> Any:
        kept.append(step)
        if first:
            step.effects.put("in", 1)
        return Succeed()

    async with working(app):
        run = await aclient.submit("leaves")
        await run.wait(60)
    for late in (lambda: kept[0].effects.put("late", 1), lambda: kept[0].effects.delete("late")):
        with pytest.raises(StepOver, match="effect 'late' comes too late: its step has returned"):
            late()
    assert await aclient.kv(run.id, "in") == (1 if first else None)


@pytest.mark.parametrize("ends", ["raises", "is cut off"])
async def test_so_it_does_after_an_attempt_that_raised_or_a_thread_that_was_left(
    app, aclient, working, ends
):
    """[B30]"""
    go_on, late = threading.Event(), []

    @app.runner("ends", retry=RetryPolicy(max_attempts=1), step_timeout=0.05)
    def ends_(step: Step[Any]) -> Any:
        def write() -> None:
            go_on.wait(60)
            try:
                step.effects.put("late", 1)
            except StepOver as error:
                late.append(error)

        if ends == "raises":
            threading.Thread(target=write).start()
            raise ValueError
        write()

    async with working(app):
        status = await (await aclient.submit("ends")).wait(60)
        assert status.state == "failed"
        go_on.set()
        await until(lambda: late)


@pytest.mark.parametrize("key", ["", "x" * 201, "\ud800", 5, None])
async def test_keys_of_effects_and_memos_are_text_of_a_bounded_length(key: Any) -> None:
    """[B16] [B17]"""
    step: Step[Any] = Step("a", 0, None)
    for write in (
        lambda: step.effects.put(key, 1), lambda: step.effects.delete(key),
        lambda: step.memo.put(key, 1), lambda: step.memo.get(key),
    ):  # fmt: skip
        with pytest.raises(
            InvalidOption, match=r"the key of (an effect|a memo) is .*; use 1 to 200 characters"
        ):
            write()


async def test_a_step_knows_how_often_it_was_lost_with_its_worker(app: Stepflow) -> None:
    """[B30]"""
    seen: list[tuple[int, int]] = []

    @app.runner("poison")
    async def poison(step: Step[Any]) -> Any:
        seen.append((step.crashes, step.attempt))
        if step.crashes < 2:
            harness._worker.connection.is_cut = True
            await asyncio.Event().wait()
        return Succeed(step.crashes)

    async with Harness(app) as harness:
        run = await harness.submit("poison")
        await harness.advance(10)
        assert await harness.result(run) == 2
    assert seen == [(0, 1), (1, 1), (2, 1)]
