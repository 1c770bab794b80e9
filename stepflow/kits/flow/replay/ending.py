"""
How an activation ends: by its function, by a stop from outside, after what it did is undone.

`Ending` decides and does nothing itself: the activation tells it the facts, and does what it
answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from stepflow.core.backoff import RetryPolicy
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
from stepflow.core.run import Run
from stepflow.engine.user_code.calls import error_info, raised
from stepflow.errors import TransientError, shown
from stepflow.store.values import offloaded
from stepflow.store.values.codec import pack, unpack

#: errors that came of one another, looked through for what was refused
_MOST_ERRORS = 50

#: a workflow's own errors end its run, but for this one: that tries the activation again
_ONLY_TRANSIENT = RetryPolicy(retry_on=(TransientError,))


class Facts(NamedTuple):
    """How far an activation is, as it asks for its end."""

    #: of the workflow's function
    main: asyncio.Task[Any]
    #: what the workflow tried that no replay could repeat, and that ends it
    misuse: Exception | None
    #: what was refused to it last, which it may have done without
    refused: Exception | None
    #: whether a generator that it left in the middle is not closed yet
    is_closing: bool
    #: whether nothing is under way and nothing is waited for
    is_stuck: bool
    #: whether a stopped function has had its time
    is_grace_over: bool
    #: whether steps were done that have a compensation
    has_compensations: bool
    #: which calls the function has made and never awaited, in words
    forgotten: str = ""


class StartedOver(BaseException):
    """
    Leaves the workflow's function, whose run continues as new: what it would have returned.

    It is a BaseException, so that `except Exception` in your code does not catch it.
    """

    def __init__(self, next_history: ContinueAsNew) -> None:
        super().__init__("the run continues as new")
        self.next_history = next_history


@dataclass(frozen=True, slots=True)
class Undo:
    """What was done is to be undone before the run ends; *end* is how the function ended."""

    end: bytes
    with_children: bool


class Ending:
    """
    What an activation knows of its end.

    A stop is an entry of the journal, and so is the beginning of the undoing: both are replayed
    where they stood. Whatever ends the function other than a success, what its steps did is undone
    first: an error, a verdict (Fail, Cancel), a result that cannot be stored, a stop. An end that
    is decided elsewhere comes here as a stop (`core/transitions.py`).

    *limit* is the most bytes of a result, *grace_s* the seconds a stopped function is given.
    """

    def __init__(self, run: Run, policy: RetryPolicy, *, limit: int, grace_s: float) -> None:
        self._run = run
        self._policy = policy
        self._limit = limit
        self._grace_s = grace_s
        #: whether a stop is remembered, or on its way into the journal
        self._is_stopping = False
        #: when (unix seconds) it is remembered to have come
        self._stopped_at: float | None = None
        self._undoing: asyncio.Task[list[ErrorInfo]] | None = None
        #: how the function itself ended, when that is why its steps are undone
        self._own_end = CleanedUp()
        #: set by `ctx.continue_as_new`, whose answer the function then has to return
        self.next_history: ContinueAsNew | None = None

    @property
    def is_stop_pending(self) -> bool:
        """Whether a stop is on its way into the journal: nothing new begins meanwhile."""
        return self._is_stopping and self._stopped_at is None

    @property
    def knows_stop(self) -> bool:
        """Whether a stop is remembered, or all that is left is to undo what was done."""
        return self._stopped_at is not None or self._undoing is not None

    @property
    def grace_until(self) -> float | None:
        """When (unix seconds) a stopped function is left; None when no function is stopped."""
        if self._stopped_at is None or self._undoing is not None:
            return None
        return self._stopped_at + self._grace_s

    def accept_stop(self) -> bool:
        """Say whether a stop that was asked for has to be written into the journal now."""
        if self._is_stopping or self._undoing is not None:
            return False
        self._is_stopping = True
        return True

    def note_stop(self, at: float) -> None:
        """Learn that the journal remembers a stop since *at* (unix seconds)."""
        self._is_stopping, self._stopped_at = True, at

    def note_undo(self, own_end: CleanedUp, undoing: asyncio.Task[list[ErrorInfo]]) -> None:
        """Learn that *undoing* undoes what was done, because the function ended by *own_end*."""
        self._own_end, self._undoing = own_end, undoing

    def so_far(self, facts: Facts) -> Outcome | None:
        """
        Say how the function ended by itself.

        None while it goes on, was stopped, or what it did is undone.
        """
        return None if self.knows_stop else self._end(facts)

    def decide(self, facts: Facts) -> Outcome | Undo | None:
        """Say how the activation ends, or that things are to be undone before; else None."""
        if self._undoing is not None:
            if not self._undoing.done():
                return None
            return CleanedUp(self._own_end.error, self._undoing.result(), self._own_end.cancelled)
        end = self._end(facts)
        if end is None:
            return None
        run, is_stopped = self._run, self.knows_stop
        is_bad = is_stopped or self._is_bad(end)
        if (is_stopped and run.has_children) or (facts.has_compensations and is_bad):
            return Undo(_write_end(end, is_stopped=is_stopped), with_children=run.has_children)
        if not is_bad or not (is_stopped or run.cleanup):
            return end
        return read_end(_write_end(end, is_stopped=is_stopped))

    def another_try(self, main: asyncio.Task[Any]) -> Outcome | None:
        """Return the outcome of a function whose TransientError has the activation tried again."""
        end = _end_of(main) if main.done() else None
        return end if isinstance(end, Raised) and end.retryable and not self._is_bad(end) else None

    def _end(self, facts: Facts) -> Outcome | None:
        """Say how the function ended, None while it goes on."""
        if facts.misuse is not None:
            return Raised(error_info(facts.misuse), retryable=False)
        if facts.main.done() and not facts.is_closing:
            if facts.refused is not None and _comes_from(facts.main, facts.refused):
                return Raised(error_info(facts.refused), retryable=False)
            end = self._without_return(facts.main) or self._storable(_end_of(facts.main))
            return _with_forgotten(end, facts.forgotten) if facts.forgotten else end
        if facts.is_grace_over:
            text = "the workflow did not end when it was asked to"
            return Raised(ErrorInfo("Cancelled", text), retryable=False)
        if facts.is_stuck:
            if facts.refused is not None:
                return Raised(error_info(facts.refused), retryable=False)
            text = "the workflow awaits something that nothing will ever answer"
            return Raised(ErrorInfo("Stuck", text), retryable=False)
        return None

    def _without_return(self, main: asyncio.Task[Any]) -> Outcome | None:
        """Refuse a function that called `ctx.continue_as_new` and returned something else."""
        if (
            self.next_history is None
            or main.cancelled()
            or main.exception() is not None
            or main.result() is self.next_history
        ):
            return None
        text = (
            "the workflow called ctx.continue_as_new and returned something else; "
            "write: return await ctx.continue_as_new(...)"
        )
        return Raised(ErrorInfo("RestartNotReturned", text), retryable=False)

    def _storable(self, end: Outcome) -> Outcome:
        """
        Refuse a result that cannot be stored while its steps can still be undone.

        Where there is nothing to undo the commit does it.
        """
        match end:
            case Succeed(result=value):
                what = "the result"
            case ContinueAsNew(payload=value):
                what = "the new input"
            case _:
                return end
        if not self._run.cleanup:
            return end
        store = offloaded.in_use
        try:
            limit = self._limit if store is None else store.limit
            pack(value, what=what, limit=limit, in_clear=True)
        except BaseException as error:  # noqa: BLE001  what packs a value is user code as well
            return Raised(error_info(error), retryable=False)
        return end

    def _is_bad(self, end: Outcome) -> bool:
        """Whether *end* ends the run, and not in success; else the activation is tried again."""
        if isinstance(end, Raised):
            return not end.retryable or self._run.failures + 1 >= self._policy.max_attempts
        return isinstance(end, Fail | Cancel)


def read_end(data: bytes) -> CleanedUp:
    """Read how the function itself ended, out of the entry by which the undoing begins."""
    fields: Sequence[str] = unpack(data) if data else ()
    if len(fields) == 1:
        return CleanedUp(cancelled=fields[0])
    return CleanedUp(ErrorInfo(*fields)) if fields else CleanedUp()


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


def _with_forgotten(end: Outcome, forgotten: str) -> Outcome:
    """Fail a function that has forgotten to await calls; its own error wins, and gets a note."""
    match end:
        case Succeed() | ContinueAsNew():
            return Raised(ErrorInfo("NeverAwaited", forgotten), retryable=False)
        case Raised(error=error):
            trace = "\n".join(filter(None, (error.traceback.rstrip(), forgotten)))
            return replace(end, error=replace(error, traceback=trace))
    return end


def _comes_from(main: asyncio.Task[Any], refused: Exception) -> bool:
    """Whether the function ended by what was refused to it, or by an error that came of that."""
    todo = [None if main.cancelled() else main.exception()]
    for _ in range(_MOST_ERRORS):
        error = todo.pop(0) if todo else None
        if error is refused:
            return True
        if isinstance(error, BaseExceptionGroup):
            todo += error.exceptions
        if error is not None:
            todo.append(error.__cause__ or error.__context__)
    return False


def _end_of(main: asyncio.Task[Any]) -> Outcome:
    """Say what the end of the workflow's function means for the run."""
    if main.cancelled():
        return Raised(ErrorInfo("Cancelled", "the workflow was cancelled"), retryable=False)
    error = main.exception()
    if isinstance(error, StartedOver):
        return error.next_history
    if error is not None:
        return raised(error, _ONLY_TRANSIENT)
    match main.result():
        case ContinueAsNew() | Succeed() | Fail() | Cancel() as end:
            return end
        case Outcome() as other:
            text = (
                f"the workflow returned {shown(other)}: its next step follows from its code; "
                "return a value, Succeed, Fail or Cancel, "
                "or write: return await ctx.continue_as_new(...)"
            )
            return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)
        case result:
            return Succeed(result)
