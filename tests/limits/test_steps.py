"""Limits of steps: `ctx.step(f, limit=...)` and `@app.step(limit=...)`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from stepflow import InvalidOption, Limit, RateLimited, RetryPolicy, StepFailed, Stepflow
from stepflow.engine.doctor.limits import odd_limits
from stepflow.testing import Harness

ONCE = RetryPolicy(max_attempts=1)
ONE = Limit("one", concurrency=1)
SLOW = Limit("slow", rate="1/10s")


class Work:
    """Calls that take ten seconds each of the harness's clock; it notes when they begin."""

    def __init__(self, h: Harness) -> None:
        self.h, self.start = h, h.clock.now()
        self.begun: list[tuple[object, float]] = []
        self.under_way: list[object] = []

    async def call(self, what: object) -> str:
        self.begun.append((what, round(self.h.clock.now() - self.start)))
        self.under_way.append(what)
        try:
            await self.h.sleep(10)
        finally:
            self.under_way.remove(what)
        return "ok"


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app):
    async with Harness(app) as harness:
        yield harness


@pytest.fixture
def work(h) -> Work:
    return Work(h)


def limited(app, work, limit=ONE):
    @app.workflow
    async def limited(ctx, what: str) -> str:
        return await ctx.step("call", work.call, what, limit=limit)

    return limited


async def test_no_more_steps_are_called_at_once_than_the_limit_allows(app, h, work):
    """[L11] Of whichever runs; the others are parked, and go on in the order in which they came."""
    flow = limited(app, work)
    for each in "abc":
        await h.submit(flow, each, run_id=each)
    status = await h.status("b")
    assert status.state == "waiting"
    assert status.waits_for.startswith("limit one")
    await h.advance(30)
    assert work.begun == [("a", 0), ("b", 10), ("c", 20)]
    assert [await h.result(each) for each in "abc"] == ["ok"] * 3


async def test_each_key_has_its_own_slots(app, h, work):
    """[L11] From a header, or given by `of`."""
    by_tenant = Limit("tenant", key="header.tenant", concurrency=1)
    by_header, fixed = limited(app, work, by_tenant), Limit("fixed", concurrency=1)

    @app.workflow
    async def given(ctx, what: str) -> str:
        return await ctx.step(work.call, what, limit=[by_tenant.of("x"), fixed])

    for run, tenant in (("a", "x"), ("b", "x"), ("c", "y")):
        await h.submit(by_header, run, headers={"tenant": tenant})
    await h.submit(given, "d")
    await h.advance(30)
    assert work.begun == [("a", 0), ("c", 0), ("b", 10), ("d", 20)]


async def test_branches_and_items_wait_one_by_one_for_their_run(app, h, work):
    """[L11] A run has one place in line, however many of its steps wait: so runs take turns."""
    two = Limit("two", concurrency=2)

    @app.step(limit=two)
    async def call(what: int) -> str:
        return await work.call(what)

    @app.workflow
    async def branches(ctx) -> list[str]:
        return list(await ctx.gather(*(ctx.step(call, n) for n in range(5))))

    @app.workflow
    async def items(ctx) -> list[str]:
        return await ctx.batch(call, range(10, 15))

    first, second = await h.submit(branches), await h.submit(items)
    assert work.under_way == [0, 1]
    info = await h.client.limits.get("two[]")
    assert (info.slots, info.waiting) == (2, 2)
    await h.advance(60)
    assert [at for _, at in work.begun] == [0, 0, 10, 10, 20, 20, 30, 30, 40, 40]
    assert {what for what, at in work.begun if at == 10} == {2, 10}
    assert await h.result(first) == await h.result(second) == ["ok"] * 5


async def test_a_rate_counts_attempts_and_units(app, h):
    """[L11] Each attempt is a begin; one of three units waits for three."""
    times = []

    async def call(_: int) -> None:
        times.append(round(h.clock.now() - start))
        if len(times) == 1:
            raise ValueError

    @app.workflow
    async def work(ctx) -> None:
        retry = RetryPolicy(max_attempts=2, initial=1, jitter=False)
        await ctx.step(call, 1, limit=SLOW, retry=retry)
        await ctx.step(call, 2, limit=SLOW.of(units=3))
        await ctx.step(call, 3, limit=SLOW)

    start = h.clock.now()
    run = await h.submit(work)
    await h.advance(100)
    assert times == [0, 10, 20, 50]
    assert (await h.status(run)).state == "succeeded"


async def test_what_is_given_back_is_for_those_in_line_at_once(app, h):
    """[L11] Whoever waits for units that turn out not to be used waits no longer."""
    many, times = Limit("many", rate="10/s", burst=100), []

    async def call() -> None:
        times.append(round(h.clock.now() - start, 1))
        await h.sleep(0.5)
        many.settle(10)

    @app.workflow
    async def work(ctx) -> None:
        await ctx.step(call, limit=many.of(units=100))

    start = h.clock.now()
    for _ in range(3):
        await h.submit(work)
    await h.advance(4)
    assert times == [0, 1, 2]


async def test_what_was_used_counts_once_it_is_settled(app, h):
    """[L11] Less gives back, more takes more; a failed attempt settles as well."""
    times = []
    used = {1: 1, 2: 4, 3: 0, 4: 1}

    async def call(number: int) -> None:
        times.append(round(h.clock.now() - start))
        SLOW.settle(9)
        SLOW.settle(used[number])

    @app.workflow
    async def work(ctx) -> None:
        for number in used:
            await ctx.step(call, number, limit=SLOW.of(units=2))
        await ctx.sleep(1)

    start = h.clock.now()
    run = await h.submit(work)
    await h.advance(100)
    assert times == [0, 10, 50, 50]
    assert (await h.status(run)).state == "succeeded"


async def test_a_step_that_is_refused_by_the_other_side_waits_without_an_attempt(app, h):
    """[L10] [L11] The key rests for all; whether or not the step has the limit."""
    limit, calls = Limit("search", concurrency=5), []

    async def call(what: str) -> str:
        calls.append((what, round(h.clock.now() - start)))
        if [each for each, _ in calls].count(what) < 3 and what in "ab":
            raise RateLimited("search", "k", retry_after=30)
        return "ok"

    @app.workflow
    async def work(ctx, what: str) -> str:
        options = {} if what == "b" else {"limit": limit.of("k")}
        return await ctx.options(retry=ONCE, **options).step(call, what)

    start = h.clock.now()
    for each in "abc":
        await h.submit(work, each, run_id=each)
    assert calls == [("a", 0), ("b", 0)]
    assert (await h.client.limits.get("search[k]")).rests_until is not None
    await h.advance(100)
    assert [await h.result(each) for each in "abc"] == ["ok"] * 3
    assert sorted(calls[2:5]) == [("a", 30), ("b", 30), ("c", 30)]
    assert sorted(calls[5:]) == [("a", 60), ("b", 60)]


async def test_a_step_that_waits_for_too_long_fails(app, h, work):
    """[L17] With `max_wait`; nobody waits behind it."""
    limit = Limit("brief", concurrency=1, max_wait=8)

    @app.workflow
    async def flow(ctx, what: str) -> str:
        try:
            return await ctx.step(work.call, what, limit=limit)
        except StepFailed as error:
            return error.error_type

    await h.submit(flow, "a", run_id="a")
    await h.submit(flow, "b", run_id="b")
    await h.advance(5)
    await h.submit(flow, "c", run_id="c")
    await h.advance(30)
    assert [await h.result(each) for each in "abc"] == ["ok", "LimitTimeout", "ok"]
    assert work.begun == [("a", 0), ("c", 10)]


async def test_a_step_that_nobody_wants_any_more_leaves_the_line(app, h, work):
    """[L11] Cancelled by its workflow, in line or at work, or with its run."""

    @app.workflow
    async def fickle(ctx, seconds: int) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ctx.step(work.call, "fickle", limit=ONE)
        return "left"

    flow = limited(app, work)
    await h.submit(flow, "a")
    await h.submit(fickle, 5)
    b = await h.submit(flow, "b")
    await h.submit(fickle, 15)
    await h.submit(flow, "c")
    await h.advance(5)
    await h.cancel(b)
    assert (await h.client.limits.get("one[]")).waiting == 2
    await h.advance(20)
    assert work.begun == [("a", 0), ("fickle", 10), ("c", 15)]
    info = await h.client.limits.get("one[]")
    assert (info.slots, info.waiting) == (0, 0)


async def test_a_step_cannot_wait_for_the_slot_of_its_own_run(app, h, work):
    """[L11] It is refused with a sentence, as is what is no limit."""

    @app.workflow(limits=[ONE])
    async def own(ctx) -> str:
        return await ctx.step(work.call, 1, limit=ONE)

    status = await h.status(await h.submit(own))
    assert status.error.type == "InvalidOption"
    assert "leave limit= out of the step" in status.error.message
    with pytest.raises(InvalidOption, match=r"write limit=Limit\(...\)"):
        app.step(limit="one")(lambda: 1)
    with pytest.raises(InvalidOption, match="outside of a step that has it"):
        ONE.settle(1)


async def test_a_step_on_another_queue_is_a_run_with_the_limit(app, h, work):
    """[L11] @app.step(limit=, queue=)."""

    @app.step(queue="gpu", limit=ONE.of("card"))
    async def call(what: str) -> str:
        return await work.call(what)

    @app.workflow
    async def flow(ctx) -> list[str]:
        return list(await ctx.gather(ctx.step(call, "a"), ctx.step(call, "b")))

    await h.client.limits.set("one[card]", concurrency=1)
    run = await h.submit(flow)
    info = await h.client.limits.get("one[card]")
    assert (info.slots, info.waiting) == (1, 1)
    await h.advance(20)
    assert [at for _, at in work.begun] == [0, 10]
    assert await h.result(run) == ["ok", "ok"]


async def test_why_names_the_limit_the_place_in_line_and_who_has_the_slots(app, h, work):
    """[L19] Of a run whose step waits; `limits show` names the steps that have slots."""
    flow = limited(app, work, ONE.of("acme"))

    @app.workflow
    async def more(ctx) -> None:
        step = asyncio.ensure_future(ctx.step("call", work.call, "c", limit=ONE.of("acme")))
        await asyncio.wait([step, ctx.sleep(3)], return_when=asyncio.FIRST_COMPLETED)
        await step

    for each in "ab":
        await h.submit(flow, each, run_id=each)
    await h.submit(more, run_id="c")
    found = await h.client.why("b")
    assert (found.word, found.code) == ("held", "held.slot")
    assert found.sentence.startswith(
        "its step 'call' is the 1st of 2 in line for limit one[acme]; 1 slot is taken: a since"
    )
    assert found.evidence["step"] == "call"
    found = await h.client.why("c")
    assert "waits in line for limit one[acme], 2 of 2; sleeps until" in found.sentence
    info = await h.client.limits.get("one[acme]")
    assert [(each.run_id, each.step) for each in info.holders] == [("a", "call")]
    assert list(info.next) == ["b", "c"]
    assert await h.client._do(odd_limits(h.client.env)) == []
    await h.advance(30)
    assert [each for each, _ in work.begun] == ["a", "b", "c"]


async def test_any_other_limit_is_an_argument_of_the_function(app, h):
    """[L11] Functions have had parameters of that name before steps had limits."""

    async def search(text: str, limit: int | None = 5) -> str:
        return f"{text} {limit}"

    @app.workflow
    async def flow(ctx) -> list[str]:
        given = ctx.options(limit=ONE)
        return [
            await ctx.step(search, "a", limit=3), await ctx.step(search, "b", limit=None),
            await ctx.step(search, "c"), await ctx.step(search, "d", limit=ONE),
            await given.step(search, "e", limit=7),
        ]  # fmt: skip

    assert await h.result(await h.submit(flow)) == ["a 3", "b None", "c 5", "d 5", "e 7"]


async def test_room_that_no_script_has_handed_on_is_found_where_only_steps_have_limits(app, h):
    """[L20] A worker that has met such a step looks at lines in its rounds."""
    begun = []

    async def call(name: str) -> None:
        begun.append(name)
        await h.sleep(100)

    @app.workflow
    async def work(ctx, name: str) -> None:
        await ctx.step(call, name, limit=ONE)

    await h.submit(work, "a", run_id="a")
    await h.submit(work, "b", run_id="b")
    assert begun == ["a"]
    # as a server that comes back without its last writes
    assert h.server.client.delete("stepflow:slots:one:") == 1
    await h.advance(1)
    assert begun == ["a", "b"]
