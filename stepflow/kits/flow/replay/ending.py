"""
How an activation ends.

By its function, by a stop from outside, and after what was done has been undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.outcomes import (
    Cancel,
    CleanedUp,
    ContinueAsNew,
    ErrorInfo,
    Fail,
    Outcome,
    Raised,
    Succeed,
)
from stepflow.core.run import Cleanup
from stepflow.engine.user_code.calls import describe, raised
from stepflow.errors import TransientError, shown
from stepflow.kits.flow.commands.child import StopChildrenCommand
from stepflow.kits.flow.replay.compensations import CompensationStack
from stepflow.store.values.codec import pack, unpack

if TYPE_CHECKING:
    from stepflow.kits.flow.replay.activation import Activation

#: a workflow's own errors end its run, but for this one: that tries the activation again
_ONLY_TRANSIENT = RetryPolicy(retry_on=(TransientError,))


class Ending:
    """
    What an activation knows of its end.

    A stop is an entry of the journal, and so is the beginning of the undoing: both are replayed
    where they stood. Whatever ends the function other than a success, what its steps did is undone
    first: an error, a verdict (Fail, Cancel), a result that cannot be stored, a stop. An end that
    is decided elsewhere comes here as a stop (`core/transitions.py`).
    """

    def __init__(self, activation: Activation) -> None:
        self._activation = activation
        self.compensations = CompensationStack()
        #: whether a stop is remembered, or on its way into the journal; unix seconds of the
        #: remembered one
        self._is_stopping = False
        self._stopped_at: float | None = None
        self._undoing: asyncio.Task[list[ErrorInfo]] | None = None
        #: set when the function asked for a restart, whose answer it then has to return
        self.restart: ContinueAsNew | None = None
        #: how the function itself ended, when that is why its steps are undone
        self._own_end = CleanedUp()

    @property
    def is_being_told(self) -> bool:
        """Whether a stop is on its way into the journal: nothing new begins meanwhile."""
        return self._is_stopping and self._stopped_at is None

    @property
    def knows_stop(self) -> bool:
        """
        Whether a stop is remembered, or nothing a stop could change is left.

        What was done is being undone.
        """
        return self._stopped_at is not None or self._undoing is not None

    @property
    def grace_until(self) -> float | None:
        """
        When (unix seconds) a function that was told to stop is left.

        None when it was not told, or has been left.
        """
        if self._stopped_at is None or self._undoing is not None:
            return None
        return self._stopped_at + self._activation.runtime.stop_grace_s

    def heed_stop(self) -> None:
        """
        Remember that the run was asked to stop.

        Where that stands in the journal, the function is told.
        """
        if (
            self._activation.runtime.cancel.is_set
            and not self._is_stopping
            and self._undoing is None
        ):
            self._is_stopping = True
            self._activation.remember(EntryKind.STOP)

    def take_in(self, entry: Entry) -> None:
        """
        Take in what the journal remembers of the run's end.

        A stop, or that from here on its steps are undone.
        """
        if entry.kind is EntryKind.STOP:
            self._stop(entry)
        else:
            self._undo(entry)

    def _stop(self, entry: Entry) -> None:
        """
        Bring a stop into the coroutine: CancelledError at its next await.

        Its `finally` blocks still run.
        """
        self._is_stopping, self._stopped_at = True, entry.at
        self._activation.main.cancel()
        self._activation.loop.run_ready()

    def _undo(self, entry: Entry) -> None:
        """Leave the function, should it still run, and undo what its steps have done."""
        self._own_end = _read_end(entry.data)
        self._activation.commands.leave()
        self._undoing = self._activation.loop.start_over(
            self._clear_up(with_children=bool(entry.name))
        )
        self._activation.loop.run_ready()

    async def _clear_up(self, *, with_children: bool) -> list[ErrorInfo]:
        """Stop the children, then undo what the steps have done; gives the errors of that."""
        if with_children:
            await self._activation.start(StopChildrenCommand(self._activation.loop.create_future()))
        return await self.compensations.undo(self._activation)

    def so_far(self) -> Outcome | None:
        """
        Say how the function ended by itself, None while it goes on, was stopped, or what it did is
        undone.
        """
        return self._end() if self._undoing is None and self._stopped_at is None else None

    def outcome(self) -> Outcome | None:
        """
        Say how the activation ends, None while it goes on.

        Children are stopped, and what is to be undone is, before.
        """
        own = self._own_end
        if self._undoing is not None:
            return (
                CleanedUp(own.error, self._undoing.result(), own.cancelled)
                if self._undoing.done()
                else None
            )
        end = self._end()
        if end is None:
            return None
        run, is_stopped = self._activation.run, self.knows_stop
        is_bad = is_stopped or self._is_bad(end)
        if (is_stopped and run.has_children) or (self.compensations and is_bad):
            has_children = "children" if run.has_children else ""
            self._activation.remember(
                EntryKind.UNDO,
                _write_end(end, is_stopped=is_stopped),
                Cleanup.STARTED,
                name=has_children,
            )
            return None
        if not is_bad or not (is_stopped or run.cleanup):
            return end
        return _read_end(_write_end(end, is_stopped=is_stopped))

    def another_try(self) -> Outcome | None:
        """
        Give the outcome of a function that raised TransientError before its time.

        That is no end of it; else None.
        """
        end = _end_of(self._activation.main) if self._activation.main.done() else None
        return end if isinstance(end, Raised) and end.retryable and not self._is_bad(end) else None

    def _end(self) -> Outcome | None:
        """Say how the function ended, None while it goes on."""
        activation = self._activation
        if activation.loop.misuse is not None:
            return Raised(describe(activation.loop.misuse), retryable=False)
        if activation.main.done() and not activation.loop.is_closing:
            return self._without_return() or self._storable(_end_of(activation.main))
        if self.grace_until is not None and activation.runtime.now() >= self.grace_until:
            return Raised(
                ErrorInfo("Cancelled", "the workflow did not end when it was asked to"),
                retryable=False,
            )
        if activation.is_stuck:
            text = "the workflow awaits something that nothing will ever answer"
            return Raised(ErrorInfo("Stuck", text), retryable=False)
        return None

    def _without_return(self) -> Outcome | None:
        """
        Refuse the end of a function that asked for a restart and returned something else.

        None for any other end.
        """
        main = self._activation.main
        if (
            self.restart is None
            or main.cancelled()
            or main.exception() is not None
            or main.result() is self.restart
        ):
            return None
        text = "the workflow called ctx.continue_as_new and returned something else; write: return await ctx.continue_as_new(...)"
        return Raised(ErrorInfo("RestartNotReturned", text), retryable=False)

    def _storable(self, end: Outcome) -> Outcome:
        """
        Refuse a result that cannot be stored while its steps can still be undone.

        Without any the commit does it.
        """
        if not self._activation.run.cleanup or not isinstance(end, Succeed | ContinueAsNew):
            return end
        what, value = (
            ("the result", end.result)
            if isinstance(end, Succeed)
            else ("the new input", end.payload)
        )
        try:
            pack(value, what=what, limit=self._activation.runtime.limit)
        except BaseException as error:  # noqa: BLE001  what packs a value is user code as well
            return Raised(describe(error), retryable=False)
        return end

    def _is_bad(self, end: Outcome) -> bool:
        """
        Whether the run ends by *end*, and not in success, rather than trying this activation again.
        """
        failures, policy = (
            self._activation.run.failures + 1,
            self._activation.runtime.policy,
        )
        if isinstance(end, Raised):
            return not end.retryable or failures >= policy.max_attempts
        return isinstance(end, Fail | Cancel)


def _write_end(end: Outcome, *, is_stopped: bool) -> bytes:
    """
    Write what the function's own end adds to the end of its run.

    Nothing where that ends as it was asked to.
    """
    match end:
        case Cancel(reason=reason):  # its own Cancel keeps its reason, whoever asked for what
            return pack([reason])
        case Raised(error=error) if not is_stopped:
            return pack([error.type, error.message, error.traceback])
        case Fail(reason=reason) if not is_stopped:
            return pack(["Fail", reason, ""])
    return b""


def _read_end(data: bytes) -> CleanedUp:
    fields: Sequence[str] = unpack(data) if data else ()
    if len(fields) == 1:
        return CleanedUp(cancelled=fields[0])
    return CleanedUp(ErrorInfo(*fields)) if fields else CleanedUp()


def _end_of(main: asyncio.Task[Any]) -> Outcome:
    """Say what the end of the workflow's function means for the run."""
    if main.cancelled():
        return Raised(ErrorInfo("Cancelled", "the workflow was cancelled"), retryable=False)
    error = main.exception()
    if error is not None:
        return raised(error, _ONLY_TRANSIENT)
    match main.result():
        case ContinueAsNew() | Succeed() | Fail() | Cancel() as end:
            return end
        case Outcome() as other:
            text = (
                f"the workflow returned {shown(other)}: its next step follows from its code; return a value, Succeed, "
                "Fail or Cancel, or write: return await ctx.continue_as_new(...)"
            )
            return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)
        case result:
            return Succeed(result)
