"""
Serializes values with msgpack, plus the one extension defined in `msgpack_ext.py`.

`unpack` reads whatever `pack` accepts: a run whose payload could be written but not read would be
stuck for good. A plain value (None, bool, int, float, str, bytes, list, dict) takes one call into
C. Any other value goes through `plain`, level by level, and `pack` reads it back once as a check.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Sequence
from types import CoroutineType
from typing import Any

from msgpack import ExtType, Packer, UnpackException, unpackb, version  # type: ignore[import-untyped]

from stepflow.errors import PayloadTooLarge, UnreadableValue, UnsupportedValue
from stepflow.store.values.kinds import path_segment
from stepflow.store.values.msgpack_ext import (
    CODE,
    EXT_BYTE,
    FROZENSET,
    SET,
    TUPLE,
    RefusedError,
    add_reader,
    decode_ext,
    plain,
    regroup,
)
from stepflow.store.values.offloaded import (
    OFFLOADED,
    Stored,
    has_offloaded,
    packed_at,
    shown_for,
)
from stepflow.store.values.sealed import SEALED, has_sealed, refuse_sealed

#: levels of nested containers: every msgpack reads 1,024; versions before 1.2 write fewer, later
#: ones write one more than they read
MAX_DEPTH = 1024 if version >= (1, 2) else 511

#: bytes: an encoder that wrote more is discarded, since its buffer never shrinks
_KEEP = 1 << 20

#: what msgpack raises for a value that it cannot write
_WRITING = (TypeError, ValueError, OverflowError, BufferError, RecursionError)
#: what reading raises, in msgpack and in our extension
_READING = (TypeError, ValueError, ArithmeticError, BufferError, RecursionError, UnpackException)


#: seals packed bytes where this process has keys, see `keyring.py`; None in most processes
_seal: Callable[[bytes], bytes] | None = None
#: opens what was sealed
_open: Callable[[bytes], bytes] = refuse_sealed


#: seals packed bytes with each key, so that equal ones stay equal
_seal_alike: Callable[[bytes], Sequence[bytes]] | None = None


def set_seal(
    seal: Callable[[bytes], bytes] | None,
    opener: Callable[[bytes], bytes] = refuse_sealed,
    alike: Callable[[bytes], Sequence[bytes]] | None = None,
) -> None:
    """Have `pack` seal what it has packed from now on, and `unpack` open it; None ends that."""
    global _seal, _open, _seal_alike
    _seal, _open, _seal_alike = seal, opener, alike


def pack_alike(value: Any, *, what: str, limit: int | None = None) -> Sequence[bytes]:
    """
    Serialize as `pack` does, for scripts that compare: one form for each key that there is.

    The first is the one to write. Without keys there is one form; with keys, none is in clear.
    """
    data = pack(value, what=what, limit=limit, in_clear=True)
    return (data,) if _seal_alike is None else _seal_alike(data)


def _read_sealed(data: bytes) -> Any:
    return _unpack(_open(data))


def _read_offloaded(data: bytes) -> Any:
    return _unpack(packed_at(data))


add_reader(SEALED, _read_sealed)
add_reader(OFFLOADED, _read_offloaded)


def is_sealing() -> bool:
    """Say whether this process has keys."""
    return _seal is not None


def opened(data: bytes) -> bytes:
    """Give packed bytes as they are in clear; raises what `unpack` raises."""
    return pack(unpack(data), in_clear=True) if has_sealed(data) else data


def pack(
    value: Any, *, what: str = "payload", limit: int | None = None, in_clear: bool = False
) -> bytes:
    """
    Serialize *value* to bytes that `unpack` reads.

    *what* names the value in errors; *limit* is in bytes, before encryption. Bytes that are
    compared, or that a process without keys must read, stay *in_clear*; all others are sealed where
    this process has keys.

    Tuples, sets, dates, Decimals, UUIDs and ints of any size keep their types. Dataclasses and
    pydantic models come back as dicts, enums as their values, bytearrays as bytes, named tuples as
    tuples, and instances of subclasses as their base. Raises UnsupportedValue with the path of the
    part that cannot be stored, and PayloadTooLarge above the limit.
    """
    try:
        encoder = _idle.pop()
    except IndexError:
        encoder = _Encoder()
    try:
        # the list uses up the one level that msgpack writes but does not read
        data: bytes = encoder.pack([value])[1:]
    except _WRITING as error:
        raise _explain(value, what, error) from error
    was_plain, encoder.was_helped = not encoder.was_helped, False
    if len(data) < _KEEP:
        _idle.append(encoder)
    else:
        del encoder.pack  # else its buffer would stay until a collection finds both
    if limit is not None and len(data) > limit:
        raise PayloadTooLarge(what, len(data), limit)
    if not was_plain or EXT_BYTE in data:
        if type(value) is Stored:  # what it leads to is sealed
            return data
        _read_back(value, data, what)
    return data if _seal is None or in_clear else _seal(data)


def pack_list(parts: Sequence[bytes]) -> bytes:
    """Make one packed list of packed values, which stand a level deeper in it."""
    return b"\xdd" + len(parts).to_bytes(4, "big") + b"".join(parts)


class _Encoder:
    """A msgpack packer that records whether a value needed conversion by `plain`."""

    __slots__ = ("pack", "was_helped")

    def __init__(self) -> None:
        self.was_helped = False
        self.pack = Packer(strict_types=True, default=self._help).pack

    def _help(self, value: Any) -> Any:
        self.was_helped = True
        return plain(value)


#: idle encoders; one is removed while in use, so that threads and finalizers never share it
_idle: list[_Encoder] = []


def _read_back(value: Any, data: bytes, what: str) -> None:
    """
    Raise UnsupportedValue unless *data* can be read again.

    Fails for keys that come back unhashable or equal, and for foreign uses of our extension.
    """
    try:
        _unpack(data, object_pairs_hook=_unique)
    except _READING as error:
        raise _explain(value, what, error) from error


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("two keys come back as one")
    return made


def unpack(data: bytes) -> Any:
    """
    Deserialize bytes that `pack` produced.

    Raises UnreadableValue for any other bytes.
    """
    try:
        if EXT_BYTE in data:
            return _unpack(data)
        return unpackb(data, strict_map_key=False)  # each step passes here
    except _READING as error:
        problem = str(error) or type(error).__name__
        raise UnreadableValue(
            f"{_size(data)} cannot be read as a packed value ({problem}); "
            "something else must have written the key"
        ) from error


def unpack_shown(data: bytes) -> Any:
    """Deserialize as `unpack` does, with words for people in place of what is offloaded."""
    if not has_offloaded(data):
        return unpack(data)
    try:
        return unpackb(data, strict_map_key=False, ext_hook=_show_ext, list_hook=regroup)
    except _READING as error:
        raise UnreadableValue(
            f"{_size(data)} cannot be read as a packed value ({error})"
        ) from error


def _show_ext(code: int, data: bytes) -> Any:
    if code == CODE and data[:1] == OFFLOADED:
        return shown_for(data[1:])
    return decode_ext(code, data)


def _unpack(data: bytes, **hooks: Any) -> Any:
    if EXT_BYTE in data:
        return unpackb(data, strict_map_key=False, ext_hook=decode_ext, list_hook=regroup, **hooks)
    return unpackb(data, strict_map_key=False, **hooks)


def _size(data: object) -> str:
    return f"{len(data):,} bytes" if isinstance(data, bytes) else f"a {type(data).__name__}"


def _explain(value: Any, what: str, error: Exception) -> UnsupportedValue:
    """Return the error for a value that cannot be packed, with the path of the part at fault."""
    todo = [(what, value, 1)]
    while todo:
        path, item, depth = todo.pop()
        if depth > MAX_DEPTH:
            return UnsupportedValue(
                what, f"it is nested more than {MAX_DEPTH:,} levels deep, or contains itself"
            )
        try:
            shape = plain(item)
            _check_leaf(shape)
            todo += reversed([(step, child, depth + 1) for step, child in _children(path, shape)])
        except UnsupportedValue as found:
            return found
        except RefusedError as problem:
            if isinstance(item, CoroutineType):
                item.close()  # else Python adds that it was never awaited
            return UnsupportedValue(path + problem.where, str(problem), problem.advice)
        except _WRITING as problem:
            return UnsupportedValue(path, str(problem))
    return UnsupportedValue(what, f"it cannot be stored ({error})")


def _check_leaf(shape: Any) -> None:
    if isinstance(shape, str):
        try:
            shape.encode()
        except UnicodeEncodeError as error:
            raise RefusedError(
                "a str that is not valid Unicode cannot be stored "
                f"({error.reason} at {error.start})"
            ) from error
    elif isinstance(shape, memoryview) and not shape.c_contiguous:
        raise RefusedError("a memoryview that is not contiguous cannot be stored")
    elif isinstance(shape, ExtType):
        try:
            decode_ext(shape.code, shape.data)
        except _READING as error:
            raise RefusedError(
                f"an ExtType with code {CODE}, which is stepflow's own, cannot be stored"
            ) from error


def _children(path: str, shape: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(shape, dict):
        _check_keys(shape, path, "key", "map keys")
        yield from ((path + path_segment(key), item) for key, item in shape.items())
    elif isinstance(shape, list) and shape and (shape[0] is SET or shape[0] is FROZENSET):
        _check_keys(shape[1:], path, "member", "set members")
    elif isinstance(shape, list):
        items = shape[1:] if shape and shape[0] is TUPLE else shape
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(items))


def _check_keys(keys: Any, path: str, word: str, plural: str) -> None:
    seen = set()
    for key in keys:
        where = f"{path} ({word} {reprlib.repr(key)})"
        again = unpack(pack(key, what=where, in_clear=True))
        try:
            known = again in seen
        except TypeError as error:
            raise UnsupportedValue(
                where,
                f"it comes back as a {type(again).__name__} or holds one, "
                f"and {plural} must be hashable",
            ) from error
        if known:
            raise UnsupportedValue(where, f"another of the {plural} comes back as the same value")
        seen.add(again)
