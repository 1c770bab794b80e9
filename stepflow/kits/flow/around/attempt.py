"""One attempt of a `ctx.step`, as its function may ask about it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from stepflow.core.cancel import CancelToken
from stepflow.core.ids import idempotency_key
from stepflow.kits.flow.commands.host import CommandHost, Writable
from stepflow.kits.flow.current_step import CurrentStep, StepMemo, refuse_memo
from stepflow.store.values.codec import pack


class Attempted(Writable, Protocol):
    """What an attempt asks of its step."""

    key: str | None

    @property
    def is_last_attempt(self) -> bool:
        """Whether an error that may be tried again fails the step."""

    @property
    def occurrence(self) -> str:
        """What names the step in one history."""

    @property
    def memo(self) -> dict[str, Any]:
        """What its attempts have left to those after them."""


class Attempt:
    """
    What the function of an attempt is told: *made*.

    Most attempts never ask, and have none.
    """

    __slots__ = ("_command", "_host", "_is_over", "_loop", "_unsubscribe", "_writing", "made")

    def __init__(
        self, command: Attempted, host: CommandHost, attempt: int, *, is_over: bool = False
    ) -> None:
        self._command = command
        self._host = host
        self._is_over = False
        self._loop = host.outer_loop
        self._writing: deque[asyncio.Future[None]] = deque()
        run, of_run, cancel = host.run, host.runtime.cancel, CancelToken()
        self._unsubscribe = of_run.subscribe(lambda: cancel.fire(of_run.reason or ""))
        self.made = CurrentStep(
            run.id, command.name, command.key,
            attempt=attempt, is_last_attempt=command.is_last_attempt,
            idempotency_key=idempotency_key(run.seed, host.restarts, command.occurrence),
            memo=StepMemo(command.memo, self, self._loop), cancel=cancel,
        )  # fmt: skip
        if is_over:
            self.end()

    def remember(self, key: str, value: Any) -> asyncio.Future[None]:
        """Put a memo value; the future is done when it is durable."""
        command, host = self._command, self._host
        if self._is_over:
            raise refuse_memo(host.run.id, command.name)
        what = f"memo {key!r} of step {command.name!r}"
        data = pack([key, value], what=what, limit=host.runtime.limit)
        written: asyncio.Future[None] = self._loop.create_future()
        self._writing.append(written)
        host.leave_memo(command, data)
        return written

    def note_written(self) -> None:
        """Learn that the first of the memos on their way is durable."""
        if self._writing:
            written = self._writing.popleft()
            if not written.done():
                written.set_result(None)

    def end(self) -> None:
        """Take no more memos, and tell who still works on it that nobody waits any more."""
        self._is_over = True
        self._unsubscribe()
        self.made.cancel.fire("the attempt has ended")
        while self._writing:
            self._writing.popleft().cancel()
