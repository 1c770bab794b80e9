"""Writes large values to a store and reads them back, compressed and compared with their digest."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple
from weakref import WeakValueDictionary

from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError, get_frame_parameters

from stepflow.errors import OffloadUnreachable, UnreadableOffload
from stepflow.store.offload.blobs import BlobStore
from stepflow.store.offload.paths import blob_path, fork_path
from stepflow.store.values.offloaded import Reference

#: level of zstd: 50 MB take a fifth of a second
_LEVEL = 3


class Held:
    """A packed value in memory; whoever has it reads it without the store."""

    __slots__ = ("__weakref__", "data", "digest")

    def __init__(self, data: bytes, digest: bytes) -> None:
        self.data = data
        self.digest = digest


class Prepared(NamedTuple):
    """A value as it is to be written, and what it is."""

    reference: Reference
    packed: bytes
    what: str


class Offload:
    """
    A store and what goes to it: packed values above *threshold* bytes, up to *limit* bytes.

    All methods may block, and any thread may call them. What somebody holds is read from memory.
    """

    def __init__(self, store: BlobStore, *, threshold: int, limit: int) -> None:
        self.store = store
        self.threshold = threshold
        self.limit = limit
        self._held: WeakValueDictionary[str, Held] = WeakValueDictionary()

    @property
    def held(self) -> int:
        """How many values are held."""
        return len(self._held)

    def takes(self, data: bytes) -> bool:
        """Whether a packed value goes to the store."""
        return len(data) > self.threshold

    def write(
        self, data: bytes, what: str, *, namespace: str, run_id: str, parent: str | None
    ) -> Reference:
        """
        Write a packed value of a run, and give what leads to it.

        Raises OffloadUnreachable, which names *what*.
        """
        return self.put(self.prepare(data, what, namespace=namespace, run_id=run_id, parent=parent))

    def prepare(
        self, data: bytes, what: str, *, namespace: str, run_id: str, parent: str | None
    ) -> Prepared:
        """Compress a packed value of a run, for a path of its own."""
        digest = sha256(data).digest()
        name = f"{digest.hex()}-{secrets.token_hex(8)}"
        path = blob_path(namespace, run_id, parent, name)
        packed = ZstdCompressor(level=_LEVEL).compress(data)
        return Prepared(Reference(digest, len(data), path), packed, what)

    def put(self, prepared: Prepared) -> Reference:
        """Write what was prepared, perhaps once more. Raises OffloadUnreachable."""
        try:
            self.store.write(prepared.reference.path, prepared.packed)
        except OSError as error:
            shown = self.store.shown
            raise OffloadUnreachable(shown, prepared.what, _reason(error)) from error
        return prepared.reference

    def read(self, reference: Reference) -> bytes:
        """
        Give a packed value.

        Raises OffloadUnreachable, and UnreadableOffload for what is missing or was changed.
        """
        held = self._held.get(reference.path)
        if held is not None and held.digest == reference.digest:
            return held.data
        shown, path = self.store.shown, reference.path
        try:
            packed = self.store.read(path)
        except FileNotFoundError:
            raise UnreadableOffload.missing(shown, path) from None
        except OSError as error:
            raise OffloadUnreachable(shown, path, _reason(error)) from error
        return _checked(packed, reference, shown)

    def delete(self, reference: Reference) -> None:
        """Delete a value that was written and that nobody has. Raises OSError."""
        self.store.delete([reference.path])

    def share(self, references: Iterable[Reference], run_id: str) -> None:
        """Note that another run has these, too. Raises OffloadUnreachable."""
        for path in {fork_path(each.path, run_id) for each in references}:
            try:
                self.store.write(path, b"")
            except OSError as error:
                what = f"what run {run_id!r} has of another run"
                raise OffloadUnreachable(self.store.shown, what, _reason(error)) from error

    def hold(self, reference: Reference, data: bytes) -> Held:
        """Keep a packed value in memory for as long as the caller has what this returns."""
        held = self._held[reference.path] = Held(data, reference.digest)
        return held

    def fetch(self, reference: Reference) -> Held:
        """Read a packed value and hold it; what somebody holds already is not read again."""
        held = self._held.get(reference.path)
        return held or self.hold(reference, self.read(reference))


def _checked(packed: bytes, reference: Reference, shown: str) -> bytes:
    """Decompress what was read; raises UnreadableOffload unless it is what was written."""
    path, size = reference.path, reference.size
    try:
        # before it is decompressed: a small one could be made to fill the memory
        if get_frame_parameters(packed).content_size != size:
            raise UnreadableOffload.damaged(shown, path, f"it does not have {size:,} bytes")
        data = ZstdDecompressor().decompress(packed)
    except ZstdError as error:
        raise UnreadableOffload.damaged(shown, path, str(error)) from error
    if sha256(data).digest() != reference.digest:
        raise UnreadableOffload.damaged(shown, path, "its digest is another one")
    return data


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
