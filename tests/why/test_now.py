"""`now`: which steps of a run are in progress, and where their code is [O5]."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from stepflow import (
    Context,
    NotRunning,
    RedisUnreachable,
    RunNotFound,
    Succeed,
    SyncContext,
    WorkerSilent,
)
from stepflow.cli.main import cli
from stepflow.engine.why.now import MOVED_ON
from stepflow.web import app as make_api
from stepflow.web import everything
from stepflow.worker.now import answer
from stepflow.worker.now.stacks import MOST_FRAMES
from stepflow.worker.renew import HeartbeatThread
from tests.fork_server import Forked, ForkServer, without_settings
from tests.support import until, until_blocking

#: what a process of its own works on: code that keeps its loop from turning
BLOCKING = """
import asyncio, time
from stepflow import Context, Stepflow, Succeed

app = Stepflow()


def compute():
    time.sleep(60)


@app.runner("blocks")
async def blocks(step):
    compute()


@app.runner("patient")
async def patient(step):
    await asyncio.Event().wait()


async def blocking_step():
    compute()


@app.workflow("flow")
async def flow(ctx: Context, what: None) -> None:
    await ctx.step(blocking_step)
"""


def places(stack: Any) -> list[str]:
    """The functions of a stack, without files and lines."""
    return [line.rpartition(" ")[2].rpartition(".")[2] for line in stack]


@pytest.fixture
def gate() -> Iterator[Callable[[], None]]:
    """Blocks a thread until the test has ended."""
    opened = threading.Event()
    yield opened.wait
    opened.set()


async def in_progress(client: Any, run_id: str, count: int = 1) -> Any:
    """Ask until so many steps are in progress, and have come to what they wait for."""

    async def asked() -> Any:
        try:
            now = await client.now(run_id)
        except (NotRunning, WorkerSilent):
            return None
        ends = [places(step.stack)[-1:] for step in now.steps]
        return now if ends == [["wait"]] * count else None

    return await until(asked, f"{count} steps of {run_id} in progress")


async def test_a_step_that_waits_says_where_it_waits(scene):
    """Through everything that it awaits: coroutines, generators, tasks, gather."""

    async def deepest() -> None:
        password = "hunter2"  # noqa: F841
        await asyncio.Event().wait()

    async def generates() -> Any:
        yield await deepest()

    async def reads() -> None:
        async for _ in generates():
            pass

    @scene.app.runner("r")
    async def r(step):
        await asyncio.gather(asyncio.create_task(reads()))

    await scene.client.submit("r", run_id="a")
    async with scene.working(scene.app) as worker:
        now = await in_progress(scene.client, "a")
        (step,) = now.steps
        assert (step.name, step.attempt, step.in_thread) == ("0", 1, False)
        assert (now.run_id, now.worker) == ("a", worker._options.name)
        assert (now.blocked, now.more) == (None, 0)
        assert step.since <= now.at
        assert places(step.stack) == ["r", "reads", "generates", "deepest", "wait"]
        assert "hunter2" not in repr(now)
        await scene.client.cancel("a")
        await scene.ends("cancelled")


async def test_a_plain_function_says_where_its_thread_is(scene, gate):
    @scene.app.runner("r")
    def r(step):
        gate()
        return Succeed(None)

    await scene.client.submit("r", run_id="a")
    async with scene.working(scene.app):
        (step,) = (await in_progress(scene.client, "a")).steps
        assert step.in_thread
        assert places(step.stack)[:2] == ["r", "wait"]
        await scene.client.cancel("a")


async def test_steps_of_a_workflow_that_run_side_by_side_say_each_where_it_is(scene, gate):
    async def one() -> None:
        await asyncio.Event().wait()

    def two() -> None:
        gate()

    @scene.app.workflow("w")
    async def w(ctx: Context, what: None) -> None:
        await asyncio.gather(ctx.step(one), ctx.step(two))

    await scene.client.submit("w", run_id="a")
    async with scene.working(scene.app):
        now = await in_progress(scene.client, "a", 2)
        found = {step.name: (step.in_thread, places(step.stack)[0]) for step in now.steps}
        assert found == {"one": (False, "one"), "two": (True, "two")}
        await scene.client.cancel("a")
        await scene.ends("cancelled")


async def test_a_step_of_a_plain_workflow_says_where_it_is(scene):
    async def one() -> None:
        await asyncio.Event().wait()

    @scene.app.workflow("w")
    def w(ctx: SyncContext, what: None) -> None:
        ctx.step(one)

    await scene.client.submit("w", run_id="a")
    async with scene.working(scene.app):
        (step,) = (await in_progress(scene.client, "a")).steps
        assert (step.name, places(step.stack)) == ("one", ["one", "wait"])
        await scene.client.cancel("a")
        await scene.ends("cancelled")


async def test_a_compensation_says_where_it_is(scene):
    go = asyncio.Event()

    async def book() -> str:
        return "b-1"

    async def cancel_booking(booking: str) -> None:
        await go.wait()

    @scene.app.workflow("w")
    async def w(ctx: Context, what: None) -> None:
        await ctx.step(book, compensate=cancel_booking)
        raise ValueError("no luck")

    await scene.client.submit("w", run_id="a")
    async with scene.working(scene.app):

        async def undoes() -> Any:
            (step,) = (await in_progress(scene.client, "a")).steps
            return step if step.name == "undo book" else None

        assert places((await until(undoes)).stack) == ["cancel_booking", "wait"]
        go.set()
        await scene.ends("failed")


async def test_a_deep_stack_is_told_by_its_innermost_frames(scene):
    async def deeper(levels: int) -> None:
        if levels:
            await deeper(levels - 1)
        await asyncio.Event().wait()

    @scene.app.runner("r")
    async def r(step):
        await deeper(100)

    await scene.client.submit("r", run_id="a")
    async with scene.working(scene.app):
        (step,) = (await in_progress(scene.client, "a")).steps
        assert len(step.stack) == MOST_FRAMES
        assert places(step.stack)[-2:] == ["deeper", "wait"]
        await scene.client.cancel("a")
        await scene.ends("cancelled")


async def test_a_run_that_no_worker_has_is_said_and_nobody_is_asked(scene):
    await scene.client.submit("r", run_id="a", delay=3600)
    before = scene.real.dbsize()
    with pytest.raises(NotRunning, match="'a' is scheduled"):
        await scene.client.now("a")
    with pytest.raises(RunNotFound):
        await scene.client.now("nobody")
    assert scene.real.dbsize() == before
    await scene.client.cancel("a")


async def test_a_worker_that_does_not_have_the_run_yet_is_asked_again(scene, monkeypatch):
    """Its claim stands in Redis before it has heard of that."""

    @scene.app.runner("r")
    async def r(step):
        await asyncio.Event().wait()

    looks: list[str] = []

    def late(run_id: str, state: Any, **options: Any) -> bytes:
        looks.append(run_id)
        return MOVED_ON if len(looks) == 1 else look(run_id, state, **options)

    look = answer._look
    monkeypatch.setattr(answer, "_look", late)
    await scene.client.submit("r", run_id="a")
    async with scene.working(scene.app):
        await until(lambda: is_running(scene.client, "a"))
        assert (await scene.client.now("a")).run_id == "a"
        assert len(looks) == 2
        await scene.client.cancel("a")
        await scene.ends("cancelled")


async def test_what_is_asked_and_answered_is_gone_in_seconds(scene):
    """And nothing of it is there before somebody asks."""

    @scene.app.runner("r")
    async def r(step):
        await asyncio.Event().wait()

    await scene.client.submit("r", run_id="a")

    def written() -> list[bytes]:
        return [*scene.real.scan_iter("stepflow:asked:*"), *scene.real.scan_iter("stepflow:now:*")]

    async with scene.working(scene.app):
        await until(lambda: is_running(scene.client, "a"))
        assert written() == []
        await in_progress(scene.client, "a")
        assert len(written()) >= 2
        assert all(0 < scene.real.pttl(key) <= 10_000 for key in written())
        await scene.client.cancel("a")
        await scene.ends("cancelled")


async def is_running(client: Any, run_id: str) -> bool:
    return (await client.status(run_id)).state == "running"


@pytest.fixture
def blocking(client, real, url, forks: ForkServer, tmp_path: Path) -> Iterator[Forked]:
    """A worker process for `BLOCKING`, killed at the end."""
    (tmp_path / "blocking.py").write_text(BLOCKING)
    command = ["worker", "blocking:app", "--redis-url", url]
    process = forks.start(command, cwd=tmp_path, env=without_settings())
    until_blocking(client.workers, "a worker is there")
    yield process
    process.kill()
    process.communicate()
    for key in real.scan_iter("rq:worker*"):  # what it would take away with itself
        real.delete(key)


def worked(client: Any, runner: str) -> str:
    run = client.submit(runner, run_id=runner)
    until_blocking(lambda: run.status().state == "running")
    return run.id


@pytest.mark.crash
@pytest.mark.parametrize(("runner", "step"), [("blocks", "0"), ("flow", "blocking_step")])
def test_a_worker_answers_though_code_blocks_its_loop(client, blocking, runner, step):
    """A thread of it does, with the stack of the loop; for its other runs as well."""
    patient, run_id = worked(client, "patient"), worked(client, runner)
    stack = ["blocks" if runner == "blocks" else "blocking_step", "compute"]
    now = until_blocking(lambda: (now := client.now(run_id)).blocked and now, "its loop stands")
    assert [(each.name, places(each.stack)) for each in now.steps] == [(step, stack)]
    assert (now.blocked.run_id, places(now.blocked.stack)) == (run_id, stack)
    other = client.now(patient)
    assert places(other.steps[0].stack) == ["patient", "wait"]
    assert other.blocked.run_id == run_id


@pytest.mark.crash
def test_a_worker_that_does_not_answer_is_named(client, blocking):
    worked(client, "patient")
    blocking.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(WorkerSilent, match="did not answer within 2 s"):
            client.now("patient")
    finally:
        blocking.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("fault", [ValueError("ours"), RedisUnreachable("redis://x", "away")])
def test_a_look_that_fails_ends_no_heartbeat(fault, monkeypatch):
    monkeypatch.setattr("stepflow.worker.renew.CONDITION_S", 0.001)
    monkeypatch.setattr("stepflow.worker.renew.HEARTBEAT_S", 0.0)
    beats: list[None] = []

    def look() -> None:
        raise fault

    with HeartbeatThread(lambda: beats.append(None), str, look):
        until_blocking(lambda: len(beats) > 2, "it goes on")


async def test_the_program_and_the_api_say_the_same(scene):
    async def look_up() -> None:
        await asyncio.Event().wait()

    @scene.app.workflow("w")
    async def w(ctx: Context, what: None) -> None:
        await ctx.step(look_up)

    def typed(*words: str) -> str:
        result = CliRunner().invoke(cli, ["--redis-url", scene.url, "why", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    await scene.client.submit("w", run_id="a")
    await scene.client.submit("w", run_id="b", delay=3600)
    transport = httpx.ASGITransport(make_api(scene.client, access=everything))
    async with (
        scene.working(scene.app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        now = await in_progress(scene.client, "a")
        (line,) = [line for line in now.steps[0].stack if line.endswith("look_up")]
        text = await asyncio.to_thread(typed, "a", "--now")
        assert (
            f"  now        worker {now.worker} says:\n    step 'look_up', attempt 1, for " in text
        )
        assert f"      {line}\n" in text
        document = json.loads(await asyncio.to_thread(typed, "a", "--now", "--json"))["now"]
        answer = (await http.get("/runs/a/now")).json()
        for found in (document, answer):
            assert found["steps"][0]["stack"] == now.steps[0].stack
        refused = await http.get("/runs/b/now")
        assert (refused.status_code, refused.json()["type"]) == (409, "NotRunning")
        assert "no worker is running it" in await asyncio.to_thread(typed, "b", "--now")
        await scene.client.cancel("b")
        await scene.client.cancel("a")
        await scene.ends("cancelled")
