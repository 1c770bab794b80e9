"""Resources that misbehave: they hang, raise, yield twice or never [K11]."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from stepflow import Succeed, inject
from stepflow.engine.user_code.resources import scope
from stepflow.errors import ResourceFailed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def events():
    return []


@pytest.fixture
def first(app, events):
    @app.resource
    async def first():
        events.append("open")
        yield 1
        events.append("close")

    return first


def errors(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("error", [ConnectionError("no database"), SystemExit(3)])
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_set_up_that_raises_undoes_the_others_and_the_worker_does_not_start(
    app, aclient, working, events, first, error, kind
):
    """[K11] It says which, with the user's own traceback; nothing was claimed."""
    if kind == "async":

        @app.resource
        async def broken(needed: int = inject(first)):
            raise error
            yield
    else:

        @app.resource
        def broken(needed: int = inject(first)):
            raise error
            yield

    @app.runner("runner")
    async def runner(step):
        events.append("claimed")
        return Succeed()

    run = await aclient.submit("runner")
    with pytest.raises(
        ResourceFailed, match=r"does not start: resource '.*broken' raised"
    ) as failed:
        async with working(app):
            pass
    assert "raise error" in str(failed.value)
    assert events == ["open", "close"]
    assert (await run.status()).state == "pending"


@pytest.mark.crash
@pytest.mark.parametrize("kind", ["async", "deaf", "plain"])
async def test_a_set_up_that_hangs_has_a_time_limit(app, working, events, first, kind):
    """[K11] Also one that swallows its cancel, and one that hangs in a thread."""
    release = threading.Event()

    async def hanging():
        await asyncio.sleep(60)
        yield

    async def deaf():
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        yield

    def plain():
        release.wait()
        yield

    app.resource(start_timeout=0.05)({"async": hanging, "deaf": deaf, "plain": plain}[kind])
    with pytest.raises(ResourceFailed, match=r"was not set up within 0.05 s"):
        async with working(app):
            pass
    release.set()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert events == ["open", "close"]


async def test_a_generator_that_never_yields_is_a_set_up_that_failed(app, working, events, first):
    """[K11]"""

    @app.resource
    async def never():
        if events == []:
            yield

    with pytest.raises(ResourceFailed, match="never' raised RuntimeError: generator didn't yield"):
        async with working(app):
            pass
    assert events == ["open", "close"]


async def test_a_generator_that_yields_twice_is_logged_and_the_rest_torn_down(
    app, working, events, first, caplog
):
    """[K11]"""

    @app.resource
    async def twice():
        yield 1
        yield 2

    @app.resource
    async def rude():
        yield 1
        raise SystemExit(3)

    async with working(app):
        pass
    assert [each.split("\n")[0].partition("locals>.")[2] for each in errors(caplog)] == [
        "rude' was not torn down: SystemExit: 3",
        "twice' was not torn down: RuntimeError: generator didn't stop",
    ]
    assert events == ["open", "close"]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_tear_down_that_hangs_is_left_behind(
    app, working, events, first, caplog, monkeypatch, kind
):
    """[K11] It is cancelled, then left as it is; those that it needs are torn down all the same."""
    monkeypatch.setattr(scope, "CLOSING_S", 0.05)
    release = threading.Event()

    async def hanging(needed: int = inject(first)):
        yield 1
        while not release.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                events.append("deaf")

    def hanging_plain(needed: int = inject(first)):
        yield 1
        release.wait()

    app.resource(hanging if kind == "async" else hanging_plain)
    async with working(app) as worker:
        assert worker.what_keeps_it() == []
    release.set()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    (said,) = errors(caplog)
    assert "was not torn down within 0.05 s" in said
    assert events[:3] == (["open", "deaf", "close"] if kind == "async" else ["open", "close"])


async def test_a_task_group_may_stay_open_across_the_yield(app, aclient, working, events):
    """[K11] A resource is entered and left in one task."""

    @app.resource
    async def server():
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            task = group.create_task(asyncio.sleep(60))
            yield group
            task.cancel()
        events.append("closed")

    @app.runner("runner")
    async def runner(step, group: asyncio.TaskGroup = inject(server)):
        return Succeed(await group.create_task(asyncio.sleep(0, 7)))

    async with working(app):
        assert await (await aclient.submit("runner")).result(60) == 7
    assert events == ["closed"]


async def test_steps_that_are_given_up_still_have_their_resources(app, aclient, working, events):
    """[K11] What a leaving worker tears down it tears down after its steps."""
    entered = asyncio.Event()

    @app.resource
    async def pool():
        yield 1
        events.append("close pool")

    @app.resource(scope="run")
    async def session(db: int = inject(pool)):
        try:
            yield db
        finally:
            events.append("close session")

    @app.runner("slow")
    async def slow(step, session: int = inject(session)):
        entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            events.append("given up")

    async with working(app):
        await aclient.submit("slow")
        await entered.wait()
    assert events == ["given up", "close session", "close pool"]


APP = """
import threading
from stepflow import Stepflow, Succeed, inject

app = Stepflow()

@app.resource(start_timeout=1)
def pool():
    print("opened", flush=True)
    {setting_up}
    yield 7
    print("closing", flush=True)
    {tearing_down}

@app.runner("plain")
def plain(step, pool: int = inject(pool)):
    return Succeed(pool)
"""


def begin(folder, url, *command, setting_up="pass", tearing_down="pass"):
    (folder / "rapp.py").write_text(APP.format(setting_up=setting_up, tearing_down=tearing_down))
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEPFLOW_")}
    env |= {
        "PYTHONPATH": str(ROOT), "STEPFLOW_REDIS_URL": url, "STEPFLOW_APP": "rapp:app",
        "STEPFLOW_WORKER_GRACE_S": "0.5",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.crash  # a process, seconds
def test_a_worker_process_says_which_resource_keeps_it_from_starting(tmp_path, url):
    """[K11] It exits with 1, without a traceback of ours; one that hangs is no exception."""
    worker = begin(
        tmp_path, url, "-m", "stepflow", "worker", "rapp:app", setting_up="threading.Event().wait()"
    )
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "error: the worker does not start: resource 'pool' raised TimeoutError" in said
    assert "fault of stepflow" not in said


@pytest.mark.crash
def test_a_worker_leaves_although_a_tear_down_hangs(tmp_path, url, client):
    """[K11] Within its grace and a moment."""
    worker = begin(
        tmp_path, url, "-m", "stepflow", "worker", "rapp:app",
        tearing_down="threading.Event().wait()",
    )  # fmt: skip
    assert client.submit("plain").result(60) == 7
    worker.send_signal(signal.SIGTERM)
    printed, said = worker.communicate(timeout=60)
    assert printed.split() == ["opened", "closing"]
    assert "resource 'pool' was not torn down within 3 s" in said
    assert worker.returncode == 0


@pytest.mark.crash
def test_a_stock_rq_worker_sets_up_around_the_step(tmp_path, url, client, real):
    """[K11]"""
    run = client.submit("plain")
    call = f"from stepflow.entry import run_step; run_step('stepflow', 'run-{run.id}-0')"
    printed, said = begin(tmp_path, url, "-c", call).communicate(timeout=60)
    assert run.status().result == 7, said
    assert printed.split() == ["opened", "closing"]
    real.delete(f"rq:job:run-{run.id}-0")  # which RQ itself would clean up
