"""execute: the runner is called with a Step; whatever happens becomes an Outcome."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.outcomes import (
    Cancel,
    Continue,
    ErrorInfo,
    Fail,
    HandBack,
    LastWord,
    Outcome,
    Park,
    Pause,
    Raised,
    Restart,
    Succeed,
    Yield,
    readable,
)
from stepflow.core.runner import Step
from stepflow.engine.gate import pause_for
from stepflow.engine.hold import Hold
from stepflow.engine.port import Port
from stepflow.engine.shift import Shift
from stepflow.errors import ClaimLost, DataError, PermanentError, TransientError, UnreadableRecord, UsageError

#: characters of a traceback that are kept
TRACEBACK_TAIL = 4000

_ALLOWED = (Continue, Succeed, Fail, Cancel)
#: what kits answer besides
_KITS = (Park, Yield, Pause, Raised, Restart, LastWord)


async def perform(hold: Hold, shift: Shift) -> Outcome | None:
    """Run the present step of *hold* and give its outcome; None when the claim was lost on the way."""
    run, entry = hold.run, hold.entry
    if hold.unreadable is not None:
        return pause_for(hold.unreadable)
    try:
        payload = hold.payload if entry.read is None else entry.read(hold.payload)
    except Exception as error:  # noqa: BLE001  a validator is user code as well
        return raised(error, hold.policy)
    step: Step[Any] = Step(
        run.id, run.step, payload, hold.headers, run.failures + 1, hold.cancel,
        generation=run.generation, deadline_at=run.deadline_at, port=Port(hold, shift, blocking=not entry.is_async),
    )  # fmt: skip
    hold.step, hold.in_runner = step, True
    hold.started_at = shift.desk.clock.now()
    hold.step_until = shift.loop.time() + entry.step_timeout_s if entry.step_timeout_s is not None else 0.0
    try:
        result = await entry.run(step) if entry.is_async else await in_thread(hold, step, shift)
    except asyncio.CancelledError as error:
        if hold.abandoned is not None:
            return _given_up(hold)
        if is_being_cancelled():
            raise
        return raised(error, hold.policy)  # of the runner's own making: it waited for something that was cancelled
    except ClaimLost:
        hold.lose()
        return None
    except UnreadableRecord as error:
        return pause_for(error) if error.run_id == run.id else raised(error, hold.policy)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever user code raises becomes an outcome
        return raised(error, hold.policy)
    if hold.abandoned is not None:
        hold.abandoned = None
        _uncancel()
    if isinstance(result, _ALLOWED + _KITS):
        return result
    names = ", ".join(kind.__name__ for kind in _ALLOWED)
    text = f"runner {entry.name!r} returned {type(result).__name__} ({result!r:.100}); it must return one of {names}"
    return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)


async def in_thread(hold: Hold, step: Step[Any], shift: Shift) -> Any:
    """Run a plain function in a thread; when it is given up it keeps its slot until it returns."""
    hold.thread_busy = True

    def returned() -> None:
        hold.thread_busy = False
        if hold.task is None or hold.task.done():
            shift.thread_came_back(hold)

    return await shift.threads.run(hold.entry.run, step, on_return=returned)


def _given_up(hold: Hold) -> Outcome:
    """Make the outcome of a step that the runtime cancelled: past its timeout, or deaf to its token."""
    why, hold.abandoned = hold.abandoned or "", None
    _uncancel()
    if hold.leaves:
        return HandBack()
    return Raised(ErrorInfo("StepTimeout", why))


def is_being_cancelled() -> bool:
    """Say whether a CancelledError just caught means the present task; else user code made it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _uncancel() -> None:
    """Take back the cancellation that only meant the runner, so that the commit after it can wait for its reply."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def raised(error: BaseException, policy: RetryPolicy) -> Raised:
    """Say what an exception out of user code means: try again, or the end."""
    if isinstance(error, TransientError):
        return Raised(describe(error), retry_after_s=error.retry_after)
    retryable = not isinstance(error, PermanentError | UsageError | DataError) and policy.retries(error)
    return Raised(describe(error), retryable=retryable)


def describe(error: BaseException) -> ErrorInfo:
    """Give the error as it is kept."""
    tail = "".join(traceback.format_exception(error))[-TRACEBACK_TAIL:]
    try:
        message = readable(error)
    except Exception:  # noqa: BLE001  a __str__ of user code
        message = "(its message cannot be read: __str__ raised)"
    return ErrorInfo(type(error).__name__, message, readable(tail))
