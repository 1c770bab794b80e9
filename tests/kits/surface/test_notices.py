"""[G11] A question has its token before anybody waits, and tells people of it once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from stepflow import (
    Context,
    InvalidOption,
    PermanentError,
    QuestionClosed,
    RunFailed,
    RunState,
    StepFailed,
    Stepflow,
    SyncContext,
)
from stepflow.core.outcomes import Park, Succeed
from stepflow.errors import ClaimLost
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


async def test_the_token_is_known_before_anybody_waits(h: Harness) -> None:
    """[G11] The same on every replay, and that which answers it."""
    seen: list[str] = []

    async def mail(token: str) -> None:
        seen.append(token)

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> list[bool]:
        questions = [ctx.ask(bool, "One?"), ctx.ask(bool, "Two?")]
        for question in questions:
            await ctx.step(mail, question.token)
        return [await question for question in questions]

    run = await h.submit("asks")
    assert [question.token for question in await h.client.questions()] == seen
    await h.client.answer(seen[1], True)
    await h.client.answer(seen[0], False)
    assert await h.result(run) == [False, True]


async def test_a_notice_is_a_step_that_begins_when_the_question_is_listed(h: Harness) -> None:
    """[G11] Once, whatever happens afterwards."""
    seen: list[Any] = []

    async def send(token: str) -> str:
        listed = [question.token for question in await h.client.questions()]
        seen.append((token, token in listed))
        return "sent"

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> str | None:
        await ctx.step("before", str, 1)
        return await ctx.ask(str, "Well?", 100, notify=send)

    run = await h.submit("asks")
    assert (await h.status(run)).state is RunState.WAITING
    [question] = await h.client.questions()
    await h.signal(run, "wakes-nobody")
    await h.advance(50)
    await h.client.answer(question.token, "yes")
    assert await h.result(run) == "yes"
    assert seen == [(question.token, True)]
    await h.replay(await h.history(run))
    other = await h.submit("asks")
    await h.advance(101)
    assert await h.result(other) is None


async def test_an_answer_that_comes_before_all_were_told_counts(h: Harness) -> None:
    """[G11]"""

    async def send(token: str) -> None:
        await h.client.answer(token, "quick")
        await h.sleep(10)

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> str:
        return await ctx.ask(str, "Well?", notify=send)

    run = await h.submit("asks")
    assert await h.result(run) == "quick"


async def test_a_question_that_nobody_can_be_told_of_is_withdrawn(h: Harness) -> None:
    """[G11]"""
    tokens: list[str] = []

    async def send(token: str) -> None:
        tokens.append(token)
        raise PermanentError("no such address")

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> str:
        try:
            return await ctx.ask(str, "Well?", notify=send)
        except StepFailed as error:
            await ctx.step("after", str, 1)
            return f"{error.step}: {error.error_message}"

    run = await h.submit("asks")
    assert await h.result(run) == "send: no such address"
    assert await h.client.questions() == []
    with pytest.raises(QuestionClosed):
        await h.client.answer(tokens[0], "late")
    await h.replay(await h.history(run))


async def test_a_question_that_is_left_takes_its_notice_along(h: Harness) -> None:
    """[G11]"""

    async def send(token: str) -> None:
        await h.sleep(1000)

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> str:
        try:
            async with asyncio.timeout(10):
                return await ctx.ask(str, "Well?", notify=send)
        except TimeoutError:
            return await ctx.step("after", str, "nobody")

    run = await h.submit("asks")
    await h.advance(11)
    assert await h.result(run) == "nobody"
    await h.replay(await h.history(run))


async def test_a_crash_at_every_write_tells_people_again_only_where_that_was_not_written() -> None:
    """[G11]"""
    told: list[str] = []

    async def send(token: str) -> None:
        told.append(token)

    async def workflow(ctx: Context) -> str:
        answer = ctx.ask(str, "Well?", notify=send)
        await ctx.step("beside", str, 1)
        return await answer

    for crash_after in range(6):
        runtime = MemoryRuntime()
        told.clear()
        runtime.crash_after = crash_after
        with suppress(ClaimLost):
            await activate(runtime, workflow)
        runtime.crash_after = None
        assert isinstance(await activate(runtime, workflow), Park)
        runtime.answer("yes")
        assert await activate(runtime, workflow) == Succeed("yes")
        assert len(told) <= 2
        assert len(set(told)) == 1


async def test_a_plain_workflow_asks_the_same(h: Harness) -> None:
    """[G11]"""
    told: list[str] = []

    @h.app.workflow("asks")
    def asks(ctx: SyncContext) -> str:
        return ctx.ask(str, "Well?", notify=told.append)

    run = await h.submit("asks")
    await h.client.answer(told[0], "yes")
    assert await h.result(run) == "yes"


@pytest.mark.parametrize("notify", [3, lambda: None, "text"])
async def test_what_cannot_be_called_with_a_token_is_refused(h: Harness, notify: Any) -> None:
    """[G11]"""

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> None:
        await ctx.ask(str, "Well?", notify=notify)

    run = await h.submit("asks")
    with pytest.raises(RunFailed, match=InvalidOption.__name__):
        await h.result(run)


async def test_a_question_that_is_never_awaited_is_named(h: Harness) -> None:
    """[G11]"""

    @h.app.workflow("asks")
    async def asks(ctx: Context) -> None:
        ctx.ask(str, "Well?", notify=str)

    run = await h.submit("asks")
    with pytest.raises(RunFailed, match=r"NeverAwaited.*ctx\.ask"):
        await h.result(run)
