"""A runner's name with a typo: who says so, and when."""

import pytest

from stepflow import RetryPolicy, StepFailed, Stepflow, Succeed
from stepflow.errors import UnknownRunner
from tests.support import until


@pytest.fixture
def shop(url, settings):
    """An app of two runners and a workflow, which the test's clients do not have."""
    app = Stepflow(url, settings=settings)

    @app.runner("charge")
    async def charge(step):
        return Succeed(step.payload)

    @app.runner("refund")
    async def refund(step):
        return Succeed(step.payload)

    return app


@pytest.fixture
def announced(real, aclient):
    """Wait until workers have said which runners they have."""

    async def announced(*names):
        await until(lambda: {*names} <= {name.decode() for name in real.zrange(VERSIONS, 0, -1)})

    return announced


VERSIONS = "stepflow:versions"
QUICK = RetryPolicy(max_attempts=10, initial=0.01)


def warnings(caplog):
    return [one.getMessage() for one in caplog.records if one.name == "stepflow.client"]


async def test_a_runner_that_no_live_worker_knows_is_a_warning_once(
    shop, aclient, working, announced, caplog
):
    """[U4] It names the known ones, and the nearest."""
    async with working(shop):
        await announced("charge", "refund")
        await aclient.submit("chrage", 1)
        await aclient.submit("chrage", 2)
        assert (await (await aclient.submit("charge", 3)).result(60)) == 3
    (said,) = warnings(caplog)
    assert "no live worker knows runner 'chrage'" in said
    assert said.endswith("known: charge, refund; did you mean 'charge'?")


async def test_without_a_live_worker_nobody_can_tell(shop, aclient, real, caplog):
    """[U4] As when the web process is deployed first."""
    await aclient.submit("chrage")
    real.zadd(VERSIONS, {"charge": 1.0})
    aclient.versions._read_at = -100.0
    await aclient.submit("chrage")
    assert warnings(caplog) == []


async def test_a_strict_submit_of_an_unknown_runner_raises_and_makes_nothing(
    shop, aclient, working, announced
):
    """[U4]"""
    with pytest.raises(UnknownRunner, match="known: none"):
        await aclient.submit("charge", strict=True)
    async with working(shop):
        await announced("charge")
        aclient.versions._read_at = -100.0
        with pytest.raises(UnknownRunner, match="known: charge, refund; did you mean 'charge'"):
            await aclient.submit("chrage", strict=True, version=1)
        assert list(await aclient.list()) == []
        assert (await (await aclient.submit("charge", 3, strict=True)).result(60)) == 3


async def test_a_worker_that_came_since_the_last_look_is_known(
    shop, aclient, working, announced, monkeypatch, caplog, url, settings
):
    """[U4] What is cached never makes a warning."""
    monkeypatch.setattr("stepflow.engine.versions.choose.RECHECK_S", 0.0)
    later = Stepflow(url, settings=settings)
    later.runner("late")(lambda step: Succeed(None))
    async with working(shop):
        await announced("charge")
        await aclient.submit("charge")
        async with working(later):
            await announced("late")
            await aclient.submit("late")
    assert warnings(caplog) == []


async def test_a_submit_of_a_known_runner_asks_for_what_workers_know_once_in_a_while(
    shop, aclient, working, announced, real
):
    """[U4] No command more for each submit."""
    async with working(shop):
        await announced("charge")
        await aclient.submit("charge")
        before = real.info("commandstats")["cmdstat_zrevrangebyscore"]["calls"]
        for number in range(5):
            await aclient.submit("charge", number)
    after = real.info("commandstats")["cmdstat_zrevrangebyscore"]["calls"]
    assert after == before


async def test_the_app_at_hand_knows_its_own_runners(shop, working, caplog, real):
    """[U4]"""
    client = shop.async_client
    never = client.versions._read_at
    await client.submit("charge", strict=True)
    assert (client.versions._read_at, warnings(caplog)) == (never, [])
    await client.close()


@pytest.mark.parametrize("call", ["spawn", "map"])
async def test_a_child_of_an_unknown_workflow_fails_the_call(
    app, aclient, working, announced, monkeypatch, call, caplog
):
    """[U4] After a few tries, for its worker may just start; the same on replay."""
    monkeypatch.setattr("stepflow.kits.flow.commands.child.SPAWN_RETRY", QUICK)
    monkeypatch.setattr("stepflow.kits.flow.commands.map.SPAWN_RETRY", QUICK)
    monkeypatch.setattr("stepflow.engine.versions.choose.RECHECK_S", 0.0)

    @app.workflow("parent")
    async def parent(ctx):
        try:
            if call == "spawn":
                await ctx.spawn("chidl")
            else:
                await ctx.map("chidl", [1, 2])
        except StepFailed as error:
            await ctx.sleep(0.01)
            return [error.error_type, error.error_message]

    @app.workflow("child")
    async def child(ctx, number=0):
        return number

    async with working(app):
        await announced("parent", "child")
        kind, message = await (await aclient.submit("parent")).result(60)
    assert kind == "UnknownChild"
    assert sum("of 4 failed: UnknownChild" in one.getMessage() for one in caplog.records) == 3
    assert "no worker knows a runner 'chidl' to begin" in message
    assert message.endswith("did you mean 'child'?")
    assert [run.runner for run in await aclient.list()] == ["parent"]


async def test_a_child_whose_workers_are_away_is_begun_and_waits(
    app, aclient, working, real, url, settings
):
    """[U4] They were there within the last month."""
    other = Stepflow(url, settings=settings)
    other.workflow("child")(_seven)

    @app.workflow("parent")
    async def parent(ctx):
        return await (await ctx.spawn("child")).result()

    async with working(other):
        await until(lambda: real.zscore(VERSIONS, "child"))
    async with working(app):
        run = await aclient.submit("parent")
        await until(lambda: real.exists(f"stepflow:run:{run.id}"))
        async with working(other):
            assert await run.result(60) == 7


async def _seven(ctx):
    return 7
