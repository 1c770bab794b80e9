"""
The body of a webhook: the end of a run as JSON.

What JSON has no form for is written by this table, and nothing raises:

    datetime, date, time      ISO 8601, as a string
    timedelta                 seconds, as a number
    Decimal, UUID             as a string
    bytes                     base64, as a string
    set, tuple                a list; that of a set is ordered by the JSON of its members
    dataclass, pydantic model an object of its fields
    Enum                      its value
    NaN and the infinities    null
    integers over 64 bits     decimal digits in a string, hexadecimal ("0x…") past 2,048 bits
    a map with other keys     an object whose keys are the JSON of those keys, without quotes;
                              a list of [key, value] should two keys become the same
    deeper than 100 levels    the string "…"
    anything else             "<name of its type>"
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from stepflow.core.fanout.group import GROUP_RUNNER

if TYPE_CHECKING:
    from stepflow.core.run import RunOutcome

#: levels of nesting; far below what the interpreter's stack carries
MAX_DEPTH = 100
#: bits of an integer that every interpreter turns into decimal digits, whatever its
#: `int_max_str_digits`
_DECIMAL_BITS = 2048


def body_of(outcome: RunOutcome) -> bytes:
    """
    Write the body of a webhook as UTF-8 JSON, the same bytes for every try.

    Its *timestamp* is the end of the run. An error is sent as type and message, without its
    traceback.
    """
    error = outcome.error and {"type": outcome.error.type, "message": outcome.error.message}
    data = {
        "run_id": outcome.run_id,
        "runner": outcome.runner,
        "status": outcome.status,
        "result": outcome.result,
        "error": error,
        "reason": outcome.reason,
        "headers": outcome.headers,
        "final_step": outcome.final_step,
        "attempts": outcome.attempts,
        "generation": outcome.generation,
        "end": outcome.end,
        "created_at": outcome.created_at,
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at,
    }
    if outcome.compensation_errors:
        data["compensation_errors"] = [
            {"type": failed.type, "message": failed.message}
            for failed in outcome.compensation_errors
        ]
    kind = "group" if outcome.runner == GROUP_RUNNER else "run"
    if kind == "group":
        data = _of_group(outcome)
    whole = json_value(
        {"type": f"{kind}.{outcome.status}", "timestamp": outcome.ended_at, "data": data}
    )
    # half a surrogate pair has no UTF-8, but JSON has an escape for it
    return _json(whole).encode("utf-8", "backslashreplace")


def _of_group(outcome: RunOutcome) -> dict[str, Any]:
    """Give what is told of a group, whose result are its counts."""
    return {
        "group_id": outcome.run_id, "status": outcome.status, "counts": outcome.result,
        "reason": outcome.reason, "end": outcome.end, "created_at": outcome.created_at,
        "ended_at": outcome.ended_at,
    }  # fmt: skip


def _json(shown: Any) -> str:
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def json_text(value: Any) -> str:
    """Write *value* as JSON; what JSON has no form for by the table above."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(json_value(value), allow_nan=False)


def json_value(value: Any, depth: int = 0) -> Any:
    """Turn *value* into what JSON can carry, by the table above."""
    if depth > MAX_DEPTH:
        return "…"
    for kinds, write in _FORMS:
        if isinstance(value, kinds):
            return write(value, depth)
    return _fields_of(value, depth)


def _fields_of(value: Any, depth: int) -> Any:
    names: Any = getattr(type(value), "__dataclass_fields__", None) or getattr(
        type(value), "model_fields", None
    )
    if not isinstance(names, Mapping):
        return f"<{type(value).__name__}>"
    return {name: json_value(getattr(value, name, None), depth + 1) for name in names}


def _members(value: Any, depth: int) -> list[Any]:
    return [json_value(item, depth + 1) for item in value]


def _integer(value: int) -> int | str:
    if value.bit_length() <= 64:  # noqa: PLR2004 - as in the table above
        return int(value)
    return str(int(value)) if value.bit_length() <= _DECIMAL_BITS else hex(value)


def _mapping(value: Mapping[Any, Any], depth: int) -> Any:
    pairs = [(_key(key, depth), json_value(item, depth + 1)) for key, item in value.items()]
    whole = dict(pairs)
    if len(whole) == len(pairs):
        return whole
    return [[json_value(key, depth + 1), item] for key, (_, item) in zip(value, pairs, strict=True)]


def _key(key: Any, depth: int) -> str:
    shown = json_value(key, depth + 1)
    return shown if isinstance(shown, str) else _json(shown)


#: how each type is written: the first row that fits (an Enum may be an int, a bool is one)
_FORMS: tuple[tuple[Any, Callable[[Any, int], Any]], ...] = (
    ((bool, type(None)), lambda value, _: value),
    (Enum, lambda value, depth: json_value(value.value, depth + 1)),
    (str, lambda value, _: str(value)),
    (int, lambda value, _: _integer(value)),
    (float, lambda value, _: float(value) if math.isfinite(value) else None),
    (Mapping, _mapping),
    ((list, tuple), _members),
    ((set, frozenset), lambda value, depth: sorted(_members(value, depth), key=_json)),
    ((datetime, date, time), lambda value, _: value.isoformat()),
    (timedelta, lambda value, _: value.total_seconds()),
    ((Decimal, UUID), lambda value, _: str(value)),
    ((bytes, bytearray, memoryview), lambda value, _: base64.b64encode(value).decode()),
)
