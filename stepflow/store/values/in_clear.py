"""
Opens and seals what stands in a record: a packed value, often after words that end with '|'.

A document of a run is in clear whatever keys its app has, so that it can be read and replayed
elsewhere; what is made of one is sealed again.
"""

from __future__ import annotations

from collections.abc import Callable

from stepflow.core.journal import split
from stepflow.errors import StepflowError, UndecryptableValue
from stepflow.store.values.codec import is_sealing, opened, pack, unpack
from stepflow.store.values.sealed import has_sealed

#: words before a packed value: the number of a child and how it ended, or the name of a signal
_MOST_WORDS = 2
#: how a variable begins that is no number
_VARIABLE = b"="
#: below, a byte is a small number or the beginning of text, and no value of more than that byte
_LEAST = 0x80


def data_in_clear(data: bytes) -> bytes:
    """Open what is sealed in *data*; raises UndecryptableValue without its key."""
    return _changed(data, opened) if has_sealed(data) else data


def entry_in_clear(entry: bytes) -> bytes:
    """Open what is sealed in an entry of a journal; raises UndecryptableValue without its key."""
    return _of_entry(entry, data_in_clear) if has_sealed(entry) else entry


def seal_data(data: bytes) -> bytes:
    """Seal the value in *data*, where this process has keys."""
    return _changed(data, _sealed) if is_sealing() else data


def seal_entry(entry: bytes) -> bytes:
    """Seal the value in an entry of a journal, where this process has keys."""
    return _of_entry(entry, seal_data) if is_sealing() else entry


def _sealed(packed: bytes) -> bytes:
    return pack(unpack(packed))


def _of_entry(entry: bytes, change: Callable[[bytes], bytes]) -> bytes:
    try:
        data = split(entry)[4]
    except ValueError:
        return entry
    return entry[: len(entry) - len(data)] + change(data) if data else entry


def _changed(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change the packed value in *data*; gives back what holds none."""
    parts = data.split(b"|", _MOST_WORDS)
    for words in range(len(parts)):
        before, packed = b"".join(part + b"|" for part in parts[:words]), b"|".join(parts[words:])
        if packed.startswith(_VARIABLE):
            before, packed = before + _VARIABLE, packed[1:]
        if len(packed) > 1 and packed[0] >= _LEAST and _is_packed(packed):
            return before + change(packed)
    return data


def _is_packed(data: bytes) -> bool:
    try:
        unpack(data)
    except UndecryptableValue:
        raise
    except StepflowError:
        return False
    return True
