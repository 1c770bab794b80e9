"""What the code of one attempt of a `ctx.step` is of: its log lines, and where its emits lead."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol

from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.current_step import Known
from stepflow.kits.flow.runtime import OutputScope
from stepflow.logs import StepFacts

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Permits

#: several threads of one attempt may emit first
_opening = threading.Lock()


class Emitting(Known, Protocol):
    """The command of a step, which knows where its attempts emit to."""

    def open_scope(self, host: CommandHost, failures: int) -> OutputScope:
        """Make where the emits of the attempt after so many *failures* lead."""


class AttemptCode:
    """
    The code of one attempt; see `logs.Code`.

    Most attempts emit nothing and log nothing: the scope of its emits is made when it is needed.
    """

    __slots__ = ("_is_over", "_scope", "attempt_of")

    def __init__(self, command: Emitting, host: CommandHost, failures: int) -> None:
        #: the attempt, for `current_step`
        self.attempt_of = (command, host, failures)
        self._scope: OutputScope | None = None
        self._is_over = False

    @property
    def _opened(self) -> OutputScope:
        with _opening:
            if self._scope is None:
                command, host, failures = self.attempt_of
                self._scope = command.open_scope(host, failures)
        if self._is_over:  # it may have ended while the scope was made
            self._scope.close()
        return self._scope

    @property
    def permits(self) -> Permits:
        """What gives permits to a `Breaker` that is entered in the step."""
        return self.attempt_of[1].runtime.permits

    @property
    def facts(self) -> StepFacts:
        """What log lines say of the step."""
        return self._opened.facts

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        """Take one item; what is returned is done when it is written."""
        return self._opened.emit(data, topic)

    @property
    def has_emitted(self) -> bool:
        """Whether the attempt has emitted anything."""
        return self._scope is not None and self._scope.has_emitted

    def reset(self, attempt: int | None) -> None:
        """Declare void what the step has said so far; *attempt* begins, None given up."""
        self._opened.reset(attempt)

    def close(self) -> None:
        """Take nothing more: the attempt has ended."""
        self._is_over = True
        if self._scope is not None:
            self._scope.close()

    async def end(self) -> None:
        """Take nothing more, and wait until all is written; raises why that cannot be."""
        self.close()
        if self._scope is not None:
            await self._scope.end()
