"""The steps of a runner, from the records that its attempts left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, RunState, RunStatus
from stepflow.core.step_record import Attempt
from stepflow.core.under_way import UnderWay
from stepflow.engine.timeline.model import StepKind, StepState, StepStatus
from stepflow.times import as_datetime

#: the outcomes that only a workflow has
WORKFLOW_OUTCOMES = frozenset({"park", "yield", "restart", "last"})

#: attempts among which is the one that ended last
_LAST = 100

_STATES = {
    "continue": StepState.SUCCEEDED, "succeed": StepState.SUCCEEDED, "fail": StepState.FAILED,
    "raised": StepState.FAILED, "cancel": StepState.CANCELLED, "lost": StepState.LOST,
    "back": StepState.HANDED_BACK, "postponed": StepState.HANDED_BACK,
}  # fmt: skip


def steps_of_runner(status: RunStatus, attempts: Sequence[Attempt]) -> list[StepStatus]:
    """Give every attempt that ended."""
    return [_ended(attempt, status) for attempt in attempts]


def present_step(
    run: Run, status: RunStatus, attempts: Sequence[Attempt], told: Sequence[UnderWay] = ()
) -> list[StepStatus]:
    """Give the step that a run is at, if it has not ended; *told* is what its worker says."""
    if run.is_finished:
        return []
    last = max((attempt.record.ended_at for attempt in attempts[-_LAST:]), default=0.0)
    present = (str(run.step), status.attempt)
    began = (each.began_at for each in told if (each.name, each.attempt) == present)
    return [_present(run, status, as_datetime(next(began, last)))]


def _ended(attempt: Attempt, status: RunStatus) -> StepStatus:
    record = attempt.record
    is_last = attempt.is_closed and status.is_finished and attempt.number == status.step
    return StepStatus(
        StepKind.STEP, f"step {attempt.number}",
        _STATES.get(record.outcome, StepState.SUCCEEDED), record.attempt,
        as_datetime(record.started_at), as_datetime(record.ended_at),
        took_s=record.took_s,
        error=status.error if is_last and status.error else ErrorInfo.of_brief(record.error),
        worker=record.worker or None,
        number=attempt.number, outcome=record.outcome,
    )  # fmt: skip


def _present(run: Run, status: RunStatus, last: datetime | None) -> StepStatus:
    """Describe the step that the run is at, which has left no record yet."""
    state, since = StepState.PENDING, None
    if run.is_claimed:
        state, since = StepState.RUNNING, last or as_datetime(run.started_at)
    elif run.state is RunState.SCHEDULED:
        state = StepState.RETRYING if run.failures else StepState.SCHEDULED
    return StepStatus(
        StepKind.STEP, f"step {run.step}", state, status.attempt, since, until=status.due_at,
        worker=status.worker, number=run.step,
    )  # fmt: skip
