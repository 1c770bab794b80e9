"""What operators and programs do with values that runs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stepflow.core.ids import check_text, page_of
from stepflow.engine.env import Env
from stepflow.store.calls import batch_of
from stepflow.store.shared.values import drop_shared, load_record, members_from
from stepflow.times import as_datetime

#: values that are dropped in one call
_MANY = 500


@dataclass(frozen=True, slots=True)
class SharedValueInfo:
    """
    One value that runs share.

    *name* is that of the step, `memo` for `step.memo.shared`. *id* stands for what the value was
    computed from; *key* is the key that was given instead, if any. *run_id* computed it. *size* is
    in bytes.
    """

    name: str
    id: str
    key: str
    run_id: str
    at: datetime | None
    until: datetime | None
    size: int


async def names(env: Env) -> list[str]:
    """Name the steps that have shared values."""
    return sorted(await members_from(env.keys.shared, 0, 1000))


async def values(name: str, env: Env, *, limit: int, offset: int = 0) -> list[SharedValueInfo]:
    """Read some values of a name, those first that expire last."""
    keys, found = env.keys, list[SharedValueInfo]()
    digests = await members_from(keys.shared_values(_checked(name)), *page_of(limit, offset))
    now = env.clock.now()
    for record in await batch_of([load_record(keys, name, each) for each in digests]):
        if record is not None and record.until > now:
            found.append(
                SharedValueInfo(
                    name, record.digest, record.label, record.run_id, as_datetime(record.at),
                    as_datetime(record.until), record.size,
                )
            )  # fmt: skip
    return found


async def drop(name: str, ids: Sequence[str] | None, env: Env) -> int:
    """Drop values by their ids, or all of a name; gives how many there were."""
    keys, dropped = env.keys, 0
    if ids is not None:
        return await drop_shared(keys, _checked(name), ids) if ids else 0
    while some := await members_from(keys.shared_values(_checked(name)), 0, _MANY):
        dropped += await drop_shared(keys, name, some)
    return dropped


def _checked(name: str) -> str:
    return check_text("the name of shared values", name, most=100, without=":")
