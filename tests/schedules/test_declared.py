"""Schedules that code declares: put by workers, the newest version first, blocked without them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from stepflow import Context, InvalidOption, ScheduleState, Step, Stepflow, Succeed
from stepflow.engine.schedules.declared import (
    FORGET_S,
    declared_by_living,
    deployed_at,
    is_older,
    put_declared,
)
from stepflow.store.connection.sync import carry_out
from stepflow.testing import Harness
from tests.support import until


def declaring(app, cron=None, **options):
    @app.schedule(cron, **options)
    @app.runner("etl")
    async def etl(step: Step[object]):
        return Succeed(step.scheduled_for)

    return etl


def start(bench, app, worker="w1"):
    """Do for schedules what a worker does at its start."""
    registry = app.registry
    plan = put_declared(worker, registry.schedules, registry.app_version, bench.env)
    carry_out(bench.connection, plan)


def an_app(version="", **options):
    app = Stepflow("redis://nowhere", version=version)
    declaring(app, **{"every": 10, "id": "s", **options})
    return app


async def test_a_job_without_arguments_needs_no_payload():
    """[T1] Neither in code nor where it is put by name, nor for a plain submit."""
    app = Stepflow("redis://nowhere")
    done = []

    @app.schedule(every=timedelta(hours=12))
    @app.job(name="clean")
    def clean() -> None:
        done.append(1)

    async with Harness(app) as h:
        await h.client.schedules.put("by-name", "clean", every=timedelta(hours=12))
        await h.advance(timedelta(hours=12))
        await h.submit("clean")
    assert len(done) == 3


async def test_runners_jobs_and_workflows_run_at_their_times():
    """[T1] [T14] [T21]"""
    app = Stepflow("redis://nowhere")
    seen = []
    declaring(app, "0 2 * * *", tz="Europe/Berlin")

    @app.schedule(every=timedelta(hours=12), payload={"what": "cache"})
    @app.job(name="clean")
    def clean(what: str, hard: bool = False) -> None:
        seen.append((what, hard))

    @app.schedule(at=[datetime(2030, 1, 1, 5, tzinfo=UTC)], payload=7)
    @app.workflow
    async def report(ctx: Context, number: int) -> int:
        seen.append(ctx.scheduled_for)
        return number

    async with Harness(app) as h:
        await h.advance(timedelta(days=1))
        assert await h.result("etl-20300101T010000Z") == datetime(2030, 1, 1, 1, tzinfo=UTC)
        assert await h.result("report-20300101T050000Z") == 7
        assert seen == [datetime(2030, 1, 1, 5, tzinfo=UTC), ("cache", False), ("cache", False)]
        assert {each.id: each.state for each in await h.schedules()} == {
            "etl": ScheduleState.ACTIVE, "clean": ScheduleState.ACTIVE, "report": "ended",
        }  # fmt: skip


async def test_a_year_of_times_is_there_at_once():
    """[T21] Over both switches of the clock."""
    app = Stepflow("redis://nowhere")
    declaring(app, "30 2 * * *", tz="Europe/Berlin")
    async with Harness(app) as h:
        times = await h.client.schedules.next("etl", 365)
        assert len({each.at.date() for each in times}) == 365
        assert [f"{each.at:%m-%d %H:%M}" for each in times if each.note] == [
            "03-31 03:00", "10-27 02:30",
        ]  # fmt: skip


def test_a_worker_puts_what_its_code_declares_and_again_changes_nothing(bench):
    """[T15]"""
    app = an_app()
    start(bench, app)
    bench.clock.advance(5)
    rev = bench.redis.hget(bench.keys.schedule("s"), "rev")
    start(bench, app, "w2")
    assert bench.redis.hget(bench.keys.schedule("s"), "rev") == rev
    bench.declares = lambda schedule_id: schedule_id == "s"
    bench.go_to(10)
    assert bench.runs() == [10]


def test_an_older_app_that_starts_again_puts_nothing_back(bench, caplog):
    """[T15] redbeat #198."""
    caplog.set_level("INFO")
    start(bench, an_app("1.10.0", every=20), "new")
    start(bench, an_app("1.9.2"), "old")
    assert bench.schedules.get("s").when == "every 20 s"
    assert "schedule=s stays as version 1.10.0 of the app declares it" in caplog.text
    start(bench, an_app("1.11", every=30), "newer")
    assert bench.schedules.get("s").when == "every 30 s"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.9.2", "1.10"),
        ("v2", "v10"),
        ("2026.11.3", "2026.11.30"),
        (deployed_at(10), deployed_at(9e9)),
        (deployed_at(9e9), "0.1"),
        ("1", "1.0.1"),
    ],
)
def test_versions_are_compared_by_their_numbers(one, other):
    """[T15]"""
    assert is_older(one, other)
    assert not is_older(other, one)
    assert not is_older(one, one)


def test_what_an_operator_set_survives_a_deploy(bench):
    """[T15]"""
    start(bench, an_app("1"))
    bench.schedules.put("s", "etl", "0 4 * * *", tz="Europe/Berlin")
    bench.schedules.pause("s", "audit")
    start(bench, an_app("2", every=30))
    seen = bench.schedules.get("s")
    assert (seen.when, seen.declared, seen.note) == ("0 4 * * *", "every 30 s", "audit")
    assert seen.app_version == "2"
    bench.schedules.put("s", "etl", every=30)
    assert bench.schedules.get("s").declared is None


def test_of_a_declared_schedule_only_the_times_can_be_put(bench):
    start(bench, an_app())
    with pytest.raises(InvalidOption, match="declared in code"):
        bench.schedules.put("s", "other", every=30)


def test_what_no_live_worker_declares_does_not_fire_and_says_so(bench, monkeypatch):
    """[T16]"""
    start(bench, an_app())
    bench.go_to(10)
    seen = bench.schedules.get("s")
    assert (seen.state, seen.runs) == (ScheduleState.BLOCKED, 0)
    assert seen.blocked_since.timestamp() == bench.now
    bench.go_to(80)
    assert bench.left()[0] == (70, "blocked", 7)
    start(bench, an_app())
    bench.clock.advance(10)
    bench.move_due()
    bench.declares = lambda schedule_id: schedule_id == "s"
    bench.fire("s")
    assert bench.schedules.get("s").state is ScheduleState.ACTIVE
    assert bench.runs() == [90]


def test_one_that_is_kept_fires_without_its_code(bench):
    """[T16]"""
    start(bench, an_app(keep=True))
    bench.go_to(10)
    assert bench.runs() == [10]


def test_after_a_month_it_is_forgotten(bench):
    """[T16]"""
    start(bench, an_app(every=86400))
    bench.go_to(FORGET_S + 3 * 86400)
    assert bench.schedules.list() == []
    assert bench.next_due() is None


def test_one_that_was_lost_from_the_due_set_is_put_back_at_a_start(bench):
    """[T19]"""
    app = an_app()
    start(bench, app)
    bench.redis.delete(bench.keys.due)
    start(bench, app)
    assert bench.next_due() == bench.now + 10


async def test_a_worker_fires_what_its_code_declares(app, working, client):
    """[T2] On a real server, by its own timer."""
    declaring(app, every=1, id="s", overlap="allow")
    async with working(app):
        seen = await until(lambda: _of(client, runs=2))
        await until(lambda: len(client.list(state="succeeded").runs) >= 2)
    assert seen.app_version.startswith("deployed ")
    assert all(run.id.startswith("s-") for run in client.list().runs)
    client.schedules.delete("s")


async def test_a_worker_of_another_app_fires_it_while_a_worker_declares_it(
    app, working, client, url, settings
):
    """[T2] [T16] Whoever's timer is first fires."""
    declaring(app, every=1, id="s", overlap="allow")
    other = Stepflow(url, settings=settings)
    async with working(app, queues=["a"]):
        await until(client.schedules.list)
        assert client._do(declared_by_living(client.env)) == {"s"}
        async with working(other, queues=["b"]):
            await until(lambda: _of(client, runs=1))
    assert client._do(declared_by_living(client.env)) == set()
    client.schedules.delete("s")


async def test_the_end_of_a_run_begins_the_next_at_once(app, working, client):
    """[T9] By the worker that ended it, long before the next time."""
    gate = asyncio.Event()

    @app.runner("slow")
    async def slow(step: Step[object]):
        await gate.wait()
        return Succeed()

    client.schedules.put("s", slow, at=_soon(3), overlap="buffer_all")
    async with working(app):
        await until(lambda: client.schedules.get("s").buffered == 2)
        gate.set()
        await until(lambda: _of(client, runs=3))
        assert client.schedules.get("s").state is ScheduleState.ENDED
    client.schedules.delete("s")


def _soon(count):
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    return [begin + timedelta(seconds=number) for number in range(count)]


def _of(client, *, runs):
    found = client.schedules.list()
    return found and found[0].runs >= runs and found[0]


def test_what_cannot_be_declared_is_refused_where_it_stands():
    """[T1]"""
    app = Stepflow("redis://nowhere")
    with pytest.raises(InvalidOption, match=r"put @app\.schedule above"):
        app.schedule("0 2 * * *")(lambda step: None)
    declaring(app, "0 2 * * *")
    with pytest.raises(InvalidOption, match="declared twice"):
        app.schedule("0 3 * * *", id="etl")(app.runner("b")(lambda step: Succeed()))
    with pytest.raises(InvalidOption, match="no cron line"):
        app.schedule("0 0 30 2 *", id="c")(app.runner("c")(lambda step: Succeed()))

    @app.job(name="clean")
    def clean(what: str) -> None: ...

    with pytest.raises(InvalidOption, match="what"):
        app.schedule("0 2 * * *")(clean)
    with pytest.raises(InvalidOption, match="arguments by name"):
        app.schedule("0 2 * * *", payload="cache")(clean)
