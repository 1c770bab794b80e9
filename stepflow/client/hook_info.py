"""Hook deliveries as callers see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stepflow.errors import StepflowError
from stepflow.hooks.target import shown
from stepflow.store.hooks import HookRecord
from stepflow.store.values.codec import unpack
from stepflow.times import as_datetime


@dataclass(frozen=True, slots=True)
class HookInfo:
    """
    One delivery of a hook.

    *target* is the URL of a webhook with its secrets hidden, or the name of a hook of the app.
    *state* is "pending", "delivered" or "dead". *due_at* is the time of the next try, None when
    there is none. *problem* says why the last try failed.
    """

    id: str
    run_id: str
    kind: str
    target: str
    state: str
    tries: int
    due_at: datetime | None
    problem: str | None
    created_at: datetime | None


def hook_info_of(record: HookRecord) -> HookInfo:
    """Show a delivery, but never its secret, its headers or its body."""
    kind, target = _read_target(record.target)
    return HookInfo(
        record.id,
        run_id=record.run_id,
        kind=kind,
        target=target,
        state=record.state,
        tries=record.tries,
        due_at=as_datetime(record.due_at),
        problem=record.problem or None,
        created_at=as_datetime(record.created_at),
    )


def _read_target(packed: bytes) -> tuple[str, str]:
    """Read kind and target; of a damaged record, say so in the place of the target."""
    try:
        kind, what = unpack(packed)
    except (StepflowError, TypeError, ValueError):
        return "", "<unreadable>"
    return str(kind), shown(what.get("url")) if isinstance(what, dict) else str(what)
