"""
How a sealed value stands among packed ones: an extension of kind `e` that names its key.

    e | length of the key id, 1 byte | key id | salt | nonce | ciphertext and its tag

So a sealed value is a packed value, wherever one may stand. The parts before the salt are the
ciphertext's additional data.
"""

from __future__ import annotations

from msgpack import ExtType, packb, unpackb  # type: ignore[import-untyped]

from stepflow.errors import UndecryptableValue
from stepflow.store.values.msgpack_ext import CODE, EXT_BYTE

#: the kind of the extension
SEALED = b"e"


def head_of(key_id: str) -> bytes:
    """Write what a value begins with that was sealed with a key."""
    name = key_id.encode()
    return SEALED + bytes([len(name)]) + name


def write_sealed(body: bytes) -> bytes:
    """Make a packed value of a head and what was sealed."""
    sealed: bytes = packb(ExtType(CODE, body))
    return sealed


def sealed_in(packed: bytes) -> bytes:
    """Give back what `key_id_of` parts, of a packed value; raises ValueError for another one."""
    found = unpackb(packed)
    if not isinstance(found, ExtType) or found.data[:1] != SEALED:
        raise ValueError("it is no sealed value")
    rest: bytes = found.data[1:]
    return rest


def has_sealed(data: bytes) -> bool:
    """Say whether packed bytes may hold a sealed value: a quick look that never misses one."""
    return EXT_BYTE + SEALED in data


def key_id_of(data: bytes) -> tuple[str, bytes]:
    """Part what an extension holds, after its kind: the id of the key, and the rest."""
    end = 1 + data[0] if data else 1
    return data[1:end].decode("ascii", "replace"), data[end:]


def refuse_sealed(data: bytes) -> bytes:
    """Raise UndecryptableValue, which names the key: this process has none."""
    raise UndecryptableValue.missing(key_id_of(data)[0])
