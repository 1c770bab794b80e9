"""Limits with workers on a real server: declared by code, chosen at submit, kept by all workers."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from typing import Any

import pytest

from stepflow import (
    Client,
    Context,
    Continue,
    InvalidName,
    InvalidOption,
    Limit,
    RateLimited,
    RetryPolicy,
    RunSpec,
    Stepflow,
    Succeed,
)
from stepflow.core.limits.limit import values_of
from stepflow.errors import LimitFull
from tests.support import loaded, until


class Gauge:
    """Counts how many of something go on at once, by key."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.done = 0

    async def work(self, key: str = "", for_s: float = 0.02) -> None:
        self.now[key] = self.now.get(key, 0) + 1
        self.most[key] = max(self.most.get(key, 0), self.now[key])
        await asyncio.sleep(for_s)
        self.now[key] -= 1
        self.done += 1


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


async def test_workers_keep_a_limit_together(app, aclient, working, gauge):
    """[L1] [L20] All runners that name it share it."""
    limit = Limit("stripe", concurrency=3)

    @app.runner("pay", limits=[limit])
    async def pay(step: Any) -> Any:
        await gauge.work()
        return Succeed()

    @app.job(name="refund", limits=[limit])
    async def refund() -> None:
        await gauge.work()

    runs = [await app.async_client.submit("pay") for _ in range(20)]
    runs += [await refund.submit() for _ in range(20)]
    async with working(app), working(app):
        for run in runs:
            await run.result(60)
    assert gauge.most == {"": 3}


async def test_each_value_of_a_header_has_a_limit_of_its_own(app, aclient, working, gauge):
    """[L2] [L5] The runs of one tenant do not wait for those of another."""

    @app.runner("pay", limits=[Limit("tenant", key="header.tenant", concurrency=2)])
    async def pay(step: Any) -> Any:
        await gauge.work(step.headers.get("tenant", ""))
        return Succeed()

    runs = [
        await app.async_client.submit("pay", headers={"tenant": tenant} if tenant else {})
        for tenant in ("acme & söhne", "b", "") * 10
    ]
    async with working(app):
        for run in runs:
            await run.result(60)
    assert gauge.most == {"acme & söhne": 2, "b": 2, "": 2}


async def test_a_client_without_the_code_learns_of_limits_from_workers(
    app, aclient, working, gauge, real, keys
):
    """[L2] Also one that says which version it wants."""

    @app.runner("pay", limits=[Limit("tenant", key="header.tenant", concurrency=1)])
    async def pay(step: Any) -> Any:
        await gauge.work(step.headers["tenant"])
        return Succeed()

    async with working(app):
        await until(lambda: real.zscore(keys.versions, "limits@any"))
        given = {"headers": {"tenant": "a"}, "version": 1}
        runs = [await aclient.submit("pay", **given)]
        runs += [await aclient.submit("pay", headers={"tenant": "a"}) for _ in range(4)]
        assert real.hget(keys.run(runs[0].id), "limits") == b"tenant|a|1"
        for run in runs:
            await run.result(60)
    assert gauge.most == {"a": 1}


async def test_a_submit_says_for_which_key_a_limit_counts_its_run(app, client, real, keys):
    """[L1] Over what the runner says, and for a limit that it does not name."""

    @app.runner("pay", limits=[Limit("stripe", key="header.tenant", rate="1/s")])
    async def pay(step: Any) -> Any:
        return Succeed()

    run = client.submit(
        "pay", headers={"tenant": "a"}, limits={"stripe": "b|c", "other": ""}, units={"stripe": 3}
    )
    assert real.hget(keys.run(run.id), "limits") == b"stripe|b%7Cc|3\nother||1"
    client.cancel(run.id)


async def test_a_kept_run_gives_way_to_who_waits_in_line(app, aclient, working, settings):
    """[L8] As to a rival in its queue, once its time slice is over."""
    seen: list[str] = []

    @app.runner("chain", limits=[Limit("one", concurrency=1)])
    async def chain(step: Any) -> Any:
        seen.append(step.run_id)
        await asyncio.sleep(0.02)
        return Succeed() if step.number == 20 else Continue()

    async with working(app):
        a = await app.async_client.submit("chain", run_id="a")
        b = await app.async_client.submit("chain", run_id="b")
        await a.result(60)
        await b.result(60)
    turns = sum(1 for one, other in pairwise(seen) if one != other)
    assert turns > 3


async def test_a_sleeping_workflow_holds_no_slot(app, aclient, working, gauge):
    """[L3]"""

    @app.workflow("nap", limits=[Limit("one", concurrency=1)])
    async def nap(ctx: Context) -> int:
        await ctx.sleep(0.3)
        return 1

    async with working(app):
        runs = [await app.async_client.submit("nap") for _ in range(10)]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for run in runs:
            await run.result(60)
        assert loop.time() - begun < 2.5


async def test_children_and_maps_keep_the_limits_of_their_runner(app, working, gauge):
    """[L1]"""

    @app.job(name="part", limits=[Limit("db", concurrency=2)])
    async def part(number: int) -> int:
        await gauge.work()
        return number

    @app.workflow("all")
    async def all_of_it(ctx: Context) -> int:
        return len(await ctx.map("part", [{"number": n} for n in range(8)]))

    async with working(app):
        run = await app.async_client.submit("all")
        await until(lambda: gauge.done >= 8)
        await run.result(60)
    assert gauge.most[""] <= 2


async def test_a_rate_is_kept_by_workers(app, working):
    """[L9] On the server's clock."""
    times: list[float] = []

    @app.runner("call", limits=[Limit("api", rate="20/s", burst=2)])
    async def call(step: Any) -> Any:
        times.append(asyncio.get_running_loop().time())
        return Succeed()

    async with working(app), working(app):
        runs = [await app.async_client.submit("call") for _ in range(12)]
        for run in runs:
            await run.result(60)
    assert times[-1] - times[0] >= 0.45
    assert len(times) == 12


async def test_a_submit_is_refused_where_too_many_wait(app, working, real, keys):
    """[L17]"""

    @app.runner("pay", limits=[Limit("stripe", concurrency=1, max_line=2)])
    async def pay(step: Any) -> Any:
        await asyncio.sleep(30)
        return Succeed()

    async with working(app):
        runs = [await app.async_client.submit("pay") for _ in range(3)]
        await until(lambda: real.zcard(keys.of_limit("line", "stripe", "")) == 2)
        with pytest.raises(LimitFull, match="2 runs wait for limit 'stripe', whose line takes 2"):
            await app.async_client.submit("pay")
        with pytest.raises(LimitFull):
            await app.async_client.signal("new", "go", start=RunSpec("pay", run_id="new"))
        assert await app.async_client.submit("pay", run_id=runs[1].id)
        for run in runs:
            await run.cancel()


@pytest.mark.crash
async def test_a_run_that_waits_too_long_fails(app, working, real, keys):
    """[L17] Its hooks are called, its place is free."""
    told: list[str] = []

    @app.runner("pay", limits=[Limit("stripe", concurrency=1, max_wait=0.3)])
    async def pay(step: Any) -> Any:
        await asyncio.sleep(1.5)
        return Succeed()

    @app.on_terminal
    def note(outcome: Any) -> None:
        if outcome.error:
            told.append(outcome.error.type)

    async with working(app):
        first = await app.async_client.submit("pay")
        await until(lambda: real.exists(keys.of_limit("slots", "stripe", "")))
        second = await app.async_client.submit("pay")
        status = await second.wait(60)
        assert (status.state, status.error.type) == ("failed", "LimitTimeout")
        assert "waited in line for limit stripe for more than 0.3 s" in status.error.message
        await first.result(60)
        await until(lambda: told)
    assert told == ["LimitTimeout"]
    assert not real.exists(keys.lines, keys.slots)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Limit("a b", concurrency=1), "limit name 'a b' is not valid"),
        (lambda: Limit("a"), "limit 'a' limits nothing; give it concurrency=, rate= or both"),
        (lambda: Limit("a", rate="fast"), "rate of limit 'a' is 'fast'; write it like '100/min'"),
        (lambda: Limit("a", rate="0/s"), "rate of limit 'a' is '0/s'"),
        (lambda: Limit("a", concurrency=-1), "concurrency of limit 'a' is -1; it is a whole"),
        (lambda: Limit("a", concurrency=1, key="tenant"), "write it as 'header.tenant'"),
        (lambda: Limit("a", concurrency=1, scope="x"), "scope of limit 'a' is 'x'"),  # type: ignore[arg-type]
        (lambda: Limit("a", concurrency=1, max_wait=-1), "max_wait of limit 'a' is -1"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_in_words(make, said):
    with pytest.raises((InvalidOption, InvalidName), match=re.escape(said)):
        make()


def test_one_name_with_different_bounds_is_refused(url, settings):
    app = Stepflow(url, settings=settings)
    app.register("a", lambda step: None, limits=[Limit("x", concurrency=1)])
    with pytest.raises(InvalidOption, match="limit 'x' is declared twice, with different bounds"):
        app.register("b", lambda step: None, limits=[Limit("x", concurrency=2)])


@pytest.mark.parametrize(
    ("rate", "interval"), [("100/min", 0.6), ("5/s", 0.2), ("20/10s", 0.5), ("1 per hour", 3600)]
)
def test_rates_are_read_as_people_write_them(rate, interval):
    assert values_of(Limit("a", rate=rate)).interval == pytest.approx(interval)


@pytest.mark.crash
def test_nobody_without_limits_loads_them():
    """[L4] Neither workers nor clients."""
    homes = ("stepflow.store.limits.limited", "stepflow.worker.limits.keeper")
    found = [name for name in loaded() if "limits" in name]
    assert [name for name in found if not any(home.startswith(name) for home in homes)] == []


async def test_runs_without_limits_touch_no_key_of_limits(app, working, client: Client, real):
    """[L4] All that is said to the server, from a worker's start to its end, scripts and all."""

    @app.runner("etl")
    async def etl(step: Any) -> Any:
        return Succeed() if step.number == 3 else Continue()

    with real.monitor() as monitor:
        async with working(app):
            for number in range(5):
                client.submit("etl", number, delay=0.01 * (number % 2))
            await until(lambda: len(client.list(state="succeeded").runs) == 5)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            said.append(command["command"])
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    assert len(said) > 50
    words = re.compile(r"stepflow:(limits|slots|lines?|called|tat|rest)\b")
    assert [line for line in said if words.search(line)] == []
    fields = [name for key in real.scan_iter("stepflow:run:*") if real.type(key) == b"hash"
              for name in real.hkeys(key)]  # fmt: skip
    assert not {b"limits", b"held"} & set(fields)


async def test_what_raises_rate_limited_is_tried_again_when_the_limit_has_rested(app, working):
    """[L10] With one attempt in all."""
    times: list[float] = []

    @app.job(name="call", retry=RetryPolicy(max_attempts=1), limits=[Limit("api", concurrency=9)])
    async def call() -> int:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 3:
            raise RateLimited("api", retry_after=0.2)
        return len(times)

    async with working(app):
        run = await call.submit()
        assert await run.result(60) == 3
        assert (await run.status()).attempt == 1
    assert times[1] - times[0] >= 0.19


async def test_limits_and_lanes_go_together(app, working, gauge, real, keys):
    """[L5] A run that leaves its lane's queue for a line comes back before the others."""

    @app.runner("pay", limits=[Limit("stripe", concurrency=2)])
    async def pay(step: Any) -> Any:
        await gauge.work()
        return Succeed()

    client = app.async_client
    runs = [await client.submit("pay", lane=f"t{n % 4}", priority=n % 3) for n in range(40)]
    async with working(app), working(app):
        for run in runs:
            await run.result(60)
    assert gauge.most == {"": 2}
    assert not real.exists(keys.slots, keys.lines)


async def test_children_join_a_line_that_is_full(app, working, gauge):
    """[L17] A workflow does not fail for what waits beside it."""

    @app.runner("part", limits=[Limit("db", concurrency=1, max_line=1)])
    async def part(step: Any) -> Any:
        await gauge.work()
        return Succeed(step.payload)

    @app.workflow("all")
    async def all_of_it(ctx: Context) -> int:
        children = [await ctx.spawn("part", n) for n in range(4)]
        await ctx.sleep(0.05)
        children += [await ctx.spawn("part", n) for n in range(4)]
        return sum([await child.result() for child in children])

    async with working(app):
        assert await (await app.async_client.submit("all")).result(60) == 12
    assert gauge.most == {"": 1}
