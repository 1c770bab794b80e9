"""The operations on lanes, carried out."""

from __future__ import annotations

from typing import Any

from stepflow.hooks.body import json_value
from stepflow.web.models import MOST_ROWS
from stepflow.web.operation import Call


async def list_lanes(call: Call) -> Any:
    """List the lanes of a fair queue that have waiting runs, in the order of their turns."""
    return json_value(list(await call.client.lanes(call.path["queue"], most=MOST_ROWS)))


async def set_weight(call: Call) -> Any:
    """Give a lane more or fewer turns than others, from its next turn on."""
    queue, given = call.path["queue"], call.body
    await call.client.set_weight(queue, given.lane, given.weight, by=call.by)
    return {"queue": queue, "lane": given.lane, "weight": given.weight or 1.0}


async def set_window(call: Call) -> Any:
    """Say how many runs of a fair queue stand in its RQ list, the rest in lanes."""
    queue, size = call.path["queue"], call.body.size
    await call.client.set_window(queue, size, by=call.by)
    return {"queue": queue, "window": size}
