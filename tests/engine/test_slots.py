"""Slots: many steps at once, and deliveries that take none from them or from each other."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from stepflow import Fail, Succeed, Webhook
from tests.hooks.receiver import Receiver, reply, silence
from tests.support import until


@pytest.mark.crash
async def test_a_thousand_steps_are_in_progress_at_once_on_one_process(app, aclient, working):
    """[C33] None of them ends before all of them have begun."""
    everyone = asyncio.Barrier(1000)

    @app.runner("meet")
    async def meet(step):
        await everyone.wait()
        return Succeed()

    async with working(app, concurrency=1000):
        runs = await aclient.submit_many([("meet", None)] * 1000)
        assert {(await run.wait(60)).state.value for run in runs} == {"succeeded"}


@pytest.mark.crash
async def test_dead_endpoints_hold_up_neither_steps_nor_a_healthy_endpoint(app, aclient, working):
    """
    [C32] Twenty endpoints that never answer, ten deliveries each; then a run whose endpoint does.
    """

    @app.runner("done")
    async def done(step):
        return Succeed()

    async with AsyncExitStack() as stack:
        dead = [await stack.enter_async_context(Receiver(silence)) for _ in range(20)]
        healthy = await stack.enter_async_context(Receiver(reply(200)))
        worker = await stack.enter_async_context(working(app))
        for receiver in dead:
            for _ in range(10):
                await aclient.submit("done", webhooks=[Webhook(receiver.url)])
        await until(lambda: worker.is_busy or all(receiver.got for receiver in dead))
        run = await aclient.submit("done", webhooks=[Webhook(healthy.url)])
        await run.wait(60)
        await healthy.arrived(1)
        records = [await aclient.hooks(found.id) for found in await aclient.list(limit=201)]
        assert [record.state for [record] in records].count("delivered") == 1


async def test_a_retry_by_hand_finds_the_memo_of_the_step_that_failed(app, aclient, working):
    """[C15] [C21]"""

    @app.runner("memo")
    async def memo(step):
        seen = await step.memo.get("seen", 0)
        await step.memo.put("seen", seen + 1)
        return Succeed(seen) if seen else Fail("first")

    async with working(app):
        run = await aclient.submit("memo")
        await run.wait(60)
        await aclient.retry(run.id)
        assert await run.result(60) == 1


async def test_a_cancelled_run_leaves_the_waiting_list_of_its_unknown_runner(
    app, aclient, working, real
):
    """[C24] [C37]"""
    async with working(app):
        run = await aclient.submit("misspelled")
        await until(lambda: real.exists("stepflow:waiting:default:misspelled"))
        assert await run.cancel()
        assert not real.exists("stepflow:waiting:default:misspelled")


async def test_an_entry_that_stands_in_its_queue_is_not_handed_over_again(
    app, aclient, real, keys, link_to_real
):
    """[C35] Negative control of the lost delivery: whatever its time says."""
    from stepflow.engine.env import Env
    from stepflow.store.connection.sync import carry_out
    from stepflow.worker.recover import recover_lost_delivery

    run = await aclient.submit("anything")
    env = Env(keys, app.settings)
    assert not carry_out(link_to_real, recover_lost_delivery(f"run:{run.id}", env))
    real.delete("rq:queue:default")
    assert carry_out(link_to_real, recover_lost_delivery(f"run:{run.id}", env))
    await run.cancel()
