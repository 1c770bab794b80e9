"""The fake server says what a real one would, to the client that people use."""

import asyncio

import openai
import pytest

from tests.agents.fake_openai import FakeOpenAI, PromptTooLong, Text, ToolCalls, TooMany

#: what they import takes longer than they do
pytestmark = pytest.mark.crash

ASKED = [{"role": "user", "content": "two words"}]


@pytest.fixture
async def ask():
    async def ask(server, **options):
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as api:
            made = api.chat.completions.create(model="fake", messages=ASKED, **options)
            if not options.get("stream"):
                return await made
            return [chunk async for chunk in await made]

    return ask


async def test_an_answer_comes_whole_or_streamed_and_is_billed_once(ask):
    with FakeOpenAI(Text("one two three")) as server:
        whole = await ask(server)
        chunks = await ask(server, stream=True, stream_options={"include_usage": True})
    assert whole.choices[0].message.content == "one two three"
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "one two three"
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens == 5
    assert server.billed == (4, 6)


async def test_replies_come_in_their_order_and_the_last_one_for_ever(ask):
    with FakeOpenAI(TooMany(3), PromptTooLong(), ToolCalls((("f", {"a": 1}),))) as server:
        with pytest.raises(openai.RateLimitError) as limited:
            await ask(server)
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            await ask(server)
        called = [await ask(server), await ask(server)]
    assert limited.value.response.headers["Retry-After"] == "3"
    assert [c.choices[0].message.tool_calls[0].function.arguments for c in called] == [
        '{"a": 1}'
    ] * 2
    assert len(server.calls) == 4


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_cut_answer_is_an_error_of_the_connection(ask, is_streamed):
    import httpx

    with (
        FakeOpenAI(Text("one two three", cut_after=2)) as server,
        pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)),
    ):
        await ask(server, stream=is_streamed)


async def test_it_notices_that_its_caller_has_gone_and_counts_what_it_still_sends(ask):
    with FakeOpenAI(Text("one two three", hold=True)) as server:
        asking = asyncio.ensure_future(ask(server, stream=True))
        await asyncio.to_thread(
            server.wait_for, lambda: server.calls and server.calls[0].output == 2
        )
        server.stop()
        asking.cancel()
        await asyncio.to_thread(server.wait_for, lambda: server.calls[0].is_over)
    assert server.calls[0].gone_at is not None
    assert server.calls[0].output == 2
    assert server.sent_after_stop == 0
