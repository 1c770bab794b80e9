"""The operations on limits, carried out."""

from __future__ import annotations

from typing import Any, cast

from stepflow.client.limits import LimitOptions
from stepflow.hooks.body import json_value
from stepflow.web.operation import Call


async def list_limits(call: Call) -> Any:
    """List the limits: what they say, how many runs are at work, how many wait."""
    return json_value(list(await call.client.limits.list()))


async def show_limit(call: Call) -> Any:
    """Show a limit, `stripe`, or what it is for one key, `stripe[acme]`."""
    return json_value(await call.client.limits.get(call.path["limit"]))


async def set_limit(call: Call) -> Any:
    """Have bounds count instead of what the code says; runs in line are looked at at once."""
    bounds = cast("LimitOptions", call.body.model_dump(exclude_none=True))
    return json_value(await call.client.limits.set(call.path["limit"], by=call.by, **bounds))


async def unset_limit(call: Call) -> Any:
    """Have what the code says count again."""
    limit = call.path["limit"]
    return {"limit": limit, "changed": await call.client.limits.unset(limit, by=call.by)}


async def reset_limit(call: Call) -> Any:
    """Forget what has begun by the rate, and that the limit rests."""
    limit = call.path["limit"]
    return {"limit": limit, "changed": await call.client.limits.reset(limit, by=call.by) > 0}
