"""
Conversations as pydantic-ai's `ConversationStore`: to list them, show them, and go on elsewhere.

Not imported by `stepflow.agents.chat`: the interface came with a later pydantic-ai than the oldest
that is supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from pydantic_ai.conversation_store import (
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RunUsage

from stepflow.agents.chat.turns import read_turns
from stepflow.client import AsyncClient
from stepflow.core.ids import whole_number
from stepflow.core.run import RunStatus
from stepflow.errors import InvalidOption, RunNotFound, shown

#: conversations that a list without a limit has
_MANY = 200


class ChatStore(ConversationStore):
    """
    What was said in the conversations of `app.chat`: `await ChatStore(client).load("chat-42")`.

    A conversation is known by the id of its run, its *scope* is the name of its kind, "support" of
    `app.chat("support", agent)`. `load`, `load_entries` and `list_conversations` (which needs a
    scope) work. Their turns alone write conversations: `save`, `branch`, `fork` and `delete` raise
    InvalidOption, which says what to do instead.
    """

    def __init__(self, client: AsyncClient) -> None:
        if not isinstance(client, AsyncClient):
            raise InvalidOption(f"ChatStore was given {shown(client)}; it takes an AsyncClient")
        self._client = client

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Read a conversation; None for an unknown run, and for one that is no conversation."""
        status = await self._client.status(conversation_id)
        return None if status is None else await self._record(status)

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """Read the conversations of kind *scope*, those first that something was said in last."""
        if scope is None:
            raise InvalidOption("ChatStore lists conversations of one kind; pass scope='support'")
        page = await self._client.list(runner=scope, limit=_MANY, values=False)
        found = [await self._record(status) for status in page.runs]
        records = [record for record in found if record is not None]
        records.sort(key=lambda record: record.updated_at, reverse=True)
        return records[:limit]

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """Read the messages up to *head_id*, or the last *limit* of them."""
        if head_id is None or limit == 0:
            return []
        run_id, number = _place(head_id)
        try:
            messages = read_turns(await self._client.vars(run_id))
        except RunNotFound as error:
            raise LookupError(head_id) from error
        if not 0 < number <= len(messages):
            raise LookupError(head_id)
        entries = [_entry(run_id, at, each) for at, each in enumerate(messages[:number], 1)]
        return entries if limit is None else entries[-limit:]

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Read one message."""
        return (await self.read_history(entry_id, limit=1))[0]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> NoReturn:
        """Raise InvalidOption: turns write conversations."""
        del new_entries, expected_revision
        raise InvalidOption(
            f"a ChatStore writes nothing, and so not to {record.conversation_id!r}; "
            "say it with client.say(conversation, text), or save to a store of your own"
        )

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> NoReturn:
        """Raise InvalidOption: the run is what is deleted."""
        del expected_revision
        raise InvalidOption(
            f"a ChatStore deletes nothing; end and delete the run of {conversation_id!r} "
            "with client.cancel and client.delete"
        )

    async def _record(self, status: RunStatus) -> ConversationRecord | None:
        messages = read_turns(await self._client.vars(status.id))
        if not messages:
            return None
        head = f"{status.id}/{len(messages)}"
        at = status.updated_at or status.created_at or datetime.fromtimestamp(0, UTC)
        return ConversationRecord(
            conversation_id=status.id, head_id=head, usage=_usage(messages), scope=status.runner,
            revision=head, updated_at=at,
        )  # fmt: skip


def _place(entry_id: str) -> tuple[str, int]:
    run_id, _, place = entry_id.rpartition("/")
    number = whole_number(place)
    if not run_id or number is None:
        raise LookupError(entry_id)
    return run_id, number


def _entry(run_id: str, number: int, message: ModelMessage) -> ConversationEntry:
    before = f"{run_id}/{number - 1}" if number > 1 else None
    return ConversationEntry(id=f"{run_id}/{number}", parent_id=before, message=message)


def _usage(messages: Sequence[ModelMessage]) -> RunUsage:
    usage = RunUsage()
    for message in messages:
        if isinstance(message, ModelResponse):
            usage.incr(message.usage)
            usage.requests += 1
    return usage
