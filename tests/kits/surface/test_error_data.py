"""[G6] [G16] Errors carry data to the workflow; [G14] keys may be anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from stepflow import (
    Context,
    Failed,
    PermanentError,
    RetryPolicy,
    RunFailed,
    StepFailed,
    Stepflow,
    TransientError,
)
from stepflow.settings import Settings
from stepflow.testing import Harness

TWICE = RetryPolicy(max_attempts=2, initial=0)


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


class OddError(Exception):
    def __init__(self, data: Any) -> None:
        super().__init__("odd")
        self.stepflow_data = data


def transient() -> None:
    raise TransientError("busy", retry_after=0, data={"after": 3})


def permanent() -> None:
    raise PermanentError("refused", data=["code", 51])


def odd() -> None:
    raise OddError({1: "one"})


def grouped() -> None:
    raise ExceptionGroup("several", [ValueError("first"), OddError("second")])


def without() -> None:
    raise ValueError("nothing")


def unpackable() -> None:
    raise PermanentError("refused", data=object())


@pytest.mark.parametrize(
    ("function", "data"),
    [
        (transient, {"after": 3}), (permanent, ["code", 51]), (odd, {1: "one"}),
        (grouped, "second"), (without, None), (unpackable, None),
    ],
)  # fmt: skip
async def test_the_data_of_an_error_is_there_live_and_on_replay(
    h: Harness, function: Any, data: Any
) -> None:
    """[G6]"""
    seen: list[Any] = []

    @h.app.workflow("fails")
    async def fails(ctx: Context) -> Any:
        found = []
        for key in (None, "keyed"):
            try:
                await ctx.step(function, key=key, retry=TWICE)
            except StepFailed as error:
                found.append(error.data)
        seen.append(found)
        await ctx.sleep(10)
        [slot] = await ctx.batch("items", lambda _: function(), [1], errors="slot", retry=TWICE)
        assert isinstance(slot, Failed)
        assert isinstance(slot.error, StepFailed)
        return slot.error.data

    run = await h.submit("fails")
    await h.advance(10)
    assert await h.result(run) == data
    assert seen == [[data, data]] * len(seen)
    assert len(seen) >= 2
    timeline = await h.client.steps(run.id)
    assert [step.error.type for step in timeline if step.error is not None]


class Answer(str):
    """A long text that says what it has cost."""

    __slots__ = ("stepflow_usage",)


async def test_the_error_for_a_value_over_the_limit_names_the_step_and_keeps_its_cost(
    h: Harness,
) -> None:
    """[G16] The function is not called again."""
    calls: list[int] = []

    def request() -> str:
        calls.append(1)
        answer = Answer("x" * 10_000_000)
        answer.stepflow_usage = {"output_tokens": 7}
        return answer

    @h.app.workflow("long")
    async def long(ctx: Context) -> Any:
        try:
            await ctx.step("ask the model", request)
        except StepFailed as error:
            return [error.error_type, error.error_message, error.data]

    run = await h.submit("long")
    kind, message, data = await h.result(run)
    assert kind == "PayloadTooLarge"
    assert "the value of step 'ask the model' is 10,000," in message
    assert data["usage"] == {"output_tokens": 7}
    assert data["size"] > data["limit"]
    assert calls == [1]


@pytest.mark.parametrize("key", ["k" * 5000, "a|b", "lone \ud800", "é" * 300, "fine"])
async def test_a_key_of_any_length_and_characters_is_one_step(h: Harness, key: str) -> None:
    """[G14]"""
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    @h.app.workflow("keyed")
    async def keyed(ctx: Context) -> list[int]:
        found = [await ctx.step(count, key=key), await ctx.step(count, key=key)]
        await ctx.forget(key)
        await ctx.sleep(1)
        return [*found, await ctx.step(count, key=key), await ctx.step(count, key=f"{key}'")]

    run = await h.submit("keyed")
    await h.advance(1)
    assert await h.result(run) == [1, 1, 2, 3]
    await h.replay(await h.history(run))


async def test_a_fork_begins_at_a_long_key(h: Harness) -> None:
    """[G14]"""
    calls: list[str] = []

    @h.app.workflow("keyed")
    async def keyed(ctx: Context) -> None:
        for key in ("short", "k" * 500, "last"):
            await ctx.step("note", calls.append, key, key=key)

    run = await h.submit("keyed")
    await h.client.fork(run.id, "k" * 500)
    await h.settle()
    assert [key[0] for key in calls] == ["s", "k", "l", "k", "l"]


@pytest.mark.parametrize("key", ["", 3, b"bytes"])
async def test_what_is_no_key_is_refused(h: Harness, key: Any) -> None:
    """[G14]"""

    @h.app.workflow("keyed")
    async def keyed(ctx: Context) -> None:
        await ctx.step(str, key=key)

    run = await h.submit("keyed")
    with pytest.raises(RunFailed, match="the key of a step is"):
        await h.result(run)
