"""
Times at every door: what is no time is refused there, and what is accepted can be shown ever after.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stepflow import Context, Continue, Stepflow, Succeed, SyncContext, TransientError
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidOption, RunFailed
from stepflow.settings import RetentionSettings
from stepflow.testing import Harness
from stepflow.times import FOREVER_S, LATEST

ODD = [math.inf, math.nan, -1, 1e30, timedelta.max, "5"]


async def fine(*args: Any) -> int:
    return 1


DOORS = {
    "sleep": lambda ctx, odd: ctx.sleep(odd),
    "signal": lambda ctx, odd: ctx.wait_for_signal("go", timeout=odd),
    "ask": lambda ctx, odd: ctx.ask(bool, "?", timeout=odd),
    "step": lambda ctx, odd: ctx.step("fine", fine, timeout=odd),
    "poll every": lambda ctx, odd: ctx.poll("fine", fine, every=odd),
    "poll timeout": lambda ctx, odd: ctx.poll("fine", fine, every=1, timeout=odd),
    "spawn": lambda ctx, odd: ctx.spawn("other", timeout=odd),
    "map": lambda ctx, odd: ctx.map("other", [], timeout=odd),
}


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("door", DOORS)
async def test_a_workflow_that_gives_no_time_fails_with_a_sentence_that_says_where(
    app: Stepflow, h: Harness, door: str, odd: Any
) -> None:
    """[B14]"""

    @app.workflow("odd")
    async def workflow(ctx: Context) -> None:
        await DOORS[door](ctx, odd)

    run = await h.submit("odd")
    with pytest.raises(RunFailed, match="a duration is seconds or a timedelta") as caught:
        await h.result(run)
    assert caught.value.error_type == "InvalidOption"


@pytest.mark.parametrize(
    "moment", [math.inf, datetime.max.replace(tzinfo=UTC), datetime(2030, 1, 1), LATEST + 1e6]
)
async def test_a_workflow_cannot_sleep_until_no_time(
    app: Stepflow, h: Harness, moment: Any
) -> None:
    """[B14]"""

    @app.workflow("odd")
    def workflow(ctx: SyncContext) -> None:
        ctx.sleep_until(moment)

    with pytest.raises(RunFailed, match="a moment is unix seconds or an aware datetime"):
        await h.result(await h.submit("odd"))


async def test_a_moment_that_is_past_is_due_now(app: Stepflow, h: Harness) -> None:
    """[B14]"""

    @app.workflow("late")
    async def late(ctx: Context) -> int:
        await ctx.sleep_until(0)
        await ctx.sleep_until(datetime.min.replace(tzinfo=UTC))
        return 1

    assert await h.result(await h.submit("late")) == 1


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_a_step_that_gives_no_time_fails_as_a_step_that_raised(
    app: Stepflow, h: Harness, odd: Any
) -> None:
    """[B14]"""

    @app.runner("delays")
    async def delays(step: Any) -> Any:
        return Continue(delay=odd)

    @app.runner("extends")
    async def extends(step: Any) -> Any:
        await step.extend(odd)

    @app.runner("asks")
    async def asks(step: Any) -> Any:
        raise TransientError("busy", retry_after=odd)

    for name in ("delays", "extends", "asks"):
        with pytest.raises(RunFailed, match="InvalidOption"):
            await h.result(await h.submit(name))
    assert len((await h.client.list()).runs) == 3


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_what_is_no_time_is_refused_where_an_app_a_client_or_a_test_gives_it(
    app: Stepflow, h: Harness, odd: Any
) -> None:
    """[B14]"""

    async def plain(step: Any) -> Any:
        return Succeed()

    run = await h.submit("nobody")
    with pytest.raises(InvalidOption, match="step_timeout of runner 'a'"):
        app.runner("a", step_timeout=odd)(plain)
    with pytest.raises(InvalidOption, match=r"timeout of @app\.step"):
        app.step(timeout=odd)(fine)
    with pytest.raises(InvalidOption, match="timeout of job"):
        app.job(timeout=odd)(fine)
    for call in (
        lambda: h.advance(odd), lambda: h.sleep(odd), lambda: h.submit("a", delay=odd),
        lambda: h.submit("a", timeout=odd),
        lambda: h.submit("a", start_at=odd if odd != -1 else math.nan), lambda: run.wait(odd),
        lambda: h.client.submit_many([("a", 1), RunSpec("a", delay=odd)]),
    ):  # fmt: skip
        with pytest.raises(InvalidOption):
            await call()
    with pytest.raises(InvalidOption, match="timeout of wait"):
        app.client.wait(run.id, odd)
    assert [found.id for found in (await h.client.list()).runs] == [run.id]


async def test_the_longest_of_all_times_added_up_are_shown_by_status_and_list(
    app: Stepflow, h: Harness
) -> None:
    """[B14]"""

    @app.workflow("naps")
    async def naps(ctx: Context) -> None:
        await ctx.sleep(FOREVER_S)

    latest = datetime.fromtimestamp(LATEST, UTC)
    for options in (
        {"delay": FOREVER_S, "timeout": timedelta(seconds=FOREVER_S)}, {"start_at": latest},
        {"start_at": LATEST}, {"start_at": 0}, {"start_at": datetime.min.replace(tzinfo=UTC)},
    ):  # fmt: skip
        await h.submit("naps", **options)
    for _ in range(3):
        shown = await h.client.list()
        assert len(shown.runs) == 5
        assert all(run.waits_for or run.is_finished for run in shown)
        await h.advance(timedelta(days=60_000))
    h.clock.advance(LATEST - h.clock.now())
    with pytest.raises(InvalidOption, match="the end of the advance"):
        await h.advance(1)
    assert len((await h.client.list()).runs) == 5


async def test_what_ended_stays_until_the_harness_ends(app: Stepflow, h: Harness) -> None:
    """
    [B36] A record's time to live is the server's; the clock that a test moves takes nothing away.
    """

    @app.runner("quick")
    async def quick(step: Any) -> Any:
        step.effects.put("k", "v")
        return Succeed("done")

    @app.workflow("talks")
    async def talks(ctx: Context, again: bool) -> Any:
        variables = ctx.session("s").vars
        return await (variables.set("n", 1) if again else variables.get("n"))

    run = await h.submit("quick", headers={"a": "b"})
    failed = await h.submit("talks", "no bool")
    await h.submit("talks", True)
    await h.advance(timedelta(days=400))
    assert (await h.status(run)).headers == {"a": "b"}
    assert await h.result(run) == "done"
    assert await h.client.kv(run.id, "k") == "v"
    assert {found.id for found in (await h.client.list(runner="quick")).runs} == {run.id}
    assert (await h.client.list(state="failed")).runs[0].id == failed.id
    assert await h.result(await h.submit("talks", False)) == 1
    await h.client.retry(failed.id)
    assert h.server.client.ttl(h.client.env.keys.run(run.id)) > 10**9


async def test_a_retention_of_a_second_takes_nothing_from_a_test(app: Stepflow) -> None:
    """[B36]"""
    app.settings = app.settings.model_copy(
        update={"retention": RetentionSettings(result_s=1, delivered_s=1)}
    )

    @app.on_terminal
    def told(outcome: Any) -> None:
        if outcome.run_id == "dead":
            raise ValueError

    @app.runner("quick")
    async def quick(step: Any) -> Any:
        return Succeed("done")

    async with Harness(app) as h:
        run, dead = await h.submit("quick"), await h.submit("quick", run_id="dead")
        assert h.server.client.ttl(h.client.env.keys.run(run.id)) > 10**9
        await h.advance(timedelta(days=80))
        assert [found.id for found in (await h.client.list()).runs] == [dead.id, run.id]
        assert [hook.run_id for hook in await h.client.hooks()] == [dead.id]
        assert [hook.state for hook in await h.client.hooks(run.id)] == ["delivered"]
