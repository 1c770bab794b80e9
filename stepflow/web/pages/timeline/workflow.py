"""The steps of a workflow as rows: attempts, the waits between them, what came and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from stepflow.engine.timeline import StepKind, StepState, StepStatus, Trace
from stepflow.times import as_datetime
from stepflow.web.pages.timeline.bundles import Listed
from stepflow.web.pages.timeline.model import Item, Look, Mark, Row, Segment, Shown, Window
from stepflow.web.pages.timeline.words import brief

#: kinds that are notes of the run: the journal has them
_QUIET = frozenset({StepKind.VARIABLE, StepKind.FORGET, StepKind.PATCH})
#: kinds that happen at a moment
_MOMENTS = frozenset({
    StepKind.STATE, StepKind.RESTART, StepKind.STOP, StepKind.UNDO, StepKind.UNREADABLE,
})  # fmt: skip
_LOOKS = {
    StepKind.SLEEP: Look.SLEEP, StepKind.SIGNAL: Look.SIGNAL, StepKind.QUESTION: Look.QUESTION,
    StepKind.CHILD: Look.CHILD, StepKind.MAP: Look.CHILD,
}  # fmt: skip
_OPENED = frozenset({StepKind.CHILD, StepKind.MAP})
_BAD = frozenset({StepState.FAILED, StepState.TIMED_OUT})
#: seconds between a wait's end and its step's that are worth a stretch of their own
_LATE_S = 0.05


class WorkflowSteps:
    """Makes the rows of a workflow."""

    has_names = True

    def __init__(self, trace: Trace, window: Window, shown: Shown) -> None:
        self._steps = [_ready(step, trace, shown) for step in trace.steps]
        self._window = window
        self._keys = keys_of(trace.steps)

    def items(self) -> Listed:
        """Give what is to become a row, in the order in which it began."""
        return Listed(
            self._item(index, step)
            for index, step in enumerate(self._steps)
            if step.kind not in _QUIET
        )

    def _item(self, index: int, step: StepStatus) -> Item:
        end = unix(step.ended_at)
        is_open = step.is_open and self._window.is_live
        if not end:
            end = self._window.last if step.started_at else 0.0
        return Item(
            self._keys[index], step.kind, step.name, range(index, index + 1),
            unix(step.started_at) or end, end, step.took_s, step.state in _BAD, is_open,
        )  # fmt: skip

    def row(self, item: Item, depth: int = 0) -> Row:
        """Make the row of an item."""
        step, window = self._steps[item.indexes.start], self._window
        found = (window.clip(segment) for segment in segments_of(step, window))
        opens = f"{step.kind}:{step.run_id}" if step.kind in _OPENED and step.run_id else None
        return Row(
            item.key, step.kind, step.name or "a step", step.state,
            [segment for segment in found if segment is not None],
            [mark for mark in marks_of(step) if window.first <= mark.at <= window.last],
            took_s=step.took_s, note=note_of(step, window), run_id=step.run_id, opens=opens,
            depth=depth, is_live=item.is_open,
        )  # fmt: skip


def _ready(step: StepStatus, trace: Trace, shown: Shown) -> StepStatus:
    """
    Leave of errors what may be seen.

    And end a child when it ended, not when its parent asked for what came of it.
    """
    if step.error is not None:
        failed = [
            each if each.error is None else replace(each, error=shown.seen(each.error))
            for each in step.failed_attempts
        ]
        step = replace(step, error=shown.seen(step.error), failed_attempts=failed)
    end = trace.child_ends.get(step.run_id or "") if step.kind is StepKind.CHILD else None
    if end is None or step.started_at is None:
        return step
    took_s = max(end - step.started_at.timestamp(), 0.0)
    return replace(step, ended_at=as_datetime(end), took_s=took_s)


def keys_of(steps: Sequence[StepStatus]) -> list[str]:
    """Name each step by its place; a key that ran again, and what has no place, get a number."""
    found: list[str] = []
    seen: dict[str, int] = {}
    for step in steps:
        place = step.place or f"{step.kind}.{step.name}"
        seen[place] = count = seen.get(place, 0) + 1
        found.append(place if count == 1 else f"{place}~{count}")
    return found


def segments_of(step: StepStatus, window: Window) -> Iterator[Segment]:
    """Give what the time of a step was spent with, from its first attempt to its end."""
    if step.kind in _MOMENTS or step.started_at is None:
        return
    look = _LOOKS.get(step.kind)
    if look is None:
        yield from _attempts(step, window)
        return
    start, end = unix(step.started_at), unix(step.ended_at) or window.last
    until = unix(step.until)
    waited = min(until, end) if step.kind is StepKind.SLEEP and until else end
    yield Segment(look, start, waited, str(step.state), step.is_open)
    if end - waited > _LATE_S:
        yield Segment(Look.QUEUE, waited, end, "waited for a worker", step.is_open)


def _attempts(step: StepStatus, window: Window) -> Iterator[Segment]:
    """Give each attempt of a step, with the waits before it."""
    start, ready = unix(step.started_at), 0.0
    for number, failed in enumerate(step.failed_attempts, 1):
        end = unix(failed.ended_at)
        began = unix(failed.started_at) or start or end
        if ready:
            yield from _queued(ready, began)
        why = f": {brief(failed.error)}" if failed.error else ""
        yield Segment(Look.FAILED, began, end, f"attempt {number} failed{why}")
        ready = max(unix(failed.next_at), end)
        if ready > end:
            yield Segment(Look.RETRY, end, ready, f"until attempt {number + 1}")
        start = 0.0
    end = unix(step.ended_at) or window.last
    if step.state is StepState.RETRYING:
        if ready < window.last:
            yield Segment(Look.QUEUE, ready, window.last, "waits for a worker", is_open=True)
        return
    began = max(start or (end - step.took_s if step.took_s is not None else ready), ready)
    if ready:
        yield from _queued(ready, began)
    look = {StepState.FAILED: Look.FAILED, StepState.CANCELLED: Look.LOST}.get(step.state)
    title = f"attempt {step.attempt} {step.state}" if step.attempt > 1 else str(step.state)
    yield Segment(look or Look.WORK, min(began, end), end, title, step.is_open)


def _queued(ready: float, began: float) -> Iterator[Segment]:
    if began - ready > _LATE_S:
        yield Segment(Look.QUEUE, ready, began, "waited for a worker")


def marks_of(step: StepStatus) -> Iterator[Mark]:
    """Give the moments of a step: what came, and what ended it."""
    end = unix(step.ended_at)
    if step.kind in _MOMENTS:
        yield Mark(str(step.kind), unix(step.started_at), str(step.kind))
    elif step.kind in {StepKind.SIGNAL, StepKind.QUESTION} and end:
        came = "timeout" if step.state is StepState.TIMED_OUT else str(step.kind)
        yield Mark(came, end, f"{step.kind} {step.state}")


def note_of(step: StepStatus, window: Window) -> str:
    """Say in a few words what the bar does not show."""
    if step.error is not None:
        return brief(step.error)
    if step.kind is StepKind.BATCH:
        return step.progress
    if step.kind is StepKind.MAP and step.total is not None:
        is_done = step.state is StepState.SUCCEEDED and step.done is None
        return f"{step.total if is_done else step.done or 0:,} of {step.total:,} ended"
    if step.ended_at is not None and unix(step.ended_at) < window.first:
        return "remembered from before this run"
    return f"key {step.key}" if step.key is not None else ""


def unix(moment: datetime | None) -> float:
    """Give a moment as unix seconds, 0 for none."""
    return 0.0 if moment is None else moment.timestamp()
