"""What runs and hooks keep for those who ask why they stand [O1]: additions to the data format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stepflow import Fail, RetryPolicy, Step, Stepflow, Succeed
from stepflow.core.journal import read_try, write_try
from stepflow.core.open_command import MOST_OPEN, OpenCommand
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.step_record import StepRecord
from stepflow.store.calls import command, raw
from stepflow.store.journal import load_journal
from stepflow.store.keys import Keys
from stepflow.store.runs import load_data, load_run, load_steps
from stepflow.store.values.codec import unpack
from stepflow.testing import Harness

SLOW = RetryPolicy(max_attempts=3, initial=60.0)


# ---- attempts: when the next is due, and how they failed


@pytest.mark.parametrize(
    ("due_at", "error"),
    [
        (0.0, ""),
        (9.5, ""),
        (0.0, "E: m"),
        (9.5, "E: two words, 100 %\nand a line"),
        (1.0, "É: ünï|x"),
    ],
)
def test_a_record_is_read_back_with_what_it_says_of_the_next_attempt(due_at, error):
    record = StepRecord("w1.7.", "raised", 2, 1.5, 2.25, due_at, error)
    assert StepRecord.read(record.write().encode()) == record
    assert len(record.write().split(" ")) == (6 if due_at or error else 4)


def test_records_and_entries_of_the_version_before_are_read():
    assert StepRecord.read(b"w1.7.raised 2 1.500 2.250") == ("w1.7.", "raised", 2, 1.5, 2.25, 0, "")
    assert read_try(b"12.500000") == (12.5, "")
    assert read_try(write_try(12.5, "E: a|b")) == (12.5, "E: a|b")


@pytest.mark.parametrize("message", ["x" * 500, "ü" * 500, "a" + "ü" * 500, "\ud800" * 100])
def test_an_error_is_kept_in_a_few_bytes_of_whole_signs(message):
    brief = ErrorInfo("ValueError", message).brief()
    assert len(brief.encode()) <= 200
    assert brief.startswith("ValueError: ")
    assert brief.endswith("…")


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app: Stepflow) -> AsyncIterator[Harness]:
    async with Harness(app) as harness:
        yield harness


def look(h: Harness, call: Any) -> Any:
    """Read something of the harness's server."""
    [answer] = h.server.connection.calls([call])
    return answer


def records(h: Harness, run_id: str) -> dict[bytes, StepRecord]:
    rows = look(h, load_steps(Keys(), run_id))
    return {name: StepRecord.read(record) for name, record in rows.items()}


async def test_an_attempt_that_failed_says_how_and_when_the_next_is_due(app, h):
    @app.runner("fails", retry=SLOW)
    async def fails(step: Step[Any]) -> Any:
        raise TimeoutError("the line is dead")

    await h.submit("fails", run_id="a")
    due_at = (await h.status("a")).due_at.timestamp()
    [record] = records(h, "a").values()
    assert (record.outcome, record.error) == ("raised", "TimeoutError: the line is dead")
    assert record.due_at == pytest.approx(due_at, abs=0.001)
    [attempt, _] = await h.client.steps("a")
    assert attempt.error == ErrorInfo("TimeoutError", "the line is dead")


async def test_a_step_of_a_workflow_says_how_its_attempt_failed(app, h):
    @app.workflow("order")
    async def order(ctx: Any) -> Any:
        return await ctx.step("search", search, retry=SLOW)

    def search() -> None:
        raise ConnectionError("reset")

    await h.submit("order", run_id="a")
    [step] = await h.client.steps("a")
    assert (step.attempt, step.error) == (2, ErrorInfo("ConnectionError", "reset"))


async def test_a_journal_of_the_version_before_goes_on(app, h):
    """Its failed attempts say only when the next is due."""
    tries: list[int] = []

    @app.workflow("order")
    async def order(ctx: Any) -> Any:
        return await ctx.step("search", search, retry=SLOW)

    def search() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise ConnectionError("reset")
        return len(tries)

    await h.submit("order", run_id="a")
    key = Keys().run("a") + ":journal"
    [entry] = look(h, load_journal(Keys(), "a"))
    old = entry.rpartition(b"|")[0]
    look(h, command("LSET", key, 0, old, read=raw))
    await h.advance(3600)
    assert await h.result("a") == 2


# ---- what a parked run waits for


async def test_a_parked_run_keeps_what_it_waits_for(app, h):
    @app.workflow("order")
    async def order(ctx: Any) -> Any:
        child = await ctx.spawn("waits", None)
        await asyncio.gather(
            ctx.wait_for_signal("paid", "cancelled", timeout=60), ctx.ask(bool, "Publish?"),
            child.result(), ctx.map("waits", [1, 2]), ctx.step("search", search, retry=SLOW),
            ctx.sleep(3600),
        )  # fmt: skip

    @app.workflow("waits")
    async def waits(ctx: Any) -> Any:
        await ctx.wait_for_signal("go")

    def search() -> None:
        raise ConnectionError("reset")

    await h.submit("order", run_id="a")
    kept = [OpenCommand.read(parts) for parts in unpack(look(h, load_data(Keys(), "a"))[b"open"])]
    assert {item.kind for item in kept} == {
        "signal", "question", "child", "map", "step", "sleep"
    }  # fmt: skip
    by_kind = {item.kind: item for item in kept}
    now = h.clock.now()
    assert by_kind["signal"].name == "paid,cancelled"
    assert by_kind["signal"].due_at == pytest.approx(now + 60)
    assert by_kind["sleep"].due_at == pytest.approx(now + 3600)
    assert by_kind["step"].last_error == "ConnectionError: reset"
    token = (await h.client.questions())[0].token
    assert by_kind["question"].awaited_id == token.rpartition(".")[2]
    assert (await h.status(by_kind["child"].awaited_id)).runner == "waits"
    assert (await h.status(by_kind["map"].awaited_id + "-0")).runner == "waits"


async def test_what_it_waited_for_before_is_gone_and_a_sleep_alone_keeps_nothing(app, h):
    @app.workflow("order")
    async def order(ctx: Any) -> Any:
        await ctx.wait_for_signal("one")
        await ctx.wait_for_signal("two")
        await ctx.sleep(60)

    await h.submit("order", run_id="a")
    seen = []
    for name in ("one", "two"):
        [parts] = unpack(look(h, load_data(Keys(), "a"))[b"open"])
        seen.append(OpenCommand.read(parts).name)
        await h.signal("a", name)
    assert seen == ["one", "two"]
    assert (await h.status("a")).state == "waiting"
    assert b"open" not in look(h, load_data(Keys(), "a"))


async def test_of_many_commands_some_are_kept(app, h):
    @app.workflow("order")
    async def order(ctx: Any) -> Any:
        await asyncio.gather(*(ctx.wait_for_signal(f"s{n}") for n in range(MOST_OPEN + 5)))

    await h.submit("order", run_id="a")
    assert len(unpack(look(h, load_data(Keys(), "a"))[b"open"])) == MOST_OPEN


@pytest.mark.parametrize("parts", [None, 1, "text", [], ["step"], [1, 2, 3, 4, 5], ["a"] * 5])
def test_what_is_no_command_is_refused(parts):
    with pytest.raises((ValueError, TypeError)):
        OpenCommand.read(parts)


async def test_why_goes_by_the_clock_of_a_harness(app, h):
    @app.workflow("order")
    async def order(ctx: Any) -> Any:
        await ctx.sleep(5 * 86_400)

    await h.submit("order", run_id="a")
    why = await h.client.why("a")
    assert why.code == "waiting.time"
    assert "(in 5 d)" in why.sentence


# ---- retries and stops


async def test_a_retry_keeps_the_record_of_the_end_before(app, h):
    verdicts = [Fail("no"), Succeed(1)]

    @app.runner("fails")
    async def fails(step: Step[Any]) -> Any:
        return verdicts.pop(0)

    await h.submit("fails", run_id="a")
    assert [*records(h, "a")] == [b"0"]
    await h.client.retry("a")
    kept = records(h, "a")
    assert sorted((record.outcome, record.error) for record in kept.values()) == [
        ("fail", "Fail: no"), ("succeed", "")
    ]  # fmt: skip
    [moved] = [name for name in kept if name != b"0"]
    assert moved.decode() == "0." + kept[moved].token
    assert [step.state for step in await h.client.steps("a")] == ["failed", "succeeded"]


@pytest.mark.parametrize("verb", ["cancel", "fail"])
async def test_who_ended_a_run_is_kept_until_it_is_retried(app, h, verb):
    @app.workflow("waits")
    async def waits(ctx: Any) -> Any:
        await ctx.wait_for_signal("go")

    await h.submit("waits", run_id="a")
    await getattr(h.client, verb)("a", "enough", by="ann")
    assert look(h, load_run(Keys(), "a")).stopped_by == "ann"
    if verb == "fail":
        await h.client.retry("a")
        assert not look(h, load_run(Keys(), "a")).stopped_by
