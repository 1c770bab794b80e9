"""
Variables of a run and of a session: every access is a remembered step, so an incr counts once.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from stepflow import AsyncClient, Context, Stepflow, Succeed
from stepflow.core.outcomes import Park, Pause, Raised
from stepflow.errors import ClaimLost, NotAnInteger, PayloadTooLarge
from stepflow.store.variables import touch_var
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, activate, to_the_end
from tests.support import dump


async def everything(ctx: Context, seen: list[Any]) -> list[Any]:
    """Use each method once, of the run's variables and of a session's."""
    for variables in (ctx.vars, ctx.session("user 1").vars):
        seen.append(await variables.get("n", "none"))
        await variables.set("n", 40)
        seen.append(await variables.incr("n"))
        seen.append(await variables.incr("n", 2))
        seen.append(await variables.incr("n", -1))
        seen.append(await variables.compare_and_set("n", 42, {"a": [1, 2.5]}))
        seen.append(await variables.compare_and_set("n", 42, "not this"))
        seen.append(await variables.get("n"))
        try:
            await variables.incr("n")
        except NotAnInteger as error:
            seen.append(str(error)[:12])
        await variables.set("n", None)
        seen.append(await variables.compare_and_set("n", None, True))
        seen.append(await variables.get("n"))
    return seen


EVERYTHING = ["none", 41, 43, 42, True, False, {"a": [1, 2.5]}, "variable 'n'", True, True] * 2


async def test_values_are_read_written_counted_and_swapped(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """
    [F8] On a real server, and what is kept has a time to live: the run's, and days for a session's.
    """

    @app.workflow("w")
    async def workflow(ctx: Context) -> list[Any]:
        return await everything(ctx, [])

    async with working(app):
        run = await aclient.submit("w")
        assert await run.result(60) == EVERYTHING
    assert 0 < real.ttl(f"stepflow:run:{run.id}:vars") <= 7 * 86400
    assert 29 * 86400 < real.ttl("stepflow:session:user 1") <= 30 * 86400


async def test_what_is_remembered_answers_on_replay_whatever_the_variable_holds_now() -> None:
    """[F8]"""
    runtime = MemoryRuntime()

    async def workflow(ctx: Context) -> list[Any]:
        before = [await ctx.vars.get("x", "none"), await ctx.vars.incr("n")]
        await ctx.sleep(60)
        return [*before, await ctx.vars.get("x"), await ctx.vars.incr("n")]

    assert isinstance(await activate(runtime, workflow), Park)
    runtime.vars[None, "x"], runtime.vars[None, "n"] = b"7", b"10"
    assert await to_the_end(runtime, workflow) == Succeed(["none", 1, 7, 11])


async def test_a_crash_at_every_write_counts_each_incr_once() -> None:
    """[F8] [F2]"""

    async def workflow(ctx: Context) -> list[Any]:
        seen = await everything(ctx, [])
        seen += await asyncio.gather(
            *(ctx.vars.incr("turns") for _ in range(3)), ctx.session("s").vars.incr("turns", 10)
        )
        await ctx.sleep(60)
        return [*seen, await ctx.vars.incr("turns"), await ctx.session("s").vars.get("turns")]

    runtime = MemoryRuntime()
    expected = await to_the_end(runtime, workflow)
    assert expected == Succeed([*EVERYTHING, 1, 2, 3, 10, 4, 10])
    for crash_after in range(1, len(runtime.journal) + 1):
        runtime = MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, workflow)
        runtime.crash_after = None
        assert await to_the_end(runtime, workflow) == expected, crash_after


async def test_a_script_that_arrives_twice_answers_as_the_first_time(
    aclient: AsyncClient, link_to_real: Any, real: redis.Redis
) -> None:
    """[F8] Also when the variable has moved on meanwhile; another claim's write is refused."""
    run = (await aclient.submit("w")).id
    real.hset(f"stepflow:run:{run}", mapping={"token": "w.1.", "crashes": 2})
    keys = aclient.env.keys

    def touch(
        index: int, verb: str, *args: bytes, token: str = "w.1.", session: str | None = None
    ) -> Any:
        head = b"var|%d|x|1.0|" % index
        return link_to_real.call(
            touch_var(
                keys,
                run,
                token,
                index,
                head,
                session=session,
                verb=verb,
                name="x",
                args=args,
                ttl_s=100,
            )
        )

    assert touch(0, "incr", b"5") == [b"5"]
    assert touch(1, "incr", b"5") == [b"10"]
    before = dump(real)
    assert touch(0, "incr", b"5") == [b"5"]
    assert touch(1, "incr", b"5") == [b"10"]
    assert touch(2, "incr", b"5", token="w.2.") == []
    assert touch(3, "incr", b"5") == []
    assert touch(0, "incr", b"5", session=None, token="") == []
    assert dump(real) == before
    assert real.hget(f"stepflow:run:{run}", "crashes") == b"0"
    await aclient.cancel(run)


async def test_another_entry_at_its_index_is_never_taken_for_its_own(
    aclient: AsyncClient, link_to_real: Any, real: redis.Redis
) -> None:
    """[F8]"""
    run = (await aclient.submit("w")).id
    real.hset(f"stepflow:run:{run}", "token", "w.1.")
    real.rpush(f"stepflow:run:{run}:journal", b"value|0|a|1.0|x")
    call = touch_var(
        aclient.env.keys,
        run,
        "w.1.",
        0,
        b"var|0|x|1.0|",
        session=None,
        verb="set",
        name="x",
        args=(b"1",),
        ttl_s=1,
    )
    assert link_to_real.call(call) == []
    assert not real.exists(f"stepflow:run:{run}:vars")
    await aclient.cancel(run)


async def test_whole_numbers_of_64_bits_are_counted_exactly_and_beyond_is_an_error(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F8]"""

    @app.workflow("w")
    async def workflow(ctx: Context) -> list[Any]:
        await ctx.vars.set("n", 2**63 - 2)
        seen: list[Any] = [await ctx.vars.incr("n")]
        for name, value in (("n", 2**63 - 1), ("big", 2**63), ("text", "7"), ("true", True)):
            await ctx.vars.set(name, value)
            try:
                await ctx.vars.incr(name)
            except NotAnInteger:
                seen.append(await ctx.vars.get(name))
        return seen

    async with working(app):
        run = await aclient.submit("w")
        assert await run.result(60) == [2**63 - 1, 2**63 - 1, 2**63, "7", True]


async def test_a_session_is_shared_by_runs_and_a_runs_own_variables_are_not(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F8] Reading lengthens the life of a session as well."""

    @app.workflow("w")
    async def workflow(ctx: Context) -> list[Any]:
        return [
            await ctx.vars.incr("n"),
            await ctx.session("s").vars.incr("n"),
            await ctx.session("s").vars.get("n"),
        ]

    async with working(app):
        runs = [await aclient.submit("w") for _ in range(5)]
        results = [await run.result(60) for run in runs]
        assert [result[0] for result in results] == [1] * 5
        assert sorted(result[1] for result in results) == [1, 2, 3, 4, 5]
        real.expire("stepflow:session:s", 10)

        @app.workflow("look")
        async def look(ctx: Context) -> Any:
            return await ctx.session("s").vars.get("n")

    async with working(app):
        assert await (await aclient.submit("look")).result(60) == 5
    assert real.ttl("stepflow:session:s") > 1000


async def test_variables_outlive_a_restart_of_the_history_and_a_retry_but_no_new_generation(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F8] [F18]"""
    is_mended = False

    @app.workflow("w")
    async def workflow(ctx: Context, turn: int) -> Any:
        turns = await ctx.vars.incr("turns")
        if turns % 3:
            return await ctx.continue_as_new(turn + 1)
        if not is_mended:
            raise ValueError("broken")
        return turns

    async with working(app):
        run = await aclient.submit("w", 0, run_id="a")
        assert (await run.wait(60)).state == "failed"
        is_mended = True
        await aclient.retry("a")
        assert await run.result(60) == 3
        again = await aclient.submit("w", 0, run_id="a", on_conflict="restart")
        assert await again.result(60) == 3
        assert real.hgetall("stepflow:run:a:vars") == {b"turns": b"3"}


async def test_another_access_at_its_place_is_changed_code_and_a_bad_name_or_value_is_refused() -> (
    None
):
    """[F8] [F5]"""
    runtime = MemoryRuntime()

    async def before(ctx: Context) -> None:
        await ctx.session("s").vars.incr("n")
        await ctx.sleep(60)

    async def after(ctx: Context) -> None:
        await ctx.session("s").vars.get("n")
        await ctx.sleep(60)

    async def refused(ctx: Context) -> None:
        await ctx.vars.set("a|b", 1)

    async def too_large(ctx: Context) -> None:
        try:
            await ctx.vars.set("n", "x" * 2_000_000)
        except PayloadTooLarge as error:
            raise ValueError("refused in the workflow") from error

    await activate(runtime, before)
    outcome = await activate(runtime, after)
    assert outcome == Pause(
        "code changed: at place 0 remembered var 'incr s n', now variable 'get s n'"
    )
    for workflow, word in (
        (refused, "cannot name a variable"),
        (too_large, "refused in the workflow"),
    ):
        outcome = await activate(MemoryRuntime(), workflow)
        assert isinstance(outcome, Raised)
        assert word in outcome.error.message
