"""Traces made by hand: times are seconds after the submit of the run."""

from __future__ import annotations

from dataclasses import replace

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunState, RunStatus
from stepflow.core.step_record import Attempts, StepRecord
from stepflow.engine.timeline import FailedAttempt, StepKind, StepState, StepStatus, Trace
from stepflow.times import as_datetime

#: when the run was submitted, in unix seconds
T0 = 1_700_000_000.0
REFUSED = ErrorInfo("ConnectionError", "refused")


def at(seconds):
    return None if seconds is None else as_datetime(T0 + seconds)


def run(state="succeeded", end=10.0, **facts) -> RunStatus:
    ended = at(end) if RunState(state) in {"succeeded", "failed", "cancelled"} else None
    given = {"created_at": at(0), "started_at": at(0), "updated_at": at(end), "ended_at": ended}
    return RunStatus("r", "order", RunState(state), **(given | facts))


def step(name="s", start=0.0, end=1.0, state="succeeded", kind="step", **facts) -> StepStatus:
    took = None if end is None or start is None else end - start
    return StepStatus(
        StepKind(kind), name, StepState(state), 1, at(start), at(end), took_s=took,
        place=facts.pop("place", name), **facts,
    )  # fmt: skip


def failed(start, end, next_at) -> FailedAttempt:
    return FailedAttempt(at(start), at(end), at(next_at), REFUSED)


def records(*written) -> Attempts:
    """Make attempts: each (number, outcome, start, end), or with an attempt that has failed."""
    row = {}
    for index, (number, outcome, start, end, *more) in enumerate(written):
        due = more[0] if more else 0.0
        record = StepRecord(
            f"w.{index}.", outcome, 1, T0 + start, T0 + end, T0 + due if due else 0.0,
            "ConnectionError: refused" if due else "",
        )  # fmt: skip
        name = f"{number}.w.{index}." if due else f"{number}"
        row[name.encode()] = record.write().encode()
    return Attempts(row)


def of_workflow(*steps, state="succeeded", end=10.0, attempts=((0, "last", 0.0, 10.0),), **facts):
    return Trace(run(state, end), list(steps), records(*attempts), is_workflow=True, **facts)


def of_runner(*attempts, present=None, state="succeeded", end=10.0):
    steps = [] if present is None else [replace(present, number=int(present.name), place=None)]
    return Trace(run(state, end), steps, records(*attempts), is_workflow=False)
