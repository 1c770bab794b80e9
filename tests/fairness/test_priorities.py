"""Priorities 0 to 9 within a queue, three of which have names."""

import asyncio
import random

import pytest

from stepflow import Continue, InvalidOption, Priority, RunSpec, Step, Succeed
from tests.support import until


@pytest.fixture
def ran(app):
    """The run ids in the order in which their steps began."""
    order: list[str] = []

    @app.runner("note")
    async def note(step: Step[object]):
        order.append(step.run_id)
        return Succeed()

    return order


async def is_running(run):
    return (await run.status()).state == "running"


async def test_runs_go_by_priority_and_first_in_first_out_within(app, aclient, working, ran):
    """[K16] Names and numbers are one scale."""
    named = {"high": 2, "normal": 5, "low": 8}
    given = [*range(10), *named, *Priority, "4"]
    random.Random(1).shuffle(given)
    specs = [
        RunSpec("note", run_id=f"{number}-{named.get(priority, priority)}", priority=priority)
        for number, priority in enumerate(given)
    ]
    handles = await aclient.submit_many(specs)
    async with working(app, concurrency=1):
        await asyncio.gather(*[handle.wait(60) for handle in handles])
    wanted = sorted(specs, key=lambda spec: int(str(spec.run_id).rpartition("-")[2]))
    assert ran == [spec.run_id for spec in wanted]


async def test_a_worker_learns_of_a_priority_that_nobody_had_used(app, aclient, working, ran):
    """[K16] By its next round, and the run shows it."""
    async with working(app):
        run = await aclient.submit("note", priority=7)
        status = await run.wait(60)
        assert status.priority == "7"
        infos = {info.priority: info for info in await aclient.queues()}
        assert set(infos) == {"7"}
        again = await aclient.submit("note", priority=0)
        await again.wait(60)
    assert [info.priority for info in await aclient.queues()] == ["0", "7"]


async def test_a_worker_forgets_a_priority_that_nobody_uses_any_more(
    app, aclient, working, ran, real
):
    """[K16] By its next round, and learns of it again."""
    async with working(app):
        await (await aclient.submit("note", priority=7)).wait(60)
        real.delete("stepflow:level:default.level7")
        await until(lambda: not real.exists("stepflow:levels"))
        await (await aclient.submit("note", priority=7)).wait(60)
    assert len(ran) == 2


async def test_a_kept_run_gives_way_to_a_more_urgent_one(app, aclient, working, ran):
    """[K16] One slot; the chain ends only after the urgent run has."""

    @app.runner("chain")
    async def chain(step: Step[object]):
        await asyncio.sleep(0.001)
        return Succeed() if ran else Continue()

    async with working(app, concurrency=1):
        long = await aclient.submit("chain", priority="high")
        await until(lambda: is_running(long))
        urgent = await aclient.submit("note", priority=1)
        await urgent.wait(60)
        await long.wait(60)


async def test_a_priority_that_nobody_uses_costs_no_command_and_no_key(app, working, client, real):
    """[K16] All that is said to the server, from a worker's start to its end."""

    @app.runner("etl")
    async def etl(step: Step[object]):
        return Succeed()

    with real.monitor() as monitor:
        async with working(app):
            for priority in ("high", "normal", "low"):
                client.submit("etl", run_id=priority, priority=priority)
            await until(lambda: len(client.list(state="succeeded").runs) == 3)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            said.append((command["client_type"], command["command"]))
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    assert not [line for _, line in said if ".level" in line and "SCRIPT LOAD" not in line]
    # the one key is asked for by a command that is sent in any case
    of_levels = [line for kind, line in said if kind == "lua" and "stepflow:levels" in line]
    assert of_levels
    assert {line.partition(" ")[0] for line in of_levels} == {"EXISTS"}
    assert not real.exists("stepflow:levels")


@pytest.mark.parametrize("priority", [-1, 10, "10", "urgent", True, 2.0, None])
async def test_what_is_no_priority_is_refused(aclient, priority):
    with pytest.raises(InvalidOption, match="is not high, normal or low, nor 0"):
        await aclient.submit("note", priority=priority)
