"""What a journal entry tells as an event."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stepflow.core.children import ChildEnd
from stepflow.core.events import EventType
from stepflow.core.journal import (
    KEYED,
    MISREAD,
    SEPARATOR,
    Entry,
    EntryKind,
    batch_name,
    read_batch,
    read_try,
)
from stepflow.errors import StepflowError
from stepflow.store.values.codec import unpack, unpack_shown
from stepflow.times import as_datetime

#: how the names of children, and of steps on another queue, begin
_SPAWN, _REMOTE = "spawn ", "step:"
_OF_MAP = re.compile(r"map (?P<name>.+) of (?P<total>\d{1,7})")
#: what the core's own commands call themselves
_WAITS = {"sleep": "sleep", "decision": "answer"}

Told = tuple[EventType, dict[str, Any]]


def event_of_entry(written: bytes) -> tuple[float, Told | None]:
    """
    Give the time of an entry, and its event if it has one.

    One that cannot be read has none: whoever replays the run says what is wrong.
    """
    try:
        entry = Entry.read(written)
        reader = _READERS.get(entry.kind)
        return entry.at, None if reader is None else reader(entry)
    except (*MISREAD, StepflowError):
        return 0.0, None


def _error(entry: Entry) -> Told:
    kind, message, *_ = unpack(entry.data)
    error = f"{kind}: {message}"
    return EventType.STEP_FAILED, {"step": entry.name, "place": entry.place, "error": error}


def _try(entry: Entry) -> Told:
    due_at, error = read_try(entry.data)
    if not error:  # a poll that found nothing
        return EventType.WAITING, {
            "what": "poll", "name": entry.name, "place": entry.place, "until": _iso(due_at),
        }  # fmt: skip
    return EventType.ATTEMPT_FAILED, {
        "step": entry.name, "place": entry.place, "error": error, "next_at": _iso(due_at),
    }  # fmt: skip


def _due(entry: Entry) -> Told:
    what, until = _WAITS.get(entry.name, "signal"), _iso(float(entry.data))
    if entry.place.endswith(".wait"):
        what = "map"
    details = {"what": what, "name": entry.name, "place": entry.place, "until": until}
    return EventType.WAITING, details


def _signal(entry: Entry) -> Told:
    name = entry.data.partition(SEPARATOR)[0].decode("utf-8", "replace")
    return EventType.SIGNAL_TAKEN, {"name": name, "place": entry.place}


def _answer(entry: Entry) -> Told:
    if entry.data:
        return EventType.ANSWERED, {"place": entry.place}
    return EventType.TIMED_OUT, {"what": "answer", "place": entry.place}


def _child(entry: Entry) -> Told:
    status = ChildEnd.read(entry.data).status
    return EventType.CHILD_ENDED, {"child": entry.name, "status": str(status)}


def _value(entry: Entry) -> Told | None:
    place, name = entry.place, entry.name
    if place.endswith(".stop") or place == "children":
        return None
    found = _OF_MAP.fullmatch(name) if place.endswith(".begin") else None
    if found is not None:
        return EventType.MAP_BEGUN, {"workflow": found["name"], "total": int(found["total"])}
    if name.startswith(_SPAWN):
        value = unpack_shown(entry.data)
        if isinstance(value, str):
            workflow = name.removeprefix(_SPAWN).removeprefix(_REMOTE)
            return EventType.CHILD_BEGUN, {"child": value, "workflow": workflow}
    took_s = None if entry.took_ms is None else entry.took_ms / 1000
    key = {"key": place.removeprefix(KEYED)} if place.startswith(KEYED) else {}
    return EventType.STEP_DONE, {"step": name, "place": place, **key, "took_s": took_s}


def _batch(entry: Entry) -> Told:
    progress, _ = read_batch(entry.data)
    return EventType.BATCH_PROGRESS, {
        "step": batch_name(entry.name), "place": entry.place, "total": progress.total,
        "done": progress.done, "failed": progress.failed,
    }  # fmt: skip


def _iso(moment: float) -> str | None:
    at = as_datetime(moment)
    return None if at is None else at.isoformat()


_READERS: dict[EntryKind, Callable[[Entry], Told | None]] = {
    EntryKind.VALUE: _value,
    EntryKind.ERROR: _error,
    EntryKind.TRY: _try,
    EntryKind.DUE: _due,
    EntryKind.OVER: lambda entry: (EventType.SLEPT, {"place": entry.place}),
    EntryKind.TIMER: lambda entry: (EventType.SLEPT, {"place": entry.place}),
    EntryKind.SIGNAL: _signal,
    EntryKind.NONE: lambda entry: (EventType.TIMED_OUT, {"what": "signal", "place": entry.place}),
    EntryKind.ANSWER: _answer,
    EntryKind.BATCH: _batch,
    EntryKind.CHILD: _child,
    EntryKind.MAP: lambda entry: (
        EventType.MAP_SETTLED, {"place": entry.place.removesuffix(".wait")},
    ),
    EntryKind.PATCH: lambda entry: (EventType.PATCHED, {"name": entry.name}),
    EntryKind.FORGET: lambda entry: (EventType.FORGOTTEN, {"key": entry.name}),
    EntryKind.UNDO: lambda _: (EventType.UNDO_BEGUN, {}),
}  # fmt: skip
