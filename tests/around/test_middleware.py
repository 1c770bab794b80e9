"""`@app.middleware`: around each call of a step, runner, job and hook [U15]."""

from contextvars import ContextVar

import pytest

from stepflow import Continue, RetryPolicy, RunFailed, Stepflow, Succeed, UserCall
from stepflow.errors import InvalidOption
from stepflow.testing import Harness
from stepflow.worker.state import WorkerState
from tests.support import until

QUICK = RetryPolicy(max_attempts=2, initial=0.01)

span = ContextVar("span", default=None)


@pytest.fixture
def calls():
    return []


def noting(app, calls):
    @app.middleware
    async def note(call, call_next):
        calls.append((call.kind, call.name, call.attempt))
        return await call_next()


async def test_each_attempt_of_a_step_is_called_through_it_and_no_replay(
    app, aclient, working, calls
):
    """[U15] Plain and async functions, a compensation, a poll; not the run's own doings."""
    noting(app, calls)
    tries = []

    def plain(n):
        return n

    async def flaky(n):
        tries.append(n)
        if len(tries) < 2:
            raise ValueError("again")
        return n

    def undo(value):
        pass

    @app.workflow("leaf")
    async def leaf(ctx):
        return 1

    @app.workflow("flow", retry=QUICK)
    async def flow(ctx):
        await ctx.step(plain, 1, compensate=undo)
        await ctx.step("second", flaky, 2)
        child = await ctx.spawn("leaf")
        await child.result()
        await ctx.sleep(0.01)
        await ctx.poll("look", plain, 3, every=1)
        raise ValueError("end")

    async with working(app):
        await (await aclient.submit("flow")).wait(60)
    assert calls == [
        ("step", "plain", 1), ("step", "second", 1), ("step", "second", 2), ("step", "look", 1),
        ("step", "undo plain", 1),
    ]  # fmt: skip


async def test_runners_jobs_remote_steps_and_hooks_are_called_through_it(
    app, aclient, working, calls
):
    """[U15] With what they are called with, and the headers of the run."""
    seen = []

    @app.middleware
    async def note(call: UserCall, call_next):
        calls.append((call.kind, call.name.rpartition(".")[2], call.run_id, dict(call.headers)))
        seen.append(call.args)
        return await call_next()

    @app.runner("chain")
    def chain(step):
        return Succeed("done") if step.number else Continue(1)

    @app.job(name="work")
    async def work(n):
        return n

    @app.step(queue="other")
    def away(n):
        return n + 1

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step(away, 1)

    @app.on_terminal
    def told(outcome):
        pass

    async with working(app, queues=["default", "other"]):
        for runner, run_id, payload in (("chain", "r1", None), ("flow", "f1", None)):
            run = await aclient.submit(runner, payload, run_id=run_id, headers={"trace": run_id})
            await run.result(60)
        handle = await work.submit(7)
        assert await handle.result(60) == 7
        await until(lambda: len([call for call in calls if call[0] == "hook"]) == 4)
    found = [call for call in calls if call[0] != "hook"]
    assert found[:2] == [("runner", "chain", "r1", {"trace": "r1"})] * 2
    assert [(kind, name.removeprefix("<locals>")) for kind, name, *_ in found[2:]] == [
        ("step", "away"), ("job", "work")
    ]  # fmt: skip
    hooks = {run_id: headers for kind, _, run_id, headers in calls if kind == "hook"}
    assert hooks["r1"] == {"trace": "r1"}
    assert all(len(args) == 1 for args in seen)


async def test_the_first_is_outermost_and_threads_see_its_context(app, aclient, working, calls):
    """[U15]"""
    for name in ("outer", "inner"):

        async def middleware(call, call_next, name=name):
            calls.append(f"{name} in")
            token = span.set(f"{span.get() or ''}/{name}")
            try:
                return await call_next()
            finally:
                span.reset(token)
                calls.append(f"{name} out")

        app.middleware(middleware)

    def plain():
        return span.get()

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step(plain)

    async with working(app):
        assert await (await aclient.submit("flow")).result(60) == "/outer/inner"
    assert calls == ["outer in", "inner in", "inner out", "outer out"]
    assert span.get() is None


async def test_exceptions_pass_through_and_its_own_count_as_the_steps(app, aclient, working, calls):
    """[U15] An attempt is tried again whoever raised; a value may be replaced."""

    @app.middleware
    async def guard(call, call_next):
        if call.name == "refused" and call.attempt == 1:
            raise ConnectionError("no session")
        try:
            value = await call_next()
        except ZeroDivisionError as error:
            calls.append(error)
            raise
        return value + 1 if call.name == "counted" else value

    def divide(n):
        return 1 // n

    @app.workflow("flow", retry=QUICK)
    async def flow(ctx):
        assert await ctx.step("refused", divide, 1) == 1
        assert await ctx.step("counted", divide, 1) == 2
        await ctx.step("divided", divide, 0)

    async with working(app):
        run = await aclient.submit("flow")
        with pytest.raises(RunFailed, match="ZeroDivisionError"):
            await run.result(60)
    assert [type(error) for error in calls] == [ZeroDivisionError] * 2
    steps = (await aclient.steps(run.id)).steps
    assert [(step.name, step.attempt, step.state) for step in steps] == [
        ("refused", 2, "succeeded"), ("counted", 1, "succeeded"), ("divided", 2, "failed")
    ]  # fmt: skip


async def test_a_harness_has_it_as_well_around_mocks_too(calls):
    """[U15]"""
    app = Stepflow()
    noting(app, calls)

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step("charge", int, 1) + await ctx.step("mocked", int, 2)

    async with Harness(app) as h:
        h.mock("mocked", 40)
        assert await h.result(await h.submit("flow")) == 41
    assert calls == [("step", "charge", 1), ("step", "mocked", 1)]


async def test_without_any_a_step_is_called_as_before(app, aclient, working, monkeypatch):
    """[U15] Nothing is made for those who use none."""

    def fail(*args):
        raise AssertionError("nothing stands around it")

    monkeypatch.setattr("stepflow.worker.state.around", fail)
    monkeypatch.setattr("stepflow.worker.execute.around", fail)

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step(int, 1)

    @app.runner("plain")
    async def plain(step):
        return Succeed(2)

    async with working(app) as worker:
        assert isinstance(worker.worker_state, WorkerState)
        assert await (await aclient.submit("flow")).result(60) == 1
        assert await (await aclient.submit("plain")).result(60) == 2


def one_parameter(call):
    pass


async def async_but_one(call):
    pass


def not_async(call, call_next):
    pass


@pytest.mark.parametrize("function", [one_parameter, async_but_one, not_async, 7])
def test_what_is_no_middleware_is_refused_where_it_is_declared(function):
    """[U15] [U6]"""
    with pytest.raises(InvalidOption, match="async def middleware"):
        Stepflow().middleware(function)
