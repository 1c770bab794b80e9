"""Events derived from a run's records: late, live, cut and resumed."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from stepflow import (
    AsyncClient,
    Client,
    Context,
    Continue,
    Event,
    PermanentError,
    RetryPolicy,
    Step,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.core import events as core_events
from stepflow.core.journal import Entry
from stepflow.errors import InvalidOption, RunNotFound
from stepflow.store.keys import Keys
from tests.conftest import Working
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)


async def read(client: AsyncClient, run_id: str, **options: Any) -> list[Event]:
    """Read the events of a run up to its end."""
    async with asyncio.timeout(60):
        return [event async for event in client.events(run_id, **options)]


async def one_by_one(client: AsyncClient, run_id: str) -> list[Event]:
    """Read as one whose connection is cut after every event."""
    found: list[Event] = []
    while True:
        after = found[-1].id if found else None
        following = client.events(run_id, after=after, live=False)
        event = await anext(following, None)
        if event is None:
            return found
        found.append(event)


def brief(events: list[Event], *names: str) -> list[Any]:
    """Show events in short: the type, and the details of these names."""
    return [
        (str(event.type), *(event.details[name] for name in names if name in event.details))
        for event in events
    ]


async def same_for_all(client: AsyncClient, run_id: str, live: list[Event]) -> None:
    """A late reader, and one that is cut after each event, are told what the live one was."""
    expected = [replace(each, id="") for each in live]
    assert [replace(each, id="") for each in await read(client, run_id)] == expected
    assert [replace(each, id="") for each in await one_by_one(client, run_id)] == expected


async def test_the_events_of_a_runner_are_its_attempts_in_order(
    app: Stepflow, aclient: AsyncClient, client: Client, working: Working
) -> None:
    """[E1] [E2]"""

    @app.runner("chain", retry=QUICK)
    async def chain(step: Step[Any]) -> Any:
        if step.number == 1 and step.attempt < 3:
            raise TransientError("not yet")
        return Continue(None) if step.number < 2 else Succeed()

    async with working(app):
        run = await aclient.submit("chain")
        live = await read(aclient, run.id)
    assert brief(live, "step", "attempt", "outcome", "state") == [
        ("submitted",), ("started",), ("step.closed", 0, 1, "continue"),
        ("attempt.failed", 1, 1), ("attempt.failed", 1, 2), ("step.closed", 1, 3, "continue"),
        ("step.closed", 2, 1, "succeed"), ("ended", "succeeded"),
    ]  # fmt: skip
    assert live[3].details["error"] == "TransientError: not yet"
    assert {(event.run, event.runner) for event in live} == {(run.id, "chain")}
    await same_for_all(aclient, run.id, live)
    assert [event.as_dict() for event in await asyncio.to_thread(
        lambda: list(client.events(run.id))
    )] == [event.as_dict() for event in live]  # fmt: skip
    json.dumps([event.as_dict() for event in live])


async def test_the_events_of_a_workflow_are_what_it_asked_for(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E1] [E2] Eight branches, a retry, waits, a child, a map."""
    tries: list[int] = []

    async def add(number: int) -> int:
        await asyncio.sleep(0.001 * number)
        return number

    async def flaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise TransientError("once more")

    async def fails() -> None:
        raise PermanentError("no")

    @app.workflow("child")
    async def child(ctx: Context, number: int = 0) -> int:
        return number

    @app.workflow("flow", retry=QUICK)
    async def flow(ctx: Context) -> None:
        await asyncio.gather(*(ctx.step(f"add-{n}", add, n) for n in range(8)))
        await ctx.step("flaky", flaky)
        await ctx.sleep(0.01)
        await ctx.wait_for_signal("go", timeout=60)
        await (await ctx.spawn("child", 1)).result()
        await ctx.map("child", [2, 3])
        ctx.patched("new")
        await ctx.emit("said")
        await ctx.step("fails", fails)

    async with working(app):
        run = await aclient.submit("flow")
        await aclient.signal(run.id, "go")
        live = await read(aclient, run.id)
    found = brief(live, "step", "name", "workflow", "state")
    assert found[:2] == [("submitted",), ("started",)]
    assert sorted(found[2:10]) == [("step.done", f"add-{n}") for n in range(8)]
    assert found[10:] == [
        ("attempt.failed", "flaky"), ("step.done", "flaky"), ("waiting", "sleep"), ("slept",),
        ("waiting", "go"), ("signal.taken", "go"), ("child.begun", "child"), ("child.ended",),
        ("map.begun", "child"), ("map.settled",), ("patched", "new"), ("step.failed", "fails"),
        ("ended", "failed"),
    ]  # fmt: skip
    await same_for_all(aclient, run.id, live)


@pytest.mark.parametrize("kind", ["runner", "workflow"])
async def test_a_retried_run_goes_on_where_its_end_was_told(
    app: Stepflow, aclient: AsyncClient, working: Working, kind: str
) -> None:
    """[E2] A retry takes entries out of the journal; none is told twice, none is missed."""
    lives = []

    def act() -> None:
        lives.append(1)
        if len(lives) < 4:
            raise TransientError("again")

    @app.runner("runner", retry=RetryPolicy(max_attempts=2, initial=0.001))
    async def runner(step: Step[Any]) -> Any:
        if step.number == 0:
            return Continue(None)
        act()
        return Succeed()

    @app.workflow("workflow", retry=RetryPolicy(max_attempts=2, initial=0.001))
    async def workflow(ctx: Context) -> None:
        await ctx.step("first", int)
        await ctx.step("acts", act)
        await ctx.step("last", int)

    async with working(app):
        run = await aclient.submit(kind)
        first = await read(aclient, run.id)
        await aclient.retry(run.id)
        rest = await read(aclient, run.id, after=first[-1].id)
    assert brief(first)[-3:] == [
        ("attempt.failed",),
        ("attempt.failed",) if kind == "runner" else ("step.failed",),
        ("ended",),
    ]
    expected = {
        "runner": [("retried",), ("attempt.failed",), ("step.closed",), ("ended",)],
        "workflow": [
            ("retried",), ("attempt.failed",), ("step.done",), ("step.done",), ("ended",),
        ],
    }  # fmt: skip
    assert brief(rest) == expected[kind]
    late = await read(aclient, run.id)
    if kind == "runner":
        assert brief(late) == brief([*first, *rest])
    assert brief(await one_by_one(aclient, run.id)) == brief(late)


async def test_a_new_history_begins_with_restarted_and_a_new_generation_with_its_submit(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E2]"""

    @app.workflow("again")
    async def again(ctx: Context, turn: int) -> Any:
        await ctx.step(f"turn-{turn}", int)
        return await ctx.continue_as_new(turn + 1) if turn < 2 else None

    async with working(app):
        run = await aclient.submit("again", 0, run_id="same")
        await run.wait(60)
        late = await read(aclient, "same")
        assert brief(late, "count", "step") == [
            ("submitted",), ("started",), ("restarted", 2), ("step.done", "turn-2"), ("ended",),
        ]  # fmt: skip
        assert brief(await one_by_one(aclient, "same")) == brief(late)
        await (await aclient.submit("again", 2, run_id="same", on_conflict="restart")).wait(60)
        assert brief(await read(aclient, "same", after=late[-1].id), "generation") == [
            ("submitted", 1), ("started",), ("step.done",), ("ended",),
        ]  # fmt: skip


async def test_a_lost_worker_and_a_stop_are_told(
    app: Stepflow, aclient: AsyncClient, working: Working, ghost, real
) -> None:
    """[E1]"""

    @app.runner("waits")
    async def waits(step: Step[Any]) -> Any:
        await step.cancel.wait()
        return Succeed()

    run = await aclient.submit("waits")
    ghost.claim("waits")
    async with working(app):
        ghost.die()
        await until(lambda: real.hlen(f"stepflow:run:{run.id}:steps") == 1)
        await until(lambda: real.hget(f"stepflow:run:{run.id}", "token") not in (b"", None))
        await aclient.cancel(run.id, "enough", by="me")
        live = await read(aclient, run.id)
    assert brief(live, "worker", "reason", "by", "state")[2:] == [
        ("attempt.lost", "ghost"), ("stop.asked", "enough", "me"),
        ("step.closed", live[-2].details["worker"]), ("ended", "cancelled"),
    ]  # fmt: skip
    await same_for_all(aclient, run.id, live)


async def test_many_steps_are_told_in_pages(
    app: Stepflow, aclient: AsyncClient, working: Working, monkeypatch
) -> None:
    """[E2] Of a long chain and a long journal none is missed and none told twice."""
    monkeypatch.setattr("stepflow.engine.events.derived.PAGE", 7)

    @app.runner("chain")
    async def chain(step: Step[Any]) -> Any:
        return Continue(None) if step.number < 30 else Succeed()

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        for n in range(30):
            await ctx.step(f"s{n}", int)

    async with working(app):
        runs = [await aclient.submit(name) for name in ("chain", "flow")]
        for run in runs:
            await run.wait(60)
    numbers = [event.details.get("step") for event in await read(aclient, runs[0].id)]
    assert numbers == [None, None, *range(31), None]
    names = [event.details.get("step") for event in await read(aclient, runs[1].id)]
    assert names == [None, None, *(f"s{n}" for n in range(30)), None]
    await same_for_all(aclient, runs[1].id, await read(aclient, runs[1].id))


async def test_damaged_records_end_no_reader(
    app: Stepflow, aclient: AsyncClient, working: Working, real
) -> None:
    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        await ctx.step("one", int)

    async with working(app):
        run = await aclient.submit("flow")
        await run.wait(60)
    real.rpush(f"stepflow:run:{run.id}:journal", "nonsense", "value|x|y|not a time|")
    real.hset(f"stepflow:run:{run.id}:steps", "0.x", "nonsense")
    assert brief(await read(aclient, run.id))[-2:] == [("step.done",), ("ended",)]


def test_places_and_runs_that_are_none_are_refused(client: Client) -> None:
    for wrong in ("x", "W10", "bm8", "WzEsMl0" * 3):
        with pytest.raises(InvalidOption, match="place among the events"):
            client.events("any", after=wrong)
    with pytest.raises(RunNotFound):
        list(client.events("nobody"))


def test_the_table_has_every_event_once() -> None:
    """[E1]"""
    table = (core_events.__doc__ or "").split("------\n", 1)[1]
    names = re.findall(r"^    (\S+) +\S", table, re.MULTILINE)
    assert names == [str(kind) for kind in core_events.EventType]


async def test_a_beginning_of_a_history_that_cannot_be_read_tells_nothing(
    app: Stepflow, aclient: AsyncClient, working: Working, real: Any
) -> None:
    @app.workflow("again")
    async def again(ctx: Context, count: int) -> Any:
        await ctx.step(str, "a")
        return "done" if count else await ctx.continue_as_new(1)

    async with working(app):
        run = await aclient.submit("again", 0)
        await run.wait(10)
    assert "restarted" in [str(event.type) for event in await read(aclient, run.id)]
    journal = f"{Keys().run(run.id)}:journal"
    entry = Entry.read(real.lindex(journal, 0))
    real.lset(journal, 0, replace(entry, name="one").write())
    assert [str(event.type) for event in await read(aclient, run.id)][-1] == "ended"
