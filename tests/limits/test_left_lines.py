"""Nobody stands in line for a step that its workflow wants no more: its turn would be in vain."""

from __future__ import annotations

import asyncio

import pytest

from stepflow import Context, Cost, Limit, budget
from stepflow.core.limits.slot import StepSlot
from stepflow.core.limits.use import LimitUse
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.store.limits.steps import InLine, leave_slots, take_slots
from tests.limits.test_step_guards import ask, claimed
from tests.support import until

ONE = Limit("one", concurrency=1)


def claimed_again(store, run_id="a"):
    """Have another claim of a run, which goes on at once."""
    store.give_back(run_id)
    store.batch(limit=10)
    return store.load(run_id)


def leave_places(store, run, step):
    call = leave_slots(
        store.keys, run, run.token, (), (), [step], given=store.clock.given, now=store.now
    )
    return store.connection.call(call)


@pytest.fixture
def waits(store):
    """A run of which an item of a batch stands in line since its first claim."""
    store.declare(concurrency=1)
    ask(store, claimed(store, "b"), 1)
    run = claimed(store)
    slot = StepSlot("0/1.3", 1, [LimitUse("stripe")])
    call = take_slots(
        store.keys, run, run.token, slot, name="s", said={}, first_since=None,
        takes_place=False, given=store.clock.given,
    )  # fmt: skip
    assert isinstance(store.connection.call(call), InLine)
    yield run
    for run_id in "ab":
        store.end(run_id)


@pytest.mark.parametrize(
    ("step", "is_left"),
    [("0/1.3", True), ("0/1", True), ("0/1.30", False), ("0/", False), ("0/1.", False)],
)
def test_a_place_from_an_earlier_claim_is_given_up_by_the_step_or_what_it_is_part_of(
    store, waits, step, is_left
):
    """[L11] A batch is left with all of its items."""
    assert leave_places(store, claimed_again(store), step) is True
    assert store.line() == ([] if is_left else ["a/0/1.3"])


def test_a_place_of_the_present_claim_is_not_given_up_so(store, waits):
    """[L11] Its own ask gives it up, which knows whether it has begun meanwhile."""
    leave_places(store, waits, "0/1")
    assert store.line() == ["a/0/1.3"]


def test_a_claim_that_was_lost_gives_up_nothing(store, waits):
    """[L11]"""
    claimed_again(store)
    assert leave_places(store, waits, "0/1") is False
    assert store.line() == ["a/0/1.3"]


async def test_a_step_that_is_withdrawn_while_it_asks_again_leaves_the_line(
    app, aclient, working, real, keys
):
    """[L11] The next in line would wait for each of them for a second."""
    go = asyncio.Event()

    @app.workflow
    async def holds(ctx: Context):
        await ctx.step("hold", go.wait, limit=ONE)

    @app.workflow
    async def leaves(ctx: Context):
        wanted = asyncio.ensure_future(ctx.step("wanted", lambda: 1, limit=ONE))
        await ctx.wait_for_signal("enough")
        wanted.cancel()
        await ctx.sleep(3600)

    line = keys.of_limit("line", "one", "")
    async with working(app):
        holder = await app.async_client.submit(holds)
        await until(lambda: real.zcard(keys.of_limit("slots", "one", "")))
        runs = [await app.async_client.submit(leaves) for _ in range(3)]
        await until(lambda: real.zcard(line) == 3)
        for run in runs:
            await aclient.signal(run.id, "enough")
        await until(lambda: not real.zcard(line))
        go.set()
        await holder.result(60)
        for run in runs:
            await run.cancel()


async def test_a_replay_that_withdraws_a_step_leaves_the_line(
    app, aclient, working, real, keys, monkeypatch
):
    """[L11] Its worker died before it could."""
    go = asyncio.Event()
    monkeypatch.setattr("stepflow.worker.runtime.limits.ClaimLimits.give_back", lambda *_: None)

    @app.workflow
    async def holds(ctx: Context):
        await ctx.step("hold", go.wait, limit=ONE)

    @app.workflow
    async def leaves(ctx: Context):
        wanted = asyncio.ensure_future(ctx.step("wanted", lambda: 1, limit=ONE))
        await ctx.wait_for_signal("enough")
        wanted.cancel()
        await ctx.wait_for_signal("look")
        await ctx.wait_for_signal("end")

    line = keys.of_limit("line", "one", "")
    async with working(app):
        holder = await app.async_client.submit(holds)
        await until(lambda: real.zcard(keys.of_limit("slots", "one", "")))
        run = await app.async_client.submit(leaves)
        await until(lambda: real.zcard(line))
        await aclient.signal(run.id, "enough")

        async def looks() -> bool:
            return (await run.status()).waits_for == "signal 'look'"

        await until(looks)
        assert real.zcard(line)
        await aclient.signal(run.id, "look")
        await until(lambda: not real.zcard(line))
        await aclient.signal(run.id, "end")
        await run.result(60)
        go.set()
        await holder.result(60)


BUDGET = budget("acme", tokens=100)


class Gate:
    """Holds up the calls that come to it until it is opened."""

    def __init__(self) -> None:
        self.open, self.reached = asyncio.Event(), asyncio.Event()

    async def call(self) -> int:
        self.reached.set()
        await self.open.wait()
        return 1


@pytest.fixture(params=["a value", "a budget"])
def waiting_step(request, gate):
    """Asks for what one run has at a time, until the gate is open."""
    if request.param == "a value":
        return lambda ctx: ctx.step("held", gate.call, cache=60, cache_key=1)
    spends = BUDGET.spend(tokens=60, used=lambda _: Cost(0, 1))
    return lambda ctx: ctx.step("held", gate.call, spends=spends)


@pytest.fixture
def gate():
    return Gate()


async def test_nobody_waits_for_a_step_that_was_withdrawn(
    app, aclient, working, real, gate, waiting_step
):
    """[K17] [A12] Two are told when there is room, and tell two more each: these told nobody."""

    @app.workflow
    async def wants(ctx: Context):
        return await waiting_step(ctx)

    @app.workflow
    async def leaves(ctx: Context):
        wanted = asyncio.ensure_future(waiting_step(ctx))
        await ctx.wait_for_signal("enough")
        wanted.cancel()
        await ctx.wait_for_signal("end")

    def waiting() -> int:
        return _waiting(real)

    async with working(app):
        runs = [await app.async_client.submit(wants)]
        await gate.reached.wait()
        left = [await app.async_client.submit(leaves) for _ in range(3)]
        await until(lambda: waiting() == 3)
        runs.append(await app.async_client.submit(wants))
        await until(lambda: waiting() == 4)
        for run in left:
            await aclient.signal(run.id, "enough")
        await until(lambda: waiting() == 1)
        gate.open.set()
        assert [await run.result(60) for run in runs] == [1, 1]
        for run in left:
            await run.cancel()


def _waiting(real) -> int:
    """Count the runs that wait for a value or for room in a budget."""
    return sum(
        real.zcard(key) for pattern in ("shared:*:waiting", "budget:waiting:*")
        for key in real.scan_iter(f"stepflow:{pattern}")
    )  # fmt: skip


async def test_a_step_that_is_withdrawn_just_when_it_was_told_tells_the_next(
    app, aclient, working, real, gate, waiting_step, monkeypatch
):
    """[K17] [A12] It had not looked yet; who waited behind it looked half a minute later."""
    is_told = StepCommand._is_told
    monkeypatch.setattr(
        StepCommand, "_is_told",
        lambda self, host: host.run.runner != "leaves" and is_told(self, host),
    )  # fmt: skip

    end = asyncio.Event()

    @app.workflow
    async def wants(ctx: Context):
        return await waiting_step(ctx)

    @app.workflow
    async def leaves(ctx: Context):
        wanted = asyncio.ensure_future(waiting_step(ctx))
        busy = asyncio.ensure_future(ctx.step("busy", end.wait))  # so its claim goes on
        await ctx.wait_for_signal("enough")
        wanted.cancel()
        await busy

    async with working(app):
        runs = [await app.async_client.submit(wants)]
        await gate.reached.wait()
        left = [await app.async_client.submit(leaves) for _ in range(2)]
        await until(lambda: _waiting(real) == 2)
        runs.append(await app.async_client.submit(wants))
        await until(lambda: _waiting(real) == 3)
        gate.open.set()
        await runs[0].result(10)
        await until(lambda: _waiting(real) == 1)
        for run in left:
            await aclient.signal(run.id, "enough")
        assert await runs[1].result(10) == 1
        end.set()
        for run in left:
            await run.wait(10)
