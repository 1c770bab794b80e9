"""Tenants take turns: with workers, clients, children and the setting that says whose a run is."""

import asyncio

import pytest

from stepflow import Continue, InvalidOption, PermanentError, RunSpec, Step, Succeed
from stepflow.settings import QueueSettings, load_settings
from tests.support import until

FAIR = QueueSettings(fair={"default": "header.tenant", "mail": "tag.customer"})


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"queues": FAIR})


@pytest.fixture
def ran(app):
    """The lanes in the order in which steps of runs began."""
    order: list[str] = []

    @app.runner("note")
    async def note(step: Step[object]):
        order.append(step.headers.get("tenant", ""))
        return Succeed()

    return order


async def test_one_with_much_does_not_hold_up_one_with_little(app, aclient, working, ran, real):
    """[L12] Whose a run is, a header says."""
    real.hset("stepflow:fair", "default", 1)
    specs = [RunSpec("note", headers={"tenant": tenant}) for tenant in ["big"] * 60 + ["small"] * 3]
    handles = await aclient.submit_many(specs)
    assert (await handles[0].status()).lane == "big"
    async with working(app, concurrency=1):
        await asyncio.gather(*[handle.wait(60) for handle in handles])
    assert ran[:9].count("small") == 3
    assert not list(real.scan_iter("stepflow:lane*"))


async def test_a_run_says_its_lane_or_has_that_of_all_who_say_none(app, aclient, working, real):
    """[L12] By the submit, a header, a tag, or nothing; other queues have none."""
    submit = aclient.submit
    for lane, options in [
        ("given", {"lane": "given", "headers": {"tenant": "a"}}),
        ("a", {"headers": {"tenant": "a"}}),
        ("-", {}),
        ("c1", {"queue": "mail", "tags": {"customer": "c1"}}),
        (None, {"queue": "other", "headers": {"tenant": "a"}}),
        ("x", {"queue": "other", "lane": "x"}),
    ]:
        run = await submit("note", **options)
        assert (await run.status()).lane == lane
        await run.cancel()
    async with working(app, queues=["default", "mail", "other"]):
        await until(lambda: not list(real.scan_iter("stepflow:lane*")))


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 65, 7])
async def test_what_can_be_no_lane_is_refused_and_nothing_is_written(aclient, real, name):
    with pytest.raises(InvalidOption, match="is not 1 to 64 bytes of printable text"):
        await aclient.submit("note", lane=name)
    assert not real.exists("stepflow:idx:live")


def test_what_is_no_rule_is_refused(monkeypatch):
    monkeypatch.setenv("STEPFLOW_QUEUES_FAIR", '{"default": "payload.tenant"}')
    load_settings.cache_clear()
    with pytest.raises(InvalidOption, match=r"neither header\.NAME nor tag\.NAME"):
        load_settings()


async def test_children_wait_in_the_lane_of_their_parent(app, aclient, working, ran):
    """[L12] Unless they say their own."""

    @app.workflow("parent")
    async def parent(ctx):
        first = await ctx.spawn("note")
        own = await ctx.spawn("note", headers={"tenant": "other"})
        await first.result()
        await own.result()
        return [first.id, own.id]

    async with working(app):
        run = await aclient.submit("parent", headers={"tenant": "acme"})
        found = await run.result(60)
        await until(lambda: len(ran) == 2)
        lanes = [(await aclient.status(child)).lane for child in found]
    assert lanes == ["acme", "other"]


async def test_each_hand_over_is_a_turn(app, aclient, working, ran):
    """[L12] Retries, sleeps and signals bring a run back to the end of its lane."""
    seen = []

    @app.runner("chain")
    async def chain(step: Step[object]):
        seen.append((step.run_id, step.number))
        return Continue(delay=0.01) if step.number < 3 else Succeed()

    async with working(app, concurrency=2):
        runs = [
            await aclient.submit("chain", headers={"tenant": tenant})
            for tenant in "aab"
            for _ in "12"
        ]
        await asyncio.gather(*[run.wait(60) for run in runs])
    assert sorted(seen) == sorted((run.id, number) for run in runs for number in range(4))


async def test_a_run_that_is_cancelled_in_its_lane_leaves_it(app, aclient, working, real):
    """[L12]"""
    real.hset("stepflow:fair", "default", 1)
    runs = [await aclient.submit("note", lane="a") for _ in range(4)]
    assert real.zcard("stepflow:lane:default:a") == 3
    await runs[2].cancel()
    paused = await aclient.pause(runs[3].id)
    assert paused
    assert real.zcard("stepflow:lane:default:a") == 1
    await aclient.resume(runs[3].id)
    assert real.zcard("stepflow:lane:default:a") == 2
    for run in runs:
        await run.cancel()
    assert real.zcard("stepflow:lane:default:a") == 0
    async with working(app):
        await until(lambda: not list(real.scan_iter("stepflow:lane*")))


async def test_a_retry_by_hand_waits_in_its_lane(app, aclient, working, real):
    """[L12]"""

    @app.runner("fails")
    async def fails(step: Step[object]):
        raise PermanentError

    real.hset("stepflow:fair", "default", 1)
    async with working(app):
        run = await aclient.submit("fails", lane="a")
        await run.wait(60)
    await aclient.submit("fails", lane="b", run_id="first")
    await aclient.retry(run.id)
    assert real.zcard("stepflow:lane:default:a") == 1
    for each in (run.id, "first"):
        await aclient.cancel(each)
    async with working(app):
        await until(lambda: not list(real.scan_iter("stepflow:lane*")))


async def test_who_uses_no_lanes_pays_nothing(app, working, client, real):
    """[L12] No command and no key, from a worker's start to its end."""
    client.env.settings = replace_queues(client.env.settings)

    @app.runner("chain")
    async def chain(step: Step[object]):
        return Continue(delay=0.01) if step.number < 2 else Succeed()

    with real.monitor() as monitor:
        async with working(app):
            for number in range(3):
                client.submit("chain", run_id=f"r{number}", headers={"tenant": "a"})
            await until(lambda: len(client.list(state="succeeded").runs) == 3)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            said.append((command["client_type"], command["command"]))
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    by_scripts = [line for kind, line in said if kind == "lua"]
    of_lanes = [line for line in by_scripts if ":lane" in line or ":fair" in line]
    # the key is asked for by commands that are sent in any case
    assert {line.partition(" ")[0] for line in of_lanes} == {"EXISTS"}
    assert not [key for key in real.scan_iter() if b":lane" in key or b":fair" in key]


def replace_queues(settings):
    return settings.model_copy(update={"queues": QueueSettings()})
