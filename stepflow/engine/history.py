"""history: a run and its journal as a document, which reads back to the same bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from stepflow.core.ids import check_count, check_pairs
from stepflow.core.journal import split, write_head
from stepflow.core.run import ENDS, Run, RunState
from stepflow.engine.children import map_answers
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.kept import KeptData
from stepflow.errors import (
    RunNotFound,
    StepflowError,
    UndecryptableValue,
    UnreadableHistory,
    shown,
)
from stepflow.store.calls import batch
from stepflow.store.journal import load_journal
from stepflow.store.runs import load_data, load_run
from stepflow.store.values.codec import pack, unpack, unpack_shown
from stepflow.store.values.in_clear import data_in_clear, entry_in_clear

#: the form of the documents; a later one is not read
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """A history read back: the run as it began, its input, the journal as it is in Redis."""

    run: Run
    payload: Any
    headers: Mapping[str, str]
    journal: Sequence[bytes]
    #: how the children of settled maps ended, by run id
    answers: Mapping[str, bytes]


async def history(run_id: str, env: Env) -> dict[str, Any]:
    """
    Give a run and its journal as a document of JSON's own types; raises RunNotFound.

    Webhooks and their secrets stay out of it. `read_history` gives back every byte of the journal.
    """
    run, data, journal = await batch(
        load_run(env.keys, run_id),
        load_data(env.keys, run_id),
        load_journal(env.keys, run_id),
    )
    if run is None:
        raise RunNotFound(run_id)
    check_readable(run)
    answers = await map_answers(run, journal, env)
    return {
        **show_head(run, data),
        "journal": [show_entry(entry) for entry in journal],
        **({"answers": show_answers(answers)} if answers else {}),
    }


def show_head(run: Run, data: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Show a run without its journal: what it is, its input, and what came of it."""
    facts = {
        "id": run.id, "runner": run.runner, "version": run.version, "state": run.state.value,
        "generation": run.generation, "step": run.step, "queue": run.queue,
        "origin": run.origin or None, "created_at": run.created_at,
        "ended_at": run.ended_at or None, "deadline_at": run.deadline_at or None,
    }  # fmt: skip
    return {
        "format": FORMAT,
        "run": {name: fact for name, fact in facts.items() if fact is not None},
        "headers": dict(KeptData(data, run).headers()),
        "input": show_data(data.get(b"payload", b"")),
        **{
            name: show_data(data[name.encode()])
            for name in ("result", "error")
            if name.encode() in data
        },
    }


def show_answers(answers: Mapping[str, bytes]) -> dict[str, Any]:
    """Show how the children of settled maps ended, by run id, or what was asked, by place."""
    return {child: show_data(answer) for child, answer in answers.items()}


def show_kv(row: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Show the values that a run's effects have written, by their names."""
    return {
        name.decode("utf-8", "backslashreplace"): show_data(held)
        for name, held in sorted(row.items())
    }


def read_history(document: Any) -> Remembered:
    """Read a document of `history` back; raises UnreadableHistory for anything else."""
    try:
        if document["format"] != FORMAT:
            raise UnreadableHistory(f"it has format {document['format']}, known is {FORMAT}")
        facts = document["run"]
        run = Run(
            _text(facts["id"]), _text(facts["runner"]), _text(facts["queue"]),
            state=RunState(facts["state"]), step=check_count("step", facts["step"]),
            generation=check_count("generation", facts["generation"]),
            created_at=float(facts["created_at"]), ended_at=float(facts.get("ended_at", 0)),
            deadline_at=float(facts.get("deadline_at", 0)), origin=_text(facts.get("origin", "")),
            version=check_count("version", facts["version"]),
        )  # fmt: skip
        payload = _read(document["input"])
        journal = [_read_entry(entry) for entry in document["journal"]]
        answers = {child: _read(answer) for child, answer in document.get("answers", {}).items()}
        return Remembered(
            run, unpack(payload) if payload else None,
            check_pairs("headers", document["headers"]), journal, answers,
        )  # fmt: skip
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
        StepflowError,
    ) as error:
        if isinstance(error, UnreadableHistory):
            raise
        raise UnreadableHistory(f"{type(error).__name__}: {error}") from None


def _text(value: Any) -> str:
    """Give *value* back if it is text that can be stored; else raise TypeError or ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is no text")
    value.encode()
    return value


def ended_well(run: Run) -> bool:
    """Say whether a run has not ended, or succeeded."""
    return run.state not in ENDS or run.state is RunState.SUCCEEDED


def show_entry(entry: bytes) -> dict[str, Any]:
    """Show an entry by its parts, or by its bytes should those not lead back to it."""
    with suppress(UndecryptableValue):
        entry = entry_in_clear(entry)
    try:
        kind, place, name, at, data, took_ms = split(entry)
        parts = {"kind": kind, "place": place, "name": name, "at": at, **show_data(data)}
        if took_ms is not None:
            parts["took_ms"] = took_ms
        if _read_entry(json.loads(json.dumps(parts))) == entry:
            return parts
    except (ValueError, RecursionError):
        pass
    return {"entry": base64.b64encode(entry).decode()}


def _read_entry(parts: Mapping[str, Any]) -> bytes:
    if "entry" in parts:
        return base64.b64decode(parts["entry"])
    head = write_head(
        parts["kind"], parts["place"], parts["name"], parts["at"], parts.get("took_ms")
    )
    return head + _read(parts)


def show_data(data: bytes) -> dict[str, Any]:
    """
    Show bytes so that a person can read them and `_read` gives them back.

    A packed value that JSON can carry, after a name and '|' for a signal; text; else base64, and a
    value in words.
    """
    if not data:
        return {}
    with suppress(UndecryptableValue):
        data = data_in_clear(data)
    name, sign, rest = data.partition(b"|")
    for forms in ({"value": data}, {"signal": name, "value": rest} if sign else {}):
        found = {
            key: part.decode("ascii", "replace") for key, part in forms.items() if key == "signal"
        }
        try:
            found["value"] = unpack_shown(forms["value"])
            if _read(json.loads(json.dumps(found, allow_nan=False))) == data:
                return found
        except (KeyError, ValueError, TypeError, RecursionError, StepflowError):
            continue
    if data.isascii() and (text := data.decode()).isprintable():
        return {"text": text}
    return {"base64": base64.b64encode(data).decode(), **_in_words(data)}


def _in_words(data: bytes) -> dict[str, str]:
    try:
        return {"shown": shown(unpack_shown(data))}
    except StepflowError:
        return {}


def read_data(parts: Mapping[str, Any]) -> bytes:
    """Give back the bytes that `show_data` showed; raises KeyError, ValueError or TypeError."""
    return _read(parts)


def _read(parts: Mapping[str, Any]) -> bytes:
    """Give back the bytes that `show_data` showed."""
    if "base64" in parts:
        return base64.b64decode(parts["base64"])
    if "text" in parts:
        return str(parts["text"]).encode()
    head = f"{parts['signal']}|".encode() if "signal" in parts else b""
    return head + pack(parts["value"], in_clear=True) if "value" in parts else b""


#: stands in place of text that was redacted
REDACTED = "[redacted]"
#: what stands in place of other values: of the same type, so that they are read as before
_BLANKS: tuple[tuple[type, Any], ...] = (
    (bool, False),
    (int, 0),
    (float, 0.0),
    (str, REDACTED),
    (bytes, b""),
    (Decimal, Decimal(0)),
    (UUID, UUID(int=0)),
    (datetime, datetime(2000, 1, 1, tzinfo=UTC)),
    (date, date(2000, 1, 1)),
    (time, time(0)),
    (timedelta, timedelta(0)),
)


def redact(document: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """
    Give a document of `history` whose values under *keys* are blank, wherever they stand.

    That is in the input, the result, headers, variables by their name, and the values that steps,
    signals and children gave. A blank value has the type and the shape of the one that stood there,
    so a replay reads it as before; where the code branches on the value it may take another way.
    What cannot be read, and may hold such a key, is replaced as a whole.
    """
    return {name: _redact_field(name, value, keys) for name, value in document.items()}


def _redact_field(name: str, value: Any, keys: Collection[str]) -> Any:
    """Redact one field of a document, or of a part of one that `whole` gives."""
    match name:
        case "headers" | "tags":
            return {key: REDACTED if key in keys else held for key, held in value.items()}
        case "input" | "result" | "error" | "options":
            return _redact_part(value, keys)
        case "journal":
            return [_redact_entry(part, keys) for part in value]
        case "answers" | "prompts":
            return {of: _redact_part(part, keys) for of, part in value.items()}
        case "vars" | "kv":
            return {
                key: _redact_part(part, keys, is_secret=key in keys) for key, part in value.items()
            }
        case "mailbox" | "output":
            return [
                _redact_part(part, keys, is_secret=part.get("signal") in keys) for part in value
            ]
        case "record":
            return _redact_texts(value, value, keys)
        case "steps" | "hooks":
            return [_redact_texts(part, ("error", "problem"), keys) for part in value]
    return value


def _redact_texts(
    part: Mapping[str, Any], names: Collection[str], keys: Collection[str]
) -> dict[str, Any]:
    """Replace those texts of *part* that name one of *keys*."""
    return {
        name: REDACTED
        if name in names and isinstance(held, str) and any(key in held for key in keys)
        else held
        for name, held in part.items()
    }


def _is_named(entry: Mapping[str, Any], keys: Collection[str]) -> bool:
    """Whether an entry is of a variable, or of a step, that is called by one of *keys*."""
    name = str(entry.get("name", ""))
    return name in keys or (entry.get("kind") == "var" and name.rpartition(" ")[2] in keys)


def _redact_entry(part: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Redact an entry, also one that `show_entry` could only show by its bytes."""
    if "entry" not in part:
        return _redact_part(part, keys, is_secret=_is_named(part, keys))
    head, sign, data = _halves(base64.b64decode(part["entry"]))
    redacted = head + sign + _redact_bytes(data, keys)
    return {"entry": base64.b64encode(redacted).decode()}


def _halves(entry: bytes) -> tuple[bytes, bytes, bytes]:
    """Part an entry before its data; one that is none is all data."""
    parts = entry.split(b"|", 4)
    return (b"|".join(parts[:4]), b"|", parts[4]) if len(parts) == 5 else (b"", b"", entry)  # noqa: PLR2004  kind, place, name, time, data


def _redact_part(
    part: Mapping[str, Any], keys: Collection[str], *, is_secret: bool = False
) -> dict[str, Any]:
    """Redact the data that `show_data` showed, in a document or in an entry of its journal."""
    data = _read(part)
    redacted = _redact_bytes(data, keys, is_secret=is_secret)
    if redacted == data:
        return dict(part)
    return {name: of for name, of in part.items() if name not in _DATA} | show_data(redacted)


#: words before a packed value: the number of a child and how it ended, or the name of a signal
_MOST_WORDS = 2
#: the fields in which `show_data` shows data
_DATA = ("value", "signal", "text", "base64", "shown")


def _redact_bytes(data: bytes, keys: Collection[str], *, is_secret: bool = False) -> bytes:
    """Redact a packed value, which may stand after words that end with '|'."""
    parts = data.split(b"|", _MOST_WORDS)
    for words in range(len(parts)):
        before, packed = b"".join(part + b"|" for part in parts[:words]), b"|".join(parts[words:])
        if not packed:
            continue
        try:
            value = unpack_shown(packed)
            blank = _blank(value) if is_secret else _redacted(value, keys)
            return data if blank == value else before + pack(blank, in_clear=True)
        except (StepflowError, ValueError, TypeError):
            continue
    if data and (is_secret or any(key.encode() in data for key in keys)):
        return REDACTED.encode()
    return data


def _redacted(value: Any, keys: Collection[str]) -> Any:
    """Give *value* with blanks under *keys*, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: _blank(held) if name in keys else _redacted(held, keys)
            for name, held in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_redacted(item, keys) for item in value)
    return value


def without(value: Any, keys: Collection[str]) -> Any:
    """Give *value* with blanks under *keys*, at any depth, as `redact` does."""
    return _redacted(value, keys)


def _blank(value: Any) -> Any:
    """Give a value of the same type and shape that says nothing."""
    if isinstance(value, Mapping):
        return {name: _blank(held) for name, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_blank(item) for item in value)
    if value is None:
        return None
    return next((blank for kind, blank in _BLANKS if isinstance(value, kind)), REDACTED)
