"""The operations on groups, carried out."""

from __future__ import annotations

from typing import Any

from stepflow.engine.groups.given import read_given, read_join
from stepflow.errors import GroupNotFound
from stepflow.hooks.body import json_value
from stepflow.web.operation import Call, Reply


async def list_groups(call: Call) -> Any:
    """List the groups that are kept, the newest first."""
    return json_value(list(await call.client.groups.list(limit=call.query.limit)))


async def show_group(call: Call) -> Any:
    """Show how a group stands, and what its failed members say."""
    return json_value(await call.client.groups.status(call.path["group_id"]))


async def submit_group(call: Call) -> Reply:
    """
    Submit many runs as one group; the same again begins what has not begun, and nothing twice.

    Another group of that name is a conflict, with the keys that differ.
    """
    given, group_id = call.body, call.path["group_id"]
    members = {key: each.model_dump(exclude_none=True) for key, each in given.members.items()}
    info = await call.client.groups.submit(
        group_id, read_given(members), join=read_join(given.join, given.timeout),
        webhooks=given.webhooks,
    )  # fmt: skip
    return Reply(json_value(info), {"Location": f"{call.root}/groups/{group_id}"})


async def retry_group(call: Call) -> Any:
    """Retry the failed members, and no other; gives how many they are."""
    group_id = call.path["group_id"]
    count = await call.client.groups.retry_failed(group_id, by=call.by)
    return {"group": group_id, "retried": count}


async def cancel_group(call: Call) -> Any:
    """Cancel a group: what has not begun does not begin, what lives is cancelled."""
    await call.client.groups.cancel(call.path["group_id"], call.body.reason, by=call.by)
    return await show_group(call)


async def forget_group(call: Call) -> Any:
    """Forget a group that has ended; its members stay as runs of their own."""
    group_id = call.path["group_id"]
    if not await call.client.groups.forget(group_id, by=call.by):
        raise GroupNotFound(group_id)
    return {"group": group_id, "forgotten": True}
