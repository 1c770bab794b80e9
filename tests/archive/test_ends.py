"""Every end of a run reaches the archive, whatever becomes of the database meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial

import pytest
from click.testing import CliRunner

from stepflow import Fail, Step, Stepflow, Succeed
from stepflow.archive.archive import Archive
from stepflow.cli.main import cli
from stepflow.errors import ArchiveUnreachable, NotArchived, NotDeletable
from stepflow.settings import ArchiveSettings
from tests.support import until


@pytest.fixture
def archive(tmp_path):
    with Archive(ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db")) as archive:
        yield archive


@pytest.fixture
def app(url, settings, tmp_path):
    settings = settings.model_copy(
        update={"retention": settings.retention.model_copy(update={"result_s": 1000.0})}
    )
    app = Stepflow(url, settings=settings, archive=f"sqlite:///{tmp_path}/archive.db")

    @app.runner("etl")
    async def etl(step: Step):
        if step.payload == "fail":
            return Fail("no")
        return Succeed({"got": step.payload})

    @app.workflow
    async def flow(ctx, payload):
        return await ctx.step(double, payload)

    yield app
    if app._client is not None:
        app._client.close()


async def double(value):
    return {"value": value, "secret": "s3"}


def ttl(real, run_id):
    return real.ttl(f"stepflow:run:{run_id}")


async def archived(archive, run_id, **which):
    def found():
        try:
            return archive.get(run_id, **which)
        except NotArchived:
            return None

    return await until(found)


async def test_every_way_of_ending_is_archived_and_then_redis_lets_the_run_go(
    app, archive, real, working, aclient
):
    """[H2]"""
    await aclient.submit("etl", "x", run_id="idle", queue="nobody", headers={"tenant": "acme"})
    async with working(app, concurrency=4):
        good = await app.async_client.submit("etl", "x", run_id="good", tags={"kind": "big"})
        await app.async_client.submit("etl", "fail", run_id="bad")
        await app.async_client.submit("flow", 7, run_id="flow")
        await aclient.cancel("idle", "by hand")
        await good.result(60)
        found = {name: await archived(archive, name) for name in ("good", "bad", "flow", "idle")}
        assert {name: run.state for name, run in found.items()} == {
            "good": "succeeded", "bad": "failed", "flow": "succeeded", "idle": "cancelled",
        }  # fmt: skip
        await until(lambda: all(0 < ttl(real, name) <= 1000 for name in found))
        await app.async_client.retry("bad")
        again = await archived(archive, "bad", end=2)
        await until(lambda: 0 < ttl(real, "bad") <= 1000)
    assert (again.state, again.error.message) == ("failed", "no")
    assert found["good"].payload == "x"
    assert found["good"].result == {"got": "x"}
    assert found["good"].tags == {"kind": "big"}
    assert found["idle"].headers == {"tenant": "acme"}
    assert found["idle"].reason == "by hand"
    [step] = archive.steps(found["flow"])
    assert (step.kind, step.name, step.state) == ("step", "double", "succeeded")
    assert step.value == {"value": 7, "secret": "s3"}
    [attempt] = archive.steps(found["good"])
    assert (attempt.name, attempt.state, attempt.attempt) == ("step 0", "succeeded", 1)
    assert archive.document(found["flow"])["journal"][0]["name"] == "double"
    assert all(run.is_whole for run in found.values())


async def test_while_the_archive_is_away_steps_go_on_and_nothing_is_dropped(
    app, archive, real, working, monkeypatch, caplog
):
    """[H2]"""
    monkeypatch.setattr("stepflow.worker.archiving.rounds.FIRST_LOOK_S", 0.05)
    away = [ArchiveUnreachable("sqlite", "gone")]
    write, ping = Archive.write, Archive.ping

    def failing(whole):
        def call(self, *given):
            if away:
                raise away[0]
            return whole(self, *given)

        return call

    monkeypatch.setattr(Archive, "write", failing(write))
    monkeypatch.setattr(Archive, "ping", failing(ping))
    told = []

    @app.on_terminal
    def note(outcome):
        told.append(outcome.run_id)

    caplog.set_level(logging.ERROR, "stepflow.archive")
    async with working(app, concurrency=4):
        payloads = [0, "fail", 2, 3, 4]
        for n, payload in enumerate(payloads):
            await app.async_client.submit("etl", payload, run_id=f"r{n}")
        await until(lambda: len(told) == 5)
        await until(lambda: "steps go on" in caplog.text)
        assert real.zcard("stepflow:to_archive") == 5
        assert all(ttl(real, f"r{n}") > 1000 for n in range(5))
        why = await app.async_client.why("r0")
        assert (why.code, why.commands) == (
            "ended.telling",
            ("stepflow archive health", "stepflow archive work"),
        )
        assert "its end is to be archived" in why.sentence
        lines, findings = await doctor(app)
        assert [line for line in lines if "5 ends wait to be archived" in line["sentence"]]
        assert not findings
        with pytest.raises(NotDeletable, match="still to be archived"):
            await app.async_client.delete("r0")
        await app.async_client.retry("r1")
        away.clear()
        for n in range(5):
            await archived(archive, f"r{n}")
        await archived(archive, "r1", end=2)
        await until(lambda: all(0 < ttl(real, f"r{n}") <= 1000 for n in range(5)))
    assert len(archive.list().runs) == 6
    assert len([each for each in caplog.records if "steps go on" in each.message]) == 1


async def doctor(app):
    """What the person on call sees."""
    call = partial(CliRunner().invoke, cli, ["--redis-url", app.given_url, "doctor", "--json"])
    found = json.loads((await asyncio.to_thread(call)).stdout)
    return found["lines"], found["findings"]


async def test_an_end_that_is_refused_stops_no_other(app, archive, working, monkeypatch):
    """[H6]"""
    from stepflow.archive import rows

    steps = rows.rows_of_steps
    monkeypatch.setattr(
        rows, "rows_of_steps",
        lambda number, end: (
            row | ({"state": None} if end.run.id == "odd" else {}) for row in steps(number, end)
        ),
    )  # fmt: skip
    async with working(app, concurrency=4):
        for name in ("odd", "even"):
            await app.async_client.submit("etl", name, run_id=name)
        await archived(archive, "even")
        await until(refused(app))
    with pytest.raises(NotArchived):
        archive.get("odd")


def refused(app):
    async def is_refused():
        [hook] = await app.async_client.hooks("odd")
        return "refuses what is to be written" in (hook.problem or "")

    return is_refused


async def test_secrets_are_blanked_before_anything_is_archived(app, archive, working):
    app.registry.archive = app.registry.archive.model_copy(update={"redact": ("secret",)})
    async with working(app, concurrency=1):
        await app.async_client.submit(
            "flow", {"secret": "s1"}, run_id="flow", headers={"secret": "s2"}
        )
        run = await archived(archive, "flow")
    kept = f"{run} {archive.steps(run)} {archive.document(run)}"
    assert not [secret for secret in ("s1", "s2", "s3") if f"'{secret}'" in kept]
    assert run.headers == {"secret": "[redacted]"}


async def test_what_is_to_keep_its_result_alone_is_archived_whole(
    url, settings, tmp_path, archive, real, working
):
    """[H3]"""
    kept = settings.retention.model_copy(update={"keep": "result", "result_s": 1000.0})
    app = Stepflow(
        url, settings=settings.model_copy(update={"retention": kept}),
        archive=f"sqlite:///{tmp_path}/archive.db",
    )  # fmt: skip

    @app.workflow
    async def flow(ctx, payload):
        return await ctx.step(double, payload)

    async with working(app, concurrency=1):
        await app.async_client.submit("flow", 7, run_id="flow")
        run = await archived(archive, "flow")
        await until(lambda: not real.exists("stepflow:run:flow:journal"))
    assert len(archive.steps(run)) == 1
    assert 0 < ttl(real, "flow") <= 1000


async def test_ends_that_nobody_knew_an_archive_for_are_archived_by_the_first_worker(
    app, archive, working, aclient
):
    """[H2]"""
    await aclient.submit("etl", "x", run_id="idle")
    await aclient.cancel("idle")
    async with working(app, concurrency=1):
        assert (await archived(archive, "idle")).state == "cancelled"


async def test_a_burst_archives_what_it_has_ended_before_it_leaves(app, archive, working):
    """[H2] Also a worker that archives in a thread."""
    for number in range(5):
        await app.async_client.submit("etl", number, run_id=f"r{number}")
    async with working(app, concurrency=4, burst=True) as worker:
        await until(lambda: worker.finished_steps == 5)
    assert len(archive.list().runs) == 5
