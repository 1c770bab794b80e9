"""The operations on many runs at once."""

from __future__ import annotations

from typing import Any

from stepflow.hooks.body import json_value
from stepflow.web.operation import Call, Reply


async def preview_bulk(call: Call) -> Any:
    """Count the runs that a bulk would be done to, exactly up to 10,000, with examples."""
    return json_value(await call.client.preview(call.query.verb, call.query.where))


async def begin_bulk(call: Call) -> Reply:
    """
    Have workers do a verb to all runs that fit and were there before.

    It needs the right of the verb as well. With `expect` nothing is begun when a tenth more fit.
    """
    given = call.body
    call.grant.check(given.verb)
    begun = await call.client.bulk(
        given.verb,
        given.where,
        rate=given.rate,
        expect=given.expect,
        reason=given.reason,
        signal=given.signal,
        payload=given.payload,
        by=call.by,
    )
    return Reply(json_value(begun), {"Location": f"{call.root}/bulk/{begun.id}"})


async def list_bulks(call: Call) -> Any:
    """List the bulks that are kept, the last one first."""
    return json_value(list(await call.client.bulks(limit=call.query.limit)))


async def show_bulk(call: Call) -> Any:
    """Say how far a bulk has come."""
    return json_value(await call.client.bulk_info(call.path["bulk_id"]))


async def stop_bulk(call: Call) -> Any:
    """Have a bulk stop where it is."""
    return json_value(await call.client.stop_bulk(call.path["bulk_id"], by=call.by))


async def resume_bulk(call: Call) -> Any:
    """Have a stopped bulk go on where it stopped."""
    return json_value(await call.client.resume_bulk(call.path["bulk_id"], by=call.by))
