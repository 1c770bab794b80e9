"""The steps of a runner as rows: a row a step, with its attempts and the waits between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import overload

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.step_record import Attempt, StepRecord
from stepflow.engine.timeline import StepKind, StepState, StepStatus, Trace
from stepflow.web.pages.timeline.model import Item, Look, Row, Segment, Window
from stepflow.web.pages.timeline.words import brief
from stepflow.web.pages.timeline.workflow import unix

_STATES = {
    "fail": StepState.FAILED, "raised": StepState.FAILED, "cancel": StepState.CANCELLED,
    "lost": StepState.LOST, "back": StepState.HANDED_BACK,
}  # fmt: skip
_LOOKS = {
    StepState.FAILED: Look.FAILED, StepState.CANCELLED: Look.LOST, StepState.LOST: Look.LOST,
    StepState.HANDED_BACK: Look.LOST,
}  # fmt: skip
_PRESENT = {
    StepState.RUNNING: (Look.WORK, "runs"), StepState.PENDING: (Look.QUEUE, "waits for a worker"),
    StepState.SCHEDULED: (Look.SLEEP, "is due later"),
    StepState.RETRYING: (Look.RETRY, "is tried again"),
}  # fmt: skip
#: seconds between two attempts that are worth a stretch of their own
_LATE_S = 0.002


class RunnerSteps:
    """Makes the rows of a runner's run."""

    #: they are called by their number: there is nothing to bundle by
    has_names = False

    def __init__(self, trace: Trace, window: Window) -> None:
        self._attempts = trace.attempts
        self._present: StepStatus | None = trace.steps[0] if trace.steps else None
        self._window = window
        self._began = unix(trace.run.created_at)

    def items(self) -> Sequence[Item]:
        """Give what is to become a row, a step each."""
        return _Items(self._attempts, self._present, self._window.last)

    def row(self, item: Item, depth: int = 0) -> Row:
        """Make the row of a step."""
        tried = self._attempts[item.indexes.start : item.indexes.stop]
        state = StepState.SUCCEEDED
        if item.is_open and self._present is not None:
            state = self._present.state
        elif tried:
            state = _STATES.get(tried[-1].record.outcome, state)
        found = (self._window.clip(segment) for segment in self._segments(item, tried))
        error = next((each.record.error for each in reversed(tried) if each.record.error), "")
        return Row(
            item.key, StepKind.STEP, item.name, state,
            [segment for segment in found if segment is not None],
            took_s=item.took_s, note=_brief(error), depth=depth, is_live=item.is_open,
        )  # fmt: skip

    def _segments(self, item: Item, tried: Sequence[Attempt]) -> Iterator[Segment]:
        ready, wait = self._ended_before(item), Segment(Look.START, 0, 0, "waited for its start")
        for _, _, record in tried:
            yield from _between(wait, ready, record.started_at)
            yield _of_attempt(record)
            ready = record.ended_at
            if record.due_at > ready:
                yield Segment(Look.RETRY, ready, record.due_at, "until the next attempt")
                ready = record.due_at
        present = self._present
        if item.is_open and present is not None:
            look, title = _PRESENT.get(present.state, (Look.WORK, str(present.state)))
            since = max(unix(present.started_at), ready) if look is Look.WORK else ready
            yield Segment(
                look, min(since, self._window.last), self._window.last, title, is_open=True
            )

    def _ended_before(self, item: Item) -> float:
        """Say when the step before ended; for the first one, when the run was submitted."""
        before = item.indexes.start - 1
        return self._attempts[before].record.ended_at if before >= 0 else self._began


class _Items(Sequence[Item]):
    """The items of a run, made when they are asked for: there may be a hundred thousand."""

    def __init__(
        self, attempts: Sequence[Attempt], present: StepStatus | None, last: float
    ) -> None:
        self._attempts, self._present, self._last = attempts, present, last
        numbers = list(map(_number, attempts))
        #: with which attempt each step begins, and where the last one ends
        self._edges = [
            index
            for index, number in enumerate(numbers)
            if not index or numbers[index - 1] != number
        ]
        is_new = present is not None and (not numbers or numbers[-1] != present.number)
        self._edges += [len(numbers)] * (1 + is_new)

    def __len__(self) -> int:
        return len(self._edges) - 1

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | Sequence[Item]:
        """Make one item, or some."""
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError(at)
        start, stop = self._edges[at], self._edges[at + 1]
        is_open = self._present is not None and at == len(self) - 1
        if start == stop:
            return self._opening(stop)
        first, last = self._attempts[start].record, self._attempts[stop - 1].record
        number, ended = self._attempts[start].number, self._last if is_open else last.ended_at
        has_failed = stop - start > 1 or last.outcome in _STATES
        return Item(
            str(number), StepKind.STEP, f"step {number}", range(start, stop), first.started_at,
            ended, last.ended_at - last.started_at, has_failed, is_open,
        )  # fmt: skip

    def _opening(self, at: int) -> Item:
        """Make the item of the step that the run is at, which has left no record yet."""
        present = self._present
        assert present is not None
        since = unix(present.started_at) or self._last
        return Item(
            str(present.number), StepKind.STEP, present.name, range(at, at), since, self._last,
            None, has_failed=False, is_open=True,
        )  # fmt: skip


_number = itemgetter(0)


def _of_attempt(record: StepRecord) -> Segment:
    state = _STATES.get(record.outcome, StepState.SUCCEEDED)
    why = f": {_brief(record.error)}" if record.error else ""
    title = f"attempt {record.attempt} {record.outcome}{why}"
    return Segment(_LOOKS.get(state, Look.WORK), record.started_at, record.ended_at, title)


def _between(wait: Segment, ready: float, start: float) -> Iterator[Segment]:
    if start - ready > _LATE_S:
        yield wait._replace(start=ready, end=start)


def _brief(error: str) -> str:
    info = ErrorInfo.of_brief(error)
    return "" if info is None else brief(info)
