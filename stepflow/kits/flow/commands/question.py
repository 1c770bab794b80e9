"""Asks: a workflow asks people something and waits for the answer, held by nobody."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from stepflow.core.journal import Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.expected import ExpectedType
from stepflow.store.questions import QuestionOutcome
from stepflow.store.values.codec import pack

if TYPE_CHECKING:
    from stepflow.kits.flow.replay.activation import Activation

#: what became of an ask that nobody answered
TIMED_OUT, WITHDRAWN = "timed out", "withdrawn"


class QuestionCommand(Command):
    """
    The answer to what is asked of people, or None when its time has passed.

    Whichever comes first.
    """

    __slots__ = ("_activation", "_digest", "_prompt", "_schema", "_seen", "_wait_s")
    what = "ask"
    entry_kinds = (EntryKind.DUE, EntryKind.ANSWER)
    wakes_on_inbox = True

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        activation: Activation,
        wanted: ExpectedType,
        prompt: str,
        wait_s: float | None,
    ) -> None:
        super().__init__(place, "decision", future, wanted.read)
        run = activation.run
        named = f"{run.id}|{run.generation}|{activation.restarts}|{place}"
        self._digest = blake2b(named.encode(), digest_size=10).hexdigest()
        self._activation = activation
        self._schema = wanted.schema
        self._prompt = prompt
        self._wait_s = wait_s
        #: the round of news in which it looked for an answer last
        self._seen = 0

    def describe(self) -> str:
        return f"an answer to {self._prompt!r}"

    def advance(self, activation: Activation, now: float) -> None:
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            activation.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
            return
        is_due = self.due_at is not None and self.due_at <= now
        if is_due or self._seen != activation.inbox_version:
            asked = pack([self._prompt, self._schema, now, self.due_at or 0.0], what="ask")
            lapsed = QuestionOutcome(TIMED_OUT, now) if is_due else None
            if activation.take_from_inbox(
                self,
                EntryKind.ANSWER,
                lambda at, head: activation.runtime.settle_question(
                    at, head, self._digest, asked, lapsed
                ),
            ):
                self._seen = activation.inbox_version

    def answer(self, entry: Entry) -> None:
        if entry.data:
            self.answer_with(entry.data[1:])
        else:
            self.future.set_result(None)

    def abandon(self) -> None:
        if not self.is_wanted and self._activation.is_live:
            runtime = self._activation.runtime
            runtime.close_question(
                self._digest, QuestionOutcome(WITHDRAWN, runtime.now())
            ).add_done_callback(_heed_nothing)


def _heed_nothing(done: asyncio.Future[int]) -> None:
    """Leave it at that: an ask that could not be taken off the list goes with its run."""
    if not done.cancelled():
        done.exception()
