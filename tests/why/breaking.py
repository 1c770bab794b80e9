"""How to break a run by hand, for each defect that `why` and the doctor know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from stepflow import Step, Succeed
from stepflow.core.open_command import OpenCommand
from stepflow.store.values.codec import pack, unpack
from tests.support import until

#: code -> what brings run "a" there; a worker of the app ends it well once it is mended
Breaking = Callable[[Any], Awaitable[None]]
BREAKING: dict[str, list[Breaking]] = {}


def breaks(code: str) -> Callable[[Breaking], Breaking]:
    """Note a way of breaking a run."""

    def note(breaking: Breaking) -> Breaking:
        BREAKING.setdefault(code, []).append(breaking)
        return breaking

    return note


def add_all(app: Any) -> None:
    """Give an app the code of the runs that are broken."""

    @app.runner("r")
    async def run(step: Step[Any]) -> Any:
        return Succeed(1)

    @app.workflow("waits")
    async def waits(ctx: Any) -> Any:
        return await ctx.wait_for_signal("go")

    @app.workflow("asks")
    async def asks(ctx: Any) -> Any:
        return await ctx.ask(bool, "May it?")

    @app.workflow("begins")
    async def begins(ctx: Any, abandon: bool) -> Any:
        child = await ctx.spawn("waits", None, abandon=abandon)
        try:
            return await child.result()
        except Exception as error:  # noqa: BLE001  its child is gone
            return str(error)

    @app.workflow("maps")
    async def maps(ctx: Any) -> Any:
        return await ctx.map("waits", [1, 2, 3], limit=1)

    @app.workflow("sleeps")
    async def sleeps(ctx: Any) -> Any:
        await ctx.sleep(0.5)
        return 1


async def park(scene: Any, runner: str, payload: Any = None) -> None:
    """Have run "a" stand parked, and the worker gone."""

    async def stands() -> bool:
        runs = (await scene.client.list()).runs
        return all(run.state == "waiting" for run in runs if run.id != "beside")

    async with scene.working(scene.app):
        await scene.client.submit(runner, payload, run_id="a")
        await until(stands)


@breaks("X1")
async def a_claim_is_lost(scene: Any) -> None:
    await scene.client.submit("r", run_id="a")
    scene.claim()
    scene.real.zrem(scene.keys.claims, "run:a")


@breaks("X2")
async def a_queue_is_lost(scene: Any) -> None:
    await scene.client.submit("r", run_id="a")
    scene.real.delete("rq:queue:default", scene.keys.queued_at("default"))


@breaks("X2")
async def a_delivery_is_lost(scene: Any) -> None:
    await a_queue_is_lost(scene)
    scene.real.hset(scene.key("a"), "delivery", "")


@breaks("X2")
async def a_lane_is_lost(scene: Any) -> None:
    await a_run_waits_in_a_lane(scene)
    scene.real.delete(scene.keys.lane("default", "acme"))


@breaks("X20")
async def the_turn_of_a_lane_is_lost(scene: Any) -> None:
    await a_run_waits_in_a_lane(scene)
    scene.real.delete(scene.keys.lanes("default"))


async def a_run_waits_in_a_lane(scene: Any) -> None:
    scene.real.hset(scene.keys.fair, "default", 1)
    await scene.client.submit("r", run_id="first", lane="other")
    await scene.client.submit("r", run_id="a", lane="acme")


@breaks("X3")
async def a_waiting_list_is_lost(scene: Any) -> None:
    other = type(scene.app)(scene.url, settings=scene.app.settings)
    other.workflow("other")(lambda ctx: None)
    await scene.client.submit("r", run_id="a")
    async with scene.working(other):
        await until(lambda: scene.real.exists(scene.keys.waiting_list("default", "r")))
    scene.real.delete(scene.keys.waiting_list("default", "r"), scene.keys.waiting_lists)


@breaks("X3")
async def a_waiting_list_is_not_listed(scene: Any) -> None:
    await a_waiting_list_is_lost(scene)
    delivery = scene.real.hget(scene.key("a"), "delivery")
    scene.real.rpush(scene.keys.waiting_list("default", "r"), delivery)


@breaks("X4")
async def a_due_time_is_lost(scene: Any) -> None:
    await scene.client.submit("r", run_id="a", delay=0.5)
    scene.real.zrem(scene.keys.due, "run:a")


@breaks("X4")
async def the_end_of_a_sleep_is_lost(scene: Any) -> None:
    await park(scene, "sleeps")
    scene.real.zrem(scene.keys.due, "run:a")


@breaks("X5")
async def a_signal_is_not_told(scene: Any) -> None:
    await park(scene, "waits")
    scene.real.rpush(scene.key("a", "mail"), b"go|" + pack(1))


@breaks("X5")
async def an_answer_is_not_told(scene: Any) -> None:
    await park(scene, "asks")
    [question] = await scene.client.questions()
    digest = question.token.rpartition(".")[2]
    scene.real.delete(scene.key("a", "questions"), scene.keys.questions)
    replies = {digest: f"answered|{scene.now():.6f}|x", f"{digest}=": pack(True)}
    scene.real.hset(scene.key("a", "replies"), mapping=replies)


@breaks("X5")
async def the_end_of_a_child_is_not_told(scene: Any) -> None:
    await park(scene, "begins", False)
    child = child_of(scene)
    answer = b"0|succeeded|" + pack(1)
    scene.real.hset(scene.key("a", "answers:0"), child, answer)
    await scene.client.cancel(child)


@breaks("X6")
async def a_child_is_gone(scene: Any) -> None:
    await park(scene, "begins", False)
    remove(scene, child_of(scene))


@breaks("X6")
async def an_abandoned_child_is_gone(scene: Any) -> None:
    await park(scene, "begins", True)
    remove(scene, child_of(scene))


@breaks("X8")
async def a_live_run_is_not_listed(scene: Any) -> None:
    await scene.client.submit("r", run_id="a")
    scene.real.zrem(scene.keys.live, "a")


@breaks("X9")
async def a_deadline_is_lost(scene: Any) -> None:
    await scene.client.submit("r", run_id="a", timeout=3600)
    scene.real.zrem(scene.keys.deadlines, "a")


def child_of(scene: Any) -> str:
    """Give the run id of the one child of run "a"."""
    packed = scene.real.hget(scene.key("a", "data"), "open")
    [parts] = unpack(packed)
    return OpenCommand.read(parts).awaited_id


def remove(scene: Any, run_id: str) -> None:
    """Take a run away as if it had never been, but for its place in its parent's list."""
    for key in scene.real.scan_iter(scene.key(run_id) + "*"):
        scene.real.delete(key)
    for index in scene.real.scan_iter("stepflow:idx:*"):
        scene.real.zrem(index, run_id)
