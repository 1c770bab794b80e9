"""What of a run waits until the server has confirmed it, at `durability="fsync"`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from stepflow import AsyncClient, Client, Continue, RunSpec, Stepflow, Succeed, embedded
from stepflow.errors import InvalidOption, ServerUnfit
from stepflow.settings import Settings
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from tests.support import until


class Disk:
    """The disk of the server: it syncs each write, or none."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.works()

    def works(self) -> None:
        self._client.config_set("appendfsync", "always")

    def stops(self) -> None:
        self._client.config_set("appendfsync", "no")


@pytest.fixture
def disk(real: redis.Redis) -> Iterator[Disk]:
    before = real.config_get("appendfsync")["appendfsync"]
    yield Disk(real)
    real.config_set("appendfsync", before)


@pytest.fixture
def app(url) -> Stepflow:
    return Stepflow(url, durability="fsync")


def fields_of(real: redis.Redis, run_id: str) -> dict[bytes, bytes]:
    return real.hgetall(f"stepflow:run:{run_id}")


async def test_a_step_begins_when_the_one_before_is_on_disk(app, working, real, disk):
    """[S12]"""
    begun = []

    @app.runner("two")
    async def two(step):
        begun.append(step.number)
        if step.number:
            return Succeed("done")
        disk.stops()
        return Continue({})

    async with working(app):
        run = await app.async_client.submit("two", {}, run_id="two")
        await until(lambda: fields_of(real, "two").get(b"step") == b"1")  # committed, not on disk
        await until(lambda: int(real.info("clients")["blocked_clients"]) > 2)  # beside those idle
        assert begun == [0]
        disk.works()
        assert await run.result(60) == "done"
    assert begun == [0, 1]
    await app.async_client.close()


async def test_a_step_of_a_workflow_begins_when_the_one_before_is_on_disk(app, working, real, disk):
    """[S12]"""
    begun = []

    def first():
        begun.append("first")
        disk.stops()

    def second():
        begun.append("second")

    @app.workflow
    async def both(ctx):
        await ctx.step(first)
        await ctx.step(second)

    async with working(app):
        run = await app.async_client.submit(both, run_id="both")
        await until(lambda: real.llen("stepflow:run:both:journal"))
        await until(lambda: int(real.info("clients")["blocked_clients"]) > 2)
        assert begun == ["first"]
        disk.works()
        await run.result(60)
    assert begun == ["first", "second"]
    await app.async_client.close()


async def test_a_hook_hears_of_an_end_when_that_is_on_disk(app, working, real, disk):
    """[S12]"""
    told = []

    @app.runner("one")
    async def one(step):
        disk.stops()
        return Succeed("done")

    @app.on_terminal
    def tell(outcome):
        told.append(outcome.run_id)

    async with working(app):
        await app.async_client.submit("one", {}, run_id="one")
        await until(lambda: any(b"hook:" in each for each in real.zrange("stepflow:claims", 0, -1)))
        assert told == []
        disk.works()
        await until(lambda: told == ["one"])
    await app.async_client.close()


async def test_a_cancel_and_a_signal_return_when_they_are_on_disk(app, real, disk):
    """[S12]"""
    client = app.async_client
    await client.submit("later", {}, run_id="later", delay=3600)
    disk.stops()
    signal = asyncio.ensure_future(client.signal("later", "news", 1))
    await until(lambda: int(real.info("clients")["blocked_clients"]))
    assert not signal.done()
    disk.works()
    await signal
    disk.stops()
    cancel = asyncio.ensure_future(client.cancel("later"))
    await until(lambda: fields_of(real, "later").get(b"state") == b"cancelled")
    assert not cancel.done()
    disk.works()
    assert await cancel
    await client.close()


async def test_a_worker_refuses_a_server_that_cannot_confirm(app, working, real):
    """[S12]"""
    before = real.config_get("appendonly")["appendonly"]
    real.config_set("appendonly", "no")
    try:
        with pytest.raises(ServerUnfit, match="set appendonly yes"):
            async with working(app):
                pass
    finally:
        real.config_set("appendonly", before)
        await until(lambda: real.info("persistence")["aof_rewrite_in_progress"] == 0)


def test_the_durability_of_an_app_is_checked_and_comes_from_the_environment(monkeypatch):
    with pytest.raises(InvalidOption, match="durability of the app is 'disk'; it is one of"):
        Stepflow(durability="disk")
    monkeypatch.setenv("STEPFLOW_DURABILITY", "replicated")
    assert Stepflow(settings=Settings()).settings.durability == "replicated"


# a runner's own


async def test_the_runs_of_a_runner_may_wait_and_others_do_not(url, working, real, disk):
    """[S12]"""
    app, begun, told = Stepflow(url), [], []

    @app.runner("sure", durability="fsync")
    async def sure(step):
        begun.append(step.number)
        if step.number:
            return Succeed("done")
        disk.stops()
        return Continue({})

    @app.runner("quick")
    async def quick(step):
        return Continue({}) if step.number < 3 else Succeed("quickly")

    @app.on_terminal
    def tell(outcome):
        told.append(outcome.run_id)

    client = app.async_client
    async with working(app):
        run = await client.submit("sure", {}, run_id="sure")
        await until(lambda: fields_of(real, "sure").get(b"step") == b"1")
        assert await (await client.submit("quick", {}, run_id="quick")).result(60) == "quickly"
        await until(lambda: told == ["quick"])
        assert begun == [0]
        another = asyncio.ensure_future(client.submit("sure", {}, run_id="another", delay=3600))
        await until(lambda: real.exists("stepflow:run:another"))
        assert not another.done()
        disk.works()
        assert await run.result(60) == "done"
        await until(lambda: told == ["quick", "sure"])
        await client.cancel((await another).id)
    await client.close()


async def test_a_step_that_another_worker_has_handed_over_waits_for_that_commit(
    url, working, real, disk
):
    """[S12] Its worker has seen nothing of the commit: it waits for all that went before."""
    app, begun = Stepflow(url), []

    @app.runner("sure", durability="fsync")
    async def sure(step):
        begun.append(step.number)
        return Succeed("done")

    real.config_set("appendfsync", "no")
    client = Stepflow(url).async_client  # knows of no durability
    async with working(app):
        run = await client.submit("sure", {}, run_id="sure")
        await until(lambda: fields_of(real, "sure").get(b"token"))
        await until(lambda: int(real.info("clients")["blocked_clients"]) > 2)
        assert begun == []
        disk.works()
        assert await run.result(60) == "done"
    await client.close()


async def test_a_runner_may_wait_for_less_than_its_app(url, working, real, disk):
    """[S12]"""
    app = Stepflow(url, durability="fsync")

    @app.workflow(durability="everysec")
    async def quick(ctx):
        return "quickly"

    async with working(app):
        run = await app.async_client.submit(quick, run_id="quick")
        assert await run.result(60) == "quickly"
    await app.async_client.close()


def test_the_durability_of_a_runner_is_checked(url):
    app = Stepflow(url)
    with pytest.raises(InvalidOption, match="durability of runner 'one' is 'disk'"):
        app.register("one", lambda step: Succeed(), durability="disk")
    with pytest.raises(InvalidOption, match="durability of runner 'job' is 0"):
        app.job(lambda: None, name="job", durability=0)


async def test_only_submit_takes_a_durability_of_its_own(url, real):
    app = Stepflow(url)
    start = RunSpec("one", durability="fsync")
    with pytest.raises(InvalidOption, match="has a durability of its own; only submit takes one"):
        await app.async_client.signal("one", "news", start=start)
    await app.async_client.close()


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_result_is_told_when_the_end_is_on_disk(url, working, real, disk, is_async):
    """[S12] Another process may have committed it, whose writes this client knows nothing of."""
    app = Stepflow(url)  # its worker waits for nothing
    settings = Settings(durability="fsync")

    @app.runner("one")
    async def one(step):
        disk.stops()
        return Succeed("done")

    asking = AsyncClient(url, settings=settings) if is_async else Client(url, settings=settings)
    async with working(app):
        run = await app.async_client.submit("one", {}, run_id="one")
        if is_async:
            result = asyncio.ensure_future(asking.result("one"))
        else:
            result = asyncio.ensure_future(asyncio.to_thread(asking.result, "one"))
        assert await run.result(60) == "done"
        await until(lambda: int(real.info("clients")["blocked_clients"]) > 2)
        assert not result.done()
        disk.works()
        assert await result == "done"
    await app.async_client.close()
    await asking.close() if is_async else asking.close()


def test_the_embedded_server_syncs_always_where_every_write_waits(tmp_path, monkeypatch):
    for name in ("STEPFLOW_REDIS_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    app = Stepflow(settings=Settings(home=tmp_path, embedded=True), durability="fsync")
    with app.client as client:
        client.submit("one", run_id="one")
        link = connect(Address.parse(app.url))
        assert link.config_get("appendfsync")["appendfsync"] == "always"
        link.close()
    embedded.stop(tmp_path)
    embedded.release(tmp_path)
