"""What is kept of a run, as fields of a document that reads back to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepflow.core.run import Run
from stepflow.core.step_record import Attempt
from stepflow.engine.history import show_data, show_head
from stepflow.engine.kept import KeptData
from stepflow.engine.timeline.beside import POINTS
from stepflow.errors import StepflowError
from stepflow.store.events.output import StreamEntry
from stepflow.store.values.codec import pack
from stepflow.store.variables import read_var

#: fields of a document; a list may come in several parts, the later of which go on with it
Part = dict[str, Any]
#: what of the record is of use to its worker alone
_UNTOLD = frozenset({b"token"})


def show_record(run: Run, data: Mapping[bytes, bytes], row: Mapping[bytes, bytes]) -> Part:
    """Show a run as its history begins, its tags, and its record as it is kept."""
    tags = dict(KeptData(data, run).tags())
    return {**show_head(run, data), "tags": tags, "record": _texts(row)}


def show_item(entry: StreamEntry) -> dict[str, Any]:
    """Show an item as the stream has it; one without data voids those of its scope before it."""
    names = {b"t": "topic", b"s": "scope", b"a": "attempt"}
    facts = {shown: text(entry.fields[name]) for name, shown in names.items()
             if name in entry.fields}  # fmt: skip
    if b"d" not in entry.fields:
        return {"id": entry.id, "reset": True, **facts}
    return {"id": entry.id, **facts, **show_data(entry.fields[b"d"])}


def show_attempt(attempt: Attempt) -> dict[str, Any]:
    """Show the record of an attempt of a step."""
    record = attempt.record
    facts = {
        "number": attempt.number, "attempt": record.attempt, "is_closed": attempt.is_closed,
        "outcome": record.outcome, "worker": record.worker, "started_at": record.started_at,
        "ended_at": record.ended_at, "due_at": record.due_at or None,
        "error": record.error or None,
    }  # fmt: skip
    return {name: fact for name, fact in facts.items() if fact is not None}


def show_vars(kept: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Show the variables of a run by their names."""
    return {text(name): _show_var(held) for name, held in sorted(kept.items())}


def _show_var(written: bytes) -> dict[str, Any]:
    try:
        return show_data(pack(read_var(written), in_clear=True))
    except StepflowError:
        return show_data(written)


def _texts(row: Mapping[bytes, bytes]) -> dict[str, str]:
    return {text(name): text(held) for name, held in row.items() if name not in _UNTOLD}


def text(held: bytes) -> str:
    """Give text, whatever its bytes."""
    return held.decode("utf-8", "backslashreplace")


def show_mailbox(items: Sequence[bytes], apart: Sequence[bytes | None]) -> list[dict[str, Any]]:
    """Show signals that were not taken yet; *apart* are the payloads that are kept beside them."""
    long = iter(apart)
    parted = [item.partition(b"|") for item in items]
    return [
        show_data(name + sign + ((next(long) or b"") if rest.startswith(POINTS) else rest))
        for name, sign, rest in parted
    ]
