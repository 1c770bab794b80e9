"""
Types that msgpack lacks, encoded as extension 127, one level of a value at a time.

The first byte of the extension is the type. A tuple, set or frozenset becomes an array that begins
with a marker of its type, so that all nesting has one limit and needs no recursion.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from msgpack import ExtType, Timestamp  # type: ignore[import-untyped]

from stepflow.core.outcomes import Outcome
from stepflow.store.values.annotations import record_of
from stepflow.store.values.kinds import Record
from stepflow.store.values.models import WARNED, find_misfit, is_model
from stepflow.store.values.offloaded import Stored

#: code of our extension, the last that applications may use; the byte is rare in packed text, so a
#: search for it quickly shows that there is no extension
CODE = 127
EXT_BYTE = bytes([CODE])

#: markers: the first member of an array that stands for another type
TUPLE, SET, FROZENSET = ExtType(CODE, b"t"), ExtType(CODE, b"s"), ExtType(CODE, b"f")
_MARKS = {b"t": TUPLE, b"s": SET, b"f": FROZENSET}

#: types that msgpack packs and reads without conversion
_NATIVE = frozenset(
    {type(None), bool, int, float, str, bytes, bytearray, memoryview}
    | {list, dict, ExtType, Timestamp}
)

#: advice about a field whose value does not match its annotation
_AS_ANNOTATED = "give it what its annotation says, or annotate it as what it holds"


class RefusedError(TypeError):
    """
    A single value that cannot be stored.

    Holds the reason, the path to the part at fault (*where*), and *advice* for special cases.
    """

    def __init__(self, why: str, where: str = "", advice: str | None = None) -> None:
        super().__init__(why)
        self.where = where
        self.advice = advice


def plain(value: Any) -> Any:
    """
    Convert the outermost level of *value* to a type that msgpack packs.

    A tuple, set or frozenset becomes a list that begins with its marker; the members stay as they
    are. Raises RefusedError, a TypeError, for a value that cannot be stored.
    """
    while (cls := type(value)) not in _NATIVE:
        # mypy doubts that every class is hashable
        value = _shape_of(cls)(value)  # type: ignore[arg-type]
    if cls is int and not -(1 << 63) <= value < 1 << 64:
        return _int(value)
    return value


def _ext(kind: bytes, data: bytes) -> ExtType:
    return ExtType(CODE, kind + data)


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, signed=True)


def _int(value: int) -> ExtType:
    return _ext(b"i", _int_bytes(value))


def _datetime(value: datetime) -> ExtType:
    _check_zone(value)
    folded = value.fold and value.tzinfo is None
    return _ext(b"W" if folded else b"w", datetime.isoformat(value).encode())


def _time(value: time) -> ExtType:
    _check_zone(value)
    folded = value.fold and value.tzinfo is None
    return _ext(b"C" if folded else b"c", time.isoformat(value).encode())


def _check_zone(value: datetime | time) -> None:
    if value.tzinfo is None:
        return
    offset = value.utcoffset()
    if offset is None:
        raise RefusedError(
            f"a {type(value).__name__} whose zone has no fixed offset cannot be stored"
        )
    if offset.microseconds:
        # fromisoformat reads +00:00:00.000001 as UTC
        raise RefusedError(
            f"a {type(value).__name__} with an offset of part of a second cannot be stored"
        )


def _timedelta(value: timedelta) -> ExtType:
    return _ext(b"p", _int_bytes(value // timedelta(microseconds=1)))


def _attributes(names: tuple[str, ...], record: Record, value: Any) -> dict[str, Any]:
    try:
        content = {name: getattr(value, name) for name in names}
    except AttributeError as error:
        raise RefusedError(
            f"a {type(value).__name__} with a field that was never set cannot be stored ({error})"
        ) from error
    if record.fields:
        _check(record, value)
    return content


def _model(record: Record, value: Any) -> Any:
    try:
        dumped = value.model_dump(round_trip=True, by_alias=False, warnings="error")
    except (TypeError, ValueError, RecursionError) as error:
        if str(error).startswith(WARNED) and (found := find_misfit(value)) is not None:
            raise _unexpected(*found, error) from error
        raise RefusedError(
            f"a {type(value).__name__} that cannot be dumped cannot be stored ({error})"
        ) from error
    _check(record, value)
    return dumped


def _check(record: Record, value: Any) -> None:
    """Raise RefusedError if a reader who knows only the annotations would drop something."""
    found = record.loss_in_fields(value)
    if found is not None:
        raise RefusedError(found.why, found.where, found.advice)


def _unexpected(where: str, content: Any, error: Exception) -> RefusedError:
    """Return the error for a field whose value cannot be stored or defies its annotation."""
    try:
        plain(content)
    except RefusedError as refused:
        return RefusedError(str(refused), where + refused.where, refused.advice)
    wanted = re.search(r"Expected (`[^`]+`)", str(error))
    what = f"where {wanted[1]} is annotated" if wanted else "which is not what is annotated"
    return RefusedError(
        f"it is a {type(content).__name__}, {what}: it would come back as something else",
        where,
        _AS_ANNOTATED,
    )


#: the first base that matches counts: datetime comes before date, its base
_SHAPES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (tuple, lambda value: [TUPLE, *value]),
    (set, lambda value: [SET, *value]),
    (frozenset, lambda value: [FROZENSET, *value]),
    (datetime, _datetime),
    (date, lambda value: _ext(b"d", date.isoformat(value).encode())),
    (time, _time),
    (timedelta, _timedelta),
    (Decimal, lambda value: _ext(b"n", Decimal.__str__(value).encode())),
    (UUID, lambda value: _ext(b"u", value.bytes)),
    # the base's own method, since a subclass may override it
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: bytes(memoryview(value))),
    (bytearray, lambda value: bytes(memoryview(value))),
    (dict, dict),
    (list, list),
)


@lru_cache(maxsize=1024)
def _shape_of(cls: type) -> Callable[[Any], Any]:
    if issubclass(cls, Outcome):  # a dataclass, which would otherwise be stored as a dict
        raise RefusedError(
            f"a {cls.__qualname__} says what becomes of a run; it is no value, return it by itself"
        )
    if cls is Stored:
        return _stored
    if dataclasses.is_dataclass(cls) and not issubclass(cls, Enum):
        names = tuple(field.name for field in dataclasses.fields(cls))
        return partial(_attributes, names, record_of(cls, deep=False))
    for base, shape in _SHAPES:
        if issubclass(cls, base):
            return shape
    if is_model(cls):
        return partial(_model, record_of(cls, deep=True))  # type: ignore[arg-type]  # as above
    if _is_pydantic(cls, "pydantic.networks", "AnyUrl"):
        return str
    if issubclass(cls, Awaitable):
        raise RefusedError(f"a {cls.__qualname__} has no value yet", advice="await it first")
    raise RefusedError(f"a {cls.__qualname__} cannot be stored")


def _stored(value: Stored) -> ExtType:
    return value.reference.extension()


def _is_pydantic(cls: type, module: str, name: str) -> bool:
    """Return whether *cls* derives from a pydantic class, without importing pydantic."""
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and issubclass(cls, base)


def decode_ext(code: int, data: bytes) -> Any:
    """
    Decode an extension; one with a foreign code is returned as an ExtType.

    Raises ValueError for bytes that `plain` never produces.
    """
    if code != CODE:
        return ExtType(code, data)
    kind = data[:1]
    if kind in _MARKS and len(data) == 1:
        return _MARKS[kind]
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(f"extension of unknown kind {kind!r}; was it written by a newer stepflow?")
    return reader(data[1:])


def add_reader(kind: bytes, reader: Callable[[bytes], Any]) -> None:
    """Have `decode_ext` read extensions of another *kind*, a byte, with *reader*."""
    _READERS[kind] = reader


def regroup(items: list[Any]) -> Any:
    """
    Turn an array that begins with a marker into a tuple, set or frozenset.

    Returns any other array unchanged. Raises ValueError if two set members are equal.
    """
    head = items[0] if items else None
    if head is TUPLE:
        return tuple(items[1:])
    if head is not SET and head is not FROZENSET:
        return items
    made = frozenset(items[1:]) if head is FROZENSET else set(items[1:])
    if len(made) != len(items) - 1:
        raise ValueError("two members of a set come back as one")
    return made


def _read_int(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


def _read_datetime(data: bytes) -> datetime:
    return datetime.fromisoformat(data.decode())


def _read_time(data: bytes) -> time:
    return time.fromisoformat(data.decode())


_READERS: dict[bytes, Callable[[bytes], Any]] = {
    b"i": _read_int,
    b"n": lambda data: Decimal(data.decode()),
    b"u": lambda data: UUID(bytes=data),
    b"w": _read_datetime,
    b"W": lambda data: _read_datetime(data).replace(fold=1),
    b"d": lambda data: date.fromisoformat(data.decode()),
    b"c": _read_time,
    b"C": lambda data: _read_time(data).replace(fold=1),
    b"p": lambda data: timedelta(microseconds=_read_int(data)),
}
