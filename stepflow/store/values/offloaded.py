"""
How an offloaded value stands among packed ones: an extension of kind `o` that says where it is.

    o | format, 1 byte | SHA-256 of the packed value | its size, 8 bytes | path in the store

So a reference is a packed value, wherever one may stand, and is as short as a sentence. It is never
sealed: what it leads to is, where this process has keys. `store/offload` reads and writes what
references lead to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from msgpack import ExtType, packb  # type: ignore[import-untyped]

from stepflow.errors import UnreadableOffload

#: code of our extension, as in `msgpack_ext.py`, and the kind
_CODE, OFFLOADED = 127, b"o"
#: what a reference begins with; the byte after the kind is the format
_MARK = bytes([_CODE]) + OFFLOADED + b"\x01"
#: bytes of a digest and of a size
_DIGEST, _SIZE = 32, 8
#: what a path is: below the store, wherever what is in Redis came from
_PATH = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/(~|[A-Za-z0-9_-]+)/[0-9a-f]+-[0-9a-f]+")
#: how msgpack begins an extension of up to 255 and up to 65,535 bytes
_SHORT, _LONG = 0xC7, 0xC8


class Reference(NamedTuple):
    """Where a value is: *size* bytes packed, whose SHA-256 is *digest*, at *path* in the store."""

    digest: bytes
    size: int
    path: str

    def write(self) -> bytes:
        """Write it as a packed value."""
        packed: bytes = packb(self.extension())
        return packed

    def extension(self) -> ExtType:
        """Give it as msgpack packs it."""
        size = self.size.to_bytes(_SIZE, "big")
        return ExtType(_CODE, _MARK[1:] + self.digest + size + self.path.encode())

    @classmethod
    def read(cls, body: bytes) -> Reference:
        """Read what an extension holds after its kind; raises ValueError for anything else."""
        at = 1 + _DIGEST
        if body[:1] != _MARK[-1:] or len(body) <= at + _SIZE:
            raise ValueError("it is no reference to an offloaded value that this version knows")
        size, path = int.from_bytes(body[at : at + _SIZE], "big"), body[at + _SIZE :].decode()
        if not _PATH.fullmatch(path):
            raise ValueError("it leads to no place in a store of large values")
        return cls(body[1:at], size, path)

    def __str__(self) -> str:
        return f"{self.size:,} bytes, offloaded, SHA-256 {self.digest.hex()[:16]}"


class Offloading(Protocol):
    """What a process does that has a store for large values; see `store/offload`."""

    @property
    def limit(self) -> int:
        """The most bytes that a packed value may have."""

    def takes(self, data: bytes) -> bool:
        """Whether a packed value goes to the store."""

    def write(
        self, data: bytes, what: str, *, namespace: str, run_id: str, parent: str | None
    ) -> Reference:
        """Write a packed value of a run; blocks. Raises OffloadUnreachable, which names *what*."""

    def read(self, reference: Reference) -> bytes:
        """Give a packed value; blocks unless it is held."""

    def delete(self, reference: Reference) -> None:
        """Delete a value that was written and that nobody has; blocks. Raises OSError."""

    def share(self, references: Iterable[Reference], run_id: str) -> None:
        """Note that another run has these, too; blocks. Raises OffloadUnreachable."""


#: the store of this process; None in most
in_use: Offloading | None = None


def use(offloading: Offloading | None) -> None:
    """Have this process read and write offloaded values with *offloading*; None ends that."""
    global in_use  # noqa: PLW0603  what holds for a process is global
    in_use = offloading


@dataclass(frozen=True, slots=True)
class Stored:
    """
    Stands for a value that is in the store already: it is packed as its reference.

    *digest* is that of the input it stands for, see `digest.py`; empty for anything else.
    """

    reference: Reference
    digest: bytes = b""


class OffloadedText(str):
    """Words that are shown in place of an offloaded value; `reference` leads to it."""

    __slots__ = ("reference",)
    reference: Reference

    @classmethod
    def of(cls, reference: Reference) -> OffloadedText:
        """Make the words for a value: its size, and how its digest begins."""
        made = cls(f"<{reference}>")
        made.reference = reference
        return made


def references_in(data: bytes) -> Iterator[Reference]:
    """
    Find the references in packed bytes, at any depth, and in the entry of a journal.

    A quick look that misses none; bytes of a user's may look like one, and then lead nowhere.
    """
    at = data.find(_MARK)
    while at > 0:
        body = _body_at(data, at)
        with suppress(ValueError):  # bytes that only look like one
            yield Reference.read(body[1:])
        at = data.find(_MARK, at + 1)


def _body_at(data: bytes, at: int) -> bytes:
    """Give what the extension holds whose code is at an index; empty for none."""
    if at > 1 and data[at - 2] == _SHORT:
        return data[at + 1 : at + 1 + data[at - 1]]
    if at > 2 and data[at - 3] == _LONG:  # noqa: PLR2004  the header's length
        return data[at + 1 : at + 1 + int.from_bytes(data[at - 2 : at], "big")]
    return b""


def has_offloaded(data: bytes) -> bool:
    """Say whether packed bytes may have a reference: a quick look that never misses one."""
    return _MARK in data


def shown_for(body: bytes) -> Any:
    """Give the words to show for what an extension holds after its kind."""
    return OffloadedText.of(Reference.read(body))


def packed_at(body: bytes) -> bytes:
    """Give the packed value that an extension leads to, after its kind."""
    reference = Reference.read(body)
    if in_use is None:
        raise UnreadableOffload.without_store(reference.path, reference.size)
    return in_use.read(reference)


def share_with(run_id: str, packed: Iterable[bytes]) -> None:
    """
    Note that a run has what the references in *packed* lead to, before they are copied into it.

    Blocks where there are any. Raises OffloadUnreachable, and UnreadableOffload without a store.
    """
    found = [each for data in packed if has_offloaded(data) for each in references_in(data)]
    if not found:
        return
    if in_use is None:
        raise UnreadableOffload.without_store(found[0].path, found[0].size)
    in_use.share(found, run_id)
