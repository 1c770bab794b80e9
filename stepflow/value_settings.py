"""Settings of how the values of runs are stored; part of `settings.py`, see there."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes

#: bytes of a key of AES-256, and how base64 may be written as well
_KEY_BYTES, _URL_SAFE = 32, str.maketrans("-_", "+/")


def _keys(value: object) -> object:
    """Check keys, without quoting one of them; gives them by their ids, in their order."""
    if isinstance(value, Mapping):
        return value
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("keys are a list of ID:KEY")  # noqa: TRY004  pydantic takes ValueErrors
    pairs = [str(each).partition(":") for each in given if str(each).strip()]
    keys = {key_id.strip(): _read_key(key_id.strip(), written) for key_id, _, written in pairs}
    if len(keys) < len(pairs):
        raise ValueError("two keys have the same id")
    return keys


def _read_key(key_id: str, written: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", key_id):
        msg = "a key is written as ID:KEY, the id of 1 to 32 letters, digits, '.', '_' and '-'"
        raise ValueError(msg)
    try:
        key = base64.b64decode(written.strip().translate(_URL_SAFE), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        msg = f"key {key_id!r} is not {_KEY_BYTES} bytes in base64"
        raise ValueError(msg)
    return key


class ProcessSettings(BaseModel):
    """The child processes of a worker, for functions with `isolation="process"`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    most: int = Field(default=0, ge=0, le=10_000)
    """Child processes of one worker process; 0 for as many as there are cores."""
    calls: int = Field(default=1000, ge=1)
    """Calls after which a child process is replaced by a fresh one."""
    memory_bytes: int = Field(default=0, ge=0)
    """Bytes of memory (address space) that a child process may have; 0 for no limit."""


class EncryptionSettings(BaseModel):
    """Keys with which the values of runs are encrypted before they leave the process."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    keys: Annotated[Mapping[str, SecretBytes], BeforeValidator(_keys)] = Field(
        default={}, repr=False
    )
    """Keys as `ID:KEY`, 32 bytes in base64, comma-separated; the first encrypts, all decrypt."""

    def plain(self) -> dict[str, bytes]:
        """Give the keys by their ids."""
        return {key_id: key.get_secret_value() for key_id, key in self.keys.items()}


class OffloadSettings(BaseModel):
    """A store for values that are too large for Redis."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    url: str | None = Field(default=None, repr=False)
    """Where large values go: a folder, or `s3://bucket/prefix`; without one, all are in Redis."""
    threshold_bytes: int = Field(default=65_536, ge=1024, le=536_870_912)
    """Packed size from which on a payload, a result or the value of a step goes there."""
    limit_bytes: int = Field(default=268_435_456, ge=1024, le=4_294_967_296)
    """Packed size that such a value may have, in place of `limits.payload_bytes`."""
    keep_s: float = Field(default=86_400.0, ge=60, le=3_155_760_000)
    """Seconds for which a value stays, at least, whose run is not there, or no longer."""
