"""What a library that runs in a workflow needs: ids that follow from the run, places of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from stepflow.core.ids import idempotency_key
from stepflow.kits.flow.context import Context


def derived_uuid(ctx: Context, name: str) -> uuid.UUID:
    """Return a UUID for *name* in the present history of the run; it takes no place in it."""
    activation = ctx._activation  # noqa: SLF001  one house
    key = idempotency_key(activation.run.seed, activation.restarts, name)
    return uuid.UUID(hex=key, version=4)


def places_apart(ctx: Context) -> Callable[[], None]:
    """
    Have what the present task asks for take places below one of its own.

    Until the returned function is called. See `Branch.turn_off`.
    """
    return ctx._activation.loop.branch().turn_off()  # noqa: SLF001  one house
