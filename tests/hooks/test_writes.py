"""Hooks that choose their ends, and write runs and values with their settlement."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import (
    AsyncClient,
    Cancel,
    Client,
    Context,
    Fail,
    HookContext,
    Limit,
    RunOutcome,
    Step,
    Stepflow,
    Succeed,
)
from stepflow.core.run import RunState
from stepflow.errors import InvalidOption, StepOver
from stepflow.testing import Harness, RecordingObserver
from tests.conftest import Working
from tests.support import dump, until

ENDS = {"ok": Succeed(1), "bad": Fail("no"), "off": Cancel("enough")}


@pytest.fixture
def told(app: Stepflow) -> list[Any]:
    """An app with two runners that end as their payload says; what its hooks note."""
    for name in ("etl", "mail"):

        @app.runner(name)
        async def end(step: Step[str]) -> Any:
            return ENDS[step.payload]

    return []


def soon(tries: int, spread: float, asked: float | None) -> float | None:
    """Have a hook called again at once, four times."""
    return 0.01 if tries < 4 else None


async def hooks_settled(client: Client, run_id: str) -> Any:
    def are() -> bool:
        states = {hook.state for hook in client.hooks(run_id)}
        return bool(states) and states <= {"delivered", "dead"}

    return await until(are)


async def test_a_hook_is_called_for_the_ends_and_runners_that_it_has_chosen(
    app: Stepflow, client: Client, working: Working, told
) -> None:
    """[K18] No delivery is written for others where a worker of the app ends the run."""
    app.on_terminal(events=["failed", "cancelled"], runner="etl")(told.append)
    async with working(app):
        for runner in ("etl", "mail"):
            for how in ENDS:
                client.submit(runner, how, run_id=f"{runner}-{how}")
        await until(lambda: len(client.list(state="succeeded").runs) == 2)
        await until(lambda: len(told) == 2)
        await until(lambda: client.status("mail-bad").is_finished)
        await hooks_settled(client, "etl-bad")
        assert client.hooks("etl-ok") == client.hooks("mail-bad") == []
    assert sorted(one.run_id for one in told) == ["etl-bad", "etl-off"]


async def test_an_end_by_somebody_else_is_looked_at_when_it_is_delivered(
    app: Stepflow, aclient: AsyncClient, client: Client, working: Working, told
) -> None:
    """[K18] A client without the app knows the runners of a hook, and not its ends."""

    @app.on_terminal(events="failed", runner=["etl"])
    def note(outcome: RunOutcome) -> None:
        told.append(outcome.run_id)

    async with working(app):
        for name in ("a", "b"):
            await aclient.submit("etl", "ok", run_id=name, delay=1000)
        await aclient.submit("mail", "ok", run_id="c", delay=1000)
        await aclient.cancel("a")
        await aclient.fail("b")
        await aclient.fail("c")
        await hooks_settled(client, "a")
        await hooks_settled(client, "b")
        assert client.hooks("c") == []
    assert told == ["b"]


async def test_what_a_hook_writes_is_there_when_it_is_settled(
    app: Stepflow, client: Client, working: Working, told, real
) -> None:
    """[K18] Runs with all their options, and values that live as long as their run."""

    @app.on_terminal(runner="etl")
    async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        told.append(ctx)
        ctx.kv.put("seen", {"status": outcome.status})
        first = ctx.submit(
            "mail", "ok", headers={"of": outcome.run_id}, tags={"kind": "next"}, queue="slow",
            priority=7, timeout=3600,
        )  # fmt: skip
        assert ctx.submit("mail", "bad", run_id="later", delay=3600) == "later"
        told.append(first)

    async with working(app):
        client.submit("etl", "ok", run_id="a")
        await hooks_settled(client, "a")
        [hook] = client.hooks("a")
        assert (hook.state, hook.tries) == ("delivered", 1)
    context, first = told
    assert (context.attempt, context.hook_id) == (1, "a-0-1-0")
    run = client.status(first)
    assert (run.runner, run.payload, run.queue, run.state) == (
        "mail", "ok", "slow", RunState.PENDING,
    )  # fmt: skip
    assert str(run.priority) == "7"
    assert run.headers == {"of": "a"}
    assert run.deadline_at is not None
    assert [each.id for each in client.list(tags={"kind": "next"}).runs] == [first]
    assert client.status("later").state is RunState.SCHEDULED
    assert client.kv("a", "seen") == {"status": "succeeded"}
    assert 0 < real.ttl("stepflow:run:a:kv") <= real.ttl("stepflow:run:a")
    with pytest.raises(StepOver):
        context.submit("mail")
    async with working(app, queues=["slow"]):
        await until(lambda: client.status(first).is_finished)
    client.cancel("later")


async def test_a_hook_that_raises_has_written_nothing(
    app: Stepflow, client: Client, working: Working, told
) -> None:
    """[K18] And what it writes at last is there once; a delivery again makes no second run."""

    @app.on_terminal(runner="etl")
    def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        told.append((ctx.submit("mail", "ok"), ctx.attempt, client.kv("a", "n")))
        ctx.kv.put("n", ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError("not yet")

    async with working(app, next_wait=soon):
        client.submit("etl", "ok", run_id="a")
        await hooks_settled(client, "a")
        [hook] = client.hooks("a")
        assert (hook.state, hook.tries) == ("delivered", 3)
        assert client.kv("a", "n") == 3
        assert [(tries, value) for _, tries, value in told] == [(1, None), (2, None), (3, None)]
        assert len({run_id for run_id, _, _ in told}) == 1
        client.redeliver(hook.id)
        await until(lambda: len(told) == 6 or client.hooks("a")[0].state == "delivered")
        await hooks_settled(client, "a")
        await until(lambda: len(client.list(runner="mail").runs) == 1)


async def test_a_run_id_that_is_taken_fails_the_delivery_and_nothing_is_written(
    app: Stepflow, client: Client, working: Working, told
) -> None:
    """[K18] With the same input it is the same run, and the rest is written."""
    client.submit("mail", "ok", run_id="same", delay=3600)
    client.submit("mail", "bad", run_id="other", delay=3600)

    @app.on_terminal(runner="etl")
    async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        ctx.kv.put("seen", 1)
        ctx.submit("mail", "ok", run_id=f"new-{outcome.run_id}", delay=3600)
        ctx.submit("mail", "ok", run_id="same", delay=3600)
        if outcome.result == 1 and outcome.run_id == "a":
            ctx.submit("mail", "ok", run_id="other")

    async with working(app, next_wait=soon):
        for name in ("a", "b"):
            client.submit("etl", "ok", run_id=name)
            await hooks_settled(client, name)
    [dead], [fine] = client.hooks("a"), client.hooks("b")
    assert (dead.state, dead.tries) == ("dead", 4)
    assert dead.problem.startswith("RunConflict: run 'other'")
    assert client.status("new-a") is client.kv("a", "seen") is None
    assert fine.state == "delivered"
    assert client.status("new-b").state is RunState.SCHEDULED
    assert client.kv("b", "seen") == 1
    for name in ("same", "other", "new-b"):
        client.cancel(name)


async def test_values_of_a_run_that_is_gone_are_dropped_and_its_runs_are_made(
    app: Stepflow, client: Client, working: Working, told, real, caplog
) -> None:
    """[K18]"""

    @app.on_terminal(runner="etl")
    async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        ctx.kv.put("seen", 1)
        ctx.submit("mail", "ok", run_id="next", delay=3600)
        real.delete("stepflow:run:a")

    async with working(app):
        client.submit("etl", "ok", run_id="a")
        await until(lambda: client.status("next") is not None)
    assert "are dropped, for run a is not kept any more" in caplog.text
    assert not real.exists("stepflow:run:a:kv")
    client.cancel("next")
    real.zrem("stepflow:idx:succeeded", "a")
    for key in real.scan_iter("stepflow:idx:*"):
        real.zrem(key, "a") if real.type(key) == b"zset" else None


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda ctx: [ctx.submit("mail", n) for n in range(101)], "may submit 100 runs"),
        (lambda ctx: [ctx.submit("mail", n, run_id="x") for n in range(2)], "run 'x' twice"),
        (lambda ctx: ctx.submit("mail", object()), "the payload"),
        (lambda ctx: ctx.submit("mail", run_id="a b"), "run id"),
        (lambda ctx: ctx.kv.put("k", object()), "value 'k'"),
        (lambda ctx: ctx.submit(len), "len"),
    ],
)
async def test_what_cannot_be_written_fails_the_delivery_in_words(
    app: Stepflow, client: Client, working: Working, told, write: Any, words: str
) -> None:
    """[K18]"""

    @app.on_terminal
    async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        ctx.kv.put("seen", 1)
        write(ctx)

    async with working(app, next_wait=lambda *_: None):
        client.submit("etl", "ok", run_id="a")
        await hooks_settled(client, "a")
    [hook] = client.hooks("a")
    assert hook.state == "dead"
    assert words in hook.problem
    assert client.kv("a", "seen") is None
    assert client.list(runner="mail").runs == []


def test_a_choice_that_can_never_be_is_refused() -> None:
    """[K18]"""
    app = Stepflow("redis://unused")
    for events in ("ended", ["failed", "lost"], [], 3):
        with pytest.raises(InvalidOption, match="succeeded, failed, cancelled"):
            app.on_terminal(events=events)(print)
    with pytest.raises(InvalidOption, match="outcome: RunOutcome, ctx: HookContext"):
        app.on_terminal(lambda one, two, three: None)
    with pytest.raises(InvalidOption, match="len"):
        app.on_terminal(runner=len)(print)


async def test_a_harness_calls_hooks_with_their_context() -> None:
    """[K18] And observers are told of the runs."""
    app = Stepflow("redis://unused")
    seen = app.observe(RecordingObserver())

    @app.workflow
    async def first(ctx: Context) -> int:
        return 7

    @app.workflow
    async def second(ctx: Context, number: int) -> int:
        return number * 2

    @app.on_terminal(runner=first)
    async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        ctx.submit(second, outcome.result, run_id="s")

    async with Harness(app) as h:
        await h.submit(first)
        assert await h.result("s") == 14
        assert [hook.target for hook in h.hooks] == [
            "test_a_harness_calls_hooks_with_their_context.go_on"
        ]
    assert [fact.runner for fact in seen.of("on_run_submitted")] == ["first", "second"]


async def test_a_hook_without_a_context_settles_as_ever(
    app: Stepflow, client: Client, working: Working, told, real
) -> None:
    """[K18] By the same script, which knows of no run."""
    app.on_terminal(told.append)
    async with working(app):
        await asyncio.sleep(0)
        with real.monitor() as monitor:
            client.submit("etl", "ok", run_id="a")
            await hooks_settled(client, "a")
            real.set("last", 1)
            said = []
            for command in monitor.listen():
                if command["command"] == "SET last 1":
                    break
                said.append(command["command"])
    real.delete("last")
    from stepflow.store import scripts

    used = "\n".join(said)
    assert scripts.COMMIT_HOOK.sha in used
    assert scripts.SETTLE_HOOK.sha not in used
    assert not [key for key in dump(real) if b":kv" in key]


async def test_a_run_that_a_hook_submits_has_the_limits_of_its_runner(
    app: Stepflow, client: Client, working: Working, told, real
) -> None:
    """[K18] As one that a client submits."""
    ends: list[str] = []

    @app.runner("narrow", limits=[Limit("one", concurrency=1)])
    async def narrow(step: Step[int]) -> Any:
        ends.append(step.run_id)
        return Succeed()

    @app.on_terminal(runner="etl")
    async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
        ctx.submit("narrow", 1, run_id="n")

    async with working(app):
        client.submit("etl", "ok", run_id="a")
        await until(lambda: ends)
        assert real.hget("stepflow:run:n", "limits")
        await until(lambda: client.status("n").is_finished)
