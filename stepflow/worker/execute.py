"""execute: the runner is called with a Step; whatever happens becomes an Outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
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
    Postpone,
    Raised,
    Succeed,
    Yield,
)
from stepflow.core.runner import Step
from stepflow.engine.gate import pause_for
from stepflow.engine.user_code.calls import ends_task, error_info, postponed, raised, settled, stay
from stepflow.engine.user_code.middleware import around, runner_call
from stepflow.errors import (
    ClaimLost,
    PayloadMismatch,
    Postponed,
    StepflowError,
    UndecryptableValue,
    UnreadableRecord,
    shown,
)
from stepflow.logs import enter
from stepflow.worker.claimed_run import ClaimedRun, NotReadYet
from stepflow.worker.runtime.step_runtime import StepRuntime
from stepflow.worker.state import WorkerState

_ALLOWED = (Continue, Succeed, Fail, Cancel)
#: what kits return besides
_KITS = (Park, Yield, Pause, Raised, ContinueAsNew, CleanedUp)
_OUTCOMES = _ALLOWED + _KITS


async def perform(claimed: ClaimedRun, worker_state: WorkerState) -> Outcome | None:
    """
    Run the present step of *claimed* and give its outcome.

    None when the claim was lost on the way.
    """
    run, runner, attempt = claimed.run, claimed.runner, claimed.attempt
    if claimed.unreadable is not None and (left := await _unreadable(claimed, worker_state)):
        return left
    try:
        payload = attempt.payload if runner.read is None else runner.read(attempt.payload)
    except BaseException as error:  # noqa: BLE001  a validator is user code as well
        return _unread(error, claimed, raised(error, claimed.policy))
    step = _make_step(claimed, payload, worker_state)
    enter(step)
    limit_s = runner.step_timeout_s
    attempt.begin(
        step,
        now=worker_state.env.clock.now(),
        step_until=0.0 if limit_s is None else worker_state.loop.time() + limit_s,
    )
    try:
        # a workflow is no call of its own: its steps are
        if worker_state.registry.middleware and runner.version is None:
            call = runner_call(runner.run, runner.name, step, claimed.headers)
            result = await around(
                worker_state.registry.middleware,
                call,
                lambda: _settled(_begin(claimed, step, worker_state)),
            )
        else:
            result = await (
                runner.run(step) if runner.is_async else _run_in_thread(claimed, step, worker_state)
            )
            if not isinstance(result, _OUTCOMES):
                result = await settled(result)
    except ClaimLost:
        claimed.lose()
        return None
    except (UnreadableRecord, UndecryptableValue) as error:
        is_own = isinstance(error, UndecryptableValue) or error.run_id == run.id
        return pause_for(error) if is_own else left_by(error, claimed)
    except PayloadMismatch as error:
        end = left_by(error, claimed)
        return _unread(error, claimed, end) if error.runner == runner.name else end
    except BaseException as error:
        if ends_task(error, is_over=worker_state.is_over):
            raise
        return left_by(error, claimed)
    finally:
        step.end()
    if attempt.abandoned is not None:
        _take_back(claimed)
    return result if isinstance(result, _OUTCOMES) else _no_outcome(runner.name, result)


async def _unreadable(claimed: ClaimedRun, worker_state: WorkerState) -> Outcome | None:
    """Say what becomes of a run whose data cannot be read; None where it now can be."""
    if isinstance(claimed.unreadable, NotReadYet):
        from stepflow.worker.runtime.offloading import read_payload  # noqa: PLC0415  few have any

        try:
            claimed.attempt.payload = await read_payload(
                claimed, claimed.unreadable.packed, worker_state
            )
        except Postponed as wait:
            return Postpone(wait.due_at, wait.waits_for)
        except StepflowError as error:
            claimed.unreadable = error
        else:
            claimed.unreadable = None
            return None
    assert claimed.unreadable is not None
    return pause_for(claimed.unreadable)


def _void_output(claimed: ClaimedRun, step: Step[Any]) -> None:
    """Declare void what the step has emitted before it was handed over."""
    if claimed.run.handoff and claimed.attempt.is_first and claimed.runner.version is None:
        step.runtime.reset_output()


def _begin(claimed: ClaimedRun, step: Step[Any], worker_state: WorkerState) -> Awaitable[Any]:
    """Call the runner where it belongs, on the loop or in a thread."""
    if claimed.runner.is_async:
        begun: Awaitable[Any] = claimed.runner.run(step)
        return begun
    return _run_in_thread(claimed, step, worker_state)


async def _settled(begun: Awaitable[Any]) -> Any:
    """Give the value of the runner, also where that has to be awaited."""
    result = await begun
    return result if isinstance(result, _OUTCOMES) else await settled(result)


def _make_step(claimed: ClaimedRun, payload: Any, worker_state: WorkerState) -> Step[Any]:
    run = claimed.run
    step = Step(
        run.id,
        run.step,
        payload,
        claimed.options.headers,
        run.failures + 1,
        claimed.cancel,
        generation=run.generation,
        deadline_at=run.deadline_at,
        crashes=run.crashes,
        runner=run.runner,
        runtime=StepRuntime(claimed, worker_state, blocking=not claimed.runner.is_async),
    )
    if run.has_output:
        _void_output(claimed, step)
    if worker_state.observers is not None and claimed.runner.version is None:
        worker_state.observers.runner_called(run, payload, worker_state.env.clock.now())
    return step


def _unread(error: BaseException, claimed: ClaimedRun, end: Outcome) -> Outcome:
    """Say what becomes of a run whose payload the runner here does not accept; *end* is its own."""
    # one that has begun: what it did may have to be undone, by code that can read the payload
    otherwise = None if claimed.run.has_journal else end
    return Pause(f"code changed: {error_info(error).message}", otherwise=otherwise)


def _no_outcome(runner: str, result: Any) -> Outcome:
    names = ", ".join(kind.__name__ for kind in _ALLOWED)
    text = (
        f"runner {runner!r} returned {type(result).__name__} ({shown(result)}); "
        f"it must return one of {names}"
    )
    return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)


async def _run_in_thread(claimed: ClaimedRun, step: Step[Any], worker_state: WorkerState) -> Any:
    """Run a plain function in a thread; an abandoned one keeps its slot until it returns."""
    attempt = claimed.attempt
    attempt.thread_busy = True

    def returned() -> None:
        attempt.thread_busy = False
        if claimed.task is None or claimed.task.done():
            worker_state.thread_came_back(claimed)

    return await worker_state.threads.run(claimed.runner.run, step, on_return=returned)


def left_by(error: BaseException, claimed: ClaimedRun) -> Outcome:
    """
    Make the outcome of a runner that was left by an exception, or cancelled by the runtime.

    `engine/user_code/calls.py` has the table of what each exception means.
    """
    why = claimed.attempt.abandoned
    _take_back(claimed)
    if why is not None and claimed.is_leaving:
        return HandBack()
    wait = postponed(error)
    if wait is not None:
        return Postpone(wait.due_at, wait.waits_for)
    if why is not None and isinstance(error, asyncio.CancelledError):
        return Raised(ErrorInfo("StepTimeout", why))
    return raised(error, claimed.policy)


def _take_back(claimed: ClaimedRun) -> None:
    """
    Take back a cancellation that was meant for the runner alone.

    The commit in the same task can then wait for its reply.
    """
    claimed.attempt.abandoned = None
    stay()
