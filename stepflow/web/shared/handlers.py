"""The operations on shared values, carried out."""

from __future__ import annotations

from typing import Any

from stepflow.hooks.body import json_value
from stepflow.web.operation import Call
from stepflow.web.redact import redacted


async def list_shared_names(call: Call) -> Any:
    """Name the steps that have shared values; `memo` has those of `step.memo.shared`."""
    return list(await call.client.shared.names())


async def list_shared(call: Call) -> Any:
    """List the shared values of a step, those first that expire last; not what they are."""
    query = call.query
    step = call.path["shared_step"]
    found = await call.client.shared.list(step, limit=query.limit, offset=query.offset)
    rows = [json_value(each) for each in found]
    return [{**row, "key": redacted(call.redact, "shared", row["key"])} for row in rows]


async def drop_shared(call: Call) -> Any:
    """Drop shared values of a step; what is being computed meanwhile is shared all the same."""
    step = call.path["shared_step"]
    dropped = await call.client.shared.drop(step, call.body.ids, by=call.by)
    return {"name": step, "dropped": dropped}
