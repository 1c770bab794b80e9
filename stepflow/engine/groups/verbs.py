"""What operators and programs do with groups that are there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from stepflow.core.fanout.group import GroupState, check_group_id
from stepflow.core.ids import check_count
from stepflow.core.outcomes import readable
from stepflow.engine.env import Env
from stepflow.engine.groups.carry import look
from stepflow.engine.groups.info import GroupInfo, failures_of, info_of, oldest_of
from stepflow.errors import GroupBusy, GroupNotFound, RedisRefused, UnreadableRecord
from stepflow.store.calls import batch_of, together
from stepflow.store.groups.moves import advance_group, drop_name, forget_group
from stepflow.store.groups.reads import load_group
from stepflow.store.groups.record import GroupRecord
from stepflow.store.query import index_size, newest

#: states in which a group does something that a retry would disturb
_BUSY = (
    GroupState.WRITING, GroupState.SUBMITTING, GroupState.STOPPING, GroupState.CANCELLING,
)  # fmt: skip


async def load(group_id: str, env: Env) -> GroupRecord:
    """Read a group; raises GroupNotFound, UnreadableRecord."""
    group = await load_group(env.keys, group_id)
    if group is None:
        raise GroupNotFound(group_id)
    if group.damage:
        problem = "; ".join(map(str, group.damage))
        raise UnreadableRecord(f"group {group_id!r}", f"{problem}; repair it, or forget the group")
    return group


async def find(group_id: str, env: Env) -> GroupInfo:
    """Say how a group stands, in numbers alone; raises GroupNotFound, UnreadableRecord."""
    return info_of(await load(group_id, env))


async def status(group_id: str, env: Env) -> GroupInfo:
    """Say how a group stands, with its oldest live member and what the failed ones say."""
    group = await load(group_id, env)
    return info_of(group, await oldest_of(group_id, env), await failures_of(group_id, env))


async def groups(env: Env, *, limit: int) -> list[GroupInfo]:
    """Read the groups that are kept, the newest first, in numbers alone."""
    found = await newest(env.keys.groups, before=None, count=check_count("limit", limit, least=1))
    records = await together([load_group(env.keys, group_id) for group_id, _ in found])
    gone = [name for (name, _), group in zip(found, records, strict=True) if group is None]
    with suppress(RedisRefused):  # of a user who may only look
        await batch_of([drop_name(env.keys, group_id) for group_id in gone])
    return [info_of(group) for group in records if group is not None and not group.damage]


async def retry_failed(group_id: str, env: Env) -> int:
    """
    Take the failed members up again, and no other; gives how many they are.

    Raises GroupNotFound, and GroupBusy while members are being begun or cancelled.
    """
    request = env.request_id()
    while True:
        group, now = await load(group_id, env), env.clock.now()
        if group.state in _BUSY:
            raise GroupBusy(group_id, "retry", group.state)
        wave = group.wave + 1
        count: int = await index_size(f"{env.keys.group(group_id)}:failed")
        if not count:
            return 0
        reopened = replace(
            group, state=GroupState.RETRYING, wave=wave, rev=group.rev + 1, ended_at=0.0,
            reason="", by="", verdict=None, has_goal=group.has_goal and not group.state.is_end,
        )  # fmt: skip
        if await advance_group(
            env.keys, reopened, rev=group.rev, request=request, now=now, due_at=now
        ):
            await _drive(group_id, GroupState.RETRYING, env)
            return count


async def cancel(group_id: str, reason: str, env: Env, *, by: str) -> bool:
    """
    Cancel a group: no further member begins, and those that live are cancelled.

    False when it has ended. Raises GroupNotFound.
    """
    request = env.request_id()
    while True:
        group, now = await load(group_id, env), env.clock.now()
        if group.state.is_end:
            return False
        if group.state is GroupState.CANCELLING:
            return True
        if group.state is GroupState.WRITING:
            raise GroupBusy(group_id, "cancel", group.state)
        cancelling = replace(
            group, state=GroupState.CANCELLING, rev=group.rev + 1, has_goal=False,
            reason=readable(reason) or f"group {group_id} is cancelled", by=by,
        )  # fmt: skip
        if await advance_group(
            env.keys, cancelling, rev=group.rev, request=request, now=now, due_at=now
        ):
            await _drive(group_id, GroupState.CANCELLING, env)
            return True


async def forget(group_id: str, env: Env) -> bool:
    """
    Forget a group; its members stay as runs of their own. False when there is none.

    Raises GroupBusy for one that has not ended.
    """
    check_group_id(group_id)
    while True:
        group = await load_group(env.keys, group_id)
        if group is None:
            await drop_name(env.keys, group_id)
            return False
        is_over = group.state.is_end or group.state is GroupState.WRITING or group.damage
        if not is_over:
            raise GroupBusy(group_id, "be forgotten", group.state)
        if await forget_group(env.keys, group_id, rev=group.rev):
            return True


async def _drive(group_id: str, state: GroupState, env: Env) -> None:
    """Do here and now what a worker would do, as long as the group is in *state*."""
    while await look(group_id, env):
        group = await load_group(env.keys, group_id)
        if group is None or group.state is not state:
            return
