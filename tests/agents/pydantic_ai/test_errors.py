"""Errors of units: how often the provider is asked, and what the workflow catches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic_ai import Agent, ModelRetry, ToolFailed, UsageLimitExceeded, UsageLimits
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelHTTPError,
    ModelRateLimitError,
    UnexpectedModelBehavior,
)
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider

from stepflow import Context, RetryPolicy, StepFailed, Stepflow, Succeed
from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.pydantic_ai.errors import judged, kept, raised
from stepflow.testing import Harness
from tests.agents.fake_openai import FakeOpenAI, Overloaded, Text, TooMany
from tests.agents.pydantic_ai.versions import needs_fallback
from tests.kits.memory import MemoryRuntime, to_the_end

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds

Model = Callable[[FakeOpenAI], OpenAIChatModel]


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    """Make a model of a fake server, whose SDK would retry twice."""
    clients: list[AsyncOpenAI] = []

    def made(server: FakeOpenAI) -> OpenAIChatModel:
        client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=2)
        clients.append(client)
        return OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=client))

    yield made
    for client in clients:
        await client.close()


async def test_the_provider_is_asked_as_often_as_the_policy_says_after_the_wait_it_asked_for(
    model: Model,
) -> None:
    """[A3] The SDK's own retries are off; the error comes with its type and fields."""
    app = Stepflow()
    with FakeOpenAI(TooMany(retry_after_s=7)) as server:
        agent = Agent(
            model(server), name="desk", capabilities=[Durable(retry=RetryPolicy(max_attempts=3))]
        )

        @app.workflow("desk")
        async def desk(ctx: Context) -> list[Any]:
            try:
                await agent.run("hi")
            except ModelHTTPError as error:
                await ctx.sleep(60)
                return [
                    type(error).__name__,
                    error.status_code,
                    error.model_name,
                    error.retry_after,
                ]
            raise AssertionError

        async with Harness(app) as h:
            run = await h.submit("desk")
            assert len(server.calls) == 1
            await h.advance(6.9)
            assert len(server.calls) == 1
            await h.advance(0.2)
            assert len(server.calls) == 2
            await h.advance(7.1)
            assert len(server.calls) == 3
            await h.advance(60)
            assert await h.result(run) == ["ModelRateLimitError", 429, "fake", 7.0]
        assert len(server.calls) == 3


@needs_fallback
@pytest.mark.parametrize("refusal", [TooMany(code="insufficient_quota"), Overloaded()])
async def test_a_fallback_takes_over_at_once_for_quota_and_after_the_attempts_for_the_rest(
    model: Model, refusal: Any
) -> None:
    """[A3] ModelFallback sees the model's own error, live and on replay."""
    from pydantic_ai.capabilities import ModelFallback

    with FakeOpenAI(refusal) as first, FakeOpenAI(Text("from the second")) as second:
        spare = model(second)
        agent = Agent(
            model(first),
            name="desk",
            capabilities=[
                ModelFallback(spare),
                Durable(retry=RetryPolicy(max_attempts=2), models={"spare": spare}),
            ],
        )

        async def desk(ctx: Context) -> str:
            output = (await agent.run("hi")).output
            await ctx.sleep(60)
            return output

        assert await to_the_end(MemoryRuntime(), desk) == Succeed("from the second")
        assert len(first.calls) == (1 if refusal.code == "insufficient_quota" else 2)
        assert len(second.calls) == 1


async def test_what_a_tool_raises_for_the_model_keeps_its_meaning() -> None:
    """[A3] ModelRetry and ToolFailed go to the model, once each, and are no failed attempts."""
    calls: list[str] = []
    agent = Agent(TestModel(), name="desk", capabilities=[Durable()])

    @agent.tool_plain(retries=2)
    async def again() -> str:
        calls.append("again")
        if len(calls) == 1:
            raise ModelRetry("say it louder")
        return "heard"

    @agent.tool_plain
    async def broken() -> str:
        raise ToolFailed("no such shelf")

    async def desk(ctx: Context) -> list[str]:
        result = await agent.run("hi")
        await ctx.sleep(60)
        return [str(part.content) for message in result.all_messages() for part in message.parts
                if part.part_kind in {"retry-prompt", "tool-return"}]  # fmt: skip

    runtime = MemoryRuntime()
    ended = await to_the_end(runtime, desk)
    assert isinstance(ended, Succeed), ended
    assert {"say it louder", "heard", "no such shelf"} <= set(ended.result)
    assert calls == ["again", "again"]
    assert not [entry for entry in runtime.journal if entry.startswith((b"try|", b"error|"))]


class ShelfError(Exception):
    """An error of the app's, which takes more than its message says."""

    def __init__(self, shelf: int, why: str) -> None:
        self.shelf, self.why = shelf, why
        super().__init__(f"shelf {shelf}: {why}")


@pytest.mark.parametrize(
    "error",
    [
        ShelfError(3, "gone"),
        KeyError("shelf"),
        OSError(5, "disk"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "no"),
    ],
)
async def test_an_error_of_a_tool_is_caught_as_what_it_was_live_and_on_replay(
    error: Exception,
) -> None:
    """[A3]"""
    agent = Agent(
        TestModel(), name="desk", capabilities=[Durable(retry=RetryPolicy(max_attempts=1))]
    )

    @agent.tool_plain
    async def look() -> str:
        raise error

    async def desk(ctx: Context) -> list[Any]:
        try:
            await agent.run("hi")
        except StepFailed as failed:  # bytes are no plain value
            assert isinstance(error, UnicodeDecodeError)
            caught: list[Any] = [failed.error_type, failed.error_message]
        except type(error) as found:
            caught = [type(found).__name__, str(found), getattr(found, "shelf", None)]
        await ctx.sleep(60)
        return caught

    ended = await to_the_end(MemoryRuntime(), desk)
    assert isinstance(ended, Succeed), ended
    expected = [type(error).__name__, str(error), getattr(error, "shelf", None)]
    assert ended.result == expected[: len(ended.result)]


async def test_a_limit_on_usage_is_raised_and_nothing_is_tried_again() -> None:
    """[A3]"""
    agent = Agent(TestModel(), name="desk", capabilities=[Durable()])

    async def desk(ctx: Context) -> str:
        try:
            await agent.run("hi", usage_limits=UsageLimits(request_limit=0))
        except UsageLimitExceeded as error:
            return str(error)
        return ""

    ended = await to_the_end(MemoryRuntime(), desk)
    assert isinstance(ended, Succeed)
    assert "request_limit of 0" in ended.result


def again(error: Exception) -> BaseException:
    """Give what a workflow raises of a step that failed by *error*."""
    told = judged(error, RetryPolicy())
    data = getattr(told, "data", None)
    return raised(StepFailed("desk.model", type(told).__name__, str(told), data))


@pytest.mark.parametrize(
    "error",
    [
        ModelHTTPError(400, "m", {"error": "bad"}),
        ModelHTTPError.for_category(
            ModelRateLimitError, status_code=429, model_name="m", retry_after=2.5
        ),
        ModelAPIError("m", "connection reset"),
        UnexpectedModelBehavior("odd", '{"a": 1}'),
        UsageLimitExceeded("too much"),
        ShelfError(1, "gone"),
        ValueError("v"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_made_again_with_its_type_and_fields(error: Exception) -> None:
    """[A3]"""
    made = again(error)
    assert type(made) is type(error)
    assert str(made) == str(error)
    assert {**vars(made)} == {**vars(error)}


def test_what_stands_in_the_journal_imports_nothing() -> None:
    data = {"pydantic_ai": {"make": "antigravity:Error", "args": [], "state": {}}}
    failed = StepFailed("s", "Error", "no", data)
    assert raised(failed) is failed
    calls_a_function = {"pydantic_ai": {"make": "os:system", "args": ["false"], "state": {}}}
    failed = StepFailed("s", "Error", "no", calls_a_function)
    assert raised(failed) is failed


def test_an_error_that_cannot_be_kept_is_a_failed_step() -> None:
    class Odd(Exception):
        def __reduce__(self) -> Any:
            raise RuntimeError

    assert kept(Odd()) is None
    assert isinstance(again(Odd("x")), StepFailed)


async def test_a_model_that_takes_too_long_is_an_error_of_its_api(model: Model) -> None:
    """[A3] So a fallback takes over."""
    with FakeOpenAI(Text("late", hold=True)) as server:
        options = Durable(timeout=0.2, retry=RetryPolicy(max_attempts=1))
        agent = Agent(model(server), name="desk", capabilities=[options])

        async def desk(ctx: Context) -> str:
            try:
                await agent.run("hi")
            except ModelAPIError as error:
                return error.model_name
            return ""

        assert await to_the_end(MemoryRuntime(), desk) == Succeed("fake")
