"""The operations on breakers, carried out."""

from __future__ import annotations

from typing import Any

from stepflow.hooks.body import json_value
from stepflow.web.operation import Call


async def list_breakers(call: Call) -> Any:
    """List the breakers that steps have asked for in the last week."""
    query = call.query
    found = await call.client.breakers.list(limit=query.limit, offset=query.offset)
    return json_value(list(found))


async def show_breaker(call: Call) -> Any:
    """Show a breaker: its state, why, and how many runs wait for it."""
    return json_value(await call.client.breakers.get(call.path["breaker"]))


async def open_breaker(call: Call) -> Any:
    """Have a breaker let no call through, for `duration` seconds or until it is closed."""
    given = call.body
    seen = await call.client.breakers.open(
        call.path["breaker"], given.duration, note=given.note, by=call.by
    )
    return json_value(seen)


async def close_breaker(call: Call) -> Any:
    """Have a breaker let calls through; the runs that wait come back by and by."""
    return json_value(await call.client.breakers.close(call.path["breaker"], by=call.by))


async def reset_breaker(call: Call) -> Any:
    """Close a breaker and set its counts to 0."""
    return json_value(await call.client.breakers.reset(call.path["breaker"], by=call.by))
