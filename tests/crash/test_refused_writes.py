"""
Redis refuses writes for longer than a lease: what is held is kept, nothing counts as a crash, and
all goes on after.
"""

import asyncio
from collections import Counter
from contextlib import contextmanager

import pytest

from stepflow import Continue, RunSpec, Succeed
from stepflow.engine.env import Env
from stepflow.settings import RedisSettings, Settings, WebhookSettings, WorkerSettings
from stepflow.store.connection.sync import carry_out
from stepflow.worker.recover import recover_worker
from tests.support import until

pytestmark = pytest.mark.crash

#: longer than a busy machine keeps a worker from its renewals
LEASE_S = 2.0
#: how a server is made to refuse writes, and what it then says
REFUSALS = {"OOM": ("maxmemory", 1, 0), "NOREPLICAS": ("min-replicas-to-write", 1, 0)}
#: what is said meanwhile: for NOREPLICAS the link itself waits, as for a primary that is being
#: replaced
SAID = {
    "OOM": ("cannot write its journal", "cannot write memo", "cannot be committed", "(OOM "),
    "NOREPLICAS": ("(NOREPLICAS ", "connecting again"),
}


@pytest.fixture
def settings():
    return Settings(
        redis=RedisSettings(retry_for_s=2.0),
        worker=WorkerSettings(
            lease_s=LEASE_S, grace_s=2.0, stop_grace_s=0.3, redeliver_after_s=5.0
        ),
        webhook=WebhookSettings(allow_cidrs=("127.0.0.0/8",)),
    )


@contextmanager
def refusing(real, word):
    option, on, off = REFUSALS[word]
    real.config_set(option, on)
    try:
        yield
    finally:
        real.config_set(option, off)


async def longer_than_a_lease(real, keys):
    """Wait until every claim has run out, and half a lease more."""
    last = max(score for _, score in real.zrange(keys.claims, 0, -1, withscores=True))
    await until(lambda: real.time()[0] + real.time()[1] / 1e6 > last + 0.5)


@pytest.fixture
async def held(app):
    """
    Runners and workflows that do something when they are let go, while Redis refuses to write.
    """
    go, calls = asyncio.Event(), Counter()

    @app.runner("chain")
    async def chain(step):
        calls[f"{step.run_id} {step.number}"] += 1
        if step.number == 0:
            await go.wait()
            return Continue(1)
        return Succeed(step.payload)

    @app.runner("memo")
    async def memo(step):
        calls[step.run_id] += 1
        await go.wait()
        await step.extend(2)
        await step.memo.put("a", 1)
        return Succeed(await step.memo.get("a"))

    @app.runner("plain")
    def plain(step):
        calls[step.run_id] += 1
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        step.memo.put("a", 1)
        return Succeed(step.memo.get("a"))

    async def note(run_id, what):
        calls[f"{run_id} {what}"] += 1
        return what

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.step(note, ctx.run_id, "first")
        await ctx.step(go.wait)
        await ctx.vars.incr("count")
        many = await asyncio.gather(*(ctx.step(note, ctx.run_id, n) for n in range(20)))
        count = await ctx.vars.incr("count")
        child = await ctx.spawn("chain", None)
        return [many, count, await child.result()]

    @app.workflow("steps")
    def steps(ctx):
        ctx.step(note, ctx.run_id, "first")
        ctx.step(go.wait)
        return [ctx.step(note, ctx.run_id, n) for n in range(5)]

    @app.workflow("ends")
    async def ends(ctx):
        await ctx.step(go.wait)
        return await ctx.wait_for_signal("news")

    loop = asyncio.get_running_loop()
    return go, calls


RUNNERS = ("chain", "memo", "plain", "flow", "steps", "ends")
RESULTS = {
    "chain": 1, "memo": 1, "plain": 1, "flow": [list(range(20)), 2, 1], "steps": list(range(5)),
    "ends": {"a": 1},
}  # fmt: skip


@pytest.mark.parametrize("word", REFUSALS)
async def test_outcomes_are_kept_and_nothing_counts_as_a_crash(
    app, aclient, working, held, real, keys, caplog, word
):
    """
    [B25] Runners, workflows, plain and async; two workers, so that each could take the other's for
    dead.
    """
    go, calls = held
    async with working(app, concurrency=6), working(app, concurrency=6):
        runs = await aclient.submit_many(
            [RunSpec(name, run_id=f"{name}{n}") for name in RUNNERS for n in (1, 2)]
        )
        await aclient.signal("ends1", "news", {"a": 1})
        await aclient.signal("ends2", "news", {"a": 1})
        await until(lambda: real.zcard(keys.claims) == len(runs))
        await until(
            lambda: sum(calls.values()) == 10
        )  # each has done what it does before it is let go
        with refusing(real, word):
            go.set()
            await until(lambda: all(words in caplog.text for words in SAID[word]))
            await longer_than_a_lease(real, keys)
        for run in runs:
            assert await run.result(60) == RESULTS[run.id[:-1]], run.id
        assert [(await run.status()).crashes for run in runs] == [0] * len(runs)
    assert set(calls.values()) == {1}, calls
    assert "was lost with its worker" not in caplog.text


@pytest.mark.parametrize("word", REFUSALS)
async def test_a_hook_that_was_delivered_is_settled_and_not_delivered_again(
    app, aclient, working, real, keys, caplog, word
):
    """[B25] What became of a try is kept until Redis takes it."""
    told = []

    @app.on_terminal
    async def note(outcome):
        if not told:
            real.config_set(*REFUSALS[word][:2])
        told.append(outcome.run_id)

    @app.runner("x")
    async def x(step):
        return Succeed()

    async with working(app):
        run = await aclient.submit("x")
        try:
            await until(
                lambda: ("cannot be settled" if word == "OOM" else "(NOREPLICAS ") in caplog.text
            )
            await longer_than_a_lease(real, keys)
        finally:
            real.config_set(REFUSALS[word][0], REFUSALS[word][2])

        async def is_settled():
            return [hook.state for hook in await aclient.hooks(run.id)] == ["delivered"]

        await until(is_settled)
    assert told == [run.id]


async def test_what_a_supervisor_knows_to_be_dead_is_taken_up_at_once(
    app, aclient, working, ghost, real, keys, link_to_real, caplog
):
    """[B25] Claims that are named wait for nobody."""

    @app.runner("x")
    async def x(step):
        return Succeed(step.number)

    run = await aclient.submit("x")
    ghost.claim("x")
    async with working(app):
        with refusing(real, "OOM"):
            await until(lambda: "a round was cut short" in caplog.text)
        assert carry_out(link_to_real, recover_worker("ghost", Env(keys, app.settings))) == 1
        assert await run.result(60) == 0


async def test_a_dead_workers_claims_are_taken_up_when_live_holders_have_renewed_theirs(
    app, aclient, working, ghost, real, keys, caplog
):
    """[B25] Two thirds of a lease after Redis takes writes again."""
    began = []

    @app.runner("x")
    async def x(step):
        began.append(real.time()[0] + real.time()[1] / 1e6)
        return Succeed(step.number)

    run = await aclient.submit("x")
    ghost.claim("x", lease_s=0.5)
    async with working(app):
        with refusing(real, "OOM"):
            await until(lambda: "a round was cut short" in caplog.text)
            await longer_than_a_lease(real, keys)
            lifted_at = real.time()[0] + real.time()[1] / 1e6
        assert await run.result(60) == 0
    assert began[0] - lifted_at >= 2 / 3 * LEASE_S
    assert (await run.status()).crashes == 1
