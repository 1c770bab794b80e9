"""What later versions of pydantic-ai have and the oldest that is supported (2.61) has not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic_ai import durable_exec

if TYPE_CHECKING:
    from pydantic_ai.durable_exec import (
        conversation_id_from_run_id,
        record_durable_unit,
        replay_scope,
    )
else:

    @contextmanager
    def _no_scope(*_args: Any, **_options: Any) -> Iterator[None]:
        yield

    def _no_record(*, executed: bool) -> None:
        """Report nothing: spans of replayed units appear again before 2.68."""

    def _as_conversation(run_id: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, run_id))

    _NAMESPACE = uuid.UUID("b4a5470b-7dc5-4744-b6d4-27f7c81a3775")

    # 2.68
    replay_scope = getattr(durable_exec, "replay_scope", _no_scope)
    record_durable_unit = getattr(durable_exec, "record_durable_unit", _no_record)
    # 2.62
    conversation_id_from_run_id = getattr(
        durable_exec, "conversation_id_from_run_id", _as_conversation
    )

#: 2.68; None before
external_event_scope: Any = getattr(durable_exec, "external_event_scope", None)

__all__ = [
    "conversation_id_from_run_id",
    "external_event_scope",
    "record_durable_unit",
    "replay_scope",
]
