"""[B34] [K19] What a poll waits for, and the entries that it leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import Context, InvalidOption, Pending, RunState, StepFailed, Stepflow, Succeed
from stepflow.core.journal import write_head
from stepflow.core.outcomes import Park, Raised
from stepflow.errors import ClaimLost
from stepflow.store.values.codec import pack
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate, to_the_end


@pytest.mark.parametrize(
    ("every", "takes", "timeout", "tries"),
    [
        (3.0, 0.0, 0.5, 1),  # over while it waits for the second try
        (0.2, 0.0, 0.5, 3),
        (3.0, 10.0, 0.5, 1),  # over while the first is under way
        (0.1, 0.4, 0.75, 2),  # ... and the second
        (3.0, 0.0, 0.0, 1),
    ],
)
@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_a_poll_is_over_when_its_time_is(every, takes, timeout, tries, is_plain):
    app = Stepflow()
    tried: list[float] = []

    async with Harness(app) as h:

        async def look() -> None:
            tried.append(h.clock.now())
            await h.sleep(takes)

        @app.workflow("flow")
        async def flow(ctx):
            return [await ctx.poll(look, every=every, timeout=timeout)]

        @app.workflow("plain")
        def plain(ctx):
            return [ctx.poll(look, every=every, timeout=timeout)]

        began = h.clock.now()
        run = await h.submit("plain" if is_plain else "flow")
        while not (status := await h.status(run)).is_finished:
            await h.advance(0.05)
        assert (status.state, status.result) == (RunState.SUCCEEDED, [None])
        assert h.clock.now() - began == pytest.approx(timeout, abs=0.051)
        assert timeout == 0.0 or len(tried) == tries


async def test_what_comes_in_time_is_given_and_the_time_limit_is_of_no_account_any_more():
    app = Stepflow()
    answers: list[Any] = [None, None, {"status": "done"}]

    @app.workflow("flow")
    async def flow(ctx):
        found = await ctx.poll("look", answers.pop, 0, every=10, timeout=25)
        await ctx.sleep(60)
        return found

    async with Harness(app) as h:
        run = await h.submit("flow")
        await h.advance(80)
        assert await h.result(run) == {"status": "done"}


async def test_the_limit_of_a_poll_is_the_same_on_replay():
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx):
        first = await ctx.poll("look", lambda: None, every=1, timeout=3.5)
        second = await asyncio.gather(
            *[ctx.poll("look", lambda: None, every=1, timeout=t) for t in (0.5, 2.5)]
        )
        return [first, *second, await ctx.step("last", str, "x")]

    async with Harness(app) as h:
        h.crash_after("last")
        run = await h.submit("flow")
        await h.advance(10)
        assert await h.result(run) == [None, None, None, "x"]
        await h.replay(await h.history(run))


async def test_a_poll_whose_workflow_is_told_to_stop_leaves_nothing_behind():
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.poll("look", lambda: None, every=1, timeout=60)

    async with Harness(app) as h:
        run = await h.submit("flow")
        await h.advance(2.5)
        assert await h.cancel(run)
        assert (await h.status(run)).state is RunState.CANCELLED


def kinds(runtime: MemoryRuntime) -> list[str]:
    return [entry.split(b"|")[0].decode() for entry in runtime.journal]


async def test_each_try_leaves_one_entry_and_says_itself_when_the_next_is():
    answers: list[Any] = [7, Pending(), Pending(delay=600), None]
    runtime, waits = MemoryRuntime(), []

    async def workflow(ctx: Context) -> Any:
        return await ctx.poll("look", answers.pop, every=lambda number: 10 * number)

    while isinstance(outcome := await activate(runtime, workflow), Park):
        assert outcome.due_at is not None
        waits.append(round(outcome.due_at - runtime.clock))
        assert outcome.waits_for == "step look"
        runtime.clock = outcome.due_at
    assert outcome == Succeed(7)
    assert waits == [10, 600, 30]
    assert kinds(runtime) == ["try", "try", "try", "value"]


async def test_a_crash_at_every_write_of_a_poll_leads_to_the_same_end_and_repeats_one_try():
    async def workflow(ctx: Context) -> Any:
        async def look() -> int | Pending:
            tries.append(1)
            return 7 if len(tries) > 4 else Pending(1)

        found = await ctx.poll("look", look, every=60, timeout=3600)
        return [found, await ctx.step("next", int, 3)]

    for crash_after in range(1, 8):
        tries: list[int] = []
        runtime = MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, workflow)
        runtime.crash_after = None
        assert await to_the_end(runtime, workflow) == Succeed([7, 3]), crash_after
        assert kinds(runtime).count("value") == 2


@pytest.mark.parametrize(("max_errors", "calls"), [(0, 1), (1, 1), (2, 4), (3, 8)])
async def test_so_many_failures_in_a_row_end_a_poll(max_errors: int, calls: int):
    """Those before something was said do not count."""
    ways, tried = ["fail", "no", "fail", "fail", "no", "fail", "fail", "fail"], []

    async def look() -> None:
        tried.append(1)
        if ways[len(tried) - 1] == "fail":
            raise ValueError(len(tried))

    async def workflow(ctx: Context) -> Any:
        try:
            await ctx.poll(look, every=1, max_errors=max_errors)
        except StepFailed as error:
            return error.error_message

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed(str(calls))
    assert len(tried) == calls
    assert await activate(runtime, workflow) == Succeed(str(calls))


@pytest.mark.parametrize("first", ["nothing", "an error"])
async def test_a_poll_that_the_version_before_began_goes_on(first: str):
    """[B13] There each try was a step, and each wait a sleep."""
    runtime = MemoryRuntime()
    tried = ("value", pack(None)) if first == "nothing" else ("error", pack(["E", "e", ""]))
    due = f"{runtime.clock + 100:.6f}".encode()
    for kind, place, name, data in (
        ("due", "0", "sleep", f"{runtime.clock + 9000:.6f}".encode()),
        (tried[0], "1", "look", tried[1]),
        ("due", "2", "sleep", due),
    ):
        runtime.journal.append(write_head(kind, place, name, runtime.clock) + data)
    runtime.run.has_journal = True
    answers: list[Any] = [7, None]

    async def workflow(ctx: Context) -> Any:
        return [await ctx.poll("look", answers.pop, every=30, timeout=9000), await ctx.step(int, 3)]

    parked = await activate(runtime, workflow)
    assert isinstance(parked, Park)
    assert parked.due_at == pytest.approx(float(due))
    assert await to_the_end(runtime, workflow) == Succeed([7, 3])
    assert kinds(runtime) == [
        "due",
        tried[0],
        "due",
        "over",
        "value",
        "due",
        "over",
        "value",
        "value",
    ]


async def test_what_a_poll_cannot_wait_for_is_said():
    def wrong(_: int) -> Any:
        return "soon"

    async def workflow(ctx: Context) -> None:
        await ctx.poll("look", lambda: None, every=wrong)

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert "every of ctx.poll is 'soon'" in outcome.error.message
    with pytest.raises(InvalidOption, match="delay of Pending"):
        Pending(delay=-1)
