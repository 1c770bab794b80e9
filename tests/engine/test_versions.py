"""
Versions of workflows: a run ends on the version it was submitted for, whatever is deployed
meanwhile.
"""

from __future__ import annotations

import pytest

from stepflow import Client, Context, PermanentError, RetryPolicy, RunFailed, RunSpec, Stepflow
from stepflow.core.ids import runner_key, split_runner
from stepflow.engine.versions import newest_version
from stepflow.errors import InvalidName, InvalidOption
from tests.support import until

QUICK = RetryPolicy(max_attempts=2, initial=0.001, jitter=False)


@pytest.fixture
def holding(url, settings):
    """
    Make apps: `holding(1, 2)` has workflow "w" in both versions, each of which gives its number and
    a signal.
    """
    apps = []

    def make(*versions, hook=None):
        app = Stepflow(url, settings=settings)
        for version in versions:

            @app.workflow("w", version=version)
            async def workflow(ctx: Context, wait: bool = False, version: int = version) -> str:
                said = await ctx.wait_for_signal("go") if wait else "at once"
                return f"{version} {said}"

        if hook is not None:
            app.on_terminal(hook)
        apps.append(app)
        return app

    yield make
    for app in apps:
        if app._client is not None:
            app._client.close()


async def in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


async def blocked(run):
    status = await run.status()
    return status if status.waits_for and "knows runner" in status.waits_for else None


async def test_a_run_in_flight_over_a_deploy_ends_on_the_version_it_began_with(
    holding, aclient, working
):
    """[F6] The old worker is gone; new code holds both, and takes new runs on the new one."""
    old, new = holding(1), holding(1, 2)
    async with working(old):
        run = await old.async_client.submit("w", True)
        await until(lambda: in_state(run, "waiting"))
    async with working(new):
        later = await new.async_client.submit("w", False)
        await aclient.signal(run.id, "go", "signal")
        assert await run.result(60) == "1 signal"
        assert await later.result(60) == "2 at once"
        assert [(await each.status()).version for each in (run, later)] == [1, 2]
        assert [(await each.status()).runner for each in (run, later)] == ["w", "w"]
    for app in (old, new):
        await app.async_client.close()


async def test_a_run_waits_for_a_worker_that_holds_its_version_and_status_says_which_are_held(
    holding, aclient, working
):
    """
    [F6] [C24] New code holds only later versions; no attempt is counted, and the old code takes the
    run up again.
    """
    async with working(holding(1)):
        run = await aclient.submit("w", True, version=1)
        await until(lambda: in_state(run, "waiting"))
    async with working(holding(2, 3)):
        await aclient.signal(run.id, "go", "signal")
        status = await until(lambda: blocked(run))
        start = (
            "a worker that knows runner 'w' in version 1; live workers hold version 2 and 3, "
            "since 20"
        )
        assert status.waits_for.startswith(start)
        assert (status.attempt, status.crashes, status.version) == (1, 0, 1)
    async with working(holding(1)):
        assert await run.result(60) == "1 signal"
    assert (await run.status()).waits_for is None


async def test_runs_of_all_priorities_wait_for_their_version_and_one_that_waits_can_be_cancelled(
    holding, aclient, working, real
):
    """[F6] [C5] [C25]"""
    async with working(holding(1)):
        runs = await aclient.submit_many(
            [
                RunSpec("w", False, priority=priority, version=2)
                for priority in ("low", "normal", "high")
            ]
        )
        gone = await aclient.submit("w", False, version=2)
        for run in (*runs, gone):
            await until(lambda run=run: blocked(run))
        assert await gone.cancel("never mind")
        assert gone.id not in str(real.lrange("stepflow:waiting:default:w@2", 0, -1))
    async with working(holding(2)):
        assert [await run.result(60) for run in runs] == ["2 at once"] * 3
    assert len(await aclient.list(runner="w")) == 4


async def test_a_plain_client_takes_the_newest_version_that_live_workers_hold(
    holding, aclient, working, monkeypatch, real
):
    """
    [F6] Rolled back, the old version is taken again; with no worker alive, the one that was held
    last.
    """
    monkeypatch.setattr("stepflow.engine.versions.choose.FRESH_S", 0.0)

    async def taken():
        run = await aclient.submit("w", False)
        return (await run.status()).version

    assert await taken() == 1
    async with working(holding(1)):
        async with working(holding(1, 2)):
            assert await taken() == 2
        await until(lambda: _is(taken, 1))
    real.zadd("stepflow:versions", {"w@9": 1.0})
    async with working(holding(2)):
        pass
    assert await taken() == 2
    assert real.zscore("stepflow:versions", "w@9") is None, "nobody has held it for a month"


async def _is(give, wanted):
    return await give() == wanted


async def test_a_plain_client_asks_for_versions_and_limits_once_in_a_while(real, url, settings):
    """[F6] Also where a version is given: that a runner has limits stands beside the versions."""

    def asked():
        return int(real.info("commandstats").get("cmdstat_zrevrangebyscore", {"calls": 0})["calls"])

    with Client(url, settings=settings) as client:
        before = asked()
        client.submit("w", version=3)
        assert asked() == before + 1
        for _ in range(3):
            client.submit("w")
        client.submit_many([("w", 1), ("w", 2)])
        assert asked() == before + 1


async def test_the_same_submit_after_a_deploy_finds_the_run_of_the_version_before(holding, aclient):
    """[F6] [C3] It is no conflict, and a restart takes the new version."""
    old, new = holding(1), holding(2)
    assert old.client.submit("w", True, run_id="a").created
    again = new.client.submit("w", True, run_id="a")
    assert not again.created
    assert new.client.status("a").version == 1
    new.client.cancel("a")
    assert new.client.submit("w", True, run_id="a", on_conflict="restart").created
    assert new.client.status("a").version == 2
    new.client.cancel("a")


async def test_retries_and_hooks_work_for_a_later_version(url, settings, aclient, working, holding):
    """[F6] [C21] [C29] Hooks see the bare name, and a worker with another version delivers them."""
    app, seen, is_mended = Stepflow(url, settings=settings), [], False

    @app.workflow("w", version=2, retry=QUICK)
    async def workflow(ctx: Context) -> str:
        return await ctx.step(fragile)

    async def fragile():
        if not is_mended:
            raise PermanentError("broken")
        return "mended"

    def note(outcome):
        seen.append((outcome.runner, outcome.status))

    app.on_terminal(note)
    async with working(app):
        run = await aclient.submit("w", version=2)
        with pytest.raises(RunFailed):
            await run.result(60)
        await until(lambda: seen == [("w", "failed")])
        is_mended = True
        await aclient.retry(run.id)
        assert await run.result(60) == "mended"
        await until(lambda: seen == [("w", "failed"), ("w", "succeeded")])
    other = await aclient.submit("w", version=2)
    assert await other.cancel()
    async with working(holding(1, hook=note)):
        await until(lambda: seen[2:] == [("w", "cancelled")])


async def test_a_run_of_a_later_version_whose_worker_died_runs_again_on_it(
    holding, aclient, working, ghost
):
    """[F6] [C35]"""
    run = await aclient.submit("w", False, version=2)
    ghost.claim("w@2")
    async with working(holding(1, 2)):
        ghost.die()
        assert await run.result(60) == "2 at once"
    assert (await run.status()).crashes == 1


def test_versions_are_registered_side_by_side_and_each_once(holding):
    app = holding(1, 2)
    assert (app.registry.names, list(app.registry.runners), app.registry.newest("w")) == (
        ["w"],
        ["w", "w@2"],
        2,
    )
    assert app.registry.newest("other") is None
    with pytest.raises(InvalidName, match=r"'w' version 2 .* or pass version=3"):
        app.workflow("w", version=2)(lambda ctx: None)
    with pytest.raises(InvalidName):
        app.workflow("w@3")(lambda ctx: None)
    for wrong in (0, -1, "2", True, 1.5):
        with pytest.raises(InvalidOption, match="whole numbers from 1"):
            app.workflow("v", version=wrong)(lambda ctx: None)
    with pytest.raises(InvalidOption, match="whole numbers from 1"):
        app.client.submit("w", version=0)


@pytest.mark.parametrize(
    ("name", "version", "key"), [("w", 1, "w"), ("w", 2, "w@2"), ("a.b:c", 10, "a.b:c@10")]
)
def test_a_runner_key_says_runner_and_version(name, version, key):
    assert runner_key(name, version) == key
    assert split_runner(key) == (name, version)


def test_what_is_not_a_workflows_key_is_left_as_it_is():
    assert split_runner("@webhook") == ("@webhook", 1)


@pytest.mark.parametrize(
    ("said", "newest"),
    [
        ([], 1),
        ([("w", 100.0), ("w@2", 99.0), ("v@7", 100.0)], 2),
        ([("w", 100.0), ("w@2", 50.0)], 1),
        ([("w", 50.0), ("w@2", 40.0)], 1),
        ([("w", 50.0), ("w@2", 50.0)], 2),
    ],
)
def test_the_newest_version_is_one_that_lives_or_the_last_that_did(said, newest):
    assert newest_version("w", said, 101.0) == newest
