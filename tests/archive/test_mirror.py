"""Live runs follow into the archive, and snapshots are taken on the way."""

from __future__ import annotations

import pytest

from stepflow import Stepflow, SyncContext
from stepflow.archive.archive import Archive
from stepflow.errors import ArchiveUnreachable, RedisUnreachable, UnreadableValue
from stepflow.settings import ArchiveSettings
from stepflow.worker.upkeep import mirror
from stepflow.worker.upkeep.mirror import Mirror
from tests.support import until


def made(url, settings, tmp_path, **options):
    archive = settings.archive.at(f"sqlite:///{tmp_path}/archive.db").model_copy(update=options)
    app = Stepflow(url, settings=settings.model_copy(update={"archive": archive}))

    @app.workflow
    def order(ctx: SyncContext, payload: str) -> list:
        paid = ctx.step(str.upper, payload)
        packed = ctx.step(str.title, payload)
        return [paid, packed, ctx.wait_for_signal("go")]

    return app, Archive(archive)


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr("stepflow.worker.upkeep.mirror.ROUND_S", 0.05)


async def test_a_live_run_follows_into_the_archive_and_goes_on_from_there(
    url, settings, tmp_path, real, working, often
):
    """[H2] [H4] Also when Redis was lost without a snapshot."""
    app, archive = made(url, settings, tmp_path, mirror="live")
    async with working(app, concurrency=2):
        await app.async_client.submit("order", "kite", run_id="o1")
        await until(lambda: (found := archive.mirrored("o1")) and found[0].state == "waiting")
        real.flushall()
    client = app.client
    assert client.archive.restore("o1", new_id="o2") == "o2"
    async with working(app, concurrency=2):
        await app.async_client.signal("o2", "go", 1)
        assert await app.async_client.result("o2", 60) == ["KITE", "Kite", 1]
        await until(lambda: archive.list().runs)
        assert archive.mirrored("o2") is None
    client.archive.close()
    client.close()
    archive.close()


async def test_a_snapshot_is_taken_after_so_many_steps(url, settings, tmp_path, working, often):
    """[H4]"""
    app, archive = made(url, settings, tmp_path, snapshot_every=2)
    async with working(app, concurrency=2):
        await app.async_client.submit("order", "kite", run_id="o1")
        [taken] = await until(lambda: archive.snapshots("o1"))
        assert taken.why == "mirror"
        assert archive.mirrored("o1") is None
        await app.async_client.cancel("o1")
        await until(lambda: archive.list().runs)
    assert len(archive.snapshots("o1")) == 1
    archive.close()


@pytest.mark.parametrize("at", ["read", "written"])
async def test_a_run_that_cannot_be_mirrored_stops_no_other_and_no_worker(
    url, settings, tmp_path, working, often, monkeypatch, caplog, at
):
    """[H2] It is said once, whatever the fault."""
    app, archive = made(url, settings, tmp_path, mirror="live")
    read, written = mirror.collect_moment, Archive.mirror

    def reading(run_id, *given, **options):
        if at == "read" and run_id == "bad":
            raise UnreadableValue("its values are of another key")
        return read(run_id, *given, **options)

    def writing(self, moments):
        if at == "written" and any(each.run_id == "bad" for each in moments):
            raise RecursionError("too deep")
        written(self, moments)

    monkeypatch.setattr(mirror, "collect_moment", reading)
    monkeypatch.setattr(Archive, "mirror", writing)
    async with working(app, concurrency=2):
        await app.async_client.submit("order", "kite", run_id="bad")
        await app.async_client.submit("order", "kite", run_id="good")
        await until(lambda: (found := archive.mirrored("good")) and found[0].state == "waiting")
        await app.async_client.signal("bad", "go", 1)
        assert await app.async_client.result("bad", 60) == ["KITE", "Kite", 1]
    assert caplog.text.count("run=bad is not mirrored") == 1
    archive.close()


@pytest.mark.parametrize("away", [RedisUnreachable("a", "b"), ArchiveUnreachable("a", "b")])
async def test_a_round_while_redis_or_the_archive_is_away_is_made_again(
    client, tmp_path, monkeypatch, away
):
    """[H2]"""

    def refused(*_, **__):
        raise away

    monkeypatch.setattr(mirror, "collect_moment", refused)
    state = Held(client.env, ["a1"])
    rounds = Mirror(state, None, ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db"))
    state.runs.clear()
    state.touched = {"a1"}
    await rounds.go()
    assert state.touched == {"a1"}


async def test_a_worker_whose_archive_cannot_be_used_goes_on(url, settings, working, often):
    """[H2] As one does that does not mirror."""
    archive = settings.archive.at("sqlite:///history.db").model_copy(
        update={"url": "mysql://db/history", "mirror": "live"}
    )
    app = Stepflow(url, settings=settings.model_copy(update={"archive": archive}))

    @app.workflow
    def order(ctx: SyncContext, payload: str) -> str:
        return ctx.step(str.upper, payload)

    async with working(app, concurrency=2):
        await app.async_client.submit("order", "kite", run_id="o1")
        assert await app.async_client.result("o1", 60) == "KITE"


class Held:
    """What the mirror knows of a worker: the runs in its hands, and those it had there."""

    def __init__(self, env, runs=()):
        self.env, self.runs, self.touched = env, dict.fromkeys(runs), None


def test_a_run_that_moves_while_it_is_read_is_looked_at_again(client, tmp_path):
    """[H2]"""
    state = Held(client.env, ["a1"])
    rounds = Mirror(state, None, ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db"))
    assert rounds._choose() == {"a1"}
    del state.runs["a1"]  # it parks while it is read
    assert rounds._choose() == {"a1"}
    assert rounds._choose() == set()


def test_of_more_runs_than_a_round_takes_each_has_its_turn(client, tmp_path, monkeypatch):
    """[H2]"""
    monkeypatch.setattr("stepflow.worker.upkeep.mirror.MOST", 3)
    names = [f"r{number}" for number in range(8)]
    looking = Mirror(
        Held(client.env, names), None, ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db")
    )
    rounds = [looking._choose() for _ in range(3)]
    assert [len(found) for found in rounds] == [3, 3, 3]
    assert set().union(*rounds) == set(names)


async def test_an_app_without_an_archive_notes_no_run_and_writes_nothing_of_one(
    url, settings, real, working
):
    """[H2] Off costs nothing."""
    app = Stepflow(url, settings=settings)

    @app.runner("etl")
    async def etl(step):
        from stepflow import Succeed

        return Succeed(step.payload)

    async with working(app, concurrency=2) as worker:
        await app.async_client.submit("etl", 1, run_id="a1")
        await app.async_client.result("a1", 60)
        state = worker.parts.state
        assert state.touched is None
        assert state.app_hooks("etl", "succeeded") == []
        assert not real.keys("*hook:*")
        assert real.ttl("stepflow:run:a1") <= settings.retention.result_s
