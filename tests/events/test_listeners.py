"""Listeners: what a worker tells of what it has committed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from stepflow import (
    AsyncClient,
    Context,
    Continue,
    Event,
    EventType,
    RetryPolicy,
    Step,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.errors import InvalidOption
from stepflow.testing import Harness
from tests.conftest import Working
from tests.support import loaded, until

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)


def listen(app: Stepflow, *types: str) -> list[Event]:
    """Have an app listen to these types, all of them without one; gives what it is told."""
    told: list[Event] = []
    app.on(*(types or tuple(EventType)))(told.append)
    return told


async def test_listeners_are_told_what_their_worker_commits(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E5] The same facts as a reader of the run is told, but for what clients cause."""
    told = listen(app)

    @app.runner("chain", retry=QUICK)
    async def chain(step: Step[Any]) -> Any:
        if step.attempt == 1:
            raise TransientError("not yet")
        return Continue(None) if step.number == 0 else Succeed()

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        await ctx.step("one", int)
        await ctx.sleep(0.01)
        await ctx.wait_for_signal("go", timeout=60)

    async with working(app):
        run, other = await aclient.submit("chain"), await aclient.submit("flow")
        await aclient.signal(other.id, "go")
        events = [event async for event in aclient.events(run.id)]
        others = [event async for event in aclient.events(other.id)]
        await until(lambda: [event.type for event in told].count(EventType.ENDED) == 2)
    for run_id, read in ((run.id, events), (other.id, others)):
        heard = [event for event in told if event.run == run_id]
        assert [event.type for event in heard] == [
            event.type for event in read if event.type not in ("submitted", "started")
        ]
        for one, same in zip(heard, read[2:], strict=True):
            assert one.details.get("step") == same.details.get("step")
            assert one.id == ""


async def test_nobody_waits_for_a_listener_and_one_that_raises_is_dropped(
    app: Stepflow, aclient: AsyncClient, working: Working, caplog
) -> None:
    """[E5]"""
    calls, hangs = [], asyncio.Event()

    @app.on("step.closed")
    def broken(event: Event) -> None:
        calls.append(event.details["step"])
        raise ValueError("my own mistake")

    @app.on(EventType.STEP_CLOSED)
    async def slow(event: Event) -> None:
        await hangs.wait()

    @app.runner("chain")
    async def chain(step: Step[Any]) -> Any:
        return Continue(None) if step.number < 15 else Succeed("done")

    with caplog.at_level(logging.ERROR, "stepflow.worker"):
        async with working(app):
            assert await (await aclient.submit("chain")).result(60) == "done"
            await until(lambda: "it is told nothing more" in caplog.text)
        hangs.set()
        await asyncio.sleep(0)
    assert calls == list(range(10))
    assert caplog.text.count("my own mistake") >= 10


async def test_a_harness_tells_listeners_as_well() -> None:
    app = Stepflow()
    told = listen(app, "ended")

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        await ctx.step("one", int)

    async with Harness(app) as h:
        await h.submit("flow")
    assert [event.details["state"] for event in told] == ["succeeded"]


def test_a_type_that_there_is_not_is_refused() -> None:
    app = Stepflow()
    with pytest.raises(InvalidOption, match=r"'step.dine' is not a type of event; the types"):
        app.on("step.dine")
    with pytest.raises(InvalidOption, match="needs the type"):
        app.on()


@pytest.mark.crash
def test_a_worker_without_listeners_loads_nothing_of_them() -> None:
    """[E3] And neither what derives events."""
    assert [name for name in loaded() if "listeners" in name] == []
