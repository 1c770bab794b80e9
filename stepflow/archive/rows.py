"""Rows of the archive, to and from values."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from stepflow.archive.values import ArchivedRun, ArchivedStep, End
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import UnreadableText
from stepflow.errors import StepflowError, UndecryptableValue, UnreadableArchive
from stepflow.store.values.codec import is_sealing, pack, unpack

Row = Mapping[Any, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: stands before what is sealed
_SEALED = "stepflow.sealed"
#: made once: to make one takes longer than to write what most values are
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
#: what reading a row that something else has written may raise
MISREAD = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


def microseconds(moment: datetime) -> int:
    """Give the microseconds since 1970: exactly what a row is known by."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def text(value: str | None) -> str | None:
    """Give text that every database takes: without NUL, and valid Unicode."""
    if value is None:
        return None
    return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def write_json(value: Any) -> str:
    """Write a value as JSON in ASCII: no database changes it. It is sealed where there are keys."""
    written = _write_labels(value)
    return _write_labels({_SEALED: _seal(written)}) if is_sealing() else written


def _write_labels(value: Any) -> str:
    if value is None:
        return "null"
    return "{}" if value == {} else _encode(value)


def _seal(written: str) -> str:
    return base64.b64encode(pack(written)).decode()


def _open(sealed: str) -> str:
    return str(unpack(base64.b64decode(sealed)))


def _sealed_text(value: str | None) -> str | None:
    """Give text that may tell what a run is about: sealed where there are keys."""
    if value and is_sealing():
        return f"{_SEALED}:{_seal(value)}"
    return text(value)


def _read_text(held: str | None) -> str | None:
    """Read such text back, or say in words that its key is not here."""
    if held is None or not held.startswith(f"{_SEALED}:"):
        return held
    try:
        return _open(held.removeprefix(f"{_SEALED}:"))
    except StepflowError as error:
        return f"<{error}>"


def _read_value(written: str | None) -> Any:
    """Read a value, or say in words that its key is not here."""
    try:
        return read_json(written)
    except UndecryptableValue as error:
        return UnreadableText(f"<{error}>")


def row_of_run(namespace: str, run: ArchivedRun) -> dict[str, Any]:
    """Give the row of `stepflow_runs` for one end."""
    error = run.error
    kind, said, trace = (error.type, error.message, error.traceback) if error else (None,) * 3
    return {
        "namespace": namespace, "run_id": run.id, "created_us": microseconds(run.created_at),
        "ended_us": microseconds(run.ended_at), "generation": run.generation, "ends": run.end,
        "runner": run.runner, "version": run.version, "state": run.state, "queue": run.queue,
        "step": run.step, "attempts": run.attempts, "parent": run.parent, "origin": run.origin,
        "run_group": run.group, "schedule": run.schedule, "created_at": run.created_at,
        "started_at": run.started_at, "ended_at": run.ended_at, "took_s": run.took_s,
        "error_type": text(kind), "error": _sealed_text(said),
        "traceback": _sealed_text(trace) or None,
        "reason": _sealed_text(run.reason),
        "headers": _write_labels(dict(run.headers)), "tags": _write_labels(dict(run.tags)),
        "payload": write_json(run.payload), "result": write_json(run.result),
        "is_whole": run.is_whole,
    }  # fmt: skip


def rows_of_labels(number: int, run: ArchivedRun) -> Iterator[dict[str, Any]]:
    """Give the rows by which a run is found."""
    for kind, labels in (("header", run.headers), ("tag", run.tags)):
        for name, value in labels.items():
            yield {"run": number, "kind": kind, "name": text(name), "value": text(str(value))}


def rows_of_steps(number: int, end: End) -> Iterator[dict[str, Any]]:
    """Give the rows of the steps of a run, in their order."""
    for place, step in enumerate(end.steps):
        yield {
            "run": number, "place": place, "kind": step.kind, "name": text(step.name),
            "state": step.state, "attempt": step.attempt, "started_at": step.started_at,
            "ended_at": step.ended_at, "took_s": step.took_s, "worker": text(step.worker),
            "error": _sealed_text(step.error), "value": write_json(step.value),
        }  # fmt: skip


def read_run(row: Row) -> ArchivedRun:
    """Read a row of `stepflow_runs`; raises UnreadableArchive for one that is none of ours."""
    try:
        failed = row["error_type"] is not None or row["error"] is not None
        return ArchivedRun(
            row["run_id"], row["runner"], row["state"], _moment(row["created_at"]),
            _moment(row["ended_at"]), row["started_at"] and _moment(row["started_at"]),
            version=int(row["version"]), generation=int(row["generation"]), end=int(row["ends"]),
            queue=row["queue"], step=int(row["step"]), attempts=int(row["attempts"]),
            headers=_mapping(row["headers"]), tags=_mapping(row["tags"]),
            payload=_read_value(row["payload"]), result=_read_value(row["result"]),
            error=_error(row) if failed else None, reason=_read_text(row["reason"]),
            parent=row["parent"], origin=row["origin"], group=row["run_group"],
            schedule=row["schedule"],
            is_whole=bool(row["is_whole"]), number=int(row["number"]),
        )  # fmt: skip
    except MISREAD as error:
        raise UnreadableArchive(f"run {name_of(row)}", f"{type(error).__name__}: {error}") from None


def read_step(row: Row) -> ArchivedStep:
    """Read a row of `stepflow_steps`; raises UnreadableArchive for one that is none of ours."""
    try:
        return ArchivedStep(
            row["kind"], row["name"], row["state"], int(row["attempt"]),
            row["started_at"] and _moment(row["started_at"]),
            row["ended_at"] and _moment(row["ended_at"]), row["took_s"], row["worker"],
            _read_text(row["error"]), _read_value(row["value"]),
        )  # fmt: skip
    except MISREAD as error:
        raise UnreadableArchive(
            f"a step of row {row['run']}", f"{type(error).__name__}: {error}"
        ) from None


def read_json(written: str | None) -> Any:
    """Read JSON back; nothing is None. Raises UndecryptableValue where its key is not here."""
    found = None if written is None else json.loads(written)
    if isinstance(found, dict) and found.keys() == {_SEALED}:
        return json.loads(_open(found[_SEALED]))
    return found


def read_document(written: str | None, what: str) -> Any:
    """Read the JSON that *what* names; raises UnreadableArchive for what is none."""
    try:
        return read_json(written)
    except MISREAD as error:
        raise UnreadableArchive(what, f"{type(error).__name__}: {error}") from None


def name_of(row: Row) -> str:
    """Name a row in words: the id of its run, or its number where it has none."""
    run_id = row["run_id"]
    return repr(run_id) if isinstance(run_id, str) and run_id else f"of row {row['number']}"


def _error(row: Row) -> ErrorInfo:
    said, trace = _read_text(row["error"]), _read_text(row["traceback"])
    return ErrorInfo(row["error_type"] or "", said or "", trace or "")


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        msg = f"{value!r} is no time"
        raise TypeError(msg)
    return value.astimezone(UTC)


def _mapping(written: str) -> Mapping[str, str]:
    read = json.loads(written)
    if not isinstance(read, dict):
        msg = f"{written[:60]!r} is no object"
        raise TypeError(msg)
    return read
