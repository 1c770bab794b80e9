"""
What a step gives back while Redis refuses to write is given back in the end, while its run goes on:
nothing but the end of the claim would else release it.
"""

import asyncio

import pytest

import stepflow
from stepflow import Breaker, Context, Cost, Limit, RetryPolicy, Step, Succeed
from tests.support import until

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def refuse(real):
    """Calls after which the server takes no script of anybody, and takes them again."""

    def turn(sign):
        for user in real.acl_users():
            real.execute_command("ACL", "SETUSER", user, f"{sign}evalsha")

    yield lambda: turn("-"), lambda: turn("+")
    turn("+")


class Held:
    """A step that is refused as it ends, and one that goes on until it is let go."""

    def __init__(self, refuse):
        self.refuse, self.take_again = refuse
        self.go, self.began = asyncio.Event(), asyncio.Event()

    async def left(self, *_):
        """Is cancelled; all that is written behind that is refused."""
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.refuse()

    async def fails(self, *_):
        self.refuse()
        raise ConnectionError("it is down")


@pytest.fixture
def held(refuse):
    return Held(refuse)


async def cancelled_beside(ctx, held, **options):
    """Cancel a step, while another goes on."""
    other = asyncio.ensure_future(ctx.step("other", held.go.wait))
    left = asyncio.ensure_future(ctx.step("left", held.left, **options))
    await ctx.step("began", held.began.wait)
    left.cancel()
    await other


async def test_the_slot_of_a_step_that_was_cancelled(app, aclient, working, held, caplog):
    """[L20] [B25] Another run has it while the first goes on."""
    limit = Limit("stripe", concurrency=1)

    @app.workflow
    async def first(ctx: Context):
        await cancelled_beside(ctx, held, limit=limit)

    @app.workflow
    async def second(ctx: Context):
        return await ctx.step("pay", lambda: "paid", limit=limit)

    async with working(app):
        run = await app.async_client.submit(first)
        await until(lambda: "cannot give back slots" in caplog.text)
        held.take_again()
        assert await (await app.async_client.submit(second)).result(60) == "paid"
        assert (await run.status()).state == "running"
        held.go.set()
        await run.wait(60)


async def test_what_was_reserved_for_a_step_that_was_cancelled(app, aclient, working, held, caplog):
    """[A12] [B25] It is settled while the run goes on."""
    budget = stepflow.budget("acme", tokens=1000)

    @app.workflow
    async def spend(ctx: Context):
        used = lambda came_to: Cost(0, 0)  # noqa: E731
        await cancelled_beside(ctx, held, spends=budget.spend(tokens=600, used=used))

    async with working(app):
        run = await app.async_client.submit(spend)
        await until(lambda: "cannot settle its budgets" in caplog.text)
        held.take_again()

        async def reserved():
            return (await aclient.budgets.get("acme")).spent.reserved_tokens

        while await reserved():
            await asyncio.sleep(0.02)
        assert (await run.status()).state == "running"
        held.go.set()
        await run.wait(60)


async def test_how_a_call_ended_that_a_breaker_let_through(app, aclient, working, held, caplog):
    """[K8] [B25] A failure counts."""
    breaker = Breaker("stripe", failures=1, reset=60)

    @app.workflow
    async def pay(ctx: Context):
        other = asyncio.ensure_future(ctx.step("other", held.go.wait))
        try:
            await ctx.step("pay", held.fails, breaker=breaker, retry=ONCE)
        finally:
            await other

    async with working(app):
        run = await app.async_client.submit(pay)
        await until(lambda: "cannot tell breaker" in caplog.text)
        held.take_again()
        while (await aclient.breakers.get("stripe")).state != "open":
            await asyncio.sleep(0.02)
        assert (await run.status()).state == "running"
        held.go.set()
        await run.wait(60)


async def test_the_right_to_compute_a_shared_value(app, aclient, working, held, caplog):
    """[K17] [B25] Another run computes it while the first goes on."""

    @app.runner("first")
    async def first(step: Step[object]):
        try:
            await step.memo.shared("model").compute(held.fails)
        except ConnectionError:
            await held.go.wait()
        return Succeed()

    @app.runner("second")
    async def second(step: Step[object]):
        return Succeed(await step.memo.shared("model").compute(lambda: "computed"))

    async with working(app):
        run = await app.async_client.submit("first")
        await until(lambda: "cannot share a value" in caplog.text)
        held.take_again()
        assert await (await app.async_client.submit("second")).result(60) == "computed"
        assert (await run.status()).state == "running"
        held.go.set()
        await run.wait(60)


async def test_what_a_step_has_used_of_a_rate(app, aclient, working, held, caplog, real):
    """[L11] [B25] The commit that was refused behind it does not overtake it."""
    limit = Limit("slow", rate="1/10s", burst=10)

    @app.runner("ask", limits=[limit])
    async def ask(step: Step[object]):
        limit.settle(7)
        held.refuse()
        return Succeed()

    async with working(app):
        run = await app.async_client.submit("ask")
        await until(lambda: "cannot settle its limits" in caplog.text)
        await asyncio.sleep(0)
        held.take_again()
        await run.result(60)
    seconds, micros = real.time()
    charged = float(real.get("stepflow:tat:slow:")) - seconds - micros / 1e6
    assert 60 < charged <= 70
