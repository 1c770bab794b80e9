"""Steps of workflows that have a breaker."""

import asyncio
from contextlib import suppress

from stepflow import Breaker, CircuitOpen, RetryPolicy
from stepflow.testing.errors import HarnessStuck
from tests.breakers.conftest import Service

ONCE = RetryPolicy(max_attempts=1)
STRIPE = Breaker("stripe", failures=3, reset=30)


def charging(app, service, breaker=STRIPE, retry=ONCE):
    @app.workflow
    async def charge(ctx, order: int) -> str:
        return await ctx.step("charge", service.call, order, breaker=breaker, retry=retry)

    return charge


async def fail(h, charge, times):
    for order in range(times):
        await h.submit(charge, -order - 1)


async def test_after_so_many_failures_in_a_row_no_step_is_called(app, h, service):
    """[K8] Whichever runs they were of."""
    charge = charging(app, service)
    await fail(h, charge, 5)
    assert len(service.calls) == 3


async def test_a_success_in_between_begins_the_count_again(app, h, service):
    """[K8]"""
    charge = charging(app, service)
    await fail(h, charge, 2)
    service.is_down = False
    await h.submit(charge, 1)
    service.is_down = True
    await fail(h, charge, 2)
    assert len(service.calls) == 5


async def test_a_run_waits_without_a_worker_and_without_an_attempt(app, h, service):
    """[K9] It goes on by itself once a trial has gone well."""
    charge = charging(app, service)
    await fail(h, charge, 3)
    run = await h.submit(charge, 7)
    status = await h.status(run)
    assert status.state == "waiting"
    assert status.waits_for == "breaker stripe, until 2030-01-01 00:00:30 UTC"
    assert 7 not in service.calls
    service.is_down = False
    await h.advance(29)
    assert 7 not in service.calls
    await h.advance(1)
    assert await h.result(run) == "ok"
    assert service.calls.count(7) == 1


async def test_one_trial_at_once_and_a_failed_one_opens_it_again(app, h, service):
    """[K8] [K9]"""
    charge = charging(app, service)
    await fail(h, charge, 3)
    runs = [await h.submit(charge, order) for order in (1, 2, 3)]
    await h.advance(30)
    assert service.calls[3:] == [1]
    assert (await h.status(runs[0])).state == "failed"
    await h.advance(29)
    assert service.calls[3:] == [1]
    await h.advance(1)
    assert service.calls[3:] == [1, 2]
    service.is_down = False
    await h.advance(30)
    assert await h.result(runs[2]) == "ok"


def leaving(app, service, steps=1):
    @app.workflow
    async def leaves(ctx, order: int) -> str:
        calls = [
            asyncio.ensure_future(ctx.step("charge", service.call, order + number, breaker=STRIPE))
            for number in range(steps)
        ]
        await ctx.wait_for_signal("enough")
        calls[0].cancel()
        await ctx.wait_for_signal("end")
        return "left"

    return leaves


async def test_nobody_waits_for_a_step_that_was_withdrawn(app, h, service):
    """[K9] The trial is made in time by the next that waits."""
    charge = charging(app, service)
    leaves = leaving(app, service)
    await fail(h, charge, 3)
    left = [await h.submit(leaves, order) for order in (10, 20, 30)]
    run = await h.submit(charge, 7)
    for each in left:
        await h.signal(each, "enough")
    await h.settle()
    service.is_down = False
    await h.advance(30)
    assert await h.result(run) == "ok"
    assert service.calls[3:] == [7]


async def test_a_run_waits_on_while_another_step_of_it_does(app, h, service):
    """[K9]"""
    charge = charging(app, service)
    leaves = leaving(app, service, steps=2)
    await fail(h, charge, 3)
    run = await h.submit(leaves, 10)
    await h.signal(run, "enough")
    await h.settle()
    service.is_down = False
    await h.advance(30)
    assert service.calls[3:] == [11]


async def test_those_that_waited_come_back_two_for_each_that_went_well(app, h):
    """[K9] Not all at once: while none has ended, at most so many are called as were let in."""
    service, gates = Service(), {}

    async def call(order: int) -> str:
        service.calls.append(order)
        if order < 0:
            raise ConnectionError
        gates[order] = asyncio.get_running_loop().create_future()
        return await gates[order]

    @app.workflow
    async def charge(ctx, order: int) -> str:
        return await ctx.step("charge", call, order, breaker=STRIPE, retry=ONCE)

    await fail(h, charge, 3)
    for order in range(20):
        await h.submit(charge, order)
    h._patience_s = 0.05
    seen = []

    async def pass_time(seconds):
        with suppress(HarnessStuck):  # those that were called wait for their gates
            await h.advance(seconds)
        seen.append(len(gates))

    await pass_time(30)
    for size in (1, 2, 4, 8):
        for order in list(gates)[-size:]:
            gates[order].set_result("ok")
        await pass_time(0)
    assert seen == [1, 3, 7, 15, 20]
    for gate in list(gates.values())[15:]:
        gate.set_result("ok")
    await pass_time(0)


async def test_a_breaker_that_raises_gives_the_workflow_the_time(app, h, service):
    """[K9] The same live and on replay; it is no failed attempt."""
    breaker = Breaker("stripe", failures=1, reset=30, when_open="raise")
    seen = []

    @app.workflow
    async def charge(ctx, order: int) -> str:
        try:
            return await ctx.step("charge", service.call, order, breaker=breaker, retry=ONCE)
        except CircuitOpen as error:
            seen.append((error.breaker, error.until_s, str(error)))
            await ctx.sleep(5)
            return "later"

    await h.submit(charge, 1)
    run = await h.submit(charge, 2)
    await h.advance(5)
    assert await h.result(run) == "later"
    assert seen[0] == seen[1]
    assert seen[0][:2] == ("stripe", h.clock.now() - 5 + 30)
    assert "is open until 2030-01-01 00:00:30 UTC after 1 failure (ConnectionError)" in seen[0][2]


async def test_the_declared_breaker_counts_in_steps_and_batches(app, h, service):
    """[K8] @app.step(breaker=); items of a batch wait like steps."""

    @app.step(breaker=STRIPE, retry=ONCE)
    async def charge(order: int) -> str:
        return await service.call(order)

    @app.workflow
    async def one(ctx, order: int) -> str:
        return await ctx.step(charge, order)

    @app.workflow
    async def many(ctx) -> list[str]:
        return await ctx.batch(charge, range(5))

    await fail(h, one, 3)
    run = await h.submit(many)
    assert (await h.status(run)).state == "waiting"
    assert len(service.calls) == 3
    service.is_down = False
    await h.advance(30)
    assert await h.result(run) == ["ok"] * 5


async def test_errors_that_do_not_count_leave_it_closed(app, h):
    """[K8] The default: PermanentError says nothing of the service; or what `counts` says."""
    calls = []

    async def wrong(order: int) -> str:
        calls.append(order)
        raise ValueError(order)

    breaker = Breaker("stripe", failures=1, counts=(ConnectionError, TimeoutError))

    @app.workflow
    async def charge(ctx, order: int) -> str:
        return await ctx.step(wrong, order, breaker=breaker, retry=ONCE)

    await fail(h, charge, 3)
    assert len(calls) == 3


async def test_a_retry_waits_for_the_breaker_too(app, h, service):
    """[K9] Its attempts stay those that were made."""
    charge = charging(app, service, retry=RetryPolicy(max_attempts=5, initial=1, jitter=False))
    run = await h.submit(charge, 1)
    await h.advance(10)
    assert len(service.calls) == 3
    service.is_down = False
    await h.advance(30)
    assert await h.result(run) == "ok"
    assert len(service.calls) == 4


async def test_a_cancelled_run_that_waits_holds_up_nobody(app, h, service):
    """[K9] The next in line becomes the trial when its time has come."""
    charge = charging(app, service)
    await fail(h, charge, 3)
    first = await h.submit(charge, 1)
    await h.cancel(first)
    run = await h.submit(charge, 2)
    service.is_down = False
    await h.advance(30)
    assert await h.result(run) == "ok"
