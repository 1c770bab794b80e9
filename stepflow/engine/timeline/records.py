"""The steps of a runner, from the records that its attempts left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, RunState, RunStatus
from stepflow.core.under_way import UnderWay
from stepflow.engine.inspect import StepInfo
from stepflow.engine.timeline.model import StepKind, StepState, StepStatus
from stepflow.times import as_datetime

#: the outcomes that only a workflow has
WORKFLOW_OUTCOMES = frozenset({"park", "yield", "restart", "last"})

_STATES = {
    "continue": StepState.SUCCEEDED, "succeed": StepState.SUCCEEDED, "fail": StepState.FAILED,
    "raised": StepState.FAILED, "cancel": StepState.CANCELLED, "lost": StepState.LOST,
    "back": StepState.HANDED_BACK,
}  # fmt: skip


def steps_of_runner(
    run: Run,
    status: RunStatus,
    records: Sequence[StepInfo],
    told: Sequence[UnderWay] = (),
) -> list[StepStatus]:
    """Give every attempt that ended, and the step that the run is at."""
    steps = [_ended(record, status) for record in records]
    last = max((record.ended_at for record in records if record.ended_at), default=None)
    if run.is_finished:
        return steps
    present = (str(run.step), status.attempt)
    began_at = next(
        (as_datetime(each.began_at) for each in told if (each.name, each.attempt) == present), None
    )
    return [*steps, _present(run, status, began_at or last)]


def _ended(record: StepInfo, status: RunStatus) -> StepStatus:
    start, end = record.started_at, record.ended_at
    is_last = record.is_closed and status.is_finished and record.number == status.step
    return StepStatus(
        StepKind.STEP, f"step {record.number}",
        _STATES.get(record.outcome, StepState.SUCCEEDED), record.attempt, start, end,
        took_s=None if start is None or end is None else (end - start).total_seconds(),
        error=status.error if is_last and status.error else ErrorInfo.of_brief(record.error or ""),
        worker=record.worker or None,
        number=record.number, outcome=record.outcome,
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
