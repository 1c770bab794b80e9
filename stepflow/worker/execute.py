"""execute: the runner is called with a Step; whatever happens becomes an Outcome."""

from __future__ import annotations

import asyncio
from typing import Any

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
)
from stepflow.core.runner import Step
from stepflow.engine.gate import pause_for
from stepflow.engine.user_code.calls import describe, ends_task, raised, settled, stay
from stepflow.errors import ClaimLost, UnreadableRecord
from stepflow.errors.base import shown
from stepflow.worker.claimed_run import Hold
from stepflow.worker.state import Shift
from stepflow.worker.step_runtime import Port

_ALLOWED = (Continue, Succeed, Fail, Cancel)
#: what kits answer besides
_KITS = (Park, Yield, Pause, Raised, Restart, LastWord)
_OUTCOMES = _ALLOWED + _KITS


async def perform(hold: Hold, shift: Shift) -> Outcome | None:
    """Run the present step of *hold* and give its outcome; None when the claim was lost on the way."""
    run, entry = hold.run, hold.entry
    if hold.unreadable is not None:
        return pause_for(hold.unreadable)
    try:
        payload = hold.payload if entry.read is None else entry.read(hold.payload)
    except BaseException as error:  # noqa: BLE001  a validator is user code as well
        return _unread(error, hold)
    step: Step[Any] = Step(
        run.id, run.step, payload, hold.headers, run.failures + 1, hold.cancel,
        generation=run.generation, deadline_at=run.deadline_at, crashes=run.crashes,
        port=Port(hold, shift, blocking=not entry.is_async),
    )  # fmt: skip
    hold.step, hold.in_runner = step, True
    hold.started_at = shift.desk.clock.now()
    hold.step_until = shift.loop.time() + entry.step_timeout_s if entry.step_timeout_s is not None else 0.0
    try:
        result = await entry.run(step) if entry.is_async else await in_thread(hold, step, shift)
        if not isinstance(result, _OUTCOMES):
            result = await settled(result)
    except ClaimLost:
        hold.lose()
        return None
    except UnreadableRecord as error:
        return pause_for(error) if error.run_id == run.id else left_by(error, hold)
    except BaseException as error:
        if ends_task(error, is_over=shift.is_over):
            raise
        return left_by(error, hold)
    finally:
        step.end()
    if hold.abandoned is not None:
        _take_back(hold)
    if isinstance(result, _OUTCOMES):
        return result
    names = ", ".join(kind.__name__ for kind in _ALLOWED)
    text = f"runner {entry.name!r} returned {type(result).__name__} ({shown(result)}); it must return one of {names}"
    return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)


def _unread(error: BaseException, hold: Hold) -> Outcome:
    """Say what becomes of a run whose payload the runner of today does not take."""
    if hold.run.logged:  # it has begun: what it did is not lost, and may have to be undone, by code that can read it
        return Pause(f"code changed: {describe(error).message}")
    return raised(error, hold.policy)


async def in_thread(hold: Hold, step: Step[Any], shift: Shift) -> Any:
    """Run a plain function in a thread; when it is given up it keeps its slot until it returns."""
    hold.thread_busy = True

    def returned() -> None:
        hold.thread_busy = False
        if hold.task is None or hold.task.done():
            shift.thread_came_back(hold)

    return await shift.threads.run(hold.entry.run, step, on_return=returned)


def left_by(error: BaseException, hold: Hold) -> Outcome:
    """Make the outcome of a runner that was left by an exception, or cancelled by the runtime: the table of user_code."""
    why = hold.abandoned
    _take_back(hold)
    if why is not None and hold.leaves:
        return HandBack()
    if why is not None and isinstance(error, asyncio.CancelledError):
        return Raised(ErrorInfo("StepTimeout", why))
    return raised(error, hold.policy)


def _take_back(hold: Hold) -> None:
    """Take back a cancellation that only meant the runner, so that the commit after it can wait for its reply."""
    hold.abandoned = None
    stay()
