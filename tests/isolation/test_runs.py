"""Runs whose functions are in child processes: ends, kills, attempts."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date

import pytest

from stepflow import Context, RetryPolicy, Stepflow
from tests.isolation import work
from tests.isolation.support import gone, pid_in

pytestmark = pytest.mark.crash

AT_ONCE = RetryPolicy(max_attempts=2, initial=0.01)


@pytest.fixture
def app(url, settings):
    app = Stepflow(url, settings=settings)
    app.runner("orders", isolation="process")(work.orders)
    app.runner("remembers", isolation="process")(work.remembers)
    app.job(name="double", isolation="process")(work.double)
    app.job(name="crash", isolation="process", retry=AT_ONCE)(work.crash)
    again = RetryPolicy(max_attempts=1000, initial=0.01)  # some may end before they have begun
    app.job(name="turn", isolation="process", timeout=2, retry=again)(work.turn)
    app.job(name="spin", isolation="process")(work.spin)
    where = app.step(isolation="process")(work.where)

    @app.workflow("flow")
    async def flow(ctx: Context, _: None) -> list[int]:
        return [await ctx.step(where), await ctx.step(where, key="again")]

    yield app
    app.client.close()


async def test_runners_jobs_and_steps_run_in_child_processes(app, working):
    """[S15]"""
    client = app.async_client
    async with working(app):
        order = {"number": 1, "on": date(2026, 11, 26)}
        run = await client.submit("orders", order, headers={"tenant": "acme"})
        number, tenant, pid = await run.result(60)
        doubled = await client.submit("double", {"order": order, "plus": 1})
        assert await doubled.result(60) == {"number": 3, "on": date(2026, 11, 26)}
        first, second = await (await client.submit("flow", None)).result(60)
        refused = await client.submit("remembers")
        error = (await refused.wait(60)).error
    assert (number, tenant) == (2, "acme")
    assert os.getpid() not in {pid, first, second}
    assert error.type == "InvalidOption"
    assert "leave out isolation" in error.message
    await gone(pid)


async def test_a_process_that_dies_costs_its_step_an_attempt_and_nobody_else(app, working):
    """[S15]"""
    client = app.async_client
    async with working(app):
        status = await (await client.submit("crash", {})).wait(60)
        order = {"number": 1, "on": date(2026, 11, 26)}
        beside = await client.submit("double", {"order": order})
        assert (await beside.result(60))["number"] == 2
    assert (status.state, status.error.type) == ("failed", "ProcessDied")
    assert "SIGSEGV" in status.error.message
    assert len(await client.steps(status.id)) == 2


async def test_code_that_never_returns_is_killed_when_its_run_is_cancelled(app, working, tmp_path):
    """[S15]"""
    client, file = app.async_client, tmp_path / "pid"
    async with working(app):
        run = await client.submit("spin", {"pid_file": str(file)})
        pid = await pid_in(file)
        await run.cancel()
        assert (await run.wait(60)).state == "cancelled"
        await gone(pid)


async def test_code_that_never_returns_is_killed_when_its_time_is_up(app, working, tmp_path):
    """[S15]"""
    client, file = app.async_client, tmp_path / "pid"
    async with working(app):
        run = await client.submit("turn", {"pid_file": str(file)})
        await gone(await pid_in(file))
        await run.cancel()
        assert (await run.wait(60)).state == "cancelled"


PROGRAM = """
import asyncio, sys
from stepflow.engine.user_code.processes.isolated import isolated
from stepflow.settings import ProcessSettings
from tests.isolation import work
asyncio.run(isolated(work.turn, "process", "it", ProcessSettings())(sys.argv[1]))
"""


async def test_a_process_ends_with_its_worker_whatever_it_does(tmp_path):
    """[S15]"""
    file = tmp_path / "pid"
    worker = subprocess.Popen([sys.executable, "-c", PROGRAM, str(file)])
    try:
        pid = await pid_in(file)
    finally:
        worker.kill()
        worker.wait()
    await gone(pid)
