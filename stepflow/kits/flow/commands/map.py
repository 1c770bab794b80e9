"""
Maps: one child for each item, counted in Redis.

The workflow is woken when the join is met or can no longer be, then by those it has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from stepflow.core.children import ChildEnd, ChildGroup
from stepflow.core.fanout.join import Join, goal_of
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
from stepflow.kits.flow.commands.map_results import conclude
from stepflow.kits.flow.commands.stop_rest import StopRestCommand
from stepflow.kits.flow.runtime import FlowRuntime

#: children made in one round trip
BATCH = 200
#: answers read in one
PAGE = 500


def group_of(group_id: str, total: int, *, limit: int | None, join: Join) -> ChildGroup:
    """Say what settles a map of so many children; raises InvalidOption."""
    if limit is not None and limit < 1:
        msg = f"ctx.map was given limit {limit!r}; it is at least 1, or None"
        raise InvalidOption(msg)
    goal = goal_of(join, total)
    return ChildGroup(
        group_id, total, goal.need, goal.max_failed, total if limit is None else limit
    )


async def carry_map(
    host: WorkflowHost,
    place: str,
    spec: RunSpec,
    items: Sequence[Any],
    *,
    limit: int | None,
    join: Join,
    read: Callable[[Any], Any],
) -> list[Any]:
    """
    Begin one child like *spec* for each item, and return the results as *join* has them.

    Waits until the join is settled and the rest has ended, which is asked to. *read* turns each
    result into the type that is expected. A join that is settled by nothing begins no child.
    """
    total = len(items)
    group = group_of(id_at(host, place), total, limit=limit, join=join)
    if goal_of(join, total).verdict(0, 0) is not None:
        return conclude(group, join, [None] * total, read)

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

    name = f"{spec.runner} of {total}"
    group_id = await host.start(
        SpawnCommand(
            f"{place}.begin", f"map {name}", host.create_future(), begin, policy=SPAWN_RETRY
        )
    )
    is_ours, group = group_id == group.group_id, replace(group, group_id=group_id)
    command = MapCommand(
        f"{place}.wait", name, host.create_future(), group, host.recalled,
        is_ours=is_ours, wait_s=join.timeout_s,
    )  # fmt: skip
    ended, ends = await host.start(command)
    if ended < total and is_ours:
        await host.start(StopRestCommand(f"{place}.stop", host.create_future(), group))
    return conclude(group, join, ends, read)


class MapCommand(AwaitEndCommand):
    """
    The settling of a map, by its children or because its time is up.

    The journal remembers only that; the ends are read in pages, again on each replay. *wait_s*
    (seconds) is for how long it waits.
    """

    __slots__ = ("_group", "_loading", "_recalled", "_wait_s")
    what = "map"
    entry_kinds = (EntryKind.DUE, EntryKind.MAP)

    def __init__(
        self,
        place: str,
        name: str,
        future: asyncio.Future[Any],
        group: ChildGroup,
        recalled: dict[str, list[bytes | None]],
        *,
        is_ours: bool,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(place, name, future, group.group_id, is_ours=is_ours)
        self._group = group
        self._recalled = recalled
        self._wait_s = wait_s if is_ours else None
        self._loading: asyncio.Task[Any] | None = None

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            host.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
        elif self.due_at is not None and self.due_at <= now:
            self.is_busy = True
            self._loading = host.spawn(
                host.runtime.settle_group(self._group), partial(self._settled, host)
            )
        else:
            super().advance(host, now)

    def _settled(self, host: CommandHost, done: asyncio.Task[bytes | None]) -> None:
        if done.cancelled():
            return
        end = done.result()
        if end is None:
            host.lose_claim()
        else:
            self.found(host, end)

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
