"""
Maps: one child for each item, counted in Redis.

The workflow is woken once, when the policy is met or can no longer be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from stepflow.core.children import ChildEnd, ChildGroup
from stepflow.core.journal import Entry, EntryKind, read_map_end, settled_maps, write_map_end
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidOption
from stepflow.kits.flow.commands.child import (
    SPAWN_RETRY,
    AwaitEndCommand,
    SpawnCommand,
    failure_of,
    id_at,
)
from stepflow.kits.flow.commands.command import WorkflowHost
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.store.values.codec import unpack

#: children made in one round trip
BATCH = 200
#: answers read in one
PAGE = 500

#: when a map is settled: all have succeeded, all have ended, so many have succeeded
Policy = Literal["all", "settled"] | int


def group_of(group_id: str, total: int, *, limit: int | None, policy: Policy) -> ChildGroup:
    """Say what settles a map of so many children; raises InvalidOption."""
    if limit is not None and limit < 1:
        msg = f"ctx.map was given limit {limit!r}; it is at least 1, or None"
        raise InvalidOption(msg)
    room = total if limit is None else limit
    if policy == "all":
        return ChildGroup(group_id, total, total, 0, room)
    if policy == "settled":
        return ChildGroup(group_id, total, total + 1, total, room)
    if isinstance(policy, int) and not isinstance(policy, bool) and 1 <= policy <= total:
        return ChildGroup(group_id, total, policy, total - policy, room)
    msg = (
        f"ctx.map was given policy {policy!r}; it is 'all', 'settled', "
        f"or how many of the {total} must succeed"
    )
    raise InvalidOption(msg)


async def carry_map(
    host: WorkflowHost,
    place: str,
    spec: RunSpec,
    items: Sequence[Any],
    *,
    limit: int | None,
    policy: Policy,
    read: Callable[[Any], Any] | None = None,
) -> list[Any]:
    """
    Begin one child like *spec* for each item, and return the results as *policy* has them.

    Waits until the policy is settled, then stops the rest. *read* turns each result into the type
    that is expected.
    """
    total = len(items)
    if not total:
        return []
    group = group_of(id_at(host, place), total, limit=limit, policy=policy)

    async def begin() -> str:
        for start in range(0, total, BATCH):
            numbers = range(start, min(start + BATCH, total))
            specs = [
                replace(spec, payload=items[number], run_id=group.child(number))
                for number in numbers
            ]
            if not await host.runtime.spawn_children(specs, group=group):
                break
        return group.group_id

    async def stop_the_rest() -> None:
        await host.runtime.stop_group(group)

    def step(part: str, name: str, function: Any) -> asyncio.Future[Any]:
        future = host.create_future()
        return host.start(
            SpawnCommand(f"{place}.{part}", name, future, function, policy=SPAWN_RETRY)
        )

    name = f"{spec.runner} of {total}"
    group_id = await step("begin", f"map {name}", begin)
    is_ours, group = group_id == group.group_id, replace(group, group_id=group_id)
    command = MapCommand(
        f"{place}.wait", name, host.create_future(), group, host.recalled, is_ours=is_ours
    )
    ended, ends = await host.start(command)
    if ended < total and is_ours:
        await step("stop", "stop the rest", stop_the_rest)
    return conclude(group, policy, ends, read or as_it_is)


class MapCommand(AwaitEndCommand):
    """
    The settling of a map.

    The journal remembers only that; the ends are read in pages, again on each replay.
    """

    __slots__ = ("_group", "_loading", "_recalled")
    what = "map"
    entry_kinds = (EntryKind.MAP,)

    def __init__(
        self,
        place: str,
        name: str,
        future: asyncio.Future[Any],
        group: ChildGroup,
        recalled: dict[str, list[bytes | None]],
        *,
        is_ours: bool,
    ) -> None:
        super().__init__(place, name, future, group.group_id, is_ours=is_ours)
        self._group = group
        self._recalled = recalled
        self._loading: asyncio.Task[list[bytes | None]] | None = None

    def found(self, host: CommandHost, end: bytes) -> None:
        self.is_busy = True
        self._loading = host.spawn(
            load_pages(self._group, host.runtime), partial(self._loaded, host, end)
        )

    def _loaded(
        self, host: CommandHost, end: bytes, done: asyncio.Task[list[bytes | None]]
    ) -> None:
        if done.cancelled():
            return
        self._recalled[self._group.group_id] = done.result()
        if not self._is_abandoned:
            host.write(self, EntryKind.MAP, write_map_end(self._group, end))

    def abandon(self) -> None:
        super().abandon()
        if self._loading is not None:
            self._loading.cancel()

    def resolve(self, entry: Entry) -> None:
        if entry.data.startswith(b"failed|"):
            self.future.set_exception(failure_of(self.awaited, ChildEnd.read(entry.data)))
            return
        ended = read_map_end(entry.data)
        ends = [
            None if end is None else ChildEnd.read_numbered(end)
            for end in self._recalled[self._group.group_id]
        ]
        self.future.set_result((ended, ends))


async def recall(entries: Sequence[bytes], runtime: FlowRuntime) -> dict[str, list[bytes | None]]:
    """Read what the journal only points to: how the children of each settled map ended."""
    return {group.group_id: await load_pages(group, runtime) for group in settled_maps(entries)}


async def load_pages(group: ChildGroup, runtime: FlowRuntime) -> list[bytes | None]:
    """Read how the children of a map ended, a page at a time."""
    ids = group.children()
    found: list[bytes | None] = []
    for start in range(0, len(ids), PAGE):
        found += (await runtime.load_ends(ids[start : start + PAGE]))[1]
    return found


def as_it_is(value: Any) -> Any:
    """Leave a result as it was unpacked."""
    return value


def conclude(
    group: ChildGroup,
    policy: Policy,
    ends: Sequence[ChildEnd | None],
    read: Callable[[Any], Any] = as_it_is,
) -> list[Any]:
    """
    Return what `ctx.map` returns: the same at any later time.

    Only those ends count that came before the map was settled. Raises ChildFailed of the child by
    whose end the policy could no longer be met.
    """
    if policy == "settled":
        return [_value(group.child(index), end, read) for index, end in enumerate(ends)]
    won = [
        (index, read(unpack(end.packed)))
        for index, end in enumerate(ends)
        if end is not None and end.is_success and 1 <= end.number <= group.need
    ]
    if len(won) == group.need:
        return [value for _, value in won] if policy == "all" else won
    for index, end in enumerate(ends):
        if end is not None and not end.is_success and end.number == group.max_failed + 1:
            raise failure_of(group.child(index), end)
    msg = f"map {group.group_id} is settled, yet the end that settled it is not kept"
    raise AssertionError(msg)


def _value(run_id: str, end: ChildEnd | None, read: Callable[[Any], Any]) -> Any:
    if end is None:
        return None
    return read(unpack(end.packed)) if end.is_success else failure_of(run_id, end)
