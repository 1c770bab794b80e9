"""
The digest of a run's input, which tells whether two submits are the same.

Equal input has the same digest in every process, whatever the order of maps and sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from stepflow.errors import UnsupportedValue
from stepflow.store.values.codec import pack
from stepflow.store.values.msgpack_ext import FROZENSET, SET, plain

#: bytes: with 128 bits, two inputs of one run id do not collide by chance
_SIZE = 16

_KEY = itemgetter(0)


def digest(runner: str, payload: Any) -> bytes:
    """
    Return a digest of 16 bytes of *runner* and *payload*; equal digests mean the same submit.

    The order of map keys and set members does not matter. A dataclass or pydantic model equals its
    dict, and an enum its value; 1, 1.0 and True differ, and so do list and tuple. Raises
    UnsupportedValue as `pack` does.
    """
    try:
        packed = pack(_form(payload), in_clear=True)
    except (UnsupportedValue, TypeError, ValueError, RecursionError) as error:
        # raises with the path of the value, which the canonical form has lost
        pack(payload, in_clear=True)
        raise UnsupportedValue("payload", f"it is nested too deeply ({error})") from error
    return blake2b(_packed_name(runner) + packed, digest_size=_SIZE).digest()


@lru_cache(maxsize=1024)
def _packed_name(runner: str) -> bytes:
    return pack(runner, in_clear=True)


def _form(value: Any) -> Any:
    """
    Return the canonical form of *value*, with maps and sets sorted.

    Set members and keys that are not str are replaced by their packed bytes.
    """
    shape = plain(value)
    if type(shape) is dict:
        return {key: _form(item) for key, item in _in_order(shape)}
    if type(shape) is not list:
        return shape
    if shape and (shape[0] is SET or shape[0] is FROZENSET):
        return [shape[0], *sorted(pack(_form(item), in_clear=True) for item in shape[1:])]
    return [_form(item) for item in shape]


def _in_order(shape: dict[Any, Any]) -> Iterable[tuple[str | bytes, Any]]:
    if set(map(type, shape)) == {str}:
        # sorts as the packed strs would, without packing: by UTF-8 length, then by code point
        return sorted(sorted(shape.items(), key=_KEY), key=_length)
    keyed = {pack(_form(key), in_clear=True): (key, item) for key, item in shape.items()}
    return [(_stand_in(keyed[packed][0], packed), keyed[packed][1]) for packed in sorted(keyed)]


def _stand_in(key: Any, packed: bytes) -> str | bytes:
    form = plain(key)
    return form if isinstance(form, str) else packed


def _length(pair: tuple[str, Any]) -> int:
    return len(pair[0].encode())
