"""What a worker does, and shows, while a resource of its app is not well [K13]."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from stepflow import Continue, Health, Succeed, inject
from stepflow.cli.main import cli
from stepflow.engine.user_code.resources.health import HealthState, worst
from stepflow.worker.health import watch
from tests.support import until, until_blocking

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(watch, "LOOK_S", 0.01)
    monkeypatch.setattr(watch, "UNHEALTHY_S", 0.01)


@pytest.fixture
def answers():
    """What the health check answers, the last one again and again."""
    return [Health.ok()]


@pytest.fixture
def pool(app, answers):
    @app.resource
    async def pool():
        yield answers

    @pool.health
    async def check(answers):
        answer = answers[-1]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return pool


def logged(caplog):
    return [each.getMessage() for each in caplog.records if each.name == "stepflow.worker"]


async def test_an_unhealthy_worker_takes_nothing_until_it_is_better_and_says_so(
    app, aclient, working, answers, pool, caplog
):
    """[K13] Neither what waits nor what comes; the runs that it has go on."""
    caplog.set_level(logging.INFO)
    entered, go = asyncio.Event(), asyncio.Event()

    @app.runner("slow")
    async def slow(step, pool: list[Health] = inject(pool)):
        entered.set()
        await go.wait()
        return Succeed(len(pool))

    async with working(app) as worker:
        begun = await aclient.submit("slow")
        await entered.wait()
        answers.append(Health.unhealthy("no connection"))
        await until(lambda: worker.worker_state.is_unhealthy)
        assert worker.condition.startswith("unhealthy: ")
        assert worker.condition.endswith("pool: no connection")
        waiting = await aclient.submit("slow")
        go.set()
        assert await begun.result(60) == 2
        await worker.parts.maintenance.go()
        assert (await waiting.status()).state == "pending"
        answers.append(Health.degraded("slow"))
        assert await waiting.result(60) == 3
        assert worker.condition.startswith("degraded: ")
        answers.append(None)
        await until(lambda: worker.condition == "")
    said = [each for each in logged(caplog) if "worker sf-" in each and " is " in each]
    assert [each.split(" is ", 1)[1].partition(":")[0] for each in said] == [
        "unhealthy", "degraded", "well again",
    ]  # fmt: skip
    assert said[0].endswith("pool: no connection; it takes nothing until it is better")


async def test_a_worker_that_begins_unhealthy_claims_nothing(app, aclient, working, answers, pool):
    """[K13] It asks before it claims; an error means unhealthy, whatever it derives from."""

    @app.runner("runner")
    async def runner(step):
        return Succeed(len(answers))

    answers.append(SystemExit("gone"))
    run = await aclient.submit("runner")
    async with working(app) as worker:
        assert worker.condition.endswith("pool: SystemExit: gone")
        assert (await run.status()).state == "pending"
        answers.append(Health.ok())
        assert await run.result(60) == 3


async def test_a_run_that_is_kept_goes_back_after_its_step(app, aclient, working, answers, pool):
    """[K13] So that a worker that is well can take it."""

    @app.runner("two")
    async def two(step):
        if step.number:
            return Succeed(len(answers))
        answers.append(Health.unhealthy("gone"))
        await until(lambda: worker.worker_state.is_unhealthy)
        return Continue()

    async with working(app) as worker:
        run = await aclient.submit("two")
        await until(lambda: worker.worker_state.is_unhealthy and not worker.is_busy)
        assert (await run.status()).state == "pending"
        answers.append(Health.ok())
        assert await run.result(60) == 3


async def test_an_unhealthy_worker_still_leaves(app, working, answers, pool):
    """[K13]"""
    answers.append(Health.unhealthy("gone"))
    async with working(app) as worker:
        assert worker.worker_state.is_unhealthy


async def test_a_check_that_hangs_is_unhealthy_and_is_not_called_again_meanwhile(
    app, working, monkeypatch
):
    """[K13] A plain one hangs in its thread, and the loop goes on."""
    monkeypatch.setattr(watch, "ANSWER_S", 0.02)
    release, calls = threading.Event(), []

    @app.resource
    def pool():
        yield 7

    @pool.health
    def check(value):
        calls.append(value)
        if len(calls) == 1:
            release.wait()

    async with working(app) as worker:
        assert worker.condition.endswith("its health check has not answered for 0.02 s")
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))
        assert calls == [7]
        release.set()
        await until(lambda: worker.condition == "")
        await until(lambda: len(calls) > 1)


async def test_an_answer_that_is_no_health_is_unhealthy(app, working, answers, pool):
    """[K13]"""
    answers.append("fine")
    async with working(app) as worker:
        assert worker.condition.endswith("returned 'fine'; return a Health")


async def test_an_app_without_health_checks_has_no_watch(app, working):
    """[K13] Nothing is loaded and nothing asked."""

    @app.resource
    async def pool():
        yield 1

    async with working(app) as worker:
        assert worker.condition == ""
        names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
        assert "HealthWatch.run" not in names


def test_the_health_of_a_worker_is_the_worst_of_its_resources():
    """[K13] It names each that is as bad."""
    assert worst({}) == worst({"a": Health.ok()}) == Health()
    found = {
        "a": Health.unhealthy("no\nanswer"), "b": Health.degraded("slow"), "c": Health.ok(),
        "d": Health(HealthState.UNHEALTHY),
    }  # fmt: skip
    assert worst(found).line() == "unhealthy: a: no answer; d"
    del found["a"], found["d"]
    assert worst(found) == Health.degraded("b: slow")


APP = """
from pathlib import Path
from stepflow import Continue, Health, Stepflow, Succeed
from stepflow.worker.health import watch

watch.LOOK_S = watch.UNHEALTHY_S = 0.05
app = Stepflow()

@app.resource
async def pool():
    yield Path("health")

@pool.health
async def check(path):
    word, words = path.read_text().split(" ", 1)
    return getattr(Health, word)(*[words][: word != "ok"])

@app.runner("plain")
def plain(step):
    return Succeed(7)
"""


@pytest.fixture
def at_work(tmp_path, url, client):
    """A worker process whose resource is as the file *health* says."""
    (tmp_path / "happ.py").write_text(APP)
    (tmp_path / "health").write_text("unhealthy no database")
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEPFLOW_")}
    env |= {"PYTHONPATH": str(ROOT), "STEPFLOW_REDIS_URL": url}
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "stepflow", "worker", "happ:app"], cwd=tmp_path, env=env,
            stdout=log, stderr=log,
        )  # fmt: skip
    yield tmp_path / "health"
    worker.terminate()
    assert worker.wait(60) == 0, (tmp_path / "log").read_text()


@pytest.mark.crash  # a process, seconds
def test_an_unhealthy_worker_is_shown_as_one_wherever_workers_are(at_work, url, client):
    """[K13] By `workers`, `health`, `why`, and the client that the API asks."""

    def run(*words):
        return CliRunner().invoke(cli, ["--redis-url", url, *words])

    until_blocking(lambda: [each.health for each in client.workers()] != [])
    until_blocking(
        lambda: [each.health for each in client.workers()] == ["unhealthy: pool: no database"]
    )
    (worker,) = client.workers()
    assert (worker.state, worker.is_live) == ("unhealthy", True)
    submitted = client.submit("plain")
    why = client.why(submitted.id)
    assert why.code == "queued.unhealthy"
    assert (
        f"worker {worker.name} is unhealthy and takes nothing (pool: no database)" in why.sentence
    )
    assert "unhealthy: pool: no database" in run("workers").stdout
    found = run("health", "worker")
    assert (found.exit_code, f"worker {worker.name} is unhealthy: pool" in found.output) == (
        1,
        True,
    )
    assert run("health", "worker", "--live").exit_code == 0

    at_work.write_text("degraded slow")
    assert submitted.result(60) == 7
    until_blocking(lambda: [each.health for each in client.workers()] == ["degraded: pool: slow"])
    assert client.workers()[0].state in {"idle", "busy"}
    assert "(degraded: pool: slow)" in run("workers").stdout
    assert run("health", "worker").exit_code == 0

    at_work.write_text("ok ")
    until_blocking(lambda: [each.health for each in client.workers()] == [""])
