"""The renewing thread: what it holds against a step, and what it tells of one."""

import asyncio

import pytest

from stepflow import RedisRefused, Succeed
from stepflow.store.keys import Keys


@pytest.fixture
def waiting(app):
    """A runner that waits for `go`; entered once it does."""
    entered, go = asyncio.Event(), asyncio.Event()

    @app.runner("waits")
    async def waits(step):
        entered.set()
        await go.wait()
        return Succeed()

    return entered, go


def is_given_up(worker, *, loop_stands_s):
    """Renew once; say whether the worker would end itself if its loop had stood still so long."""
    renewer = worker.parts.renewer
    renewer.renew()
    worker.parts.state.turned_at = asyncio.get_running_loop().time() - loop_stands_s
    return renewer._is_blocked_for_good()


async def test_only_a_step_past_its_limit_now_has_a_blocked_worker_end(
    app, aclient, working, waiting
):
    """One that was late before, and has ended or was given more time, is held against nobody."""
    entered, go = waiting
    async with working(app) as worker:
        first = await aclient.submit("waits")
        await entered.wait()
        (claimed,) = worker.parts.state.runs.values()
        assert not is_given_up(worker, loop_stands_s=10_000)
        claimed.attempt.step_until = 1.0
        assert is_given_up(worker, loop_stands_s=10_000)
        assert not is_given_up(worker, loop_stands_s=1)
        claimed.attempt.step_until = 0.0  # it was given more time
        assert not is_given_up(worker, loop_stands_s=10_000)
        claimed.attempt.step_until = 1.0
        assert is_given_up(worker, loop_stands_s=10_000)
        claimed.attempt.step_until = 0.0
        go.set()
        await first.wait(60)
        entered.clear()
        go.clear()
        second = await aclient.submit("waits")
        await entered.wait()
        assert not is_given_up(worker, loop_stands_s=10_000)
        go.set()
        await second.wait(60)


async def test_what_is_under_way_is_told_again_where_redis_refused_the_renewal(
    app, aclient, working, waiting, real, monkeypatch
):
    entered, go = waiting
    async with working(app) as worker:
        run = await aclient.submit("waits")
        await entered.wait()
        renewer = worker.parts.renewer

        def refuse(call):
            raise RedisRefused("READONLY", "wait for it")

        with monkeypatch.context() as patched:
            patched.setattr(renewer._connection, "call", refuse)
            with pytest.raises(RedisRefused):
                renewer.renew()
        assert not real.hexists(f"{Keys().run(run.id)}:data", "doing")
        renewer.renew()
        assert real.hexists(f"{Keys().run(run.id)}:data", "doing")
        go.set()
        await run.wait(60)


async def test_claims_that_cannot_be_looked_for_after_a_reconnect_are_one_line_in_the_log(
    app, working, monkeypatch, caplog
):
    """And no error of asyncio about a task whose exception nobody has retrieved."""

    async def refuse(connection, plan):
        plan.close()
        raise RedisRefused("LOADING", "wait for it")

    async with working(app) as worker:
        with monkeypatch.context() as patched:
            patched.setattr("stepflow.worker.adopt.carry_out", refuse)
            worker.parts.note_reconnect()
            adopting = list(worker.parts._adopting)
            await asyncio.wait(adopting)
    assert [task.exception() for task in adopting] == [None] * len(adopting)
    assert "claims whose reply was lost" in caplog.text
