"""
Values to bytes and back: msgpack, and one extension for what msgpack lacks. The only file that knows msgpack.

Whatever `pack` accepts, `unpack` reads; a run whose payload could be written but not read would be stuck for good. A
plain value (None, bool, int, float, str, bytes, list, dict) is one call into C. The rest goes through `plain`, level
by level, and is read back once before `pack` lets it out.

On the wire all of it is extension 127, its first byte the kind. A tuple, set or frozenset is an array that begins with
the mark of its kind, so that nesting has one limit and costs no recursion.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from msgpack import ExtType, Packer, Timestamp, UnpackException, unpackb, version  # type: ignore[import-untyped]

from stepflow.errors import PayloadTooLarge, UnreadableValue, UnsupportedValue

#: our extension's code, the last an application may use; a byte rare in packed text, so a missing one is seen quickly
_CODE = 127
_SIGN = bytes([_CODE])

#: containers in containers; every msgpack reads 1,024, those before 1.2 write less, later ones would write one more
MAX_DEPTH = 1024 if version >= (1, 2) else 511

#: a packer's buffer never shrinks: one that wrote more than this is not kept (bytes)
_KEEP = 1 << 20

#: the first member of an array that is not a list
TUPLE, SET, FROZENSET = ExtType(_CODE, b"t"), ExtType(_CODE, b"s"), ExtType(_CODE, b"f")
_MARKS = {b"t": TUPLE, b"s": SET, b"f": FROZENSET}

#: what C packs, and reads back, without our help
_NATIVE = frozenset(
    {type(None), bool, int, float, str, bytes, bytearray, memoryview, list, dict, ExtType, Timestamp}
)  # fmt: skip

#: what msgpack raises for a value it cannot write
_WRITING = (TypeError, ValueError, OverflowError, BufferError, RecursionError)
#: what reading raises, our own constructors' part included
_READING = (TypeError, ValueError, ArithmeticError, BufferError, RecursionError, UnpackException)


class _RefusedError(TypeError):
    """A single value that cannot be stored; says why."""


# ---- writing


def pack(value: Any, *, what: str = "payload", limit: int | None = None) -> bytes:
    """
    Turn *value* into bytes that `unpack` gives back; *what* names it in errors, *limit* is in bytes.

    Tuples, sets, dates, Decimals, UUIDs and ints of any size come back as they are; dataclasses and pydantic models as
    plain maps, enums as their values, bytearrays as bytes, named tuples as tuples, subclasses as their base.
    Raises UnsupportedValue with the path of what cannot be stored, PayloadTooLarge when over the limit.
    """
    try:
        scribe = _idle.pop()
    except IndexError:
        scribe = _Scribe()
    try:
        # the list takes up the one level that msgpack writes and does not read
        data: bytes = scribe.pack([value])[1:]
    except _WRITING as error:
        raise _explain(value, what, error) from error
    was_plain, scribe.asked = not scribe.asked, False
    if len(data) < _KEEP:
        _idle.append(scribe)
    if limit is not None and len(data) > limit:
        raise PayloadTooLarge(what, len(data), limit)
    if not was_plain or _SIGN in data:
        _read_back(value, data, what)
    return data


class _Scribe:
    """A packer that knows whether it had to ask for help with a value."""

    __slots__ = ("asked", "pack")

    def __init__(self) -> None:
        self.asked = False
        self.pack = Packer(strict_types=True, default=self._help).pack

    def _help(self, value: Any) -> Any:
        self.asked = True
        return plain(value)


#: scribes at rest; one is out of the list while it works, so neither threads nor finalizers share it
_idle: list[_Scribe] = []


def _read_back(value: Any, data: bytes, what: str) -> None:
    """Refuse what cannot be read again: keys that come back unhashable, or as one, and extensions that are not ours."""
    try:
        _unpack(data, object_pairs_hook=_unique)
    except _READING as error:
        raise _explain(value, what, error) from error


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("two keys come back as one")
    return made


# ---- reading


def unpack(data: bytes) -> Any:
    """Give back what `pack` was given; raises UnreadableValue for bytes that are not a packed value."""
    try:
        return _unpack(data)
    except _READING as error:
        problem = str(error) or type(error).__name__
        raise UnreadableValue(
            f"{_size(data)} cannot be read as a packed value ({problem}); something else must have written the key"
        ) from error


def _unpack(data: bytes, **hooks: Any) -> Any:
    if _SIGN in data:
        return unpackb(data, strict_map_key=False, ext_hook=_revive, list_hook=_regroup, **hooks)
    return unpackb(data, strict_map_key=False, **hooks)


def _size(data: object) -> str:
    return f"{len(data):,} bytes" if isinstance(data, bytes) else f"a {type(data).__name__}"


def _revive(code: int, data: bytes) -> Any:
    if code != _CODE:
        return ExtType(code, data)
    kind = data[:1]
    if kind in _MARKS and len(data) == 1:
        return _MARKS[kind]
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(f"extension of unknown kind {kind!r}; was it written by a newer stepflow?")
    return reader(data[1:])


def _regroup(items: list[Any]) -> Any:
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


# ---- shapes: one level of a value as msgpack carries it


def plain(value: Any) -> Any:
    """
    Turn the outermost level of *value* into what msgpack carries; what it holds is left as it is.

    A tuple, set or frozenset becomes a list that begins with its mark. Raises a TypeError that says what is wrong.
    """
    while (cls := type(value)) not in _NATIVE:
        value = _shape_of(cls)(value)  # type: ignore[arg-type]  # mypy doubts that every class is hashable
    if cls is int and not -(1 << 63) <= value < 1 << 64:
        return _int(value)
    return value


def _ext(kind: bytes, data: bytes) -> ExtType:
    return ExtType(_CODE, kind + data)


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
        raise _RefusedError(f"a {type(value).__name__} whose zone has no fixed offset cannot be stored")
    if offset.microseconds:
        # fromisoformat reads +00:00:00.000001 as UTC
        raise _RefusedError(f"a {type(value).__name__} with an offset of part of a second cannot be stored")


def _timedelta(value: timedelta) -> ExtType:
    return _ext(b"p", _int_bytes(value // timedelta(microseconds=1)))


def _attributes(names: tuple[str, ...], value: Any) -> dict[str, Any]:
    try:
        return {name: getattr(value, name) for name in names}
    except AttributeError as error:
        raise _RefusedError(
            f"a {type(value).__name__} with a field that was never set cannot be stored ({error})"
        ) from error


def _model(value: Any) -> Any:
    try:
        return value.model_dump(round_trip=True, by_alias=False, warnings=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _RefusedError(f"a {type(value).__name__} that cannot be dumped cannot be stored ({error})") from error


#: subclasses count as the first base they match: datetime is a date
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
    # the base's own method: a subclass may print as something else
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
    if dataclasses.is_dataclass(cls) and not issubclass(cls, Enum):
        return partial(_attributes, tuple(field.name for field in dataclasses.fields(cls)))
    for base, shape in _SHAPES:
        if issubclass(cls, base):
            return shape
    if _is_pydantic(cls, "pydantic.main", "BaseModel"):
        return _model
    if _is_pydantic(cls, "pydantic.networks", "AnyUrl"):
        return str
    raise _RefusedError(f"a {cls.__qualname__} cannot be stored")


def _is_pydantic(cls: type, module: str, name: str) -> bool:
    """Ask without importing pydantic: a class that is one of its own has loaded it."""
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and issubclass(cls, base)


# ---- explaining: only when packing has failed


def _explain(value: Any, what: str, error: Exception) -> UnsupportedValue:
    """Find the first value that *error* may be about and name its path."""
    todo = [(what, value, 1)]
    while todo:
        path, item, depth = todo.pop()
        if depth > MAX_DEPTH:
            return UnsupportedValue(what, f"it is nested more than {MAX_DEPTH:,} levels deep, or contains itself")
        try:
            shape = plain(item)
            _check_leaf(shape)
            todo += reversed([(step, child, depth + 1) for step, child in _children(path, shape)])
        except UnsupportedValue as found:
            return found
        except _WRITING as problem:
            return UnsupportedValue(path, str(problem))
    return UnsupportedValue(what, f"it cannot be stored ({error})")


def _check_leaf(shape: Any) -> None:
    if isinstance(shape, str):
        try:
            shape.encode()
        except UnicodeEncodeError as error:
            raise _RefusedError(
                f"a str that is not valid Unicode cannot be stored ({error.reason} at {error.start})"
            ) from error
    elif isinstance(shape, memoryview) and not shape.c_contiguous:
        raise _RefusedError("a memoryview that is not contiguous cannot be stored")
    elif isinstance(shape, ExtType):
        try:
            _revive(shape.code, shape.data)
        except _READING as error:
            raise _RefusedError(f"an ExtType with code {_CODE}, which is stepflow's own, cannot be stored") from error


def _children(path: str, shape: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(shape, dict):
        _check_keys(shape, path, "key", "map keys")
        yield from ((path + _step(key), item) for key, item in shape.items())
    elif isinstance(shape, list) and shape and (shape[0] is SET or shape[0] is FROZENSET):
        _check_keys(shape[1:], path, "member", "set members")
    elif isinstance(shape, list):
        items = shape[1:] if shape and shape[0] is TUPLE else shape
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(items))


def _check_keys(keys: Any, path: str, word: str, plural: str) -> None:
    seen = set()
    for key in keys:
        where = f"{path} ({word} {reprlib.repr(key)})"
        again = unpack(pack(key, what=where))
        try:
            known = again in seen
        except TypeError as error:
            raise UnsupportedValue(
                where, f"it comes back as a {type(again).__name__} or holds one, and {plural} must be hashable"
            ) from error
        if known:
            raise UnsupportedValue(where, f"another of the {plural} comes back as the same value")
        seen.add(again)


def _step(key: Any) -> str:
    return f".{key}" if isinstance(key, str) and re.fullmatch(r"[^\W\d]\w{0,79}", key) else f"[{reprlib.repr(key)}]"
