"""The row of the run itself: when a worker had it, and when it stood."""

from __future__ import annotations

from collections.abc import Iterator

from stepflow.core.run import RunState
from stepflow.engine.timeline import StepState, Trace
from stepflow.web.pages.timeline.bundles import Stretches
from stepflow.web.pages.timeline.model import Look, Mark, Row, Segment, Window
from stepflow.web.pages.timeline.workflow import unix

KEY = "run"
#: attempts at the end of which one ended last
_LAST = 50
_ENDS = {
    RunState.SUCCEEDED: StepState.SUCCEEDED, RunState.FAILED: StepState.FAILED,
    RunState.CANCELLED: StepState.CANCELLED,
}  # fmt: skip


def lead_row(trace: Trace, window: Window) -> Row:
    """Make the row of a run: when workers had it, and how long it waited for the first."""
    run, stretches = trace.run, Stretches(window)
    for segment in _waiting(trace, window):
        stretches.add(segment.look, segment.start, segment.end, is_open=segment.is_open)
    _, starts, ends, bad = trace.attempts.columns
    for start, end, is_bad in zip(starts, ends, bad, strict=True):
        stretches.add(Look.FAILED if is_bad else Look.WORK, start, end)
    return Row(
        KEY, KEY, run.runner, _ENDS.get(run.state, StepState.RUNNING), stretches.found(),
        [Mark("end", window.last, str(run.state))] if run.is_finished else [],
        took_s=window.last - window.first, note=_note(trace), is_live=window.is_live,
    )  # fmt: skip


def _note(trace: Trace) -> str:
    count = len(trace.attempts)
    what = "activation" if trace.is_workflow else "attempt"
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _waiting(trace: Trace, window: Window) -> Iterator[Segment]:
    """Give the wait for the first worker, and what is open now."""
    run, attempts = trace.run, trace.attempts
    started = attempts[0].record.started_at if attempts else unix(run.started_at)
    if started or window.is_live:
        yield Segment(Look.START, unix(run.created_at), started or window.last)
    if not window.is_live or not started:
        return
    last = max((attempt.record.ended_at for attempt in attempts[-_LAST:]), default=started)
    if run.state is RunState.RUNNING or (run.state is RunState.CANCELLING and run.worker):
        yield Segment(Look.WORK, last, window.last, is_open=True)
    elif run.state is RunState.PENDING:
        since = max(last, unix(run.updated_at))
        yield Segment(Look.QUEUE, since, window.last, is_open=True)
