"""`@app.lifespan`: what a worker opens before it takes claims and closes when it has left [U15]."""

import asyncio
import logging
import os
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from stepflow import Stepflow, Succeed
from stepflow.errors import InvalidOption, LifespanFailed, LifespanNotOpen
from stepflow.testing import Harness

ROOT = Path(__file__).parents[2]


@pytest.fixture
def events():
    return []


def opens(app, events):
    """Declare two lifespans, one async and one plain, that note what becomes of them."""

    @app.lifespan
    async def pool():
        """The pool."""
        events.append("open pool")
        yield {"url": "db"}
        events.append("close pool")

    @app.lifespan
    def file():
        events.append("open file")
        yield "file"
        events.append("close file")

    return pool, file


async def test_steps_use_what_the_worker_opened_and_it_is_closed_after_them(
    app, aclient, working, events
):
    """[U15] In the order of their declaration, and back; steps in threads see it as well."""
    pool, file = opens(app, events)

    @app.runner("plain")
    def plain(step):
        events.append(file.value)
        return Succeed(pool.value["url"])

    def ask():
        return pool.value["url"]

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step(ask)

    with pytest.raises(LifespanNotOpen, match=r"lifespan '.*pool' is not open here"):
        _ = pool.value
    async with working(app):
        assert events == ["open pool", "open file"]
        assert await (await aclient.submit("plain")).result(60) == "db"
        assert await (await aclient.submit("flow")).result(60) == "db"
    assert events == ["open pool", "open file", "file", "close file", "close pool"]
    with pytest.raises(LifespanNotOpen):
        _ = pool.value
    assert pool.__doc__ == "The pool."


async def test_a_step_that_the_leaving_worker_gives_up_still_has_what_was_opened(
    app, aclient, working
):
    """[U15]"""
    seen = []
    entered = asyncio.Event()

    @app.lifespan
    async def pool():
        yield "open"

    @app.runner("slow")
    async def slow(step):
        entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(pool.value)

    async with working(app):
        await aclient.submit("slow")
        await entered.wait()
    assert seen == ["open"]


async def test_a_harness_opens_them_too(events):
    """[U15]"""
    app = Stepflow()
    pool, _ = opens(app, events)

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step("ask", lambda: pool.value["url"])

    async with Harness(app) as h:
        run = await h.submit("flow")
        assert await h.result(run) == "db"
    assert events == ["open pool", "open file", "close file", "close pool"]


@pytest.mark.parametrize("error", [ConnectionError("no database"), SystemExit(3)])
async def test_what_a_lifespan_raises_ends_the_start_and_closes_what_was_open(
    app, aclient, working, events, error
):
    """[U15] With the user's own traceback; nothing was claimed."""
    opens(app, events)

    @app.lifespan
    async def broken():
        raise error
        yield

    @app.runner("plain")
    async def plain(step):
        events.append("claimed")
        return Succeed()

    run = await aclient.submit("plain")
    with pytest.raises(LifespanFailed, match="the worker does not start") as failed:
        async with working(app):
            pass
    assert "raise error" in str(failed.value)
    assert 'lifespan.py", line' not in str(failed.value).replace("test_lifespan.py", "")
    assert events == ["open pool", "open file", "close file", "close pool"]
    assert (await run.status()).state == "pending"


async def test_what_cannot_be_closed_is_logged_and_the_rest_is_closed(app, working, events, caplog):
    """[U15]"""
    opens(app, events)

    @app.lifespan
    async def broken():
        yield
        raise ConnectionError("gone")

    caplog.set_level(logging.ERROR)
    async with working(app):
        pass
    (record,) = [record for record in caplog.records if "was not closed" in record.getMessage()]
    assert "ConnectionError: gone" in record.getMessage()
    assert events[-2:] == ["close file", "close pool"]


@pytest.mark.parametrize("make", [asynccontextmanager, contextmanager])
async def test_a_context_manager_does_as_well(app, aclient, working, make):
    """[U15]"""

    async def async_pool():
        yield 7

    def plain_pool():
        yield 7

    pool = app.lifespan(make(async_pool if make is asynccontextmanager else plain_pool))

    @app.runner("plain")
    async def plain(step):
        return Succeed(pool.value)

    async with working(app):
        assert await (await aclient.submit("plain")).result(60) == 7


async def no_yield():
    return 1


@pytest.mark.parametrize("function", [no_yield, 7, lambda app: None])
def test_what_is_no_lifespan_is_refused_where_it_is_declared(function):
    """[U15] [U6]"""
    with pytest.raises(InvalidOption, match="lifespan"):
        Stepflow().lifespan(function)


APP = """
from stepflow import Stepflow, Succeed

app = Stepflow()

@app.lifespan
async def pool():
    print("opened", flush=True)
    {body}
    yield 7
    print("closed", flush=True)

@app.runner("plain")
def plain(step):
    return Succeed(pool.value)
"""


def program(folder, url, body, *command):
    (folder / "lapp.py").write_text(APP.format(body=body))
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEPFLOW_")}
    env |= {"PYTHONPATH": str(ROOT), "STEPFLOW_REDIS_URL": url, "STEPFLOW_APP": "lapp:app"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.crash
def test_a_worker_process_that_cannot_open_it_says_why(tmp_path, url):
    """[U15] In the user's own frames, and exits with 1."""
    done = program(
        tmp_path, url, "raise KeyError('no url')", "-m", "stepflow", "worker", "lapp:app", "--burst"
    )
    assert done.returncode == 1
    assert "error: the worker does not start: lifespan 'pool' raised KeyError: 'no url'" in (
        done.stderr
    )
    assert "raise KeyError('no url')" in done.stderr
    assert "fault of stepflow" not in done.stderr


@pytest.mark.crash
def test_a_stock_rq_worker_opens_it_around_the_step(tmp_path, url, client, real):
    """[U15]"""
    run = client.submit("plain")
    call = f"from stepflow.entry import run_step; run_step('stepflow', 'run-{run.id}-0')"
    done = program(tmp_path, url, "pass", "-c", call)
    assert run.status().result == 7, done.stderr
    assert done.stdout.split() == ["opened", "closed"]
    real.delete(f"rq:job:run-{run.id}-0")  # which RQ itself would clean up


async def test_a_worker_that_is_not_gone_in_time_names_the_lifespan_it_closes(app, working):
    """[U15]"""
    said: list[list[str]] = []

    @app.lifespan
    async def pool():
        yield 1
        said.append(worker.what_keeps_it())

    async with working(app) as worker:
        assert worker.what_keeps_it() == []
    assert len(said) == 1
    assert "the end of lifespan" in said[0][0]
    assert worker.what_keeps_it() == []
