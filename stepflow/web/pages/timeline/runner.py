"""The steps of a runner as rows: a row a step, with its attempts and the waits between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Self

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.step_record import Attempt, Columns, StepRecord
from stepflow.engine.timeline import StepKind, StepState, StepStatus, Trace
from stepflow.web.pages.timeline.model import Item, Look, Row, Segment, Shown, Span, Window
from stepflow.web.pages.timeline.words import brief
from stepflow.web.pages.timeline.workflow import unix

_STATES = {
    "fail": StepState.FAILED, "raised": StepState.FAILED, "cancel": StepState.CANCELLED,
    "lost": StepState.LOST, "back": StepState.HANDED_BACK, "postponed": StepState.HANDED_BACK,
}  # fmt: skip
_LOOKS = {
    StepState.FAILED: Look.FAILED, StepState.CANCELLED: Look.LOST, StepState.LOST: Look.LOST,
    StepState.HANDED_BACK: Look.LOST,
}  # fmt: skip
_PRESENT = {
    StepState.RUNNING: (Look.WORK, "runs"), StepState.PENDING: (Look.QUEUE, "waits for a worker"),
    StepState.SCHEDULED: (Look.SLEEP, "is due later"),
    StepState.RETRYING: (Look.RETRY, "waits to retry"),
}  # fmt: skip
#: seconds between two attempts that are worth a stretch of their own
_LATE_S = 0.002


class RunnerSteps:
    """Makes the rows of a runner's run."""

    #: they are called by their number: there is nothing to bundle by
    has_names = False

    def __init__(self, trace: Trace, window: Window, shown: Shown) -> None:
        self._seen = shown.seen
        self._trace = trace
        self._attempts = trace.attempts
        self._present: StepStatus | None = trace.steps[0] if trace.steps else None
        self._window = window
        self._began = unix(trace.run.created_at)

    def items(self) -> RunnerItems:
        """Give what is to become a row, a step each."""
        return RunnerItems.of(self._trace, self._window.last)

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
            took_s=item.took_s, note=self._brief(error), depth=depth, is_live=item.is_open,
        )  # fmt: skip

    def _segments(self, item: Item, tried: Sequence[Attempt]) -> Iterator[Segment]:
        ready, wait = self._ended_before(item), Segment(Look.START, 0, 0, "waited to start")
        for _, _, record in tried:
            yield from _between(wait, ready, record.started_at)
            yield self._of_attempt(record)
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

    def _of_attempt(self, record: StepRecord) -> Segment:
        state = _STATES.get(record.outcome, StepState.SUCCEEDED)
        why = f": {self._brief(record.error)}" if record.error else ""
        title = f"attempt {record.attempt} {record.outcome}{why}"
        return Segment(_LOOKS.get(state, Look.WORK), record.started_at, record.ended_at, title)

    def _brief(self, error: str) -> str:
        info = ErrorInfo.of_brief(error)
        return "" if info is None else brief(self._seen(info))

    def _ended_before(self, item: Item) -> float:
        """Say when the step before ended; for the first one, when the run was submitted."""
        before = item.indexes.start - 1
        return self._attempts[before].record.ended_at if before >= 0 else self._began


class RunnerItems:
    """The items of a run, made when they are asked for: there may be a hundred thousand."""

    def __init__(
        self, columns: Columns, edges: Sequence[int], present: StepStatus | None, last: float,
        wanted: range,
    ) -> None:  # fmt: skip
        self._columns, self._present, self._last = columns, present, last
        #: with which attempt each step of the run begins, and where the last one ends
        self._edges = edges
        #: which of these steps the items are
        self._wanted = wanted

    @classmethod
    def of(cls, trace: Trace, last: float) -> Self:
        """Give those of a run whose timeline ends at *last*."""
        columns = trace.attempts.columns
        numbers, present = columns.numbers, trace.steps[0] if trace.steps else None
        edges = [0] if numbers else []
        edges += [at for at, (one, two) in enumerate(pairwise(numbers), 1) if one != two]
        is_new = present is not None and (not numbers or numbers[-1] != present.number)
        edges += [len(numbers)] * (1 + is_new)
        return cls(columns, edges, present, last, range(len(edges) - 1))

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[Item]:
        return map(self._item, self._wanted)

    def part(self, first: int, stop: int) -> RunnerItems:
        """Give some of them."""
        wanted = self._wanted[first:stop]
        return RunnerItems(self._columns, self._edges, self._present, self._last, wanted)

    def spans(self) -> Iterator[Span]:
        """Give what a bundle takes of them."""
        starts, ends, bad = self._columns[1:]
        edges = self._edges
        for at in self._wanted:
            start, stop = edges[at], edges[at + 1]
            if start == stop or self._is_present(at):
                item = self._item(at)
                yield item.start, item.end, item.took_s, item.has_failed, item.is_open
                continue
            last = stop - 1
            end = ends[last]
            has_failed = last > start or bool(bad[last])
            yield starts[start], end, end - starts[last], has_failed, False

    def __getitem__(self, index: int) -> Item:
        return self._item(self._wanted[index])

    def _item(self, at: int) -> Item:
        start, stop = self._edges[at], self._edges[at + 1]
        if start == stop:
            return self._opening(stop)
        numbers, starts, ends, bad = self._columns
        number, is_open = numbers[start], self._is_present(at)
        return Item(
            str(number), StepKind.STEP, f"step {number}", range(start, stop), starts[start],
            self._last if is_open else ends[stop - 1], ends[stop - 1] - starts[stop - 1],
            stop - start > 1 or bool(bad[stop - 1]), is_open,
        )  # fmt: skip

    def _is_present(self, at: int) -> bool:
        return self._present is not None and at == len(self._edges) - 2

    def _opening(self, at: int) -> Item:
        """Make the item of the step that the run is at, which has left no record yet."""
        present = self._present
        assert present is not None
        since = unix(present.started_at) or self._last
        return Item(
            str(present.number), StepKind.STEP, present.name, range(at, at), since, self._last,
            None, has_failed=False, is_open=True,
        )  # fmt: skip


def _between(wait: Segment, ready: float, start: float) -> Iterator[Segment]:
    if start - ready > _LATE_S:
        yield wait._replace(start=ready, end=start)
