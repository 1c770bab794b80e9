"""Questions: a workflow asks people something and waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import question_digest
from stepflow.core.journal import Entry, EntryKind
from stepflow.kits.flow.commands.command import Command, WorkflowHost
from stepflow.kits.flow.commands.expected import ExpectedType
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.store.questions import QuestionOutcome
from stepflow.store.values.codec import is_sealing, pack

T = TypeVar("T")

#: characters of what it asked that are kept once it is settled
_MOST_KEPT = 500
#: what became of a question that nobody answered
TIMED_OUT, WITHDRAWN = "timed out", "withdrawn"


class Asked(asyncio.Future[T]):
    """The answer to a question, to be awaited; *token* is that by which people answer it."""

    token: str


def as_asked(future: asyncio.Future[Any], token: str) -> Asked[Any]:
    """Return *future*, or one in its stead, with the token of its question."""
    if type(future) is asyncio.Future:
        future = Asked(loop=future.get_loop())
    asked = cast("Asked[Any]", future)  # one that is watched takes any attribute
    asked.token = token
    return asked


@dataclass(frozen=True, slots=True)
class Notice:
    """The function that tells people of a question, and how it is tried."""

    name: str
    function: Callable[[str], Any]
    policy: RetryPolicy
    #: seconds, of one attempt
    timeout_s: float | None
    #: whether what it returns, but for None, is the answer
    may_answer: bool = False


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
    def token(self) -> str:
        """The token by which people answer it."""
        return f"{self._host.run.id}.{self._digest}"

    @property
    def is_listed(self) -> bool:
        """Whether people find it on the list of questions."""
        return self.future.done() or (bool(self._seen) and not self.is_busy)

    @property
    def awaited_id(self) -> str:
        return self._digest

    def describe(self) -> str:
        # stands beside the record, in clear
        return "an answer" if is_sealing() else f"an answer to {self._prompt!r}"

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            host.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
            return
        is_due = self.due_at is not None and self.due_at <= now
        if is_due or self._seen != host.inbox_version:
            asked = pack([self._prompt, self._schema, now, self.due_at or 0.0], what="question")
            prompt = pack(self._prompt[:_MOST_KEPT], what="question")
            lapsed = QuestionOutcome(TIMED_OUT, now) if is_due else None
            if host.take_from_inbox(
                self,
                EntryKind.ANSWER,
                partial(self._look, host, asked, prompt, lapsed),
            ):
                self._seen = host.inbox_version

    def _look(
        self,
        host: CommandHost,
        asked: bytes,
        prompt: bytes,
        lapsed: QuestionOutcome | None,
        index: int,
        head: bytes,
    ) -> asyncio.Future[Any]:
        """Look for the answer; the question is on the list then."""
        sent = host.runtime.settle_question(index, head, self._digest, asked, prompt, lapsed)
        if not self.is_wanted:  # Redis refused it before, and it was withdrawn meanwhile
            host.withdraw(self._digest)
        return sent

    def resolve(self, entry: Entry) -> None:
        if entry.data:
            self.resolve_with(entry.data[1:])
        else:
            self.future.set_result(None)

    def withdraw(self, host: CommandHost) -> None:
        host.withdraw(self._digest)


class WithdrawnQuestions:
    """
    Takes the questions off the list that one activation wants answered no more.

    A worker may die before that is done, or Redis refuse it. So each activation takes off again
    what its replay withdraws, in one call, and none parks before all are gone. *wake* is called
    then.
    """

    def __init__(self, runtime: FlowRuntime, wake: Callable[[], None]) -> None:
        self._runtime = runtime
        self._wake = wake
        self._digests: list[str] = []
        self._sent = 0

    @property
    def is_busy(self) -> bool:
        """Whether some are still on the list, as far as is known."""
        return bool(self._digests or self._sent)

    def add(self, digest: str) -> None:
        """Have a question taken off the list with the next `send`."""
        self._digests.append(digest)

    def send(self) -> None:
        """Take those off the list that were added; under the claim, and however long it takes."""
        digests, self._digests = self._digests, []
        if digests:
            self._sent += 1
            mark = QuestionOutcome(WITHDRAWN, self._runtime.now())
            self._runtime.close_questions(digests, mark).add_done_callback(self._closed)

    def _closed(self, done: asyncio.Future[int]) -> None:
        if not done.cancelled():
            done.exception()  # retrieved: the next activation takes them off again
        self._sent -= 1
        self._wake()


class NotifyCommand(StepCommand):
    """The step that tells people of a question; it begins once that is listed."""

    __slots__ = ("question",)
    has_to_be_awaited = False
    question: QuestionCommand

    def advance(self, host: CommandHost, now: float) -> None:
        if self.question.is_listed:
            super().advance(host, now)


def ask_and_notify(host: WorkflowHost, question: QuestionCommand, notice: Notice) -> Asked[Any]:
    """
    Ask *question* and have its token told; returns its answer.

    An answer that comes before all were told counts. Where nobody can be told, the question is
    withdrawn.
    """
    asked = as_asked(host.create_future(), question.token)
    told = NotifyCommand(
        f"{question.place}.notify", notice.name, host.create_future(), notice.function,
        (question.token,), policy=notice.policy, timeout_s=notice.timeout_s,
    )  # fmt: skip
    told.question = question

    def was_told(done: asyncio.Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None and not asked.done():
            asked.set_exception(error)
            question.future.cancel()
        elif notice.may_answer and not done.cancelled() and done.result() is not None:
            if not asked.done():
                asked.set_result(done.result())
            question.future.cancel()

    def was_answered(done: asyncio.Future[Any]) -> None:
        if asked.done():
            return
        if done.cancelled():
            asked.cancel()
            return
        error = done.exception()
        if error is None:
            asked.set_result(done.result())
        else:
            asked.set_exception(error)

    def was_left(done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            question.future.cancel()
            told.future.cancel()

    host.start(question).add_done_callback(was_answered)
    host.start(told).add_done_callback(was_told)
    asked.add_done_callback(was_left)
    host.give_out(asked)
    return asked
