"""The panel of a timeline: all about the row that was chosen, or that matters most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.step_record import Attempt
from stepflow.engine.timeline import StepKind, StepState, StepStatus, Trace
from stepflow.times import as_datetime
from stepflow.web.pages.timeline.activations import KEY
from stepflow.web.pages.timeline.workflow import keys_of, unix
from stepflow.web.pages.visit import Visit
from stepflow.web.redact import path_of

#: attempts that a panel lists, the last ones
_MOST_TRIES = 50
#: the kinds of steps that a worker does
_DONE_BY_WORKERS = frozenset({StepKind.STEP, StepKind.COMPENSATION})
_BAD = frozenset({StepState.FAILED, StepState.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt in the list of a panel."""

    number: str
    outcome: str
    started_at: datetime | None
    took_s: float | None
    worker: str
    error: Any
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the panel shows."""

    key: str
    title: str
    kind: str
    state: StepState | None
    step: StepStatus | None = None
    value: Any = None
    has_value: bool = False
    error: Any = None
    tries: Sequence[Try] = ()
    more: int = 0
    is_of_child: bool = False


def choose(
    key: str | None, trace: Trace, children: Mapping[str, Trace], visit: Visit
) -> Chosen | None:
    """Give the panel of the row *key*; without one, of the step that failed or is under way."""
    if key is None:
        key = _that_matters(trace)
    if key is None:
        return None
    run_id, bar, inner = key.partition("|")
    if bar:
        child = children.get(run_id)
        found = None if child is None else _of_run(inner, child, visit)
        return None if found is None else replace(found, key=key, is_of_child=True)
    return _of_run(key, trace, visit)


def _that_matters(trace: Trace) -> str | None:
    """Name the step that a reader wants to see first: the last that failed, or that is open."""
    run = trace.run
    if not trace.is_workflow:
        return None if run.state == "succeeded" else str(run.step)
    keys = keys_of(trace.steps)
    wanted = [
        key
        for key, step in zip(keys, trace.steps, strict=True)
        if (step.state in _BAD if run.is_finished else step.is_open)
    ]
    return wanted[-1] if wanted and run.state != "succeeded" else None


def _of_run(key: str, trace: Trace, visit: Visit) -> Chosen | None:
    if key == KEY:
        return _of_lead(trace, visit)
    if not trace.is_workflow:
        return _of_number(key, trace, visit)
    keys = keys_of(trace.steps)
    if key not in keys:
        return None
    step = trace.steps[keys.index(key)]
    return _of_step(key, replace(step, worker=step.worker or _worker_of(step, trace)), visit)


def _worker_of(step: StepStatus, trace: Trace) -> str | None:
    """Say in which worker a step of a workflow ended: the one that had the run at that time."""
    ended = unix(step.ended_at)
    starts = trace.attempts.columns.started_at
    index = max(range(len(starts)), key=lambda at: (starts[at] <= ended, starts[at]), default=None)
    if not ended or index is None or step.kind not in _DONE_BY_WORKERS:
        return None
    return trace.attempts[index].record.worker or None


def _of_lead(trace: Trace, visit: Visit) -> Chosen:
    tries = [
        _try_of(attempt, f"{attempt.number}", visit) for attempt in trace.attempts[-_MOST_TRIES:]
    ]
    what = "activations" if trace.is_workflow else "attempts"
    more = len(trace.attempts) - len(tries)
    return Chosen(KEY, what, KEY, None, tries=tries, more=more)


def _of_number(key: str, trace: Trace, visit: Visit) -> Chosen | None:
    tried = [attempt for attempt in trace.attempts if str(attempt.number) == key]
    step = next((step for step in trace.steps if str(step.number) == key), None)
    if not tried and step is None:
        return None
    tries = [
        _try_of(attempt, f"{attempt.record.attempt}", visit) for attempt in tried[-_MOST_TRIES:]
    ]
    run = trace.run
    is_last = run.is_finished and key == str(run.step)
    return Chosen(
        key, f"step {key}", StepKind.STEP, None if step is None else step.state, step,
        error=visit.error(run.error) if is_last else None, tries=tries,
        more=len(tried) - len(tries),
    )  # fmt: skip


def _try_of(attempt: Attempt, number: str, visit: Visit) -> Try:
    record = attempt.record
    return Try(
        number,
        record.outcome, as_datetime(record.started_at), record.took_s,
        record.worker, visit.error(ErrorInfo.of_brief(record.error)), as_datetime(record.due_at),
    )  # fmt: skip


def _of_step(key: str, step: StepStatus, visit: Visit) -> Chosen:
    path = path_of({"name": step.name})
    has_value = step.state is StepState.SUCCEEDED and step.kind is not StepKind.SLEEP
    tries = [
        Try(
            str(number), "failed", failed.started_at, _took(failed.started_at, failed.ended_at),
            "", visit.error(failed.error), failed.next_at,
        )
        for number, failed in enumerate(step.failed_attempts, 1)
    ]  # fmt: skip
    return Chosen(
        key, step.name, step.kind, step.state, step,
        value=visit.shown("step", step.value, *map(str, path)) if has_value else None,
        has_value=has_value, error=visit.error(step.error), tries=tries,
    )  # fmt: skip


def _took(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
