"""The store for large values of this process, as its settings say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from stepflow.errors import InvalidOption, StepflowError
from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.keys import Keys
from stepflow.store.offload.blobs import BlobStore
from stepflow.store.offload.folder import FolderStore
from stepflow.store.offload.sweep import name_store
from stepflow.store.values import offloaded
from stepflow.value_settings import OffloadSettings

try:
    from stepflow.store.offload.offload import Offload
except ModuleNotFoundError as missing:
    sentence = f"STEPFLOW_OFFLOAD_URL needs {missing.name}: pip install 'stepflow-rq[offload]'"
    raise ModuleNotFoundError(sentence, name=missing.name) from missing

#: the settings that are in use; what holds for a process is global
_used: list[OffloadSettings] = []


def use_store(settings: OffloadSettings, most: int) -> None:
    """
    Have this process offload large values as *settings* say; its `url` is set.

    What has more than *most* bytes goes there in any case: Redis is not to have it.

    All apps and clients of a process share its store. Raises InvalidOption where another is in use.
    """
    if _used:
        if _used[0] == settings:
            return
        msg = (
            f"this process offloads large values to {_used[0].url}, and an app or client brings "
            "another store or other sizes; give all of one process the same"
        )
        raise InvalidOption(msg)
    offload = Offload(
        open_store(str(settings.url)),
        threshold=min(settings.threshold_bytes, most),
        limit=max(settings.limit_bytes, most),
    )
    _used.append(settings)
    offloaded.use(offload)


def begin_at(address: Callable[[], Address], keys: Keys) -> None:
    """
    Have the store of this process begin only where this Redis has had none yet.

    What is asked is asked when a folder without a mark is used first, over a connection of its own.
    """
    offload = present()
    if offload is None or not isinstance(offload.store, FolderStore):
        return

    def is_new() -> bool:
        connection = SyncConnection.to(address())
        try:
            return connection.call(name_store(keys))
        except StepflowError as error:
            msg = f"whether it had a store before, Redis did not say ({error})"
            raise OSError(msg) from error
        finally:
            connection.close()

    offload.store.is_new = offload.store.is_new or is_new


def present() -> Offload | None:
    """Give the store of this process; None in most."""
    return offloaded.in_use if isinstance(offloaded.in_use, Offload) else None


def open_store(url: str) -> BlobStore:
    """
    Open the store at a URL, or in a folder, which is made; raises InvalidOption.

    The folder itself is made here and never again, and its mark when it is used first: one that
    vanishes is away, and not empty.
    """
    scheme, sign, _ = url.partition("://")
    if not sign or scheme == "file":
        root = Path(url.removeprefix("file://")).expanduser().absolute()
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not os.access(root, os.W_OK | os.X_OK):
                msg = f"this process may not write to the folder for large values, {root}"
                raise InvalidOption(msg)
        except OSError as error:
            msg = f"the folder for large values, {root}, cannot be made ({error.strerror})"
            raise InvalidOption(msg) from error
        return FolderStore(root)
    if scheme == "s3":
        return _objects(url)
    msg = f"{scheme}:// is no store for large values that stepflow knows; write a folder, or s3://"
    raise InvalidOption(msg)


def _objects(url: str) -> BlobStore:
    try:
        from stepflow.store.offload.objects import ObjectStore  # noqa: PLC0415  an extra of its own
    except ModuleNotFoundError as missing:
        sentence = f"{url} needs {missing.name}: pip install 'stepflow-rq[offload-s3]'"
        raise ModuleNotFoundError(sentence, name=missing.name) from missing
    try:
        return ObjectStore(url)
    except Exception as error:  # whatever the library raises
        problem = str(error).partition("\n")[0]
        msg = f"the store for large values, {url}, cannot be used ({problem})"
        raise InvalidOption(msg) from error


def forget_store() -> None:
    """Offload nothing any more, and read nothing that is: for tests."""
    _used.clear()
    offloaded.use(None)
