"""
What a harness carries out: time, retries, signals, mocks, runners, jobs, hooks, other runs; and
what it complains of.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stepflow import (
    Context,
    Continue,
    RetryPolicy,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunOutcome,
    RunState,
    Step,
    StepFailed,
    Stepflow,
    Succeed,
    SyncContext,
    TransientError,
    Webhook,
)
from stepflow.testing import Harness
from stepflow.testing.errors import HarnessStuck, MockNotUsed, RunUnfinished

HOUR = timedelta(hours=1)


async def something(*args: Any) -> str:
    return "real"


async def nothing(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("never called: there is a mock for it")


async def test_what_comes_due_on_the_way_is_carried_out_then_and_in_order(
    app: Stepflow, h: Harness
) -> None:
    seen: list[tuple[str, datetime]] = []

    async def note(name: str) -> None:
        seen.append((name, h.now()))

    @app.workflow("nap")
    async def nap(ctx: Context, hours: int) -> datetime:
        for turn in range(2):
            await ctx.sleep(timedelta(hours=hours))
            await ctx.step("note", note, f"{hours}-{turn}")
        return ctx.now()

    began = h.now()
    long, short = await h.submit("nap", 3), await h.submit("nap", 1)
    await h.advance(timedelta(hours=1.5))
    assert seen == [("1-0", began + HOUR)]
    await h.advance(timedelta(days=1))
    assert [name for name, _ in seen] == ["1-0", "1-1", "3-0", "3-1"]
    assert [await h.result(run) for run in (long, short)] == [began + 6 * HOUR, began + 2 * HOUR]
    assert h.now() == began + timedelta(days=1, hours=1.5)


async def test_a_run_that_waits_says_what_for_and_the_clock_stands_still_meanwhile(
    app: Stepflow, h: Harness
) -> None:
    @app.workflow("nap")
    async def nap(ctx: Context) -> None:
        await ctx.sleep(0.01)

    run = await h.submit("nap")
    with pytest.raises(RunUnfinished, match="waits for the end of its sleep"):
        await h.result(run)
    await h.advance(0.01)
    assert await h.result(run) is None


async def test_a_signal_and_its_timeout(app: Stepflow, h: Harness) -> None:
    @app.workflow("asks")
    async def asks(ctx: Context) -> list[Any]:
        return [
            await ctx.wait_for_signal("word", timeout=HOUR),
            await ctx.wait_for_signal("word", timeout=HOUR),
        ]

    run = await h.submit("asks")
    assert await h.signal(run, "word", "now") == "delivered"
    await h.advance(HOUR)
    assert await h.result(run) == ["now", None]


async def test_a_mocks_exception_goes_by_the_retry_policy_and_the_waits_pass_with_the_clock(
    app: Stepflow, h: Harness
) -> None:
    @app.workflow("w", retry=RetryPolicy(3, initial=60.0))
    async def w(ctx: Context) -> str:
        try:
            await ctx.step("call", nothing)
        except StepFailed as failed:
            return failed.error_type
        return "done"

    mock = h.mock("call", ConnectionError)
    run = await h.submit("w")
    assert len(mock.calls) == 1
    await h.advance(HOUR)
    assert (len(mock.calls), await h.result(run)) == (3, "ConnectionError")


async def test_a_mock_that_is_mistyped_fails_the_test(app: Stepflow) -> None:
    @app.workflow("w")
    async def w(ctx: Context) -> list[str]:
        return [await ctx.step("search", something), await ctx.step("rank", something)]

    expected = (
        r"mock\('serach'\) stood for no step, and step 'search' called its own function. Write "
        r"mock\(..., optional=True\) if the name is right"
    )
    async with AsyncExitStack() as test:
        test.enter_context(pytest.raises(MockNotUsed, match=expected))
        h = await test.enter_async_context(Harness(app))
        h.mock("serach", "mocked")
        h.mock("rank", "mocked")
        await h.submit("w")


@pytest.mark.parametrize("name", ["rank", "read-*", "search-2", "researcher of another kind"])
async def test_a_mock_may_stand_for_no_step(app: Stepflow, name: str) -> None:
    """The run may not get there."""

    @app.workflow("w")
    async def w(ctx: Context) -> str:
        return await ctx.step("search-1", something)

    async with Harness(app) as h:
        h.mock(name, "mocked")
        await h.submit("w")


async def test_a_mock_with_almost_the_name_of_another_step_may_stand_for_none(
    app: Stepflow,
) -> None:
    @app.workflow("w")
    async def w(ctx: Context) -> str:
        return await ctx.step("search", something)

    async with Harness(app) as h:
        h.mock("searcher", "mocked", optional=True)
        await h.submit("w")
    async with Harness(app) as h:  # nothing was called for real
        h.mock("searcher", "mocked")
        h.mock("search", "mocked")
        await h.submit("w")
    async with Harness(app) as h:  # another one took its place
        h.mock("search", "before")
        h.mock("search", "mocked")
        run = await h.submit("w")
        assert await h.result(run) == "mocked"
    async with AsyncExitStack() as test:
        test.enter_context(pytest.raises(ZeroDivisionError))
        h = await test.enter_async_context(Harness(app))
        h.mock("searcher", "mocked")
        await h.submit("w")
        raise ZeroDivisionError  # the test's own error is not hidden


async def test_a_mock_may_be_a_value_for_many_steps_or_a_function_and_the_last_one_counts(
    app: Stepflow, h: Harness
) -> None:
    @app.workflow("w")
    async def w(ctx: Context) -> list[Any]:
        return [await ctx.step(f"read-{n}", nothing, n, deep=True) for n in range(3)]

    async def twice(n: int, *, deep: bool) -> int:
        return 2 * n

    many = h.mock("read-*", "text")
    one = h.mock("read-1", twice)
    run = await h.submit("w")
    assert await h.result(run) == ["text", 2, "text"]
    assert (many.calls, one.calls) == (
        [((0,), {"deep": True}), ((2,), {"deep": True})],
        [((1,), {"deep": True})],
    )
    assert h.called == ["read-0", "read-1", "read-2"]


async def test_a_due_time_reaches_a_run_in_place_while_a_step_of_it_takes_its_time(
    app: Stepflow, h: Harness
) -> None:
    """[F9] No real time passes: the clock wakes the activation that waits in place."""

    async def slow() -> datetime:
        await h.sleep(2 * HOUR)
        return h.now()

    @app.workflow("both")
    async def both(ctx: Context) -> list[Any]:
        async def watch() -> datetime:
            await ctx.sleep(HOUR)
            return await ctx.step("look", look)

        async def look() -> datetime:
            return h.now()

        async with asyncio.TaskGroup() as group:
            work, seen = group.create_task(step(ctx)), group.create_task(watch())
        return [work.result(), seen.result()]

    async def step(ctx: Context) -> datetime:
        return await ctx.step("slow", slow)

    began = h.now()
    run = await h.submit("both")
    assert (await h.status(run)).state is RunState.RUNNING
    await h.advance(HOUR)
    assert h.called == ["slow", "look"]
    await h.advance(HOUR)
    assert await h.result(run) == [began + 2 * HOUR, began + HOUR]


async def test_the_timeout_of_a_step_passes_with_the_clock(app: Stepflow, h: Harness) -> None:
    async def hangs() -> None:
        await h.sleep(timedelta(days=1))

    @app.workflow("w", retry=RetryPolicy(1))
    async def w(ctx: Context) -> None:
        await ctx.step("hangs", hangs, timeout=30)

    run = await h.submit("w")
    await h.advance(30)
    with pytest.raises(RunFailed, match=r"TimeoutError.: it took longer than its timeout of 30 s"):
        await h.result(run)


async def test_a_run_held_for_days_keeps_its_claim(app: Stepflow, h: Harness) -> None:
    calls = 0

    async def slow() -> None:
        nonlocal calls
        calls += 1
        await h.sleep(timedelta(days=2))

    @app.workflow("w")
    async def w(ctx: Context) -> None:
        await ctx.step("slow", slow)

    run = await h.submit("w")
    other = await h.submit("w")
    await h.advance(timedelta(days=1))
    await h.advance(timedelta(days=1))
    assert [await h.result(run), await h.result(other), calls] == [None, None, 2]


async def test_a_deadline_ends_a_run_that_sleeps_and_one_that_works(
    app: Stepflow, h: Harness
) -> None:
    async def slow() -> None:
        await h.sleep(timedelta(days=2))

    @app.workflow("w")
    async def w(ctx: Context, work: bool) -> None:
        await (ctx.step("slow", slow) if work else ctx.sleep(timedelta(days=2)))

    runs = [await h.submit("w", work, timeout=HOUR) for work in (True, False)]
    await h.advance(2 * HOUR)
    for run in runs:
        with pytest.raises(RunFailed, match="deadline"):
            await h.result(run)


async def test_runners_delays_and_plain_functions_in_threads(app: Stepflow, h: Harness) -> None:
    @app.runner("count")
    def count(step: Step[int]) -> Any:
        return Continue(step.payload - 1, delay=HOUR) if step.payload else Succeed(step.number)

    @app.workflow("plain")
    async def plain(ctx: Context) -> str:
        return await ctx.step("upper", str.upper, "text")

    run = await h.submit("count", 3, delay=HOUR, queue="slow", priority="high")
    assert (await h.status(run)).state is RunState.SCHEDULED
    await h.advance(4 * HOUR)
    assert await h.result(run) == 3
    assert await h.result(await h.submit("plain")) == "TEXT"


async def test_a_run_may_wait_for_another_through_the_apps_own_client(
    app: Stepflow, h: Harness
) -> None:
    @app.job
    async def add(a: int, b: int) -> int:
        return a + b

    @app.job
    def blocking() -> int:
        return int(add.submit_blocking(3, 4).result(60))

    async def ask() -> int:
        return await (await add.submit(1, 2)).result()

    @app.workflow("w")
    async def w(ctx: Context) -> int:
        return await ctx.step("ask", ask)

    assert await h.result(await h.submit("w")) == 3
    assert await (await blocking.submit()).result() == 7


async def test_webhooks_are_listed_not_sent_and_terminal_hooks_are_called_until_they_take_it() -> (
    None
):
    app = Stepflow(webhooks={"all": Webhook("https://example.com/all")})
    tries: list[RunOutcome] = []

    @app.on_terminal
    async def tell(outcome: RunOutcome) -> None:
        tries.append(outcome)
        if len(tries) == 1:
            raise ConnectionError

    @app.runner("r")
    async def r(step: Step[int]) -> Succeed:
        return Succeed(step.payload)

    only_failed = Webhook("https://example.com/failed", events=["failed"])
    async with Harness(app) as h:
        run = await h.submit("r", 7, webhooks=[Webhook("https://example.com/own"), only_failed])
        assert len(tries) == 1
        await h.advance(timedelta(minutes=1))
        assert sorted(seen.target for seen in h.hooks) == [
            "https://example.com/all",
            "https://example.com/own",
            *2 * [tell.__qualname__.replace("<locals>.", "")],
        ]
        assert {(seen.run_id, seen.status) for seen in h.hooks} == {(run.id, "succeeded")}
        assert (
            next(seen for seen in h.hooks if seen.target.endswith("own")).body["data"]["result"]
            == 7
        )


async def test_cancel_reaches_a_step_that_runs_and_a_run_that_waits(
    app: Stepflow, h: Harness
) -> None:
    cleaned: list[str] = []

    async def slow() -> None:
        await h.sleep(HOUR)

    async def clean() -> None:
        cleaned.append("up")

    @app.workflow("w")
    async def w(ctx: Context, work: bool) -> None:
        try:
            await (ctx.step("slow", slow) if work else ctx.wait_for_signal("never"))
        finally:
            await ctx.step("clean", clean)

    for work in (True, False):
        run = await h.submit("w", work)
        assert await h.cancel(run, "enough")
        with pytest.raises(RunCancelled, match="enough"):
            await h.result(run)
    assert cleaned == 2 * ["up"]


async def test_a_fork_remembers_what_is_to_be_undone(app: Stepflow, h: Harness) -> None:
    """
    [F5] A stop hands a fork over once more, though the step with the compensation ran in another
    run.
    """
    undone: list[str] = []

    async def book() -> str:
        return "seat 7"

    async def unbook(seat: str) -> None:
        undone.append(seat)

    @app.workflow("w")
    async def w(ctx: Context) -> str:
        seat = await ctx.step("book", book, compensate=unbook)
        await ctx.step("show", book)
        await ctx.wait_for_signal("paid")
        return seat

    run = await h.submit("w")
    forked = await h.client.fork(run.id, "show")
    assert h.called == ["book", "show", "show"]
    await h.cancel(forked)
    assert undone == ["seat 7"]
    assert (await h.status(forked)).state is RunState.CANCELLED
    await h.signal(run, "paid")
    assert await h.result(run) == "seat 7"


async def test_a_run_keeps_its_version_and_a_fork_may_take_another(
    app: Stepflow, h: Harness
) -> None:
    """[F6]"""

    async def act() -> int:
        return 1

    @app.workflow("w")
    async def first(ctx: Context) -> str:
        await ctx.step("a", act)
        await ctx.wait_for_signal("go")
        return "first"

    run = await h.submit("w")

    @app.workflow("w", version=2)
    async def second(ctx: Context) -> str:
        await ctx.step("a", act)
        await ctx.wait_for_signal("go")
        return f"second {await ctx.step('b', act)}"

    newest = await h.submit("w")
    forked = await h.client.fork(run.id, "go", version=2) if await h.signal(run, "go") else run
    await h.signal(newest, "go")
    await h.signal(forked, "go")
    assert [await h.result(each) for each in (run, newest, forked)] == [
        "first",
        "second 1",
        "second 1",
    ]
    for each in (run, newest, forked):
        await h.replay(await h.history(each))


async def test_a_plain_def_workflow_waits_crashes_and_replays_like_any(
    app: Stepflow, h: Harness
) -> None:
    """[F19]"""

    @app.workflow("plain")
    def plain(ctx: SyncContext) -> list[Any]:
        first = ctx.step("upper", str.upper, "a")
        ctx.sleep(HOUR)
        return [first, ctx.wait_for_signal("word", timeout=HOUR)]

    h.crash_after("upper")
    run = await h.submit("plain")
    await h.advance(HOUR)
    await h.signal(run, "word", "go")
    assert await h.result(run) == ["A", "go"]
    assert h.called == ["upper"]
    await h.replay(await h.history(run))


async def test_a_step_that_hangs_in_real_time_is_named(app: Stepflow) -> None:
    async def hangs() -> None:
        await asyncio.sleep(60)

    @app.workflow("w")
    async def w(ctx: Context) -> None:
        await ctx.step("hangs", hangs)

    async with Harness(app, patience_s=0.05) as h:
        with pytest.raises(HarnessStuck, match=r"step 'hangs' of run 'a1': .* mock it"):
            await h.submit("w", run_id="a1")


async def test_a_step_that_waits_for_a_run_that_waits_is_named_too(app: Stepflow) -> None:
    async def ask(run_id: str) -> Any:
        return await app.async_client.result(run_id)

    @app.workflow("waits")
    async def waits(ctx: Context) -> None:
        await ctx.wait_for_signal("word")

    @app.workflow("asks")
    async def asks(ctx: Context, run_id: str) -> None:
        await ctx.step("ask", ask, run_id)

    async with Harness(app, patience_s=0.05) as h:
        run = await h.submit("waits")
        with pytest.raises(HarnessStuck, match="step 'ask'"):
            await h.submit("asks", run.id)


async def test_many_steps_that_take_no_time_are_carried_out_to_the_end(
    app: Stepflow, h: Harness
) -> None:
    async def at_once(n: int) -> int:
        return n

    @app.workflow("w")
    async def w(ctx: Context) -> int:
        return sum([await ctx.step("at-once", at_once, n) for n in range(100)])

    assert await h.result(await h.submit("w")) == 4950


async def test_unknown_runs_and_runners(app: Stepflow, h: Harness) -> None:
    with pytest.raises(RunNotFound):
        await h.status("unknown")
    run = await h.submit("nobody")
    with pytest.raises(RunUnfinished, match="knows runner 'nobody'"):
        await h.result(run)


async def test_the_clock_begins_where_it_is_told_and_two_harnesses_share_nothing(
    app: Stepflow,
) -> None:
    @app.workflow("w")
    async def w(ctx: Context) -> datetime:
        return ctx.now()

    moment = datetime(2031, 5, 1, 12, tzinfo=UTC)
    async with Harness(app, now=moment) as h:
        assert await h.result(await h.submit("w", run_id="a1")) == moment
    async with Harness(app) as h:
        with pytest.raises(RunNotFound):
            await h.status("a1")


async def test_a_transient_error_of_the_workflow_itself_is_tried_again_in_time(
    app: Stepflow, h: Harness
) -> None:
    tries: list[datetime] = []

    @app.workflow("w", retry=RetryPolicy(3, initial=10.0))
    async def w(ctx: Context) -> int:
        tries.append(h.now())
        if len(tries) < 2:
            raise TransientError(retry_after=60)
        return len(tries)

    run = await h.submit("w")
    await h.advance(61)
    assert await h.result(run) == 2
    assert tries[1] - tries[0] == timedelta(seconds=60)


@pytest.mark.crash
def test_without_fakeredis_the_import_says_what_to_install() -> None:
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'fakeredis' else find(name, *more)\n"
        "import stepflow.testing"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.rstrip().endswith(
        "stepflow.testing needs fakeredis with Lua; install it with: pip install "
        "'stepflow-rq[testing]'"
    )
