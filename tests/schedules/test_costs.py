"""Who has no schedules pays nothing, and who has many does not wait."""

import asyncio

import pytest

from stepflow import Step, Succeed
from stepflow.engine.schedules.fire import prepare_to_fire
from stepflow.store.maintenance import move_due
from stepflow.store.run_hash import format_time
from tests.support import loaded, until

pytestmark = pytest.mark.crash


def test_nobody_without_schedules_or_groups_loads_them():
    """[T4] [K7] Neither workers nor clients, but for what ends members and the worker's hands."""
    names = sorted(loaded())
    schedules = [name for name in names if "cronsim" in name or "schedules." in name]
    assert schedules == ["stepflow.core.schedules.scheduled"]
    assert [name for name in names if ".groups" in name] == [
        "stepflow.store.groups", "stepflow.store.groups.member", "stepflow.worker.upkeep.groups",
    ]  # fmt: skip


async def test_what_schedules_need_is_loaded_before_the_first_is_due(
    app, working, client, monkeypatch
):
    """[T5] Once, by a round that sees one coming; it begins nothing."""
    seen = []

    def prepare(schedule_id, env):
        seen.append(schedule_id)
        return prepare_to_fire(schedule_id, env)

    monkeypatch.setattr("stepflow.engine.schedules.fire.prepare_to_fire", prepare)
    client.submit("etl", delay=7200)
    client.schedules.put("hourly", "etl", "0 * * * *", tz="Europe/Berlin")
    client.schedules.put("rarely", "etl", "0 0 29 2 *")
    async with working(app):
        await until(lambda: seen)
    assert seen == ["hourly"]
    assert client.list(state="pending").runs == []


async def test_runs_of_no_schedule_touch_no_key_of_schedules(app, working, client, real):
    """[T4] All that a worker and a client say to the server, from a worker's start to its end."""

    @app.runner("etl")
    async def etl(step: Step[object]):
        return Succeed()

    with real.monitor() as monitor:
        async with working(app):
            for number in range(5):
                client.submit("etl", number, run_id=f"r{number}", delay=0.01)
            await until(lambda: len(client.list(state="succeeded").runs) == 5)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            if "EVALSHA" in command["command"] or command["client_type"] != "lua":
                said.append(command["command"])
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    assert len(said) > 10
    assert [line for line in said if "stepflow:sched" in line or "stepflow:declared" in line] == []


def test_what_is_due_in_the_same_second_is_decided_on_in_few_calls(bench):
    """[T4] A thousand schedules: ten looks at the due set, and none of it blocks the runs."""
    for number in range(1000):
        bench.schedules.put(f"s{number}", "etl", every=3600)
    bench.clock.advance(3600)
    looks = 0
    while bench.connection.call(
        move_due(bench.keys, given=format_time(bench.now), now=bench.now)
    ).schedules:
        looks += 1
    assert looks == 10


async def test_times_without_a_run_are_counted_by_schedule_and_why(app, working, client, real):
    """[T18] temporal #8087: the metric has the schedule's name."""
    gate = asyncio.Event()

    @app.runner("slow")
    async def slow(step: Step[object]):
        await gate.wait()
        return Succeed()

    client.schedules.put("s", slow, every=1)
    async with working(app):
        await until(lambda: any(line.left_out for line in client.schedules.history("s")))
        gate.set()
        name = "left_out|s|overlap"
        await until(lambda: int(real.hget("stepflow:totals", name) or 0) >= 1)
    client.schedules.delete("s")
