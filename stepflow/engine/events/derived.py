"""
Events of a run, derived from its records: there is no second log, and no step pays for them.

Step records and journal only grow within one history, so numbers say how much of them is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import floor
from typing import Any, NamedTuple

from stepflow.core.events import Event, EventType
from stepflow.core.journal import Entry, EntryKind, first_step
from stepflow.core.run import Run
from stepflow.core.step_record import StepRecord, closed_name, read_name
from stepflow.engine.env import Env
from stepflow.engine.events.entries import Told, event_of_entry
from stepflow.engine.events.position import Position, mark_of
from stepflow.errors import RunNotFound
from stepflow.store.calls import batch
from stepflow.store.events.records import (
    count_step_records,
    load_entries,
    load_first_entry,
    load_step_records,
)
from stepflow.store.runs import load_run, load_steps
from stepflow.times import as_datetime

#: journal entries read in one look, and steps of which all records are not read at once
PAGE = 500
#: seconds between two looks: while something happens, and at most
SOON_S, SAFETY_NET_S = 0.1, 1.0
#: what the outcome of an attempt is called as an event; another one closes its step
_TYPES = {
    "raised": EventType.ATTEMPT_FAILED,
    "lost": EventType.ATTEMPT_LOST,
    "back": EventType.HANDED_BACK,
    "pause": EventType.PAUSED,
}
_ALWAYS = (EventType.ATTEMPT_LOST, EventType.HANDED_BACK, EventType.PAUSED)
_CLOSING = ("continue", "succeed", "fail", "cancel")
#: outcomes by which a run may have ended
_ENDING = ("raised", "fail")


class _Record(NamedTuple):
    step: int
    is_closed: bool
    record: StepRecord


class _Fact(NamedTuple):
    """What happened at a time, and how the position moves past it; without a *told*, no event."""

    at: float
    told: Told | None
    move: Callable[[], None]


class EventReader:
    """Where one reader of one run's events is; *after* is the id of the last one it knows."""

    def __init__(self, run_id: str, env: Env, *, after: str | None = None) -> None:
        self.run_id = run_id
        self._env = env
        self._at = Position.read(after)
        self._wait_s = SOON_S
        #: whether there is more to read at once
        self.has_more = False
        #: whether the run has ended and all was read
        self.is_over = False

    @property
    def wait_s(self) -> float:
        """Seconds until the next look, should nobody be notified before."""
        return self._wait_s

    @property
    def channels(self) -> Sequence[str]:
        """The channel on which the run's end is said."""
        return (self._env.keys.done_channel(self.run_id),)

    async def look(self) -> list[Event]:
        """Read what has happened since; raises RunNotFound."""
        keys, run_id, at = self._env.keys, self.run_id, self._at
        run, count, first, entries = await batch(
            load_run(keys, run_id),
            count_step_records(keys, run_id),
            load_first_entry(keys, run_id),
            load_entries(keys, run_id, at.journal, PAGE),
        )
        if run is None:
            raise RunNotFound(run_id)
        events = self._tell(run, list(self._begin(run)))
        if self._at is not at:  # another generation
            entries = await load_entries(keys, run_id, 0, PAGE)
        restarted = self._restarted(first)
        if restarted is not None:
            events += self._tell(run, [restarted])
            count = await count_step_records(keys, run_id)
            entries = await load_entries(keys, run_id, 1, PAGE)
        elif self._is_retried(run) or self._missed_ends(run) > 0:
            entries = await self._find_again(entries)
        records = await self._load_records(run, count)
        found = _merge(
            list(self._of_stop(run)),
            list(self._of_records(run, records)),
            [self._of_entry(entry) for entry in entries],
        )
        self.has_more = len(entries) == PAGE
        self.is_over = run.is_finished and not self.has_more
        events += self._tell(run, found)
        if not self.has_more:
            events += self._tell(run, self._of_end(run))
        self._wait_s = SOON_S if events else min(SAFETY_NET_S, self._wait_s * 1.5)
        return events

    def _tell(self, run: Run, facts: Sequence[_Fact] | Iterator[_Fact]) -> list[Event]:
        """Move past each fact in turn; an event's id is the position behind it."""
        events = []
        for fact in facts:
            fact.move()
            if fact.told is not None:
                kind, details = fact.told
                at = as_datetime(fact.at)
                events.append(Event(self._at.write(), kind, run.id, run.runner, at, details))
        return events

    def _begin(self, run: Run) -> Iterator[_Fact]:
        """Tell how the run came to be, once in each generation."""
        if run.generation != self._at.generation:
            self._at = Position(generation=run.generation)
        at = self._at
        if not at.is_submitted:
            told = {"queue": run.queue, "generation": run.generation, "version": run.version}
            yield _Fact(run.created_at, (EventType.SUBMITTED, told), _setter(at, "is_submitted", 1))
        if run.started_at and not at.is_started:
            yield _Fact(run.started_at, (EventType.STARTED, {}), _setter(at, "is_started", 1))

    def _restarted(self, first: bytes | None) -> _Fact | None:
        """Go over to the history that the run has begun since, if it has."""
        try:
            entry = Entry.read(first or b"")
            count = int(entry.name) if entry.kind is EntryKind.START else self._at.restarts
        except ValueError:  # whoever replays the run says what is wrong
            return None
        if count == self._at.restarts:
            return None
        step = first_step(entry)
        told = EventType.RESTARTED, {"count": count}
        return _Fact(entry.at, told, lambda: self._at.begin_history(count, step))

    def _is_retried(self, run: Run) -> bool:
        """Whether the end that was told last does not hold any more."""
        return bool(self._at.is_ended) and (not run.is_finished or run.ends > self._at.ends)

    def _missed_ends(self, run: Run) -> int:
        """Count the ends that were not told and do not hold any more."""
        return run.ends - bool(run.is_finished) - self._at.ends

    async def _find_again(self, entries: list[bytes]) -> list[bytes]:
        """Find the place in a journal from which a retry took the failure away."""
        at = self._at
        if not at.journal:
            return entries
        journal = await load_entries(self._env.keys, self.run_id, 0)
        marks = [mark_of(entry) for entry in journal]
        known = [marks.index(mark) + 1 for mark in at.tail if mark in marks]
        at.journal = max(known, default=min(at.journal, len(journal)))
        return journal[at.journal :][:PAGE]

    async def _load_records(self, run: Run, count: int) -> list[_Record]:
        """Read the step records that are not told, in the order in which their attempts ended."""
        keys, at = self._env.keys, self._at
        closed = range(at.step, run.step + bool(run.is_finished))
        if count <= at.records and not closed:
            return []
        if len(closed) <= PAGE:
            names = [closed_name(number) for number in closed]
            written = await load_step_records(keys, self.run_id, names) if names else []
            pairs = zip(closed, written, strict=True)
            known = [_read(number, text, is_closed=True) for number, text in pairs]
            new = [each for each in known if each and not at.has_told(each.step, each.record.token)]
            if count <= at.records + len(new):
                return new
        row = await load_steps(keys, self.run_id)
        named = [(*read_name(name), text) for name, text in row.items()]
        found = [
            record
            for number, is_closed, text in named
            if (at.step <= number <= run.step) and (not is_closed or number in closed)
            if (record := _read(number, text, is_closed=is_closed))
            if not at.has_told(number, record.record.token)
        ]
        return sorted(found, key=_order)

    def _of_records(self, run: Run, records: Sequence[_Record]) -> Iterator[_Fact]:
        at, missed, end = self._at, self._missed_ends(run), self._at.ends
        if self._is_retried(run):
            yield self._of_retry(0.0, end)
        elif missed > 0 and at.is_ending:
            missed, end = missed - 1, end + 1
            yield from self._of_missed_end(0.0, end)
        for number, is_closed, record in records:
            # no more records come for a step that the run has left behind
            is_final = is_closed and number < run.step
            is_ending = not is_final and record.outcome in _ENDING and not record.due_at
            move = partial(
                at.pass_record, number, record.token, is_final=is_final, is_ending=is_ending
            )
            yield _Fact(record.ended_at, told_of(number, record, run), move)
            if missed > 0 and is_ending and not is_closed:
                missed, end = missed - 1, end + 1
                yield from self._of_missed_end(record.ended_at, end)

    def _of_missed_end(self, at: float, end: int) -> Iterator[_Fact]:
        """Tell an end that did not last: somebody retried the run before it was read."""
        yield _Fact(at, (EventType.ENDED, {"state": "failed", "end": end}), self._ender(end))
        yield self._of_retry(at, end)

    def _of_retry(self, at: float, end: int) -> _Fact:
        return _Fact(at, (EventType.RETRIED, {"end": end}), _setter(self._at, "is_ended", 0))

    def _ender(self, number: int) -> Callable[[], None]:
        def end() -> None:
            self._at.ends, self._at.is_ended, self._at.is_ending = number, 1, 0

        return end

    def _of_entry(self, written: bytes) -> _Fact:
        at, told = event_of_entry(written)
        return _Fact(at, told, lambda: self._at.pass_entry(written))

    def _of_stop(self, run: Run) -> Iterator[_Fact]:
        stop = run.stop
        mark = "" if stop is None else f"{stop.at:.3f}"
        if stop is None:
            self._at.stop = ""
        elif mark != self._at.stop:
            details = {"kind": str(stop.kind), "reason": stop.reason, "by": run.stopped_by}
            yield _Fact(stop.at, (EventType.STOP_ASKED, details), _setter(self._at, "stop", mark))

    def _of_end(self, run: Run) -> Iterator[_Fact]:
        if run.is_finished and run.ends > self._at.ends:
            details = {"state": str(run.state), "end": run.ends}
            yield _Fact(run.ended_at, (EventType.ENDED, details), self._ender(run.ends))


def _read(number: int, written: bytes | None, *, is_closed: bool) -> _Record | None:
    try:
        return None if written is None else _Record(number, is_closed, StepRecord.read(written))
    except ValueError:
        return None


def _order(each: _Record) -> tuple[int, bool, float, float, str]:
    record = each.record
    return each.step, each.is_closed, record.ended_at, record.started_at, record.token


def told_of(number: int, record: StepRecord, run: Run) -> Told | None:
    """Say what a step record tells; the activations of a workflow close in silence."""
    kind = _TYPES.get(record.outcome)
    is_silent = run.has_journal and not (record.due_at or kind in _ALWAYS)
    if is_silent or (kind is None and record.outcome not in _CLOSING):
        return None
    details: dict[str, Any] = {
        "step": number, "attempt": record.attempt, "worker": record.worker,
    }  # fmt: skip
    if kind is EventType.ATTEMPT_FAILED:
        due_at = as_datetime(record.due_at)
        details |= {
            "error": record.error, "next_at": None if due_at is None else due_at.isoformat(),
        }  # fmt: skip
    if kind is None:
        details |= {"outcome": record.outcome, "took_s": record.took_s}
    return kind or EventType.STEP_CLOSED, details


def _merge(*sequences: Sequence[_Fact]) -> Iterator[_Fact]:
    """
    Go through sequences side by side by time, each in its own order.

    Step records have milliseconds: within one, the sequence that stands first goes first.
    """
    at = [0] * len(sequences)
    while True:
        heads = [
            (floor(sequence[at[number]].at * 1000), number)
            for number, sequence in enumerate(sequences)
            if at[number] < len(sequence)
        ]
        if not heads:
            return
        _, number = min(heads)
        yield sequences[number][at[number]]
        at[number] += 1


def _setter(position: Position, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(position, name, value)
