"""Steps in words: what a run waits for, what it is doing, what became of a step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from stepflow.cli.output import span
from stepflow.engine.timeline import StepKind, StepState, StepStatus, Timeline
from stepflow.engine.timeline.model import ANSWERED, EVERY_CHILD, UNANSWERED

#: seconds: a time that is nearer than this is shown with its seconds
_NEAR_S = 120.0

#: kinds that are notes of the run, told only when all is asked for
QUIET = (StepKind.VARIABLE, StepKind.FORGET, StepKind.PATCH)
#: what notes of the run say
_NOTES = {
    StepKind.RESTART: "continued as new", StepKind.STOP: "was asked to stop",
    StepKind.UNDO: "undoes what it has done",
}  # fmt: skip

#: what became of a question
_SETTLED = {StepState.SUCCEEDED: "answered", StepState.TIMED_OUT: "not answered in time"}


def clock_time(at: datetime, now: datetime) -> str:
    """Write a moment in local time: the time of day alone when it is today."""
    local, today = at.astimezone(), now.astimezone()
    time = f"{local:%H:%M:%S}" if abs((at - now).total_seconds()) < _NEAR_S else f"{local:%H:%M}"
    return time if local.date() == today.date() else f"{local:%Y-%m-%d} {time}"


def when(at: datetime, now: datetime) -> str:
    """Write a moment and how far it is away: `14:05 (in 2 h)`."""
    left_s = (at - now).total_seconds()
    far = f"in {span(left_s)}" if left_s >= 0 else f"{span(-left_s)} ago"
    return f"{clock_time(at, now)} ({far})"


def under_way(timeline: Timeline, now: datetime | None = None) -> list[str]:
    """Say what a run is doing and waiting for, a line each; none for one that has ended."""
    at = now or datetime.now(UTC)
    run = timeline.run
    if run.is_finished:
        return []
    if timeline.is_workflow and run.state not in {"running", "waiting", "cancelling"}:
        return [f"waits for {run.waits_for}"] if run.waits_for else []
    found = [_doing(step, run.id, at) for step in timeline.open]
    if not found and run.waits_for:
        found.append(f"waits for {run.waits_for}")
    return found


def _doing(step: StepStatus, run_id: str, now: datetime) -> str:
    limit = "" if step.until is None else f", at most until {when(step.until, now)}"
    match step.kind, step.state:
        case StepKind.SLEEP, _:
            return "sleeps" if step.until is None else f"sleeps until {when(step.until, now)}"
        case StepKind.SIGNAL, _:
            return f"waits for signal {signal_names(step.name)}{limit}"
        case StepKind.QUESTION, _ if step.token:
            return f"asks {step.name!r}{limit}: {step.answering}"
        case StepKind.QUESTION, _:
            return f"waits for an answer{limit}"
        case StepKind.CHILD, _ if step.run_id:
            return f"waits for child {step.run_id} ({step.name}, {step.state})"
        case StepKind.CHILD, _:
            return "waits for its children to end"
        case StepKind.MAP, _:
            far = f"{step.done or 0} of {step.total} children have ended"
            return f"waits for map {step.name!r}: {far}; stepflow list --parent {run_id}"
        case StepKind.BATCH, StepState.RUNNING:
            return f"runs batch {step.name!r}: {step.progress}"
    return _working(step, now)


def _working(step: StepStatus, now: datetime) -> str:
    name = _called(step) + (f", attempt {step.attempt}," if step.attempt > 1 else "")
    match step.state:
        case StepState.RETRYING | StepState.WAITING if step.until is not None:
            return f"tries {name} {_due(step.until, now)}"
        case StepState.SCHEDULED if step.until is not None:
            return f"starts {_called(step)} {_due(step.until, now)}"
        case StepState.PENDING:
            return f"waits to start {name.rstrip(',')}"
    since = "" if step.started_at is None else f" since {when(step.started_at, now)}"
    worker = f" on worker {step.worker}" if step.worker else ""
    return f"runs {name if step.name else 'a step'}{since}{worker}".rstrip(",")


def _due(at: datetime, now: datetime) -> str:
    return f"at {when(at, now)}" if at > now else "now"


def signal_names(names: str) -> str:
    """Write the names of a signal as people read them: `'paid' or 'cancelled'`."""
    return " or ".join(repr(name) for name in names.split(","))


def _called(step: StepStatus) -> str:
    return step.name if step.number is not None else f"{step.kind} {step.name!r}"


def told(step: StepStatus, now: datetime) -> str:
    """Say in a line what became of a step, or what it has come to."""
    took = "" if step.took_s is None else f" in {length(step.took_s)}"
    why = "" if step.error is None else f": {step.error.summary}"
    many = f" after {step.attempt} attempts" if step.attempt > 1 and not step.is_open else ""
    if step.kind in _NOTES:
        return _NOTES[step.kind]
    match step.kind:
        case StepKind.STATE:
            return f"entered {_called(step)}{_visit(step)}"
        case StepKind.UNREADABLE:
            return f"an entry that cannot be read: {step.name}"
        case StepKind.SLEEP if not step.is_open:
            return f"slept{took}"
        case StepKind.CHILD if step.run_id:
            return f"child {step.run_id} ({step.name}) {step.state}{took}{why}"
        case StepKind.CHILD if step.name == EVERY_CHILD and not step.is_open:
            return "its children have ended"
        case StepKind.QUESTION if step.name in {ANSWERED, UNANSWERED}:
            return f"question {step.name}{took}"
        case StepKind.QUESTION if step.state in _SETTLED:
            return f"{_called(step)} {_SETTLED[step.state]}{took}"
        case StepKind.BATCH | StepKind.MAP if not step.is_open:
            return f"{_called(step)} {step.state}{_came_to(step)}{took}{why}"
        case StepKind.STEP | StepKind.COMPENSATION if step.state is StepState.RETRYING:
            due = "" if step.until is None else f", {_due(step.until, now)}"
            return f"{_called(step)} failed{why}; attempt {step.attempt}{due}"
    if step.is_open:
        return _doing(step, "", now)
    return f"{_called(step)} {step.state}{took}{many}{why}"


def _visit(step: StepStatus) -> str:
    """Say how often a machine had entered a state before, with this time; nothing for the first."""
    return f", visit {step.value}" if isinstance(step.value, int) and step.value > 1 else ""


def _came_to(step: StepStatus) -> str:
    """Say how far a batch or a map had come when it ended."""
    if step.progress:
        return f": {step.progress}"
    return "" if step.done is None else f" when {step.done} of {step.total} had ended"


def detail(step: StepStatus, now: datetime) -> str:
    """Write what a table of steps says of one in its last column."""
    if step.error is not None:
        return step.error.summary
    if step.kind is StepKind.STATE:
        return _visit(step).removeprefix(", ")
    if step.kind is StepKind.CHILD and step.run_id:
        return f"run {step.run_id}"
    if step.kind is StepKind.BATCH:
        return step.progress
    if step.kind is StepKind.MAP:
        ended = step.total if step.state is StepState.SUCCEEDED else None
        return f"{step.done if step.done is not None else ended or 0} of {step.total} children"
    if step.is_open and step.until is not None:
        return f"until {when(step.until, now)}"
    if step.is_open and step.worker:
        return f"on worker {step.worker}"
    return "" if step.key is None else f"key {step.key!r}"


def length(seconds: float) -> str:
    """Write how long something took."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else span(seconds)


def shown_steps(timeline: Timeline, *, everything: bool) -> Sequence[StepStatus]:
    """Give the steps of a run that a person wants to see."""
    if everything:
        return timeline.steps
    return [step for step in timeline.steps if step.kind not in QUIET]
