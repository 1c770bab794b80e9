"""A store for large values in a folder, which all processes of the app must see."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from stepflow.store.offload.blobs import Blob

#: how the name of a file begins that is not whole yet
_UNFINISHED = "."
#: the file that is there while the folder is: where a mount is lost, another folder comes to light
MARK = ".stepflow"
#: times that a write makes its folder, should that be deleted, empty, just then
_TRIES = 5
#: how often, and after how many seconds each, the mark that another process makes is looked for
_LOOKS, _LOOK_S = 20, 0.05


class FolderStore:
    """
    Files below *root*, which must be there, with its mark.

    A mount that is gone is no empty store. So an empty folder without a mark is asked about when it
    is used first: *is_new* says whether a store may begin there, None that it may.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.shown = str(root)
        self.is_new: Callable[[], bool] | None = None
        #: whether the mark was seen: from then on none is made
        self._has_begun = False
        self._beginning = Lock()

    def write(self, path: str, data: bytes) -> None:
        """Write *data* at *path*: all of it or nothing, and durable on return."""
        self._check()
        target = self._root / path
        # a name of its own: others may write what is no value at the same path
        unfinished = target.with_name(f"{_UNFINISHED}{target.name}.{secrets.token_hex(4)}")
        for _ in range(_TRIES):
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # its folder was deleted, empty, in this moment
                _write(unfinished, data, target)
                return self._settle(target.parent)
        msg = f"{target.parent} is deleted again and again"
        raise OSError(msg)

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
        for folder, _, names in os.walk(self._root / path, onerror=_unless_gone):
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):
                    yield Blob(str(file.relative_to(self._root)), file.lstat().st_mtime)

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
        if (self._root / MARK).is_file():
            self._has_begun = True
            return
        with self._beginning:
            if (self._root / MARK).is_file() or (not self._has_begun and self._begin()):
                self._has_begun = True
                return
        msg = f"there is no folder {self._root} with the file {MARK}; is it mounted?"
        if not self._has_begun and self._root.is_dir():
            msg = f"{msg} if a new store is to begin there, make that file"
        raise OSError(msg)

    def _begin(self) -> bool:
        """Make the mark where a store may begin; say whether it is there."""
        mark = self._root / MARK
        if not self._root.is_dir():
            return False
        if self.is_new is None or any(self._root.iterdir()) or self.is_new():
            mark.touch()
            return True
        for _ in range(_LOOKS):  # another process may be about to make it
            if mark.is_file():
                return True
            time.sleep(_LOOK_S)
        return False

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


def _write(unfinished: Path, data: bytes, target: Path) -> None:
    """Write a file under another name first; nothing is left of one that cannot be written."""
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _unless_gone(error: OSError) -> None:
    """Raise what hides files: a note that is not seen would cost a fork its values."""
    if not isinstance(error, FileNotFoundError):
        raise error
