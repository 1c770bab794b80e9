"""
Signals with a type: a sender is refused what does not fit, what was buffered before is set aside
when it is taken.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
import redis
from pydantic import AfterValidator

from stepflow import AsyncClient, Client, Context, RunState, Stepflow, Succeed
from stepflow.core.outcomes import Park
from stepflow.engine.user_code.schema import misfit, schema_of
from stepflow.errors import ClaimLost, SignalMisfit
from stepflow.store.values.codec import pack, unpack
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, activate, to_the_end
from tests.support import dump, until


@dataclass
class Review:
    ok: bool
    at: datetime | None = None


async def is_in(client: AsyncClient, run_id: str, state: RunState) -> bool:
    run = await client.status(run_id)
    return run is not None and run.state is state


def holding(*items: Any, name: str = "review") -> MemoryRuntime:
    runtime = MemoryRuntime()
    runtime.mail = [name.encode() + b"|" + pack(item) for item in items]
    runtime.inbox = len(items)
    return runtime


async def test_a_sender_is_refused_what_the_parked_run_cannot_take(
    app: Stepflow, aclient: AsyncClient, client: Client, working: Working, real: redis.Redis
) -> None:
    """
    [F10] Nothing is changed then; times, which JSON does not have, are taken as what JSON makes of
    them.
    """

    @app.workflow("review")
    async def review(ctx: Context) -> Any:
        said = await ctx.wait_for_signal("review", type=Review)
        return [said.ok, said.at.year]

    moment = datetime(2026, 11, 21, tzinfo=UTC)
    async with working(app):
        run = await aclient.submit("review")
        await until(lambda: is_in(aclient, run.id, RunState.WAITING))
        before = dump(real)[f"stepflow:run:{run.id}".encode()]
        with pytest.raises(
            SignalMisfit,
            match=r"signal 'review' .* run '.*' waits for: ok: 'perhaps' is not of type",
        ):
            await aclient.signal(run.id, "review", {"ok": "perhaps"})
        with pytest.raises(SignalMisfit, match="'ok' is a required property"):
            await asyncio.to_thread(client.signal, run.id, "review", {})
        assert dump(real)[f"stepflow:run:{run.id}".encode()] == before
        assert await aclient.signal(run.id, "other", "nobody waits for it") == "delivered"
        await until(lambda: is_in(aclient, run.id, RunState.WAITING))
        assert await aclient.signal(run.id, "review", Review(ok=True, at=moment)) == "delivered"
        assert await run.result(60) == [True, 2026]


async def test_one_sent_before_is_set_aside_with_a_line_and_the_wait_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """[F10] The line is written once, not at each replay."""
    runtime = holding("nonsense", {"ok": "no bool"}, {"ok": True})

    async def workflow(ctx: Context) -> bool:
        said = await ctx.wait_for_signal("review", type=Review)
        await ctx.sleep(60)
        return bool(said.ok)

    with caplog.at_level(logging.WARNING, "stepflow.flow"):
        assert await to_the_end(runtime, workflow) == Succeed(True)
    assert runtime.mail == []
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all(
        line.startswith("run=r skipped signal 'review': its payload is not") for line in lines
    )
    assert "ok" in lines[1]


async def test_a_misfit_that_cannot_be_read_at_all_is_set_aside_too() -> None:
    """[F10]"""
    runtime = holding()
    runtime.mail, runtime.inbox = [b"review|\xc1", b"review|" + pack("said")], 2

    async def workflow(ctx: Context) -> Any:
        return await ctx.wait_for_signal("review")

    assert await to_the_end(runtime, workflow) == Succeed("said")


async def test_a_crash_at_every_write_sets_the_same_ones_aside() -> None:
    """[F10] [F2] [F4]"""

    def fresh() -> MemoryRuntime:
        return holding("nonsense", {"ok": True}, {"ok": 7}, {"ok": False})

    async def workflow(ctx: Context) -> list[Any]:
        first = await ctx.wait_for_signal("review", type=Review)
        second = await ctx.wait_for_signal("review", timeout=60, type=Review)
        third = await ctx.wait_for_signal("review", timeout=60, type=Review)
        return [first.ok, second.ok, third]

    runtime = fresh()
    expected = await to_the_end(runtime, workflow)
    assert expected == Succeed([True, False, None])
    for crash_after in range(1, len(runtime.journal) + 1):
        runtime = fresh()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, workflow)
        runtime.crash_after = None
        assert await to_the_end(runtime, workflow) == expected, crash_after


async def test_a_misfit_does_not_lengthen_the_wait() -> None:
    """[F10] [F9]"""
    runtime = holding("nonsense")

    async def workflow(ctx: Context) -> Any:
        return await ctx.wait_for_signal("review", timeout=60, type=Review)

    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    assert outcome.due_at == pytest.approx(1_800_000_060, abs=1)
    assert await to_the_end(runtime, workflow) == Succeed(None)


async def test_a_park_keeps_the_schemas_of_all_its_waits_and_the_next_one_only_its_own(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F10] Of two waits for one name either may take it, so it has to fit both."""

    @app.workflow("two")
    async def two(ctx: Context) -> Any:
        waits = [ctx.wait_for_signal("x", type=int), ctx.wait_for_signal("x", type=float)]
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in rest:
            wait.cancel()
        return [done.pop().result(), await ctx.wait_for_signal("x")]

    async with working(app):
        run = await aclient.submit("two")
        await until(lambda: is_in(aclient, run.id, RunState.WAITING))
        with pytest.raises(SignalMisfit, match=r"1\.5 is not of type 'integer'"):
            await aclient.signal(run.id, "x", 1.5)
        assert await aclient.signal(run.id, "x", 7) == "delivered"
        await until(lambda: is_in(aclient, run.id, RunState.WAITING))
        assert not real.hexists(f"stepflow:run:{run.id}:data", "expects")
        assert await aclient.signal(run.id, "x", "text") == "delivered"
        assert await run.result(60) == [7, "text"]


async def test_the_same_dedup_is_answered_as_the_first_time_whatever_the_run_waits_for_now(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F10]"""

    @app.workflow("two")
    async def two(ctx: Context) -> Any:
        return [await ctx.wait_for_signal("x", type=int), await ctx.wait_for_signal("x", type=str)]

    async with working(app):
        run = await aclient.submit("two")
        await until(lambda: is_in(aclient, run.id, RunState.WAITING))
        assert await aclient.signal(run.id, "x", 1, dedup="click") == "delivered"

        await until(
            lambda: b"string" in (real.hget(f"stepflow:run:{run.id}:data", "expects") or b"")
        )
        with pytest.raises(SignalMisfit):
            await aclient.signal(run.id, "x", 1, dedup="another")
        assert await aclient.signal(run.id, "x", 1, dedup="click") == "delivered"
        await aclient.signal(run.id, "x", "text")
        assert await run.result(60) == [1, "text"]


def test_what_does_not_fit_is_said_with_its_place() -> None:
    schema = schema_of(list[Review])
    assert schema is not None
    assert misfit([{"ok": True, "at": datetime(2026, 11, 21, tzinfo=UTC)}], schema) is None
    assert misfit([{"ok": True}, {"ok": 1}], schema) == "1.ok: 1 is not of type 'boolean'"
    assert misfit(unpack(pack({1, 2})), {"type": "array"}) is None
    assert misfit(b"\xff", {"type": "string"}) is None
    many = misfit(list("abcdefg"), {"items": {"type": "integer"}})
    assert many is not None
    assert many.endswith("; and 2 more")


def test_a_schema_reaches_for_no_network_and_a_type_without_one_has_none() -> None:
    problem = misfit(1, {"$ref": "http://127.0.0.1:9/schema.json"})
    assert problem is not None
    assert "cannot be checked" in problem
    assert schema_of(Annotated[object, AfterValidator(str)]) is not None
    assert schema_of(type("Odd", (), {})) is None
