"""No observer can hurt a run, or hold up whoever tells it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import weakref
from typing import Any

import pytest

from stepflow import (
    Context,
    Continue,
    JsonlObserver,
    LogObserver,
    ObservedRun,
    ObservedStep,
    Observer,
    RetryPolicy,
    Step,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.client import Client
from stepflow.engine.observing import line
from stepflow.errors import InvalidOption
from tests.conftest import Working
from tests.support import loaded, until


def chain(app: Stepflow, steps: int) -> None:
    """Have the app run so many steps."""

    @app.runner("chain")
    async def run(step: Step[Any]) -> Any:
        return Continue(None) if step.number + 1 < steps else Succeed(step.number)


async def test_a_slow_observer_holds_up_no_run_and_is_told_in_order(
    app: Stepflow, client: Client, working: Working
) -> None:
    """[K15] Its thread waits, and the loop does not; `async def` is awaited on the loop."""
    gate, told, loops = threading.Event(), [], []

    class Slow:
        def on_step_done(self, step: ObservedStep) -> None:
            gate.wait(60)
            told.append(step.place)

        async def on_ended(self, run: ObservedRun) -> None:
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())
            told.append(str(run.state))

    app.observe(Slow())
    chain(app, 20)
    async with working(app):
        run = client.submit("chain")
        assert await asyncio.to_thread(run.result, 15) == 19
        assert told == []
        gate.set()
        await until(lambda: len(told) == 21)
    assert told == [*map(str, range(20)), "succeeded"]
    assert loops == [asyncio.get_running_loop()]


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("is_async", [False, True])
async def test_one_that_raises_is_logged_and_dropped_after_ten_times(
    app: Stepflow, client: Client, working: Working, caplog, error: BaseException, is_async: bool
) -> None:
    """[K15] And the others are told on."""
    calls, others = [], []

    class Broken:
        def on_step_done(self, step: ObservedStep) -> None:
            calls.append(step.place)
            raise error

    class BrokenLater:
        async def on_step_done(self, step: ObservedStep) -> None:
            calls.append(step.place)
            raise error

    class Fine:
        def on_step_done(self, step: ObservedStep) -> None:
            others.append(step.place)

    app.observe(BrokenLater() if is_async else Broken())
    app.observe(Fine())
    chain(app, 15)
    async with working(app):
        run = client.submit("chain")
        assert await asyncio.to_thread(run.result, 15) == 14
        await until(lambda: len(others) == 15)
        await until(lambda: "told nothing more" in caplog.text)
    assert len(calls) == 10
    assert caplog.text.count("raised in on_step_done") == 10


async def test_one_that_is_dropped_keeps_no_fact_in_memory() -> None:
    """[K15] Up to 10,000 waited for it as long as the process ran."""
    gate = threading.Event()

    class Fact:
        run_id = "r"

    class Broken:
        def on_step_done(self, step: Any) -> None:
            gate.wait(60)
            raise ValueError

    broken = Broken()
    told = line.Line(broken)
    for _ in range(30):
        fact = Fact()
        told.put(broken.on_step_done, fact, None)
    last = weakref.ref(fact)
    del fact
    gate.set()
    await until(lambda: last() is None, 5)
    assert told.is_dropped


async def test_what_waits_for_a_stuck_observer_is_bounded(
    app: Stepflow, client: Client, working: Working, caplog, monkeypatch
) -> None:
    """[K15]"""
    monkeypatch.setattr(line, "MOST_WAITING", 5)
    monkeypatch.setattr("stepflow.engine.observing.observers.LAST_WORDS_S", 0.01)
    gate, told = threading.Event(), []

    class Stuck:
        def on_step_done(self, step: ObservedStep) -> None:
            told.append(step.place)
            gate.wait(60)

    app.observe(Stuck())
    chain(app, 30)
    async with working(app):
        run = client.submit("chain")
        assert await asyncio.to_thread(run.result, 15) == 29
    gate.set()
    assert "observer Stuck is too slow: 5 facts wait for it" in caplog.text
    await until(lambda: len(told) == 6)


async def test_a_worker_that_leaves_waits_a_moment_for_its_observers(
    app: Stepflow, client: Client, working: Working
) -> None:
    """[K15] What it has done is told when it has gone."""
    told = []

    class Ends:
        async def on_ended(self, run: ObservedRun) -> None:
            await asyncio.sleep(0.05)
            told.append(run.run_id)

    app.observe(Ends())
    chain(app, 1)
    client.submit("chain", run_id="a")
    async with working(app, burst=True):
        await until(lambda: client.status("a").is_finished)
    assert told == ["a"]


def test_a_blocking_client_tells_too_also_an_async_observer(app: Stepflow, client: Client) -> None:
    """[K15] Without a loop at hand there is one in the observer's thread."""
    told, gate = [], threading.Event()

    class Submits:
        async def on_run_submitted(self, run: ObservedRun) -> None:
            await asyncio.sleep(0)
            told.append((run.run_id, run.payload))
            gate.set()

    app.observe(Submits())
    client.submit("chain", {"n": 1}, run_id="a")
    assert gate.wait(60)
    assert told == [("a", {"n": 1})]
    client.cancel("a")


@pytest.mark.parametrize(
    ("observer", "words"),
    [
        (object(), "has none of the methods of an observer"),
        (LogObserver, "takes an object, not a class; write app.observe(LogObserver())"),
        (type("Typo", (), {"on_step_finished": lambda *_: None})(), "which nothing calls"),
        (type("Typo", (), {"on_step_don": lambda *_: None})(), "did you mean on_step_done?"),
        (type("Nothing", (Observer,), {})(), "has none of the methods"),
    ],
)
def test_what_is_no_observer_is_refused(observer: Any, words: str) -> None:
    """[K15]"""
    with pytest.raises(InvalidOption, match=re.escape(words)):
        Stepflow("redis://unused").observe(observer)


async def test_the_jsonl_observer_writes_a_line_a_step(
    app: Stepflow, client: Client, working: Working, tmp_path
) -> None:
    """[K15] Input, output, timings, and whether it came from memory."""
    path = tmp_path / "logs" / "steps.jsonl"
    app.observe(JsonlObserver(path))
    failing = iter([TransientError("once")])

    def add(one: int, *, other: Any) -> Any:
        for error in failing:
            raise error
        return {"sum": one, "odd": float("nan"), "of": (1, {2})}

    @app.workflow
    async def flow(ctx: Context) -> None:
        await ctx.step(add, 1, other=object, retry=RetryPolicy(initial=0.001))
        await ctx.wait_for_signal("go")

    async with working(app):
        client.submit(flow, run_id="a")
        client.signal("a", "go")
        await until(lambda: client.status("a").is_finished)
    lines = [json.loads(each) for each in path.read_text().splitlines()]
    assert [each["what"] for each in lines if each["what"] != "replayed_step"] == [
        "retry", "step_done", "ended",
    ]  # fmt: skip
    done = next(each for each in lines if each["what"] == "step_done")
    assert done["args"] == [1]
    assert "object" in done["kwargs"]["other"]
    assert done["value"]["sum"] == 1
    assert done["value"]["odd"] == "nan"
    assert done["from_memory"] is False
    assert isinstance(done["took_s"], float)
    assert path.stat().st_mode & 0o077 == 0


async def test_the_log_observer_logs_no_values(
    app: Stepflow, client: Client, working: Working, caplog
) -> None:
    """[K15]"""
    caplog.set_level(logging.DEBUG, logger="mine")
    app.observe(LogObserver(logging.getLogger("mine")))
    chain(app, 2)
    async with working(app):
        client.submit("chain", "a secret", run_id="a")
        await until(lambda: "run=a of runner 'chain' succeeded" in caplog.text)
    mine = "\n".join(record.getMessage() for record in caplog.records if record.name == "mine")
    assert "run=a step 'chain' done" in mine
    assert "a secret" not in mine


async def test_observers_send_no_command(
    app: Stepflow, client: Client, working: Working, real
) -> None:
    """[K15] A worker with observers says to the server what one without says."""

    class All:
        def on_step_done(self, step: ObservedStep) -> None: ...
        def on_ended(self, run: ObservedRun) -> None: ...
        def on_run_submitted(self, run: ObservedRun) -> None: ...

    chain(app, 3)
    said = []
    for number in range(2):
        with real.monitor() as monitor:
            async with working(app, burst=True):
                run = client.submit("chain", run_id=f"r{number}")
                await asyncio.to_thread(run.result, 15)
            real.set("last", 1)
            names = []
            for command in monitor.listen():
                said_so = command["command"]
                # whether the client subscribes depends on how soon the run ends
                is_client = "SUBSCRIBE" in said_so
                if command["client_type"] != "lua" and f"r{number}" in said_so and not is_client:
                    names.append(" ".join(said_so.split()[:2]).replace(f"r{number}", "r"))
                if command["command"] == "SET last 1":
                    break
        said.append(sorted(set(names)))
        app.observe(All())
    real.delete("last")
    assert said[0] == said[1]
    assert len(said[0]) > 2


@pytest.mark.crash
def test_nobody_without_observers_loads_them() -> None:
    """[K15] Neither workers nor clients."""
    assert [name for name in loaded() if "observing" in name] == []
