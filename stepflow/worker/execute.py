"""execute: the runner is called with a Step; whatever happens becomes an Outcome."""

from __future__ import annotations

import asyncio
from typing import Any

from stepflow.core.outcomes import (
    Cancel,
    CleanedUp,
    Continue,
    ContinueAsNew,
    ErrorInfo,
    Fail,
    HandBack,
    Outcome,
    Park,
    Pause,
    Raised,
    Succeed,
    Yield,
)
from stepflow.core.runner import Step
from stepflow.engine.gate import pause_for
from stepflow.engine.user_code.calls import describe, ends_task, raised, settled, stay
from stepflow.errors import ClaimLost, UnreadableRecord, shown
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.state import WorkerState
from stepflow.worker.step_runtime import StepRuntime

_ALLOWED = (Continue, Succeed, Fail, Cancel)
#: what kits answer besides
_KITS = (Park, Yield, Pause, Raised, ContinueAsNew, CleanedUp)
_OUTCOMES = _ALLOWED + _KITS


async def perform(claimed: ClaimedRun, worker_state: WorkerState) -> Outcome | None:
    """
    Run the present step of *claimed* and give its outcome.

    None when the claim was lost on the way.
    """
    run, entry = claimed.run, claimed.runner
    if claimed.unreadable is not None:
        return pause_for(claimed.unreadable)
    try:
        payload = claimed.payload if entry.read is None else entry.read(claimed.payload)
    except BaseException as error:  # noqa: BLE001  a validator is user code as well
        return _unread(error, claimed)
    step: Step[Any] = Step(
        run.id, run.step, payload, claimed.headers, run.failures + 1, claimed.cancel,
        generation=run.generation, deadline_at=run.deadline_at, crashes=run.crashes,
        runtime=StepRuntime(claimed, worker_state, blocking=not entry.is_async),
    )  # fmt: skip
    claimed.step, claimed.in_runner = step, True
    claimed.started_at = worker_state.env.clock.now()
    claimed.step_until = (
        worker_state.loop.time() + entry.step_timeout_s if entry.step_timeout_s is not None else 0.0
    )
    try:
        result = (
            await entry.run(step)
            if entry.is_async
            else await in_thread(claimed, step, worker_state)
        )
        if not isinstance(result, _OUTCOMES):
            result = await settled(result)
    except ClaimLost:
        claimed.lose()
        return None
    except UnreadableRecord as error:
        return pause_for(error) if error.run_id == run.id else left_by(error, claimed)
    except BaseException as error:
        if ends_task(error, is_over=worker_state.is_over):
            raise
        return left_by(error, claimed)
    finally:
        step.end()
    if claimed.abandoned is not None:
        _take_back(claimed)
    if isinstance(result, _OUTCOMES):
        return result
    names = ", ".join(kind.__name__ for kind in _ALLOWED)
    text = f"runner {entry.name!r} returned {type(result).__name__} ({shown(result)}); it must return one of {names}"
    return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)


def _unread(error: BaseException, claimed: ClaimedRun) -> Outcome:
    """Say what becomes of a run whose payload the runner of today does not take."""
    if (
        claimed.run.has_journal
    ):  # it has begun: what it did is not lost, and may have to be undone, by code that can read it
        return Pause(f"code changed: {describe(error).message}")
    return raised(error, claimed.policy)


async def in_thread(claimed: ClaimedRun, step: Step[Any], worker_state: WorkerState) -> Any:
    """Run a plain function in a thread; when it is given up it keeps its slot until it returns."""
    claimed.thread_busy = True

    def returned() -> None:
        claimed.thread_busy = False
        if claimed.task is None or claimed.task.done():
            worker_state.thread_came_back(claimed)

    return await worker_state.threads.run(claimed.runner.run, step, on_return=returned)


def left_by(error: BaseException, claimed: ClaimedRun) -> Outcome:
    """
    Make the outcome of a runner that was left by an exception, or cancelled by the runtime.

    The table of user_code.
    """
    why = claimed.abandoned
    _take_back(claimed)
    if why is not None and claimed.is_leaving:
        return HandBack()
    if why is not None and isinstance(error, asyncio.CancelledError):
        return Raised(ErrorInfo("StepTimeout", why))
    return raised(error, claimed.policy)


def _take_back(claimed: ClaimedRun) -> None:
    """
    Take back a cancellation that only meant the runner, so that the commit after it can wait for
    its reply.
    """
    claimed.abandoned = None
    stay()
