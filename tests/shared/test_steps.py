"""Steps whose values are shared: computed once for the same arguments, however many ask."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from stepflow import Breaker, InvalidOption, RetryPolicy
from stepflow.testing.errors import HarnessStuck

ONCE = RetryPolicy(max_attempts=1)


@dataclass
class Place:
    """Where something is."""

    name: str
    at: tuple[float, float]


class Geo:
    """What is called."""

    def __init__(self):
        self.calls = []
        self.gate = None
        self.error = None

    async def find(self, name: str, country: str = "de") -> Place:
        self.calls.append((name, country))
        if self.gate is not None:
            await self.gate
        if self.error is not None:
            raise self.error
        return Place(name, (52.5, 13.4))


def finding(app, geo, **options):
    @app.workflow
    async def find(ctx, name: str) -> Place:
        return await ctx.step("geocode", geo.find, name, retry=ONCE, **options)

    return find


async def test_an_equal_input_of_any_run_gives_the_value(app, h):
    """[K17] As the type that the function declares; another input is computed."""
    geo = Geo()
    find = finding(app, geo, cache=timedelta(days=1))
    first = await h.result(await h.submit(find, "berlin"))
    again = await h.result(await h.submit(find, "berlin"))
    assert first == again == Place("berlin", (52.5, 13.4))
    await h.submit(find, "paris")
    assert geo.calls == [("berlin", "de"), ("paris", "de")]


async def test_it_does_not_matter_how_an_argument_was_passed(app, h):
    """[K17]"""
    geo = Geo()

    @app.workflow
    async def find(ctx) -> None:
        await ctx.step("geocode", geo.find, "berlin", "de", cache=60)
        await ctx.step("geocode", geo.find, country="de", name="berlin", cache=60)

    await h.submit(find)
    assert len(geo.calls) == 1


async def test_however_many_ask_at_once_it_is_computed_once(app, h):
    """[K17] The others hold no worker meanwhile, and count no attempt."""
    geo = Geo()
    geo.gate = asyncio.get_running_loop().create_future()
    find = finding(app, geo, cache=60)
    h._patience_s = 0.05
    runs = []
    for _ in range(12):
        with suppress(HarnessStuck):
            await h.submit(find, "berlin", run_id=f"r{len(runs)}")
        runs.append(f"r{len(runs)}")
    states = [app.client.status(run).state for run in runs]
    assert states == ["running"] + ["waiting"] * 11
    geo.gate.set_result(None)
    await h.settle()
    assert [(await h.result(run))["name"] for run in runs] == ["berlin"] * 12
    assert len(geo.calls) == 1


async def test_where_it_fails_the_next_one_computes_it(app, h):
    """[K17] An error is nobody's value."""
    geo = Geo()
    geo.error = ConnectionError("no answer")
    find = finding(app, geo, cache=60)
    failed = await h.submit(find, "berlin")
    assert (await h.status(failed)).state == "failed"
    geo.error = None
    assert (await h.result(await h.submit(find, "berlin"))).name == "berlin"
    assert len(geo.calls) == 2


async def test_those_that_wait_for_one_that_fails_take_its_place(app, h):
    """[K17] One after the other."""
    geo = Geo()
    geo.gate = asyncio.get_running_loop().create_future()
    find = finding(app, geo, cache=60)
    h._patience_s = 0.05
    for number in range(3):
        with suppress(HarnessStuck):
            await h.submit(find, "berlin", run_id=f"r{number}")
    gate, geo.gate, geo.error = geo.gate, None, None
    gate.set_exception(ConnectionError("no answer"))
    await h.settle()
    states = [(await h.client.status(f"r{number}")).state for number in range(3)]
    assert states == ["failed", "succeeded", "succeeded"]
    assert len(geo.calls) == 2


async def test_it_expires(app, h):
    """[K17]"""
    geo = Geo()
    find = finding(app, geo, cache=60)
    for seconds in (0, 59, 1):
        await h.advance(seconds)
        await h.submit(find, "berlin")
    assert len(geo.calls) == 2


async def test_a_key_of_your_own_and_a_version(app, h):
    """[K17] `cache_key=` stands for the arguments; a raised version finds nothing of before."""
    geo = Geo()

    @app.workflow
    async def find(ctx, name: str) -> None:
        await ctx.step("geocode", geo.find, name, cache=60, cache_key="all the same")

    await h.submit(find, "berlin")
    await h.submit(find, "paris")
    assert len(geo.calls) == 1
    computed = []
    for version in (1, 1, 2):

        @app.step(name="add", cache=60, version=version)
        async def add(number: int) -> int:
            computed.append(number)
            return number + 1

        @app.workflow(f"adding-{len(computed)}-{version}")
        async def adding(ctx, step=add) -> int:
            return await ctx.step(add, 1)

        await h.submit(adding)
        app.registry.runners.pop("step:add")
    assert computed == [1, 1]


async def test_a_replay_asks_nobody(app, h):
    """[K17] The value is in the journal."""
    geo = Geo()

    @app.workflow
    async def find(ctx) -> str:
        place = await ctx.step("geocode", geo.find, "berlin", cache=1)
        await ctx.sleep(100)
        return place.name

    run = await h.submit(find)
    await h.advance(100)
    assert await h.result(run) == "berlin"
    assert len(geo.calls) == 1


async def test_with_a_breaker_a_known_value_needs_no_permit(app, h):
    """[K17] [K8] One that has to be computed waits for the breaker."""
    geo = Geo()
    find = finding(app, geo, cache=60, breaker=Breaker("geo"))
    await h.submit(find, "berlin")
    await h.client.breakers.open("geo", 30)
    assert (await h.result(await h.submit(find, "berlin"))).name == "berlin"
    runs = [await h.submit(find, "paris") for _ in range(2)]
    assert len(geo.calls) == 1
    await h.advance(30)
    assert {(await h.result(run)).name for run in runs} == {"paris"}
    assert len(geo.calls) == 2


async def test_what_cannot_be_shared_is_refused(app, h):
    """[K17]"""

    async def call() -> int:
        return 1

    @app.workflow
    async def by_a_bad_name(ctx) -> int:
        return await ctx.step("a b", call, cache=60)

    @app.step(name="far", queue="other", cache=60)
    async def far() -> int:
        return 1

    @app.workflow
    async def on_another_queue(ctx) -> int:
        return await ctx.step(far)

    @app.workflow
    async def of_a_builtin(ctx) -> int:
        assert await ctx.step("most", max, 1, 2, cache=60, cache_key=[1, 2]) == 2
        return await ctx.step("most", max, 1, 2, cache=60)

    assert "give a cache_key=" in (await h.status(await h.submit(of_a_builtin))).reason
    assert "give the step a name" in (await h.status(await h.submit(by_a_bad_name))).reason
    assert "cannot share its value" in (await h.status(await h.submit(on_another_queue))).reason
    for wrong in (0, -1, "1"):
        with pytest.raises(InvalidOption):
            app.step(cache=wrong)(call)
