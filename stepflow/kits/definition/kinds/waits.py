"""`wait`, `sleep` and `checkpoint`: a person, a time, a mark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from stepflow.engine.user_code.schema import check_schema
from stepflow.errors import InvalidOption
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.durations import Duration
from stepflow.kits.definition.kinds.base import At, Flow, KindInput, Text
from stepflow.kits.definition.known import Known


class WaitInput(KindInput):
    """A question to people."""

    prompt: Text
    answer: dict[str, Any] = Field(default={}, alias="schema")
    """The JSON Schema of the answer; without one it may be anything."""
    timeout: Duration | None = None
    """The value is null after this time."""


class Wait(Flow):
    """A question; its value is the answer, which somebody gives by its token."""

    name = "wait"
    Input = WaitInput

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        del known
        schema = given.get("schema", {})
        if isinstance(schema, Mapping):
            try:
                check_schema(schema)
            except InvalidOption as error:
                yield ("schema",), str(error)

    async def carry(self, given: WaitInput, at: At) -> Any:
        return await at.ctx.ask(given.answer or None, given.prompt, given.timeout)


class SleepInput(KindInput):
    """A wait for a time."""

    time: Duration | None = Field(default=None, alias="for")
    until: datetime | None = None
    """A moment instead; in UTC where it names no zone."""


class Sleep(Flow):
    """A wait that occupies no worker; its value is null."""

    name = "sleep"
    Input = SleepInput

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        del known
        if (given.get("for") is None) == (given.get("until") is None):
            yield (), "a sleep has either for or until"

    async def carry(self, given: SleepInput, at: At) -> Any:
        if given.until is None:
            return await at.ctx.sleep(given.time or 0.0)
        until = given.until if given.until.tzinfo else given.until.replace(tzinfo=UTC)
        return await at.ctx.sleep_until(until)


class CheckpointInput(KindInput):
    """A mark."""

    name: str


class Checkpoint(Flow):
    """A mark with a name and a time, to find and to fork from; it does nothing."""

    name = "checkpoint"
    Input = CheckpointInput

    async def carry(self, given: CheckpointInput, at: At) -> Any:
        return {"checkpoint": given.name, "at": at.ctx.now().isoformat()}
