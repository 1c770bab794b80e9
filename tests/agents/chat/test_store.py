"""[A11] Conversations as pydantic-ai's ConversationStore."""

from __future__ import annotations

import pytest

from stepflow import InvalidOption, Stepflow
from stepflow.testing import Harness
from tests.agents.chat.test_conversations import echo, texts

conversation_store = pytest.importorskip("pydantic_ai.conversation_store")

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds


async def test_conversations_are_listed_and_loaded_and_gone_on_with_elsewhere() -> None:
    from stepflow.agents.chat.store import ChatStore

    app, seen = Stepflow(), list[int]()
    app.chat("support", echo(seen))

    @app.workflow
    async def other(ctx) -> None:
        await ctx.wait_for_signal("never")

    async with Harness(app) as h:
        store = ChatStore(h.client)
        await h.client.say("one", "hello", chat="support")
        await h.advance(1)
        await h.client.say("two", "hi", chat="support")
        await h.client.say("two", "and now?")
        await h.submit(other, run_id="other")
        assert await store.load("nobody") is None
        assert await store.load("other") is None
        records = await store.list_conversations(scope="support")
        assert [record.conversation_id for record in records] == ["two", "one"]
        assert records[0].usage.requests == 2
        loaded = await store.load("two", scope="support")
        assert loaded is not None
        assert texts(loaded.messages) == ["hi", "re: hi", "and now?", "re: and now?"]
        entries = await store.load_entries("two", limit=2)
        assert entries is not None
        assert [each.id for each in entries] == ["two/3", "two/4"]
        assert await store.read_entry("two/3") == entries[0]
        assert await store.load("two", scope="sales") is None

        elsewhere = conversation_store.InMemoryConversationStore()
        loaded.revision = None
        result = await echo([]).run("and here?", conversation=loaded)
        await elsewhere.save(result)
        gone_on = await elsewhere.load("two")
        assert texts(gone_on.messages)[-2:] == ["and here?", "re: and here?"]
        for conversation in ("one", "two", "other"):
            await h.client.cancel(conversation)


async def test_what_turns_alone_may_write_is_refused_in_words() -> None:
    from stepflow.agents.chat.store import ChatStore

    app = Stepflow()
    app.chat("support", echo([]))
    async with Harness(app) as h:
        store = ChatStore(h.client)
        await h.client.say("one", "hello", chat="support")
        loaded = await store.load("one")
        assert loaded is not None
        with pytest.raises(InvalidOption, match=r"say it with client\.say"):
            await store.save(loaded)
        with pytest.raises(InvalidOption, match=r"client\.delete"):
            await store.delete("one")
        with pytest.raises(InvalidOption, match="of one kind"):
            await store.list_conversations()
        for entry_id in ("one/9", "one/0", "one", "/1", "nobody/1", "one/" + "9" * 5000):
            with pytest.raises(LookupError):
                await store.read_entry(entry_id)
        with pytest.raises(InvalidOption, match="AsyncClient"):
            ChatStore("redis://nowhere")  # type: ignore[arg-type]
        await h.client.cancel("one")
