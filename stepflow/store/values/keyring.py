"""
Seals packed values with AES-256-GCM, and opens them.

The law: no key seals more values than its random nonces allow. A keyring derives a key of its own
from yours, by HKDF-SHA256 over a random salt, and takes another salt after 2^24 values; so any
number of workers may share one key for as long as you like (NIST SP 800-38D, 8.3, allows 2^32
values under one key).
"""

from __future__ import annotations

import base64
import hmac
import os
import threading
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stepflow.core.briefs import set_brief_seal
from stepflow.errors import InvalidOption, UndecryptableValue
from stepflow.store.values.codec import set_seal
from stepflow.store.values.sealed import head_of, key_id_of, sealed_in, write_sealed

#: bytes
_SALT, _NONCE, _KEY = 16, 12, 32
#: values that one derived key seals
_MOST = 1 << 24
#: derived keys that are kept for reading: each process that writes has one
_KEPT = 4096
#: the salt of values that must be the same bytes each time
_ALIKE = bytes(_SALT)


class Keyring:
    """Some keys of 32 bytes by their ids; the first seals, all of them open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self.keys = dict(keys)
        self.seals_with = next(iter(keys))
        self._head = head_of(self.seals_with)
        self._derived = lru_cache(_KEPT)(self._derive)
        self._lock = threading.Lock()
        self._salt, self._left = b"", 0

    def seal(self, data: bytes) -> bytes:
        """Seal packed bytes; the same bytes never give the same again."""
        salt, nonce = self._next_salt(), os.urandom(_NONCE)
        cipher = self._derived(self.seals_with, salt)
        return write_sealed(self._head + salt + nonce + cipher.encrypt(nonce, data, self._head))

    def seal_alike(self, data: bytes) -> list[bytes]:
        """
        Seal packed bytes for a script that compares them, with each key, the present one first.

        The nonce follows from the bytes, so equal values can be seen to be equal.
        """
        return [self._seal_alike(key_id, data) for key_id in self.keys]

    def open(self, data: bytes) -> bytes:
        """Open what an extension holds after its kind; raises UndecryptableValue."""
        key_id, rest = key_id_of(data)
        if key_id not in self.keys:
            raise UndecryptableValue.missing(key_id)
        salt, nonce = rest[:_SALT], rest[_SALT : _SALT + _NONCE]
        try:
            cipher = self._derived(key_id, salt)
            return cipher.decrypt(nonce, rest[_SALT + _NONCE :], head_of(key_id))
        except (InvalidTag, ValueError) as error:
            raise UndecryptableValue.refused(key_id) from error

    def seal_text(self, text: str) -> str:
        """Seal text for a place that takes text."""
        return base64.b64encode(self.seal(text.encode("utf-8", "backslashreplace"))).decode()

    def open_text(self, sealed: str) -> str:
        """Open it, or say in words that it cannot be."""
        try:
            return self.open(sealed_in(base64.b64decode(sealed))).decode()
        except (ValueError, UndecryptableValue) as error:
            return f"<{error}>"

    def _seal_alike(self, key_id: str, data: bytes) -> bytes:
        head, cipher = head_of(key_id), self._derived(key_id, _ALIKE)
        nonce = hmac.digest(self._expand(key_id, _ALIKE, b"nonce"), data, "sha256")[:_NONCE]
        return write_sealed(head + _ALIKE + nonce + cipher.encrypt(nonce, data, head))

    def _next_salt(self) -> bytes:
        with self._lock:
            if not self._left:
                self._salt, self._left = os.urandom(_SALT), _MOST
            self._left -= 1
            return self._salt

    def _derive(self, key_id: str, salt: bytes) -> AESGCM:
        return AESGCM(self._expand(key_id, salt, b"value"))

    def _expand(self, key_id: str, salt: bytes, use: bytes) -> bytes:
        derivation = HKDF(SHA256(), _KEY, salt=salt, info=b"stepflow " + use)
        return derivation.derive(self.keys[key_id])


#: the keyring of this process, once it has one
_used: list[Keyring] = []


def use_keys(keys: Mapping[str, bytes]) -> None:
    """
    Seal what this process packs from now on with the first of *keys*, and open with all of them.

    All apps and clients of a process share its keys. Raises InvalidOption where others are in use.
    """
    for used in _used:
        if list(used.keys.items()) == list(keys.items()):
            return
        msg = (
            f"this process encrypts with key {used.seals_with!r}, and an app or client brings "
            "other keys; give all of one process the same, in the same order"
        )
        raise InvalidOption(msg)
    keyring = Keyring(keys)
    _used.append(keyring)
    set_seal(keyring.seal, keyring.open, keyring.seal_alike)
    set_brief_seal(keyring.seal_text, keyring.open_text)


def forget_keys() -> None:
    """Pack in clear again, and open nothing: for tests."""
    _used.clear()
    set_seal(None)
    set_brief_seal(None, None)
