"""What is beside a run: its hooks get large values, its archive and its history their sizes."""

from __future__ import annotations

import json
import os

import httpx

import stepflow
from stepflow import Step, Stepflow, Succeed
from stepflow.testing import Harness
from stepflow.web import app as make_api
from stepflow.web import everything
from tests.offload.conftest import files_in
from tests.support import until

LARGE = os.urandom(100_000)
SHOWN = "<100,005 bytes, offloaded, SHA-256 "


async def test_a_hook_is_told_a_large_result(app, aclient, real, working):
    told = []

    @app.runner("gives")
    async def gives(step: Step):
        return Succeed(LARGE)

    @app.on_terminal
    def note(outcome) -> None:
        told.append(outcome.result)

    async with working(app):
        await aclient.submit("gives")
        await until(lambda: told)
    assert told == [LARGE]


async def test_the_archive_has_the_size_of_a_large_value_and_not_the_value(
    url, settings, working, tmp_path
):
    """[S16]"""
    database = tmp_path / "archive.db"
    app = Stepflow(url, settings=settings, archive=f"sqlite:///{database}")

    @app.workflow("gives")
    async def gives(ctx: stepflow.Context, payload: bytes) -> bytes:
        return await ctx.step("load", lambda: payload)

    client = app.async_client
    async with working(app):
        run = await client.submit("gives", LARGE)
        assert await run.result(60) == LARGE

        async def archived():
            return [each.id for each in (await client.archive.list()).runs] == [run.id]

        await until(archived)
    kept = await client.archive.get(run.id)
    assert [str(each).partition("SHA-256 ")[0] for each in (kept.payload, kept.result)] == [
        SHOWN.partition("SHA-256 ")[0]
    ] * 2
    assert database.stat().st_size < len(LARGE) * 3
    app.client.archive.close()
    app.client.close()
    await client.close()


async def test_a_history_leads_to_large_values_and_is_replayed(app, aclient, working):
    """[S16]"""

    @app.workflow("loads")
    async def loads(ctx: stepflow.Context, payload: bytes) -> int:
        return len(await ctx.step("load", lambda: payload))

    async with working(app):
        run = await aclient.submit("loads", LARGE)
        assert await run.result(60) == len(LARGE)
    document = json.loads(json.dumps(await aclient.history(run.id)))
    assert SHOWN in json.dumps(document)
    assert len(json.dumps(document)) < 5_000
    async with Harness(app) as h:
        await h.replay(document)


async def test_the_harness_has_the_store_of_its_app(app, folder, monkeypatch):
    """And asks no Redis whether it may begin there."""
    monkeypatch.setenv("STEPFLOW_REDIS_URL", "unix:///nowhere/redis.sock")

    @app.workflow("loads")
    async def loads(ctx: stepflow.Context, payload: bytes) -> bytes:
        await ctx.sleep(3600)
        return await ctx.step("load", lambda: payload)

    async with Harness(app) as h:
        run = await h.submit("loads", LARGE)
        await h.advance(3600)
        assert await h.result(run) == LARGE
    assert len(files_in(folder)) == 3


async def test_observers_are_told_the_values_themselves(url, settings, working):
    told = []

    class Watcher(stepflow.Observer):
        def on_step_done(self, step) -> None:
            told.append(step.value)

    app = Stepflow(url, settings=settings)
    app.observe(Watcher())

    @app.workflow("loads")
    async def loads(ctx: stepflow.Context) -> int:
        return len(await ctx.step("load", lambda: LARGE))

    client = app.async_client
    async with working(app):
        run = await client.submit("loads")
        assert await run.result(60) == len(LARGE)
        await until(lambda: told)
    assert told == [LARGE]
    await client.close()


async def test_the_dashboard_and_the_api_show_the_size_of_a_large_value(app, aclient, working):
    """[S16]"""

    @app.workflow("gives")
    async def gives(ctx: stepflow.Context, payload: bytes) -> bytes:
        return await ctx.step("load", lambda: payload)

    async with working(app):
        run = await aclient.submit("gives", LARGE)
        assert await run.result(60) == LARGE
    transport = httpx.ASGITransport(make_api(aclient, access=everything))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        page = await http.get(f"/ui/runs/{run.id}")
        told = await http.get(f"/runs/{run.id}")
        steps = await http.get(f"/runs/{run.id}/steps")
    for answer in (page, told, steps):
        assert answer.status_code == 200
        assert "100,005 bytes, offloaded, SHA-256 " in answer.text
        assert len(answer.content) < 100_000
