"""
Every code of `why` [O1] [O2]: a run is brought there by real means, asked about, and moved on.

What you can type, as the answer says, is typed.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

import stepflow
from stepflow import Breaker, Fail, RetryPolicy, Step, Succeed
from stepflow.cli.main import cli
from stepflow.core.tried import Trial, Tried
from stepflow.engine.kept import pack_tried
from tests.support import until

SLOW = RetryPolicy(max_attempts=5, initial=60.0)


class Colour(StrEnum):
    RED = auto()
    BLUE = auto()


class Review(BaseModel):
    grade: int
    colour: Colour
    note: str = ""


def add_runner(scene: Any, name: str = "r", **options: Any) -> None:
    @scene.app.runner(name, **options)
    async def run(step: Step[Any]) -> Any:
        return Succeed(step.payload)


def add_workflow(scene: Any, body: Any, name: str = "flow", **options: Any) -> None:
    scene.app.workflow(name, **options)(body)


async def parked(scene: Any, run_id: str = "a") -> None:
    async def stands() -> bool:
        return (await scene.client.status(run_id)).state == "waiting"

    await until(stands)


# ---- gone and ended


async def test_gone_never(scene):
    why = await scene.why("gone.never")
    assert not why.commands


async def test_gone_expired(scene):
    add_runner(scene)
    async with scene.working(scene.app):
        await scene.client.submit("r", run_id="a")
        await scene.ends("succeeded")
    for key in scene.real.scan_iter(scene.key("a") + "*"):
        scene.real.delete(key)
    why = await scene.why("gone.expired")
    assert why.evidence["index"] == "succeeded"
    scene.real.flushall()


async def test_ended_succeeded_and_cancelled(scene):
    add_runner(scene)
    async with scene.working(scene.app):
        await scene.client.submit("r", run_id="a")
        await scene.client.submit("r", run_id="b", delay=60)
        await scene.client.cancel("b", "enough", by="ann")
        await scene.ends("succeeded")
    why = await scene.why("ended.succeeded")
    assert why.until is not None
    why = await scene.why("ended.cancelled", "b")
    assert "by ann" in why.sentence
    assert "(enough)" in why.sentence


async def test_ended_failed_is_retried(scene):
    verdicts = [Fail("no luck"), Succeed(1)]

    @scene.app.runner("r")
    async def run(step: Step[Any]) -> Any:
        return verdicts.pop(0)

    async with scene.working(scene.app):
        await scene.client.submit("r", run_id="a")
        why = await scene.why("ended.failed")
        assert "Fail: no luck" in why.sentence
        assert why.commands == ("stepflow retry a",)
        await scene.carry(why.commands[0])
        await scene.ends("succeeded")


@pytest.mark.parametrize("is_dead", [False, True])
async def test_ended_telling_and_untold(scene, is_dead):
    answers = [False]

    @scene.app.on_terminal
    def note(outcome: Any) -> None:
        if not answers[0]:
            raise ValueError("the other side is down")

    add_runner(scene)
    waits = (lambda *_: None) if is_dead else (lambda *_: 60.0)
    async with scene.working(scene.app, next_wait=waits):
        await scene.client.submit("r", run_id="a")
        why = await scene.why("ended.untold" if is_dead else "ended.telling")
        if not is_dead:
            why = await until(lambda: tried(scene))
        assert "the other side is down" in why.sentence
        assert [f"stepflow hooks redeliver {hook}" for hook in why.evidence["hooks"]] == list(
            why.commands
        )
        answers[0] = True
        await scene.carry(why.commands[0])
        await scene.why("ended.succeeded")


async def tried(scene: Any) -> Any:
    why = await scene.client.why("a")
    return (
        why
        if "once" in why.sentence or ("tried" in why.sentence and "down" in why.sentence)
        else None
    )


async def test_ended_children(scene):
    async def parent(ctx: Any) -> Any:
        await ctx.spawn("r", None, key="c")
        raise ValueError("no")

    add_runner(scene)
    async with scene.working(scene.app):
        await scene.client.submit("r", run_id="a")
        await scene.ends("succeeded")
    scene.real.sadd(scene.key("a", "children:0"), "c")
    why = await scene.why("ended.children")
    assert "1 child is" in why.sentence
    scene.real.delete(scene.key("a", "children:0"))
    await scene.why("ended.succeeded")


# ---- running


async def test_running_step_and_long(scene):
    await scene.client.submit("r", run_id="a")
    scene.register()
    scene.claim()
    why = await scene.why("running.step")
    assert "worker w1 (host host-a, pid 71) has been at step 0" in why.sentence
    assert why.evidence["worker"] == "w1"
    for field in ("started", "updated"):
        scene.real.hset(scene.key("a"), field, f"{scene.now() - 9000:.6f}")
    scene.real.hset(f"rq:job:{scene.real.hget(scene.key('a'), 'claimed_id').decode()}",
                    "started_at", "2026-01-01T00:00:00.000000Z")  # fmt: skip
    why = await scene.why("running.long")
    for command in why.commands:
        await scene.carry(command)
    assert (await scene.client.status("a")).state == "cancelling"
    scene.real.flushall()


async def test_running_blocked(scene):
    """A worker whose loop is blocked makes no rounds, and keeps what it has."""
    await scene.client.submit("r", run_id="a")
    scene.register(seen_ago=20.0)
    scene.claim(lease_s=1000.0)
    beat = datetime.now(UTC).isoformat()
    scene.real.hset("rq:worker:w1", mapping={"condition": "blocked", "last_heartbeat": beat})
    why = await scene.why("running.step")
    assert "code blocks its event loop" in why.sentence
    assert why.commands == ("stepflow why a --now",)
    [worker] = await scene.client.workers()
    assert (worker.state, worker.is_live) == ("blocked", True)
    old = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    scene.real.hset("rq:worker:w1", "last_heartbeat", old)
    await scene.why("running.silent")
    assert [each.is_live for each in await scene.client.workers()] == [False]
    scene.real.flushall()


async def test_running_silent_then_lapsed_then_nobody(scene):
    add_runner(scene)
    await scene.client.submit("r", run_id="a")
    scene.register(seen_ago=9.0)
    scene.claim(lease_s=1000.0)
    why = await scene.why("running.silent")
    assert re.search(r"its worker w1 was last heard of \d+ s ago", why.sentence)
    assert why.until is not None
    scene.real.zrem(scene.keys.workers("default"), "w1")  # others have forgotten it
    beat = f"{datetime.now(UTC) - timedelta(seconds=40):%Y-%m-%dT%H:%M:%S.%fZ}"
    scene.real.hset("rq:worker:w1", "last_heartbeat", beat)
    why = await scene.why("running.silent")
    assert re.search(r"its worker w1 was last heard of 4\d s ago", why.sentence)
    scene.real.zadd(scene.keys.claims, {"run:a": 1.0})
    why = await scene.why("running.nobody")
    assert why.commands == ("stepflow worker APP --queue default",)
    scene.register("w2", runners=())
    await scene.why("running.lapsed")
    async with scene.working(scene.app):
        await scene.ends("succeeded")
    [lost, done] = (await scene.client.steps("a")).steps
    assert (lost.state, lost.started_at, lost.took_s) == ("lost", None, None)
    assert done.took_s is not None


async def test_a_sentence_is_one_line_whatever_people_write(scene):
    """As in a table, where a reason of two lines would be a row of its own."""
    await scene.client.submit("r", run_id="a")
    await scene.client.pause_queue("default", "down\nsince\r\nnoon", by="ann")
    why = await scene.why("queued.paused")
    assert why.sentence.endswith(": down since noon")
    listed = await asyncio.to_thread(CliRunner().invoke, cli, ["--redis-url", scene.url, "queues"])
    assert [line.split()[0] for line in listed.output.splitlines()] == ["QUEUE", "default"]
    await scene.client.resume_queue("default")
    await scene.client.cancel("a")


async def test_running_foreign(scene):
    await scene.client.submit("r", run_id="a")
    scene.register("stock", slots=None)
    scene.claim(worker="stock")
    why = await scene.why("running.foreign")
    assert why.evidence["worker"] == "stock"
    await scene.carry(why.commands[0])
    scene.real.flushall()


async def test_running_unwritable(scene):
    await scene.client.submit("r", run_id="a")
    scene.register()
    scene.claim()
    await scene.client.submit("r", run_id="b", queue="gpu")
    await scene.client.submit("r", run_id="c", delay=0.01)
    claims = scene.keys.claims
    [(member, lease)] = scene.real.zrange(claims, 0, 0, withscores=True)
    scene.real.config_set("maxmemory", "1mb")
    try:
        why = await scene.why("running.unwritable")
        assert "its memory is full" in why.sentence
        assert "keeps its outcome and tries again every second" in why.sentence
        assert why.commands == ("stepflow doctor",)
        why = await scene.why("queued.unwritable", "b", "queued")
        assert why.sentence.endswith("used); no worker can take it")
        why = await scene.why("scheduled.late", "c")
        assert "; Redis refuses writes: its memory is full" in why.sentence
        scene.real.zrem(scene.keys.workers("default"), "w1")
        scene.real.config_set("maxmemory", "0")
        scene.real.zadd(claims, {member: 1})
        scene.real.config_set("maxmemory", "1mb")
        why = await scene.why("running.unwritable")
        assert "worker w1 cannot say that it lives" in why.sentence
    finally:
        scene.real.config_set("maxmemory", "0")
    scene.real.zadd(claims, {member: lease})
    scene.register()
    await scene.why("running.step")
    scene.real.flushall()


# ---- stopping


async def test_stopping_told(scene):
    await scene.client.submit("r", run_id="a")
    scene.register()
    scene.claim()
    await scene.client.cancel("a", "enough", by="ann")
    why = await scene.why("stopping.told")
    assert "by ann (enough)" in why.sentence
    assert why.until is not None
    await scene.carry(why.commands[0])
    await scene.why("ended.failed")


async def test_stopping_cleanup(scene):
    undone = []

    async def flow(ctx: Any) -> Any:
        await ctx.step("book", lambda: 1, compensate=undone.append)
        await ctx.wait_for_signal("go")

    add_workflow(scene, flow)
    async with scene.working(scene.app):
        await scene.client.submit("flow", run_id="a")
        await parked(scene)
    await scene.client.cancel("a", "enough")
    await scene.why("stopping.cleanup")
    why = await until(lambda: inside(scene, "queued.no_worker"))
    assert "no live worker works queue 'default'" in why.sentence
    assert why.commands == ("stepflow worker APP --queue default", "stepflow fail a")
    async with scene.working(scene.app):
        await scene.ends("cancelled")
    assert undone == [1]


async def inside(scene: Any, code: str) -> Any:
    """Ask until a run that is being stopped stands for this reason: workers count for a while."""
    why = await scene.client.why("a")
    return why if why.evidence.get("inside") == code else None


async def test_stopping_children(scene):
    async def parent(ctx: Any) -> Any:
        child = await ctx.spawn("slow", None, queue="other")
        await child.result()

    async def slow(ctx: Any) -> Any:
        await ctx.step("book", lambda: 1, compensate=lambda _: None)
        await ctx.wait_for_signal("go")

    add_workflow(scene, parent)
    add_workflow(scene, slow, "slow")
    async with scene.working(scene.app):
        async with scene.working(scene.app, queues=["other"]):
            await scene.client.submit("flow", run_id="a")
            await parked(scene)
            child = (await scene.why("waiting.child")).evidence["waits"]
            await until(lambda: child_parked(scene))
        await scene.client.cancel("a")
        why = await scene.why("stopping.children")
        assert why.evidence["children"] == 1
        assert child
        assert why.child is not None
        assert why.child.code == "stopping.cleanup"
        assert f"; child {why.child.run_id} is stopping: " in why.sentence
        assert why.commands[-1] == "stepflow fail a"
        await scene.carry(why.commands[-1])
        await until(lambda: ended(scene, "a"))
        async with scene.working(scene.app, queues=["other"]):
            await until(lambda: no_live_runs(scene))


async def child_parked(scene: Any) -> bool:
    runs = (await scene.client.list()).runs
    return all(run.state == "waiting" for run in runs)


async def ended(scene: Any, run_id: str) -> bool:
    return (await scene.client.status(run_id)).is_finished


def no_live_runs(scene: Any) -> bool:
    return not scene.real.zcard(scene.keys.live)


# ---- queued and blocked


async def test_queued_no_worker_and_next(scene):
    add_runner(scene)
    await scene.client.submit("r", run_id="a", queue="gpu")
    why = await scene.why("queued.no_worker")
    assert "no live worker works queue 'gpu'" in why.sentence
    assert why.commands == ("stepflow worker APP --queue gpu",)
    scene.register("w9", ["gpu"], seen_ago=400)
    why = await scene.why("queued.no_worker")
    assert "(it was w9" in why.sentence
    row = {"condition": "blocked", "last_heartbeat": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
    scene.real.hset("rq:worker:w9", mapping=row)
    why = await scene.why("queued.no_worker")
    assert why.sentence == "code blocks the event loop of worker w9, and no other works queue 'gpu'"
    await scene.carry(why.commands[0])
    scene.register("w1", ["gpu"])
    why = await scene.why("queued.next")
    assert why.evidence["position"] == 0
    async with scene.working(scene.app, queues=["gpu"]):
        await scene.ends("succeeded")


async def test_queued_busy_and_behind(scene):
    scene.register(slots=1)
    await scene.client.submit("r", run_id="first")
    scene.claim()
    for run_id in ("b", "c", "a"):
        await scene.client.submit("r", run_id=run_id)
    why = await scene.why("queued.busy")
    assert "it is the 3rd of 3 in queue default" in why.sentence
    assert "all 1 slots of 1 worker are taken" in why.sentence
    await scene.client.submit("r", run_id="u", priority="high")
    why = await scene.why("queued.behind")
    assert why.evidence["before"] == {"default.high": 1}
    await scene.carry(why.commands[0])
    await scene.why("ended.cancelled")
    scene.real.flushall()


async def test_queued_lane(scene):
    """[L19] What stands before it is said, and the command shows the lanes."""
    scene.register("w1", slots=1)
    scene.real.hset("stepflow:fair", "default", 1)
    for lane in ("acme", "b", "c"):
        for number in range(4):
            run_id = "a" if (lane, number) == ("acme", 3) else f"{lane}{number}"
            await scene.client.submit("r", run_id=run_id, lane=lane)
    why = await scene.why("queued.lane")
    assert why.sentence.startswith("3rd of acme; 3 tenants take turns, in queue default since ")
    assert why.evidence["lane_length"] == 3
    scene.real.flushall()


async def test_queued_unhealthy(scene):
    """[K13] Only when all workers of the queue are; a degraded one takes runs."""
    for name in ("w1", "w2"):
        scene.register(name)
        scene.real.hset(f"rq:worker:{name}", "condition", f"unhealthy: pool of {name}: gone")
    await scene.client.submit("r", run_id="a")
    why = await scene.why("queued.unhealthy")
    assert why.sentence == (
        "worker w1 is unhealthy and takes nothing (pool of w1: gone); so is 1 other"
    )
    assert why.evidence["unhealthy"] == {"w1": "pool of w1: gone", "w2": "pool of w2: gone"}
    assert why.commands == ("stepflow workers",)
    scene.real.hset("rq:worker:w2", "condition", "degraded: pool: slow")
    why = await scene.why("queued.next")
    assert why.evidence["free_slots"] == 10
    scene.real.flushall()


async def test_queued_suspended(scene):
    scene.register()
    await scene.client.submit("r", run_id="a")
    scene.real.set("rq:suspended", 1)
    why = await scene.why("queued.suspended")
    await scene.carry(why.commands[0])
    await scene.why("queued.next")
    scene.real.flushall()


async def test_queued_paused(scene):
    scene.register()
    await scene.client.submit("r", run_id="a", priority="low")
    await scene.client.pause_queue("default", "the provider is down", by="ann")
    why = await scene.why("queued.paused")
    assert "queue default was paused by ann at " in why.sentence
    assert why.sentence.endswith(": the provider is down")
    await scene.carry(why.commands[0])
    await scene.why("queued.next")
    await scene.client.cancel("a")


async def test_queued_again_scheduled_retry_and_late(scene):
    @scene.app.runner("r", retry=SLOW)
    async def run(step: Step[Any]) -> Any:
        if step.attempt < 2:
            raise TimeoutError("the line is dead")
        return Succeed()

    async with scene.working(scene.app):
        await scene.client.submit("r", run_id="a")
        why = await scene.why("scheduled.retry")
        assert "attempt 2 of step 0" in why.sentence
        assert "TimeoutError: the line is dead" in why.sentence
        assert why.until is not None
    scene.real.delete(scene.keys.workers("default"))
    due = scene.now() - 40
    scene.real.hset(scene.key("a"), "due", f"{due:.6f}")
    scene.real.zadd(scene.keys.due, {"run:a": due})
    why = await scene.why("scheduled.late")
    assert re.search(r"it was due at .* \(\d\d s ago\), and no live worker", why.sentence)
    assert why.commands == ("stepflow worker APP --queue default",)
    async with scene.working(scene.app, queues=["other"]):
        scene.register("w2")
        why = await scene.why("queued.again")
        assert "TimeoutError: the line is dead" in why.sentence
    async with scene.working(scene.app):
        await scene.ends("succeeded")


async def test_lost_soon(scene):
    add_runner(scene)
    scene.register()
    await scene.client.submit("r", run_id="a")
    scene.real.delete("rq:queue:default")
    why = await scene.why("lost.soon", word="queued")
    assert why.evidence["position"] is None
    async with scene.working(scene.app):
        await scene.ends("succeeded")


async def test_blocked_runner_version_queue_coming(scene):
    add_runner(scene, "x")
    await scene.client.submit("r", run_id="a", version=3)
    scene.register("w1", runners=("x",))
    async with scene.working(scene.app):
        why = await scene.why("blocked.runner")
        assert "no live worker knows runner 'r@3'" in why.sentence
        assert why.commands[1] == "stepflow fail a"
    scene.register("w2", runners=("r", "r@2"))
    why = await scene.why("blocked.version")
    assert "in version 3; live workers have version 1 and 2" in why.sentence
    scene.register("w3", ["gpu"], runners=("r@3",))
    why = await scene.why("blocked.queue")
    assert "works gpu and not queue 'default'" in why.sentence
    scene.register("w4", runners=("r@3",))
    await scene.why("blocked.coming")
    scene.real.hset("rq:worker:w4", "condition", "unhealthy: pool: gone")
    await scene.why("queued.unhealthy")
    await scene.carry("stepflow fail a")
    await scene.why("ended.failed")


async def test_blocked_code(scene):
    """A run that live code did not fit stands in the waiting list of another build."""
    await scene.client.submit("r", run_id="a")
    real, keys = scene.real, scene.keys
    delivery = real.lpop("rq:queue:default")
    real.zrem(keys.queued_at("default"), "run:a")
    real.rpush(keys.waiting_list("default", "r#b2"), delivery)
    real.sadd(keys.waiting_lists, "default|r#b2")
    real.hset(scene.key("a"), "unroutable", f"{scene.now():.6f}")
    tried = Tried([Trial("b1", "w1", "code changed: at place 1 remembered sleep, now step rank")])
    real.hset(scene.key("a", "data"), "tried", pack_tried(tried))
    scene.register()
    why = await scene.why("blocked.code")
    assert "the code of worker w1 does not fit (code changed: at place 1 " in why.sentence
    assert why.evidence["waiting_position"] == 0
    await scene.carry(why.commands[1])
    await scene.why("ended.failed")
    real.flushall()


# ---- scheduled


async def test_scheduled_delay(scene):
    await scene.client.submit("r", run_id="a", delay=6 * 3600)
    why = await scene.why("scheduled.delay")
    assert "it starts at " in why.sentence
    assert "(in 6 h)" in why.sentence
    await scene.carry(why.commands[0])
    scene.register()
    await scene.why("queued.next")
    await scene.client.cancel("a")


async def test_scheduled_crash(scene):
    await scene.client.submit("r", run_id="a")
    for _ in range(2):
        scene.claim()
        scene.real.zadd(scene.keys.claims, {"run:a": 1.0})
        async with scene.working(scene.app, queues=["other"]):
            await until(lambda: not scene.real.zcard(scene.keys.claims))
    scene.register()
    why = await scene.why("scheduled.crash")
    assert "its workers died 2 times at step 0" in why.sentence
    await scene.carry(why.commands[0])
    await scene.why("queued.again")
    await scene.client.cancel("a")


# ---- waiting


async def waits(scene: Any, body: Any, code: str, **options: Any) -> Any:
    """Have a workflow wait, and ask why."""
    add_workflow(scene, body, **options)
    async with scene.working(scene.app):
        await scene.client.submit("flow", run_id="a")
        await parked(scene)
        return await scene.why(code)


async def goes_on(scene: Any, command: str, state: str = "succeeded") -> None:
    """Type what the answer says; a worker then takes the run to its end."""
    async with scene.working(scene.app):
        await scene.carry(command)
        await scene.ends(state)


async def test_waiting_time(scene):
    async def flow(ctx: Any) -> Any:
        await ctx.sleep(86_400 * 5)

    why = await waits(scene, flow, "waiting.time")
    assert "it sleeps until " in why.sentence
    assert "(in 5 d)" in why.sentence
    await goes_on(scene, why.commands[0], "cancelled")


async def test_waiting_signal_names_what_the_mailbox_holds(scene):
    async def flow(ctx: Any) -> Any:
        return await ctx.wait_for_signal("approval", timeout=3600)

    why = await waits(scene, flow, "waiting.signal")
    assert "it waits for signal 'approval', until " in why.sentence
    await scene.client.signal("a", "aproval")
    await asyncio.sleep(0)
    async with scene.working(scene.app):
        why = await until(lambda: told_of_mail(scene))
    assert "its mailbox holds 1 of other names: aproval" in why.sentence
    assert why.evidence["mailbox"] == ["aproval"]
    await goes_on(scene, why.commands[0])


async def test_a_signal_whose_name_looks_like_an_option_is_typed_as_a_name(scene):
    async def flow(ctx: Any) -> Any:
        return await ctx.wait_for_signal("-v")

    why = await waits(scene, flow, "waiting.signal")
    await goes_on(scene, why.commands[0])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(str, "string"), (Colour, "'red' or 'blue'"), (Review, "object with grade, colour")],
)
async def test_waiting_signal_says_what_fits_and_a_signal_that_does(scene, wanted, said):
    async def flow(ctx: Any) -> Any:
        return await ctx.wait_for_signal("done", "gone", type=wanted)

    why = await waits(scene, flow, "waiting.signal")
    assert f"waits for signal 'done' ({said}) or 'gone' ({said})" in why.sentence
    await goes_on(scene, why.commands[0])


async def told_of_mail(scene: Any) -> Any:
    why = await scene.client.why("a")
    return why if why.code == "waiting.signal" and "mailbox" in why.sentence else None


async def test_waiting_ask(scene):
    async def flow(ctx: Any) -> Any:
        return await ctx.ask(bool, "Publish page 7?")

    why = await waits(scene, flow, "waiting.ask")
    assert "'Publish page 7?' (boolean)" in why.sentence
    await goes_on(scene, why.commands[0])
    assert await scene.client.result("a", timeout=60) is True


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Colour, "'red' or 'blue'"),
        (Literal["x y", 7], "'x y' or 7"),
        (Review, "object with grade, colour"),
        (int | None, "integer or null"),
        (list[int], "array"),
        ({"anyOf": [{"type": "boolean"}, {"type": "object"}]}, "boolean or object"),
        ({"type": ["number", "null"]}, "number or null"),
        ({}, "any JSON"),
    ],
)
async def test_waiting_ask_says_what_fits_and_an_answer_that_does(scene, wanted, said):
    async def flow(ctx: Any) -> Any:
        return await ctx.ask(wanted, "Which?")

    why = await waits(scene, flow, "waiting.ask")
    assert f"'Which?' ({said})" in why.sentence
    if wanted != {}:
        await goes_on(scene, why.commands[0])
        await scene.client.result("a", timeout=60)
    else:
        assert why.commands[0].endswith(" JSON")


async def test_waiting_child_says_why_the_child_stands(scene):
    async def flow(ctx: Any) -> Any:
        child = await ctx.spawn("r", None, queue="gpu")
        return await child.result()

    add_runner(scene)
    why = await waits(scene, flow, "waiting.child")
    assert why.child is not None
    assert why.child.code == "queued.no_worker"
    assert "which is queued: no live worker works queue 'gpu'" in why.sentence
    assert why.commands == ("stepflow worker APP --queue gpu",)
    async with scene.working(scene.app, queues=["gpu", "default"]):
        await scene.ends("succeeded")


async def test_waiting_map_and_turn(scene):
    async def flow(ctx: Any) -> Any:
        return await ctx.map("leaf", list(range(5)), limit=2)

    async def leaf(ctx: Any, number: int) -> Any:
        if number:
            await ctx.wait_for_signal("go")
        return number

    add_workflow(scene, leaf, "leaf")
    add_workflow(scene, flow)
    async with scene.working(scene.app):
        await scene.client.submit("flow", run_id="a")
        why = await until(lambda: one_of_map_ended(scene))
        assert "1 of 5 children have ended" in why.sentence
        assert why.child is not None
        assert why.child.run_id.endswith("-1")
        stem = why.child.run_id.rpartition("-")[0]
        last = await scene.why("waiting.turn", f"{stem}-4")
        assert "in a map of run a and 2nd in line; 2 children are at work" in last.sentence
        assert last.commands == ("stepflow why a",)
        for number in range(1, 5):
            await until(lambda number=number: signalled(scene, f"{stem}-{number}"))
        await scene.ends("succeeded")


async def one_of_map_ended(scene: Any) -> Any:
    why = await scene.client.why("a")
    is_so = why.code == "waiting.map" and "1 of 5" in why.sentence
    is_so = is_so and why.child is not None and why.child.code == "waiting.signal"
    return why if is_so else None


async def signalled(scene: Any, run_id: str) -> bool:
    why = await scene.client.why(run_id)
    if why.code != "waiting.signal":
        return False
    await scene.carry(why.commands[0])
    return True


async def test_waiting_retry(scene):
    async def flow(ctx: Any) -> Any:
        return await ctx.step("search", broken, retry=SLOW)

    def broken() -> None:
        raise ConnectionError("reset")

    why = await waits(scene, flow, "waiting.retry")
    assert "tries step 'search' again at" in why.sentence
    assert "ConnectionError: reset" in why.sentence
    await goes_on(scene, why.commands[0], "cancelled")


async def test_waiting_any(scene):
    async def flow(ctx: Any) -> Any:
        done, _ = await asyncio.wait(
            [
                asyncio.ensure_future(ctx.wait_for_signal("approval")),
                asyncio.ensure_future(ctx.ask(str, "Who?")),
                asyncio.ensure_future(ctx.sleep(3600)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        return len(done)

    why = await waits(scene, flow, "waiting.any")
    assert "the first of 3: signal 'approval'; somebody to answer 'Who?' (string); sleeps" in (
        why.sentence
    )
    assert [command.split()[1] for command in why.commands] == ["signal", "answer"]
    await goes_on(scene, why.commands[0])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("signal 'go' or 'no'", "waiting.signal"), ("an answer to 'Who?'", "waiting.ask"),
        ("child 01ABC", "waiting.child"), ("map x of 3", "waiting.map"),
        ("the end of its sleep", "waiting.time"), ("step search", "waiting.retry"),
    ],
)  # fmt: skip
async def test_records_of_the_version_before_say_it_in_words(scene, words, code):
    async def flow(ctx: Any) -> Any:
        await ctx.wait_for_signal("go")

    await waits(scene, flow, "waiting.signal")
    scene.real.hdel(scene.key("a", "data"), "open")
    scene.real.hset(scene.key("a"), "waits_for", words)
    await scene.why(code)
    await scene.client.cancel("a")


# ---- paused


async def test_paused_code(scene):
    async def flow(ctx: Any) -> Any:
        await ctx.sleep(0.01)
        await ctx.step("first", lambda: 1)
        return await ctx.wait_for_signal("go")

    async def changed(ctx: Any) -> Any:
        await ctx.step("first", lambda: 1)
        return await ctx.wait_for_signal("go")

    add_workflow(scene, flow)
    async with scene.working(scene.app):
        await scene.client.submit("flow", run_id="a")
        await until(lambda: waits_for_go(scene))
    other = type(scene.app)(scene.url, settings=scene.app.settings)
    other.workflow("flow")(changed)
    async with scene.working(other):
        await scene.client.signal("a", "go")
        why = await scene.why("paused.code")
        assert "code changed" in why.sentence
    assert why.commands == ("stepflow resume a", "stepflow fail a")
    await goes_on(scene, why.commands[0])


async def test_paused_person(scene):
    async def flow(ctx: Any) -> Any:
        return await ctx.wait_for_signal("go")

    await waits(scene, flow, "waiting.signal")
    await scene.client.pause("a", "the provider is down", by="ann")
    why = await scene.why("paused.person")
    assert "it was paused by ann at " in why.sentence
    assert why.sentence.endswith(": the provider is down")
    assert why.evidence["stood"] == "waiting"
    await scene.carry(why.commands[0])
    await scene.why("waiting.signal")
    await scene.client.cancel("a")


async def test_a_claimed_run_that_is_to_pause_says_so(scene):
    await scene.client.submit("r", run_id="a")
    scene.register()
    scene.claim()
    await scene.client.pause("a", by="ann")
    why = await scene.why("running.step")
    assert why.sentence.endswith("; ann has it pause after that")
    scene.real.flushall()


async def waits_for_go(scene: Any) -> bool:
    return (await scene.client.why("a")).code == "waiting.signal"


async def test_a_record_that_cannot_be_read_is_paused_and_not_broken(scene):
    await scene.client.submit("r", run_id="a")
    scene.real.hset(scene.key("a"), "step", "many")
    scene.real.delete("rq:queue:default")
    why = await scene.client.why("a")
    assert why.word != "broken"
    scene.real.flushall()


async def test_waiting_value(scene):
    """[K17] A workflow and a runner; their word differs with the state that they are in."""
    gate = asyncio.Event()

    async def value() -> int:
        await gate.wait()
        return 1

    async def flow(ctx: Any) -> Any:
        return await ctx.step("square", value, cache=60)

    add_workflow(scene, flow)

    @scene.app.runner("r")
    async def run(step: Step[Any]) -> Any:
        return Succeed(await step.memo.shared("k").compute(value))

    async with scene.working(scene.app):
        for runner, first, other, state in (
            ("flow", "f", "a", b"waiting"), ("r", "s", "b", b"scheduled"),
        ):  # fmt: skip
            await scene.client.submit(runner, run_id=first)
            await until(lambda run_id=first: scene.real.hget(scene.key(run_id), "token"))
            await until(lambda: list(scene.real.scan_iter("stepflow:shared:*:*")))
            await scene.client.submit(runner, run_id=other)
            await until(
                lambda run_id=other, state=state: (
                    scene.real.hget(scene.key(run_id), "state") == state
                )
            )
        why = await scene.why("waiting.value", "a")
        assert why.sentence == "it waits for the value of 'square' that another run computes"
        await scene.why("waiting.value", "b")
        gate.set()
        for run_id in ("f", "a", "s", "b"):
            await scene.ends("succeeded", run_id)
    await scene.client.shared.drop("square")
    await scene.client.shared.drop("memo")


# ---- held


async def test_held_budget(scene):
    """[A12] A day that is spent."""
    budget = stepflow.budget("acme", tokens=10, per="day", on_exceeded="wait")

    async def value() -> int:
        return 1

    async def flow(ctx: Any) -> Any:
        return await ctx.step("ask", value, spends=budget.spend(tokens=20))

    add_workflow(scene, flow)
    async with scene.working(scene.app):
        await scene.client.submit("flow", run_id="a")
        await parked(scene)
        why = await scene.why("held.budget", "a")
    assert why.sentence.startswith("budget acme, 10 tokens per day, has no room for its step; ")
    assert why.commands[0] == "stepflow budgets show acme"
    await scene.client.cancel("a")


async def test_held_breaker(scene):
    """[K10] A workflow and a runner; the command that is named lets them go on."""
    breaker = Breaker("stripe", failures=1, reset=600)

    async def value() -> int:
        return 1

    async def flow(ctx: Any) -> Any:
        return await ctx.step("charge", value, breaker=breaker)

    add_workflow(scene, flow)

    @scene.app.runner("r", retry=RetryPolicy(max_attempts=1))
    async def run(step: Step[Any]) -> Any:
        async with breaker:
            if step.payload:
                raise ConnectionError("reset")
            return Succeed()

    async with scene.working(scene.app):
        await scene.client.submit("r", 1, run_id="bad")
        await until(lambda: scene.real.hget(scene.key("bad"), "ended"))
        await scene.client.submit("flow", run_id="a")
        await parked(scene)
        await scene.client.submit("r", run_id="b")
        await until(lambda: scene.real.hget(scene.key("b"), "state") == b"scheduled")
        for run_id in ("a", "b"):
            why = await scene.why("held.breaker", run_id)
            assert why.sentence.startswith("breaker stripe is open until ")
            assert why.sentence.endswith(" after 1 failure (ConnectionError)")
            assert why.evidence["error"] == "ConnectionError: reset"
        await scene.carry(why.commands[0])
        await until(lambda: scene.real.hget(scene.key("a"), "ended"))
        await until(lambda: scene.real.hget(scene.key("b"), "ended"))
