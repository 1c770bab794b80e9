"""What both clients do with groups; loaded when you first ask for `client.groups`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stepflow.client.base import SAFETY_NET_S
from stepflow.client.following import pause
from stepflow.core.fanout.group import check_group_id, member_run_id
from stepflow.core.fanout.join import JoinLike
from stepflow.core.ids import group_member
from stepflow.engine.groups import verbs
from stepflow.engine.groups.given import check_given
from stepflow.engine.groups.info import GroupInfo
from stepflow.engine.groups.manifest import check_members, make_manifest
from stepflow.engine.groups.submit import submit_group
from stepflow.engine.spec import RunSpec
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.submit import Submitted
from stepflow.hooks.given import read_webhooks
from stepflow.hooks.webhook import Webhook
from stepflow.store.calls import Plan
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.client.base import BaseClient
    from stepflow.client.output import AsyncFollowing, Following

#: what begins a member: a RunSpec, or (runner, payload)
MemberSpec = RunSpec | tuple[str | Callable[..., Any], Any]


class _Plans:
    """The verbs as plans, for both clients."""

    def __init__(self, client: BaseClient) -> None:
        self._base = client
        self._env = client.env

    async def _submit(
        self,
        group_id: str,
        members: Mapping[str, MemberSpec],
        join: JoinLike | None,
        webhooks: Sequence[Webhook | str],
    ) -> GroupInfo:
        check_given(members)
        named, _ = self._base._all_named(members.values())  # noqa: SLF001  one house
        checked = self._base._checked(named)  # noqa: SLF001  one house
        specs = dict(zip(members, checked, strict=True))
        check_members(group_id, specs)
        hooks = self._base._checked([RunSpec("group", webhooks=read_webhooks(webhooks))])  # noqa: SLF001  one house
        chosen = await self._chosen(group_id, specs)
        manifest = make_manifest(group_id, specs, chosen, join, hooks[0].webhooks, self._env)
        is_new = await submit_group(manifest, self._env)
        made = [Submitted(member_run_id(group_id, key), is_new) for key in chosen]
        self._base._observed(list(chosen.values()), made)  # noqa: SLF001  one house
        return await verbs.find(group_id, self._env)

    async def _chosen(self, group_id: str, specs: Mapping[str, RunSpec]) -> dict[str, RunSpec]:
        """Give the specs with their versions, and with their place in a trace."""
        chosen = await self._base.versions.choose(list(specs.values()), self._env)
        if self._base._telemetry is not None:  # noqa: SLF001  one house
            with self._base._telemetry.trace_submit(chosen) as sending:  # noqa: SLF001  one house
                sending.note_ids(member_run_id(group_id, key) for key in specs)
                chosen = list(sending.specs)
        return dict(zip(specs, chosen, strict=True))

    def _retry(self, group_id: str, by: str | None) -> Plan[int]:
        return noted(verbs.retry_failed(group_id, self._env), "retry-group", group_id, by)

    def _cancel(self, group_id: str, reason: str, by: str | None) -> Plan[bool]:
        who = name_of(by)
        plan = verbs.cancel(group_id, reason, self._env, by=who)
        return noted(plan, "cancel-group", group_id, who, reason)

    def _forget(self, group_id: str, by: str | None) -> Plan[bool]:
        return noted(verbs.forget(group_id, self._env), "forget-group", group_id, by)

    def _channel(self, group_id: str) -> str:
        return self._env.keys.done_channel(group_member(check_group_id(group_id)))


def _late(group: GroupInfo, limit_s: float | None) -> TimeoutError:
    done = group.total - group.waiting - group.live
    return TimeoutError(
        f"group {group.id!r} is still {group.state} after {limit_s:g} s; {done:,} of its "
        f"{group.total:,} members have ended"
    )


class Groups(_Plans):
    """Groups, for `Client`: `client.groups.submit("nightly", {"a": RunSpec("etl", 1)})`."""

    def __init__(self, client: BaseClient, doing: Following) -> None:
        super().__init__(client)
        self._doing = doing
        self._do = doing._do  # noqa: SLF001  one house

    def submit(
        self,
        group_id: str,
        members: Mapping[str, MemberSpec],
        *,
        join: JoinLike | None = None,
        webhooks: Sequence[Webhook | str] = (),
    ) -> GroupInfo:
        """
        Submit many runs as one group, each under a key; its run id is `<group>--<key>`.

        Submitting it again begins what has not begun, and nothing twice. When you are cut off
        after the manifest was written, a worker begins the rest. *join* says when the group has
        succeeded, and cancels the rest of it then; without one each member runs to its end, and
        all have to succeed. *webhooks* are told of its end. Raises GroupMismatch for a group of
        that name with other members, InvalidOption, and what `submit` raises.
        """
        return self._do(self._submit(group_id, members, join, webhooks))

    def status(self, group_id: str) -> GroupInfo:
        """Say how a group stands, and what its failed members say; raises GroupNotFound."""
        return self._do(verbs.status(group_id, self._env))

    def list(self, *, limit: int = 50) -> Sequence[GroupInfo]:
        """Read the groups that are kept, the newest first."""
        return self._do(verbs.groups(self._env, limit=limit))

    def wait(self, group_id: str, timeout: float | timedelta | None = None) -> GroupInfo:
        """
        Wait for the end of a group, and say how it stands.

        *timeout* is seconds or a timedelta. Raises TimeoutError when it passes, and GroupNotFound.
        """
        limit_s = None if timeout is None else seconds(timeout, "timeout of wait")
        until = None if limit_s is None else time.monotonic() + limit_s
        with self._doing.connection.listening(self._channel(group_id)) as heard:
            while not (group := self._do(verbs.find(group_id, self._env))).is_finished:
                left_s = SAFETY_NET_S if until is None else until - time.monotonic()
                if left_s <= 0:
                    raise _late(group, limit_s)
                heard(min(SAFETY_NET_S, left_s))
        return self.status(group_id)

    def retry_failed(self, group_id: str, *, by: str | None = None) -> int:
        """
        Retry the members that failed, and no other; gives how many.

        The group goes on, and its webhooks are told of its next end. Raises GroupNotFound, and
        GroupBusy while its members are being begun or cancelled.
        """
        return self._do(self._retry(group_id, by))

    def cancel(self, group_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """
        Cancel a group: no further member begins, and those that live are cancelled.

        False when it has ended. Raises GroupNotFound.
        """
        return self._do(self._cancel(group_id, reason, by))

    def forget(self, group_id: str, *, by: str | None = None) -> bool:
        """
        Forget a group that has ended; its members stay as runs of their own.

        False when there is none. Raises GroupBusy for one that has not ended.
        """
        return self._do(self._forget(group_id, by))


class AsyncGroups(_Plans):
    """Groups, for `AsyncClient`; see Groups."""

    def __init__(self, client: BaseClient, doing: AsyncFollowing) -> None:
        super().__init__(client)
        self._doing = doing
        self._do = doing._do  # noqa: SLF001  one house

    async def submit(
        self,
        group_id: str,
        members: Mapping[str, MemberSpec],
        *,
        join: JoinLike | None = None,
        webhooks: Sequence[Webhook | str] = (),
    ) -> GroupInfo:
        """See Groups.submit."""
        return await self._do(self._submit(group_id, members, join, webhooks))

    async def status(self, group_id: str) -> GroupInfo:
        """See Groups.status."""
        return await self._do(verbs.status(group_id, self._env))

    async def list(self, *, limit: int = 50) -> Sequence[GroupInfo]:
        """See Groups.list."""
        return await self._do(verbs.groups(self._env, limit=limit))

    async def wait(self, group_id: str, timeout: float | timedelta | None = None) -> GroupInfo:
        """See Groups.wait."""
        limit_s = None if timeout is None else seconds(timeout, "timeout of wait")
        ended, channel = asyncio.Event(), self._channel(group_id)

        def heard(message: str) -> None:
            del message
            ended.set()

        group = await self._do(verbs.find(group_id, self._env))
        listener = self._doing._listener()  # noqa: SLF001  one house
        try:
            async with asyncio.timeout(limit_s):
                if listener is not None:
                    await listener.subscribe(channel, heard)
                while not (group := await self._do(verbs.find(group_id, self._env))).is_finished:
                    await pause(ended, SAFETY_NET_S)
        except TimeoutError:
            raise _late(group, limit_s) from None
        finally:
            if listener is not None:
                listener.unsubscribe(channel, heard)
        return await self.status(group_id)

    async def retry_failed(self, group_id: str, *, by: str | None = None) -> int:
        """See Groups.retry_failed."""
        return await self._do(self._retry(group_id, by))

    async def cancel(self, group_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """See Groups.cancel."""
        return await self._do(self._cancel(group_id, reason, by))

    async def forget(self, group_id: str, *, by: str | None = None) -> bool:
        """See Groups.forget."""
        return await self._do(self._forget(group_id, by))
