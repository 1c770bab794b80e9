"""
Crashes in a harness: the run is recovered as after a real one, and each place is answered once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepflow import Context, Stepflow
from stepflow.testing import Harness
from stepflow.testing.errors import HarnessNotBegun, NeverHappened

DAY = timedelta(days=1)


@pytest.fixture
def done(app: Stepflow) -> list[str]:
    """The steps that were really carried out, of a workflow `trip`."""
    done: list[str] = []

    async def act(name: str) -> str:
        done.append(name)
        return name

    @app.workflow("trip")
    async def trip(ctx: Context) -> list[Any]:
        first = await ctx.step("first", act, "first")
        await ctx.sleep(DAY)
        word = await ctx.wait_for_signal("word")
        return [first, word, await ctx.step("last", act, "last")]

    return done


async def finish(h: Harness) -> Any:
    run = await h.submit("trip", run_id="a1")
    await h.advance(DAY)
    await h.signal(run, "word", "go")
    await h.advance(DAY)
    return await h.result(run)


@pytest.mark.parametrize("at", ["first", "sleep", "word", "last"])
async def test_after_a_crash_behind_any_entry_the_run_goes_on_and_nothing_is_done_twice(
    h: Harness, done: list[str], at: str
) -> None:
    """[F2]"""
    h.crash_after(at)
    assert await finish(h) == ["first", "go", "last"]
    assert done == ["first", "last"]


@pytest.mark.parametrize("at", ["first", "last"])
async def test_after_a_crash_before_the_write_that_step_and_only_that_one_is_done_again(
    h: Harness, done: list[str], at: str
) -> None:
    """[F2]"""
    h.crash_after(at, written=False)
    assert await finish(h) == ["first", "go", "last"]
    assert sorted(done) == sorted(["first", "last", at])


async def test_losses_in_a_row_wait_longer_and_longer(h: Harness, done: list[str]) -> None:
    h.crash_after("first", written=False, times=3)
    run = await h.submit("trip", run_id="a1")
    assert done == 2 * ["first"]
    assert (await h.status(run)).crashes == 2
    await h.advance(600)
    assert done == 4 * ["first"]
    assert (await h.status(run)).waits_for


async def test_all_that_the_worker_held_is_recovered(app: Stepflow, h: Harness) -> None:
    calls: list[str] = []

    async def slow(name: str) -> str:
        calls.append(name)
        await h.sleep(60 if name == "a" else 120)
        return name

    @app.workflow("w")
    async def w(ctx: Context, name: str) -> str:
        return await ctx.step(f"slow-{name}", slow, name)

    h.crash_after("slow-a")
    first, second = await h.submit("w", "a"), await h.submit("w", "b")
    await h.advance(60)
    assert calls == ["a", "b", "b"]
    await h.advance(120)
    assert [await h.result(first), await h.result(second)] == ["a", "b"]


async def test_a_harness_that_was_not_entered_says_so(app: Stepflow) -> None:
    h = Harness(app)
    for call in (h.submit("w", "a"), h.advance(1), h.status("r"), h.client.questions()):
        with pytest.raises(HarnessNotBegun, match="write `async with Harness"):
            await call


async def test_a_crash_that_never_happened_fails_the_test(app: Stepflow, done: list[str]) -> None:
    h = await Harness(app).__aenter__()
    h.crash_after("frist")
    await finish(h)
    with pytest.raises(
        NeverHappened, match=r"crash_after\('frist'\) never happened; steps called: first, last"
    ):
        await h.__aexit__(None, None, None)
