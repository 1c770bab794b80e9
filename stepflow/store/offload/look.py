"""Whether the store for large values can be used, for the doctor."""

from __future__ import annotations

import secrets

from stepflow.errors import InvalidOption
from stepflow.store.keys import Keys
from stepflow.store.offload.sweep import check_owner
from stepflow.store.offload.use import present


async def look_at_store(keys: Keys) -> tuple[bool, str]:
    """
    Write something to the store of this process, read it and delete it; say what came of that.

    A plan that blocks while it waits for the store.
    """
    offload = present()
    assert offload is not None, "asked for only where a store is in use"
    store = offload.store
    path, data = f"{keys.namespace}/look-{secrets.token_hex(8)}", secrets.token_bytes(16)
    try:
        await check_owner(store, keys)
        store.write(path, data)
        is_same = store.read(path) == data
        store.delete([path])
    except InvalidOption as problem:
        return False, str(problem)
    except OSError as error:
        return False, f"{store.shown} cannot be used: {error}"
    if not is_same:
        return False, f"{store.shown} gives back something else than was written"
    return True, f"from {offload.threshold:,} bytes on they go to {store.shown}"
