"""
The digest of a run's input.

The same for equal input, whatever the order of maps and sets, process or hash seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from stepflow.errors import UnsupportedValue
from stepflow.store.values.codec import pack
from stepflow.store.values.msgpack_ext import FROZENSET, SET, plain

#: 128 bits: two inputs of one run id do not meet by chance
_SIZE = 16

_KEY = itemgetter(0)


def digest(runner: str, payload: Any) -> bytes:
    """
    Give 16 bytes that stand for *runner* and *payload*; equal bytes mean the same submit.

    Map keys and set members count in the order of their packed bytes. A dataclass or pydantic model
    is equal to its map, an enum to its value; 1, 1.0 and True differ, and so do list and tuple.
    Raises UnsupportedValue as `pack` does.
    """
    try:
        packed = pack(_form(payload))
    except (UnsupportedValue, TypeError, ValueError, RecursionError) as error:
        # says it with the path of the value; the form has lost its keys
        pack(payload)
        raise UnsupportedValue("payload", f"it is nested too deeply ({error})") from error
    return blake2b(pack(runner) + packed, digest_size=_SIZE).digest()


def _form(value: Any) -> Any:
    """
    Put *value* in its one order.

    Keys that are no str, and members, stand as their packed bytes.
    """
    shape = plain(value)
    if type(shape) is dict:
        return {key: _form(item) for key, item in _in_order(shape)}
    if type(shape) is not list:
        return shape
    if shape and (shape[0] is SET or shape[0] is FROZENSET):
        return [shape[0], *sorted(pack(_form(item)) for item in shape[1:])]
    return [_form(item) for item in shape]


def _in_order(shape: dict[Any, Any]) -> Iterable[tuple[str | bytes, Any]]:
    if set(map(type, shape)) == {str}:
        # the order of packed strs, found without packing: by length in UTF-8, then by code point
        return sorted(sorted(shape.items(), key=_KEY), key=_length)
    keyed = {pack(_form(key)): (key, item) for key, item in shape.items()}
    return [(_stand_in(keyed[packed][0], packed), keyed[packed][1]) for packed in sorted(keyed)]


def _stand_in(key: Any, packed: bytes) -> str | bytes:
    form = plain(key)
    return form if isinstance(form, str) else packed


def _length(pair: tuple[str, Any]) -> int:
    return len(pair[0].encode())
