"""
Deletes what no run needs any more.

Records of runs go by themselves when their time is over, and nothing tells the store; so it is
gone through now and then, and Redis asked who is there. A value that is younger than `keep_s` stays
whatever Redis says: the run that it was written for may be about to be submitted. A store says to
which Redis it belongs; to another one, or to one that was emptied, all of its runs would be gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from stepflow.errors import InvalidOption
from stepflow.store.calls import Call, batch_of, command, raw
from stepflow.store.keys import Keys
from stepflow.store.offload.blobs import BlobStore
from stepflow.store.offload.paths import fork_in, owners_of
from stepflow.store.query import scan_members

#: the name of the file that says to which Redis a store belongs
_OWNER = "redis"
#: parts of a hook id behind the id of its run
_BEHIND_RUN = 3
#: runs that are asked for in one round trip
_PAGE = 200


class Swept(NamedTuple):
    """How many values were deleted, and of how many runs and their parents."""

    values: int
    runs: int


async def sweep(store: BlobStore, keys: Keys, *, before: float) -> Swept:
    """
    Delete the values that no run needs and that were written *before* then (unix seconds).

    A plan that blocks while it waits for the store. Raises OSError while that is away, and
    InvalidOption for a store of another Redis.
    """
    await check_owner(store, keys)
    folders, values, runs = _folders(store, keys.namespace), 0, 0
    told: set[str] | None = None
    while page := list(islice(folders, _PAGE)):
        there = await _there({run_id for folder in page for run_id in owners_of(folder)}, keys)
        for folder in page:
            if not there.isdisjoint(owners_of(folder)):
                continue
            if told is None:
                told = await _with_hooks(keys)
            if told.isdisjoint(owners_of(folder)):
                deleted = await _clear(store, folder, keys, before)
                values += deleted
                runs += deleted > 0
    return Swept(values, runs)


async def check_owner(store: BlobStore, keys: Keys) -> None:
    """
    Have the store belong to this Redis, from the first call on.

    A plan that blocks. Raises InvalidOption where it belongs to another one.
    """
    path, owner = f"{keys.namespace}/{_OWNER}", b""
    with suppress(FileNotFoundError):
        owner = store.read(path)  # first: a store that is away is not to be named
    mine = await _name_of(keys)
    if not owner:
        store.write(path, mine)
    elif owner != mine:
        msg = (
            f"the store for large values at {store.shown} belongs to another Redis, or to this one "
            f"before it was emptied: {path} there has {owner.decode('ascii', 'replace')}, this "
            f"Redis is {mine.decode()}; give each its own, or delete that file"
        )
        raise InvalidOption(msg)


async def _name_of(keys: Keys) -> bytes:
    """Give the name of this Redis in stores, which is made when it is first asked for."""
    await name_store(keys)
    found: bytes = await command("HGET", _store_key(keys), "name", read=raw)
    return found


def name_store(keys: Keys) -> Call[bool]:
    """Have this Redis have a name in stores; says whether it had none, nor a store."""
    return command("HSETNX", _store_key(keys), "name", secrets.token_hex(8), read=bool)


def _store_key(keys: Keys) -> str:
    return f"{keys.namespace}:store"


async def _clear(store: BlobStore, folder: str, keys: Keys, before: float) -> int:
    """Delete what is in the folder of a run that is gone, unless another run has a note there."""
    # listed only now: whoever copies from a run writes its note while that run is there
    blobs = list(store.blobs(folder))
    notes = {each: fork for each in blobs if (fork := fork_in(each.path)) is not None}
    if any(each.written_at >= before for each in notes) or await _there(notes.values(), keys):
        return 0
    old = [each.path for each in blobs if each.written_at < before]
    store.delete(old)
    return sum(fork_in(path) is None for path in old)


async def _with_hooks(keys: Keys) -> set[str]:
    """Name the runs whose end is still to be told, or may be told again: it has the result."""
    found: set[str] = set()
    # one that was given up and is sent again goes from one to the other meanwhile
    for index in (keys.live_hooks, keys.dead_hooks, keys.live_hooks):
        cursor = ""
        while cursor != "0":
            cursor, hook_ids = await scan_members(index, cursor or "0", "")
            found.update(hook_id.rsplit("-", _BEHIND_RUN)[0] for hook_id in hook_ids)
    return found


def _folders(store: BlobStore, namespace: str) -> Iterator[str]:
    for run_id in store.folders(namespace):
        for parent in store.folders(f"{namespace}/{run_id}"):
            yield f"{namespace}/{run_id}/{parent}"


async def _there(run_ids: Collection[str], keys: Keys) -> set[str]:
    """Say which of these runs are there, whatever their records look like."""
    asked = sorted(run_ids)
    found = await batch_of([_is_there(keys, run_id) for run_id in asked])
    return {run_id for run_id, is_there in zip(asked, found, strict=True) if is_there}


def _is_there(keys: Keys, run_id: str) -> Call[bool]:
    return command("HLEN", keys.run(run_id), read=bool, misfit=lambda: True)


def claim_sweep(keys: Keys, worker: str, every_s: float) -> Call[bool]:
    """Say whether this worker is the one to sweep now: one does, in so many seconds."""
    return command(
        "SET", f"{keys.namespace}:swept", worker, "NX", "PX", int(every_s * 1000), read=bool
    )
