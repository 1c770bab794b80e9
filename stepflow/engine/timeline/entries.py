"""A workflow's journal read as steps: entries about the same thing become one step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from stepflow.core.children import ChildEnd
from stepflow.core.ids import child_run_id
from stepflow.core.journal import (
    ENTERED,
    KEYED,
    SEPARATOR,
    Entry,
    EntryKind,
    batch_name,
    read_batch,
    read_try,
)
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, UnreadableText
from stepflow.engine.timeline.model import (
    ANSWERED,
    EVERY_CHILD,
    UNANSWERED,
    FailedAttempt,
    StepKind,
    StepState,
    StepStatus,
)
from stepflow.errors import StepflowError
from stepflow.store.values.codec import unpack, unpack_shown
from stepflow.store.variables import read_var
from stepflow.times import as_datetime

#: how the names and places of what is no plain step begin
_SPAWN, _UNDO, _REMOTE, _MAP = "spawn ", "undo ", "step:", "map "
_OF_MAP = re.compile(r"map (?P<name>.+) of (?P<total>\d{1,7})")
_DONE = StepState.SUCCEEDED
#: what the core's own commands call themselves in the journal
_SLEEP, _QUESTION = "sleep", "decision"


class JournalReader:
    """
    Reads the journal of one run, entry by entry; `steps` has what it made of them.

    *restarts* is how often the run has continued as new.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.restarts = 0
        self._steps: list[StepStatus] = []
        #: the index of the step at a place, the newest for a key that was forgotten
        self._at: dict[str, int] = {}
        self._child_at: dict[str, int] = {}
        self._read: dict[EntryKind, Callable[[Entry], None]] = {
            EntryKind.VALUE: self._value, EntryKind.ERROR: self._error, EntryKind.TRY: self._try,
            EntryKind.DUE: self._due, EntryKind.OVER: self._over, EntryKind.SIGNAL: self._signal,
            EntryKind.NONE: self._none, EntryKind.ANSWER: self._answer,
            EntryKind.TIMER: self._over,
            EntryKind.EMIT: _pass, EntryKind.TIME: _pass, EntryKind.MEMO: _pass,
            EntryKind.BATCH: self._batch,
            EntryKind.CHILD: self._child, EntryKind.MAP: self._map_end, EntryKind.VAR: self._var,
        }  # fmt: skip

    @property
    def steps(self) -> list[StepStatus]:
        """What was read so far, in the order in which it began."""
        return self._steps

    def read(self, journal: Sequence[bytes]) -> None:
        """Read all of a journal; an entry that cannot be read is shown in its place."""
        for written in journal:
            try:
                entry = Entry.read(written)
                self._read.get(entry.kind, self._note)(entry)
            except (ValueError, TypeError, KeyError, IndexError, StepflowError) as error:
                text = f"{written[:60]!r} ({error})"
                self._steps.append(StepStatus(StepKind.UNREADABLE, text, StepState.SUCCEEDED))

    def _value(self, entry: Entry) -> None:
        place, name = entry.place, entry.name
        if place.endswith(".stop") and name == "stop the rest":
            return
        if place == "children" and name == "to end":
            self._put(place, entry, kind=StepKind.CHILD, name=EVERY_CHILD, state=_DONE)
            return
        value = _unpacked(entry.data)
        if place.endswith(ENTERED) and not place.startswith(KEYED):
            self._put(
                place, entry, kind=StepKind.STATE, state=_DONE, value=value, took_s=None,
                started_at=as_datetime(entry.at),
            )  # fmt: skip
            return
        found = _OF_MAP.fullmatch(name) if place.endswith(".begin") else None
        if found is not None and isinstance(value, str):
            self._put(
                place.removesuffix(".begin"), entry, kind=StepKind.MAP, name=found["name"],
                state=StepState.WAITING, run_id=value, total=int(found["total"]), took_s=None,
                ended_at=None,
            )  # fmt: skip
            return
        if name.startswith(_SPAWN) and self._is_child(place, value):
            runner = name.removeprefix(_SPAWN).removeprefix(_REMOTE)
            self._put(
                place, entry, kind=StepKind.CHILD, name=runner, state=StepState.WAITING,
                run_id=value, took_s=None, ended_at=None,
            )  # fmt: skip
            self._child_at[value] = self._at[place]
            return
        self._put(place, entry, state=StepState.SUCCEEDED, value=value, until=None, error=None)

    def _is_child(self, place: str, value: Any) -> bool:
        """Whether *value* is the id of the child that the run, or its origin, begins at a place."""
        owners = [(self._run.id, self._run.generation)]
        if self._run.origin:
            run_id, _, generation = self._run.origin.partition("|")[0].rpartition(".")
            owners.append((run_id, int(generation) if generation.isdecimal() else 0))
        return any(
            value == child_run_id(run_id, generation, self.restarts, place)
            for run_id, generation in owners
        )

    def _error(self, entry: Entry) -> None:
        kind, message, trace, *_ = unpack(entry.data)
        error = ErrorInfo(str(kind), str(message), str(trace))
        self._put(entry.place, entry, state=StepState.FAILED, error=error, until=None)

    def _try(self, entry: Entry) -> None:
        due_at, brief = read_try(entry.data)
        next_at, error = as_datetime(due_at), ErrorInfo.of_brief(brief)
        if error is None:  # a poll that found nothing
            step = self._put(
                entry.place, entry, state=StepState.WAITING, until=next_at, ended_at=None,
                took_s=None, error=None,
            )  # fmt: skip
            self._steps[self._at[entry.place]] = replace(step, attempt=step.attempt + 1)
            return
        step = self._put(
            entry.place, entry, state=StepState.RETRYING, until=next_at, ended_at=None,
            took_s=None, error=error,
        )  # fmt: skip
        began_at = None if entry.took_ms is None else as_datetime(entry.at - entry.took_ms / 1000)
        failed = FailedAttempt(began_at, as_datetime(entry.at), next_at, error)
        self._steps[self._at[entry.place]] = replace(
            step, attempt=step.attempt + 1, failed_attempts=(*step.failed_attempts, failed)
        )

    def _due(self, entry: Entry) -> None:
        index = self._at.get(entry.place.removesuffix(".wait"))
        if entry.place.endswith(".wait") and index is not None:  # the timeout of a map
            until = as_datetime(float(entry.data))
            self._steps[index] = replace(self._steps[index], until=until)
            return
        kinds = {_SLEEP: StepKind.SLEEP, _QUESTION: StepKind.QUESTION}
        self._put(
            entry.place, entry, kind=kinds.get(entry.name, StepKind.SIGNAL),
            state=StepState.WAITING, until=as_datetime(float(entry.data)), ended_at=None,
            started_at=as_datetime(entry.at),
        )  # fmt: skip

    def _over(self, entry: Entry) -> None:
        self._put(entry.place, entry, kind=StepKind.SLEEP, state=StepState.SUCCEEDED)

    def _signal(self, entry: Entry) -> None:
        name, packed = entry.data.split(SEPARATOR, 1)
        self._put(
            entry.place, entry, kind=StepKind.SIGNAL, name=name.decode("utf-8", "replace"),
            state=StepState.SUCCEEDED, value=_unpacked(packed),
        )  # fmt: skip

    def _none(self, entry: Entry) -> None:
        self._put(entry.place, entry, kind=StepKind.SIGNAL, state=StepState.TIMED_OUT)

    def _answer(self, entry: Entry) -> None:
        state = StepState.SUCCEEDED if entry.data else StepState.TIMED_OUT
        value = _unpacked(entry.data[1:]) if entry.data else None
        name = ANSWERED if entry.data else UNANSWERED  # no entry has what was asked
        self._put(entry.place, entry, kind=StepKind.QUESTION, name=name, state=state, value=value)

    def _batch(self, entry: Entry) -> None:
        progress, _ = read_batch(entry.data)
        step = self._put(
            entry.place, entry, kind=StepKind.BATCH, name=batch_name(entry.name),
            state=_DONE if progress.is_done else StepState.RUNNING, total=progress.total,
            done=progress.done, failed=progress.failed, until=None, error=None,
        )  # fmt: skip
        if not progress.is_done:
            step = replace(step, ended_at=None, took_s=None)
        started_at = step.started_at or as_datetime(entry.at)
        self._steps[self._at[entry.place]] = replace(step, started_at=started_at)

    def _child(self, entry: Entry) -> None:
        end = ChildEnd.read(entry.data)
        place = entry.place.removesuffix(".end")
        index = self._at.get(place)
        if entry.place == place or index is None:  # it stands where its result was asked for
            index = self._child_at.get(entry.name)
        if index is None:
            return
        step, at = self._steps[index], as_datetime(entry.at)
        name = step.name if entry.name == step.run_id else entry.name
        state = StepState.SUCCEEDED if end.is_success else StepState.FAILED
        state = StepState.CANCELLED if end.status == "cancelled" else state
        value = _unpacked(end.packed)
        error = None if end.is_success else _child_error(value)
        self._steps[index] = replace(
            step, name=name, state=state, ended_at=at, took_s=_between(step.started_at, at),
            value=value if end.is_success else None, error=error,
        )  # fmt: skip

    def _map_end(self, entry: Entry) -> None:
        index = self._at.get(entry.place.removesuffix(".wait"))
        if index is None:
            return
        step, at = self._steps[index], as_datetime(entry.at)
        took_s = _between(step.started_at, at)
        step = replace(step, ended_at=at, took_s=took_s, until=None)
        if entry.data.startswith(b"failed|"):
            error = _child_error(_unpacked(ChildEnd.read(entry.data).packed))
            self._steps[index] = replace(step, state=StepState.FAILED, error=error)
            return
        _, _, succeeded, failed = entry.data.split(SEPARATOR)
        done = int(succeeded) + int(failed)
        self._steps[index] = replace(step, state=StepState.SUCCEEDED, done=done)

    def _var(self, entry: Entry) -> None:
        # an incr of what is no number is answered by '!', a swap by 1 or 0
        value = None if entry.data == b"!" else read_var(entry.data)
        self._put(
            entry.place, entry, kind=StepKind.VARIABLE, state=StepState.SUCCEEDED, value=value
        )

    def _note(self, entry: Entry) -> None:
        """Take in an entry that is about the run itself."""
        kinds = {
            EntryKind.FORGET: StepKind.FORGET, EntryKind.PATCH: StepKind.PATCH,
            EntryKind.START: StepKind.RESTART, EntryKind.STOP: StepKind.STOP,
            EntryKind.UNDO: StepKind.UNDO,
        }  # fmt: skip
        if entry.kind is EntryKind.START:
            self.restarts = int(entry.name) if entry.name.isdecimal() else 0
        at = as_datetime(entry.at)
        name = entry.name if entry.kind in {EntryKind.FORGET, EntryKind.PATCH} else entry.kind.value
        self._steps.append(StepStatus(kinds[entry.kind], name, _DONE, 1, at, at))

    def _put(self, place: str, entry: Entry, **changes: Any) -> StepStatus:
        """Change the step at *place*, or begin it there; gives it as it is now."""
        at, took_s = as_datetime(entry.at), None if entry.took_ms is None else entry.took_ms / 1000
        index = self._at.get(place)
        if index is not None and place.startswith(KEYED) and not self._steps[index].is_open:
            index = None  # it was forgotten, and ran again
        if index is None:
            began_at = None if took_s is None else as_datetime(entry.at - took_s)
            index = self._at[place] = len(self._steps)
            self._steps.append(begin_step(place, entry.name, began_at))
        step = self._steps[index]
        if took_s is None:
            took_s = _between(step.started_at, at)
        changes = {"ended_at": at, "took_s": took_s, **changes}
        self._steps[index] = step = replace(step, **changes)
        return step


def _pass(entry: Entry) -> None:
    """Leave out what is no step: the run's output has it."""
    del entry


def begin_step(place: str, name: str, began_at: datetime | None) -> StepStatus:
    """Make the step at a place that has just begun."""
    kind = StepKind.STEP
    if place.startswith("undo.") and name.startswith(_UNDO):
        kind, name = StepKind.COMPENSATION, name.removeprefix(_UNDO)
    key = place.removeprefix(KEYED) if place.startswith(KEYED) else None
    return StepStatus(kind, name, StepState.RUNNING, 1, began_at, key=key, place=place)


def _between(start: Any, end: Any) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def _child_error(value: Any) -> ErrorInfo:
    match value:
        case [str(kind), str(message)]:
            return ErrorInfo(kind, message)
    return ErrorInfo("Unreadable", str(value))


def _unpacked(packed: bytes) -> Any:
    """Give a packed value, or in words that it cannot be read."""
    try:
        return unpack_shown(packed) if packed else None
    except StepflowError as error:
        return UnreadableText(f"<{error}>")
