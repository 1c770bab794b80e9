"""What follows from a run and a name of yours: the same on every replay and in forks."""

from __future__ import annotations

import uuid

from stepflow.core.ids import idempotency_key
from stepflow.kits.flow.context import Context


def derived_uuid(ctx: Context, name: str) -> uuid.UUID:
    """Return a UUID for *name* in the present history of the run; it takes no place in it."""
    activation = ctx._activation  # noqa: SLF001  one house
    key = idempotency_key(activation.run.seed, activation.restarts, name)
    return uuid.UUID(hex=key, version=4)
