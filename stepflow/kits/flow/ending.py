"""How an activation ends: by its function, by a stop from outside, and after what was done has been undone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stepflow.core.outcomes import ErrorInfo, LastWord, Outcome, Raised, Restart, Succeed
from stepflow.core.run import Rest
from stepflow.engine.execute import describe
from stepflow.errors import TransientError
from stepflow.kits.flow.children import StopWish
from stepflow.kits.flow.compensation import Ledger
from stepflow.kits.flow.journal import Entry, Kind
from stepflow.store.codec import pack, unpack

if TYPE_CHECKING:
    from stepflow.kits.flow.replay import Activation


class Ending:
    """
    What an activation knows of its end.

    A stop is an entry of the journal, and so is the beginning of the undoing: both are replayed where they stood.
    """

    def __init__(self, activation: Activation) -> None:
        self._activation = activation
        self.ledger = Ledger()
        #: whether a stop is remembered, or on its way into the journal; unix seconds of the remembered one
        self._is_stopping = False
        self._stopped_at: float | None = None
        self._undoing: asyncio.Task[list[ErrorInfo]] | None = None
        #: set when the function asked for a restart, whose answer it then has to return
        self.restart: Restart | None = None
        #: the error that the function ended with, when that is why its steps are undone
        self._error: ErrorInfo | None = None

    @property
    def is_being_told(self) -> bool:
        """Whether a stop is on its way into the journal: nothing new begins meanwhile."""
        return self._is_stopping and self._stopped_at is None

    @property
    def knows_stop(self) -> bool:
        """Whether a stop is remembered, or nothing a stop could change is left: what was done is being undone."""
        return self._stopped_at is not None or self._undoing is not None

    @property
    def grace_until(self) -> float | None:
        """When (unix seconds) a function that was told to stop is left; None when it was not told, or has been left."""
        if self._stopped_at is None or self._undoing is not None:
            return None
        return self._stopped_at + self._activation.port.stop_grace_s

    def heed_stop(self) -> None:
        """Remember that the run was asked to stop; where that stands in the journal, the function is told."""
        if self._activation.port.hold.cancel.is_set and not self._is_stopping and self._undoing is None:
            self._is_stopping = True
            self._activation.remember(Kind.STOP)

    def take_in(self, entry: Entry) -> None:
        """Take in what the journal remembers of the run's end: a stop, or that from here on its steps are undone."""
        if entry.kind is Kind.STOP:
            self._stop(entry)
        else:
            self._undo(entry)

    def _stop(self, entry: Entry) -> None:
        """Bring a stop into the coroutine: CancelledError at its next await; its `finally` blocks still run."""
        self._is_stopping, self._stopped_at = True, entry.at
        self._activation.main.cancel()
        self._activation.loop.run_ready()

    def _undo(self, entry: Entry) -> None:
        """Leave the function, should it still run, and undo what its steps have done."""
        self._error = ErrorInfo(*unpack(entry.data)) if entry.data else None
        self._activation.wishes.leave()
        self._undoing = self._activation.loop.start_over(self._clear_up(with_children=bool(entry.name)))
        self._activation.loop.run_ready()

    async def _clear_up(self, *, with_children: bool) -> list[ErrorInfo]:
        """Stop the children, then undo what the steps have done; gives the errors of that."""
        if with_children:
            await self._activation.wish(StopWish(self._activation.loop.create_future()))
        return await self.ledger.undo(self._activation)

    def so_far(self) -> Outcome | None:
        """Say how the function ended by itself, None while it goes on, was stopped, or what it did is undone."""
        return self._end() if self._undoing is None and self._stopped_at is None else None

    def outcome(self) -> Outcome | None:
        """Say how the activation ends, None while it goes on; children are stopped, and what is to be undone is, before."""
        if self._undoing is not None:
            return LastWord(self._error, self._undoing.result()) if self._undoing.done() else None
        end = self._end()
        if end is None:
            return None
        is_stopped = self.knows_stop
        if (is_stopped and self._activation.run.children) or (self.ledger and (is_stopped or self._is_final(end))):
            why = b""
            if isinstance(end, Raised) and not is_stopped:
                why = pack([end.error.type, end.error.message, end.error.traceback])
            has_children = "children" if self._activation.run.children else ""
            self._activation.remember(Kind.UNDO, why, Rest.BEGUN, name=has_children)
            return None
        return LastWord() if is_stopped else end

    def another_try(self) -> Outcome | None:
        """Give the outcome of a function that raised TransientError before its time: that is no end of it; else None."""
        end = _end_of(self._activation.main) if self._activation.main.done() else None
        return end if isinstance(end, Raised) and end.retryable and not self._is_final(end) else None

    def _end(self) -> Outcome | None:
        """Say how the function ended, None while it goes on."""
        activation = self._activation
        if activation.loop.misuse is not None:
            return Raised(describe(activation.loop.misuse), retryable=False)
        if activation.main.done():
            return self._without_return() or _end_of(activation.main)
        if self.grace_until is not None and activation.port.now() >= self.grace_until:
            return Raised(ErrorInfo("Cancelled", "the workflow did not end when it was asked to"), retryable=False)
        if activation.is_stuck:
            text = "the workflow awaits something that nothing will ever answer"
            return Raised(ErrorInfo("Stuck", text), retryable=False)
        return None

    def _without_return(self) -> Outcome | None:
        """Refuse the end of a function that asked for a restart and returned something else; None for any other end."""
        main = self._activation.main
        if self.restart is None or main.cancelled() or main.exception() is not None or main.result() is self.restart:
            return None
        text = "the workflow called ctx.restart and returned something else; write: return await ctx.restart(...)"
        return Raised(ErrorInfo("RestartNotReturned", text), retryable=False)

    def _is_final(self, end: Outcome) -> bool:
        """Whether the run fails by *end*, rather than trying this activation again."""
        failures, policy = self._activation.run.failures + 1, self._activation.port.hold.policy
        return isinstance(end, Raised) and (not end.retryable or failures >= policy.max_attempts)


def _end_of(main: asyncio.Task[Any]) -> Outcome:
    """Say what the end of the workflow's function means for the run."""
    if main.cancelled():
        return Raised(ErrorInfo("Cancelled", "the workflow was cancelled"), retryable=False)
    error = main.exception()
    if error is None:
        result = main.result()
        return result if isinstance(result, Restart) else Succeed(result)
    if isinstance(error, TransientError):
        return Raised(describe(error), retry_after_s=error.retry_after)
    return Raised(describe(error), retryable=False)
