"""Questions: a workflow asks people something and waits for the answer."""

from __future__ import annotations

import asyncio
from typing import Any

from stepflow.core.ids import question_digest
from stepflow.core.journal import Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.expected import ExpectedType
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.store.questions import QuestionOutcome
from stepflow.store.values.codec import pack

#: what became of a question that nobody answered
TIMED_OUT, WITHDRAWN = "timed out", "withdrawn"


class QuestionCommand(Command):
    """The answer to a question, or None when its time has passed: whichever comes first."""

    __slots__ = ("_digest", "_host", "_prompt", "_schema", "_seen", "_wait_s")
    what = "question"
    entry_kinds = (EntryKind.DUE, EntryKind.ANSWER)
    wakes_on_inbox = True

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        host: CommandHost,
        expected: ExpectedType,
        prompt: str,
        wait_s: float | None,
    ) -> None:
        super().__init__(place, "decision", future, expected.read)
        run = host.run
        self._digest = question_digest(run.id, run.generation, host.restarts, place)
        self._host = host
        self._schema = expected.schema
        self._prompt = prompt
        self._wait_s = wait_s
        #: the inbox version at which it looked for an answer last
        self._seen = 0

    @property
    def awaited_id(self) -> str:
        return self._digest

    def describe(self) -> str:
        return f"an answer to {self._prompt!r}"

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            host.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
            return
        is_due = self.due_at is not None and self.due_at <= now
        if is_due or self._seen != host.inbox_version:
            asked = pack([self._prompt, self._schema, now, self.due_at or 0.0], what="question")
            lapsed = QuestionOutcome(TIMED_OUT, now) if is_due else None
            if host.take_from_inbox(
                self,
                EntryKind.ANSWER,
                lambda index, head: host.runtime.settle_question(
                    index, head, self._digest, asked, lapsed
                ),
            ):
                self._seen = host.inbox_version

    def resolve(self, entry: Entry) -> None:
        if entry.data:
            self.resolve_with(entry.data[1:])
        else:
            self.future.set_result(None)

    def abandon(self) -> None:
        if self.is_wanted or not self._host.is_live:
            return
        runtime = self._host.runtime
        withdrawn = QuestionOutcome(WITHDRAWN, runtime.now())
        runtime.close_question(self._digest, withdrawn).add_done_callback(_ignore)


def _ignore(done: asyncio.Future[int]) -> None:
    """Retrieve an error and leave it: a question that stays on the list goes with its run."""
    if not done.cancelled():
        done.exception()
