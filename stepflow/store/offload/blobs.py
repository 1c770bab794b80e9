"""What a store for large values is asked for, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol


class Blob(NamedTuple):
    """Something in a store, and when (unix seconds) it was written."""

    path: str
    written_at: float


class BlobStore(Protocol):
    """
    Bytes by path. All methods block, and any thread may call them.

    They raise OSError while the store does not answer; FileNotFoundError, which is one, only for
    what is not there.
    """

    @property
    def shown(self) -> str:
        """Where it is, for errors and logs: without a password."""

    def write(self, path: str, data: bytes) -> None:
        """Write *data* at *path*: all of it or nothing, and durable on return."""

    def read(self, path: str) -> bytes:
        """Read what is at *path*."""

    def folders(self, path: str) -> Iterator[str]:
        """List the folders directly below *path*, by their names."""

    def blobs(self, path: str) -> Iterator[Blob]:
        """List all that is below *path*, at any depth."""

    def delete(self, paths: Iterable[str]) -> None:
        """Delete what is there of *paths*."""
