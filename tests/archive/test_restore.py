"""A run goes on from a snapshot, as a fork, also when Redis has lost everything."""

from __future__ import annotations

import pytest

from stepflow import Client, Continue, Step, Stepflow, Succeed, SyncContext
from stepflow.errors import (
    ArchiveMisconfigured,
    NotArchived,
    RunConflict,
    RunNotFound,
    UnreadableHistory,
)
from tests.support import until

CALLED: list[str] = []


def note(what: str) -> str:
    CALLED.append(what)
    return f"{what} done"


@pytest.fixture
def app(url, settings, tmp_path):
    CALLED.clear()
    app = Stepflow(url, settings=settings, archive=f"sqlite:///{tmp_path}/archive.db")

    @app.workflow
    def order(ctx: SyncContext, payload: dict) -> list:
        ctx.vars.set("stage", "paid")
        paid = ctx.step(note, "pay")
        if payload.get("asks"):
            ctx.ask(bool, "Ship it?")
        word = ctx.wait_for_signal("go")
        return [paid, word, ctx.vars.get("stage"), ctx.step(note, "ship"), payload]

    @app.runner("chain")
    async def chain(step: Step):
        note(f"step {step.number}")
        if step.number == 0:
            step.effects.put("kept", "value")
            return Continue("second", delay=3600)
        return Succeed(step.payload)

    yield app
    app.client.archive.close()
    app.client.close()


@pytest.fixture
def archive(app):
    return app.client.archive


async def waiting(app, run_id, state="waiting"):
    async def stands():
        status = await app.async_client.status(run_id)
        return status is not None and status.state == state

    await until(stands)


async def test_a_run_goes_on_from_its_snapshot_after_redis_was_wiped(
    app, archive, real, working, caplog
):
    """[H4]"""
    async with working(app, concurrency=2):
        await app.async_client.submit(
            "order", {"n": 1}, run_id="o1", headers={"tenant": "a"}, tags={"kind": "big"}
        )
        await waiting(app, "o1")
        await app.async_client.signal("o1", "other", "kept")
        number = await app.async_client.archive.snapshot("o1", why="before the deploy")
        real.flushall()
    assert [(each.number, each.state, each.why) for each in archive.snapshots("o1")] == [
        (number, "waiting", "before the deploy")
    ]
    assert archive.restore("o1", new_id="o2") == "o2"
    assert archive.restore("o1", number, new_id="o2") == "o2"
    async with working(app, concurrency=2):
        await waiting(app, "o2")
        await app.async_client.signal("o2", "go", "word")
        result = await app.async_client.result("o2", 60)
    assert result == ["pay done", "word", "paid", "ship done", {"n": 1}]
    assert CALLED == ["pay", "ship"]
    status = app.client.status("o2")
    assert (status.headers, status.tags) == ({"tenant": "a"}, {"kind": "big"})
    assert app.client.status("o1") is None


async def test_a_restored_run_names_the_questions_that_were_answered(app, archive, real, working):
    """[H4] [U9]"""
    client = app.async_client
    async with working(app, concurrency=2):
        await client.submit("order", {"asks": True}, run_id="o1")
        [question] = await until(client.questions)
        await client.answer(question.token, True)
        await until(lambda: _waits_for(client, "o1", "signal"))
        await client.archive.snapshot("o1")
        real.flushall()
        archive.restore("o1", new_id="o2")
        await until(lambda: _waits_for(client, "o2", "signal"))
        steps = (await client.steps("o2")).steps
        assert [step.name for step in steps if step.kind == "question"] == ["Ship it?"]
        await client.cancel("o2")


async def _waits_for(client, run_id, word):
    status = await client.status(run_id)
    return status is not None and word in (status.waits_for or "")


async def test_a_runner_goes_on_at_its_step_with_what_its_effects_have_written(
    app, archive, real, working
):
    """[H4]"""
    async with working(app, concurrency=2):
        await app.async_client.submit("chain", "first", run_id="c1")
        await waiting(app, "c1", "scheduled")
        archive.snapshot("c1")
        assert archive.restore("c1", new_id="c2") == "c2"
        assert await app.async_client.result("c2", 60) == "second"
        assert await app.async_client.kv("c2", "kept") == "value"
        status = await app.async_client.status("c1")
        assert (status.state, status.step) == ("scheduled", 1)
        await app.async_client.cancel("c1")
    assert CALLED == ["step 0", "step 1"]


async def test_a_failed_run_goes_on_from_its_archived_end(app, archive, real, working):
    """[H4]"""

    @app.workflow
    def fragile(ctx: SyncContext, payload: str) -> str:
        note("called")
        first = ctx.step(note, "first")
        if CALLED.count("called") < 2:
            raise ValueError("once")
        return first

    async with working(app, concurrency=2):
        await app.async_client.submit("fragile", "x", run_id="f1")
        await until(lambda: bool(archive.list(run_id="f1").runs))
        new = archive.restore("f1")
        assert await app.async_client.result(new, 60) == "first done"
    assert CALLED == ["called", "first", "called"]


def test_what_cannot_be_restored_says_why(app, archive, real):
    with pytest.raises(NotArchived, match="no run 'x'"):
        archive.restore("x")
    with pytest.raises(NotArchived, match="no snapshot 7 of run 'x'"):
        archive.restore("x", 7)
    with pytest.raises(RunNotFound):
        archive.snapshot("x")
    app.client.submit("chain", 1, run_id="c1")
    number = archive.snapshot("c1")
    with pytest.raises(RunConflict):
        archive.restore("c1", new_id="c1")
    archive._open().take(moment("c1"))
    with pytest.raises(UnreadableHistory):
        archive.restore("c1")
    assert archive.restore("c1", number, new_id="c2") == "c2"
    app.client.cancel("c1")
    app.client.cancel("c2")


def moment(run_id):
    from tests.archive.test_conformance import moment

    return moment(run_id)


def test_a_client_without_an_archive_says_so(url, settings):
    client = Client(url, settings=settings)
    with pytest.raises(ArchiveMisconfigured, match="STEPFLOW_ARCHIVE_URL"):
        client.archive.list()
