"""A store for large values in a folder, which all processes of the app must see."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from stepflow.store.offload.blobs import Blob

#: how the name of a file begins that is not whole yet
_UNFINISHED = "."


class FolderStore:
    """Files below *root*, which must be there: a mount that is gone is no empty store."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.shown = str(root)

    def write(self, path: str, data: bytes) -> None:
        """Write *data* at *path*: all of it or nothing, and durable on return."""
        self._check()
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{_UNFINISHED}{target.name}")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        except FileNotFoundError as error:  # its folder was deleted, empty, in this moment
            msg = f"{target.parent} was deleted meanwhile"
            raise OSError(msg) from error
        self._settle(target.parent)

    def read(self, path: str) -> bytes:
        """Read what is at *path*."""
        self._check()
        return (self._root / path).read_bytes()

    def folders(self, path: str) -> Iterator[str]:
        """List the folders directly below *path*, by their names."""
        self._check()
        with suppress(FileNotFoundError), os.scandir(self._root / path) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def blobs(self, path: str) -> Iterator[Blob]:
        """List all that is below *path*, at any depth, also what was never finished."""
        self._check()
        for folder, _, names in os.walk(self._root / path):
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):
                    yield Blob(str(file.relative_to(self._root)), file.stat().st_mtime)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete what is there of *paths*, and the folders that are empty then."""
        self._check()
        for path in paths:
            file = self._root / path
            file.unlink(missing_ok=True)
            with suppress(OSError):  # it is not empty
                while (file := file.parent) != self._root:
                    file.rmdir()

    def _check(self) -> None:
        if not self._root.is_dir():
            msg = f"there is no folder {self._root}"
            raise OSError(msg)

    def _settle(self, folder: Path) -> None:
        """Have the names in *folder* and in those above it survive a crash of the machine."""
        while True:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if folder == self._root:
                return
            folder = folder.parent
