"""
Maps: one child for each item, counted in Redis.

The workflow is woken once, when the policy is met or can no longer be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from stepflow.core.family import ChildGroup
from stepflow.core.journal import (
    SEPARATOR,
    Entry,
    EntryKind,
    read_map_end,
    settled_maps,
    write_map_end,
)
from stepflow.errors import InvalidOption
from stepflow.kits.flow.commands.child import (
    SPAWN_RETRY,
    SUCCEEDED,
    AwaitEndCommand,
    failure_of,
    id_at,
)
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.store.values.codec import unpack

if TYPE_CHECKING:
    from stepflow.engine.spec import RunSpec
    from stepflow.kits.flow.replay.activation import Activation
    from stepflow.kits.flow.runtime import FlowRuntime

#: children made in one round trip
BATCH = 200
#: answers read in one
PAGE = 500

#: when a map is settled: all have succeeded, all have ended, so many have succeeded
Policy = Literal["all", "settled"] | int


class Answer(NamedTuple):
    """
    How one child ended.

    As the *number*-th of those that did so before the map was settled, 0 after that.
    """

    number: int
    status: str
    packed: bytes


def group_of(stem: str, total: int, limit: int | None, policy: Policy) -> ChildGroup:
    """Say what settles a map of so many children; raises InvalidOption."""
    if limit is not None and limit < 1:
        msg = f"ctx.map was given limit {limit!r}; it is at least 1, or None"
        raise InvalidOption(msg)
    room = total if limit is None else limit
    if policy == "all":
        return ChildGroup(stem, total, total, 0, room)
    if policy == "settled":
        return ChildGroup(stem, total, total + 1, total, room)
    if isinstance(policy, int) and not isinstance(policy, bool) and 1 <= policy <= total:
        return ChildGroup(stem, total, policy, total - policy, room)
    msg = f"ctx.map was given policy {policy!r}; it is 'all', 'settled', or how many of the {total} must succeed"
    raise InvalidOption(msg)


async def carry_map(
    activation: Activation,
    place: str,
    spec: RunSpec,
    items: Sequence[Any],
    *,
    limit: int | None,
    policy: Policy,
) -> list[Any]:
    """
    Begin one child like *spec* for each item, wait till the policy is settled, stop the rest, give
    the results.
    """
    total = len(items)
    if not total:
        return []
    group = group_of(id_at(activation, place), total, limit, policy)

    async def begin() -> str:
        for start in range(0, total, BATCH):
            numbers = range(start, min(start + BATCH, total))
            specs = [
                replace(spec, payload=items[number], run_id=group.child(number))
                for number in numbers
            ]
            if not await activation.runtime.spawn_children(specs, group=group):
                break
        return group.stem

    async def stop_the_rest() -> None:
        await activation.runtime.stop_group(group)

    def future() -> asyncio.Future[Any]:
        return activation.loop.create_future()

    name = f"{spec.runner} of {total}"
    stem = await activation.start(
        StepCommand(f"{place}.begin", f"map {name}", future(), begin, policy=SPAWN_RETRY)
    )
    is_ours, group = stem == group.stem, replace(group, stem=stem)
    command = MapCommand(
        f"{place}.wait", name, future(), group, activation.recalled, is_ours=is_ours
    )
    ended, answers = await activation.start(command)
    if ended < total and is_ours:
        await activation.start(
            StepCommand(
                f"{place}.stop", "stop the rest", future(), stop_the_rest, policy=SPAWN_RETRY
            )
        )
    return conclude(group, policy, answers)


class MapCommand(AwaitEndCommand):
    """
    The settling of a map.

    The journal remembers only that; the answers are read in pages, again on each replay.
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
        super().__init__(place, name, future, group.stem, is_ours=is_ours)
        self._group = group
        self._recalled = recalled
        self._loading: asyncio.Task[None] | None = None

    def found(self, activation: Activation, answer: bytes) -> None:
        self.is_busy = True
        self._loading = activation.outer.create_task(self._load(activation, answer))
        self._loading.add_done_callback(
            activation.wakeup.safely(lambda done: None if done.cancelled() else done.result())
        )

    async def _load(self, activation: Activation, answer: bytes) -> None:
        group = self._group
        self._recalled[group.stem] = await load_pages(group, activation.runtime)
        if not self._is_dropped:
            activation.write(self, EntryKind.MAP, write_map_end(group, answer))

    def abandon(self) -> None:
        super().abandon()
        if self._loading is not None:
            self._loading.cancel()

    def answer(self, entry: Entry) -> None:
        if entry.data.startswith(b"failed|"):
            self.future.set_exception(
                failure_of(self.wanted, "failed", entry.data.split(SEPARATOR, 1)[1])
            )
            return
        ended = read_map_end(entry.data)
        answers = [_read(written) for written in self._recalled[self._group.stem]]
        self.future.set_result((ended, answers))


async def recall(entries: Sequence[bytes], runtime: FlowRuntime) -> dict[str, list[bytes | None]]:
    """
    Read what the journal only points to.

    The answers of each map that it remembers as settled.
    """
    return {group.stem: await load_pages(group, runtime) for group in settled_maps(entries)}


async def load_pages(group: ChildGroup, runtime: FlowRuntime) -> list[bytes | None]:
    """Read the answers of a map, a page at a time."""
    ids = group.children()
    found: list[bytes | None] = []
    for start in range(0, len(ids), PAGE):
        found += (await runtime.load_ends(ids[start : start + PAGE]))[1]
    return found


def _read(written: bytes | None) -> Answer | None:
    if written is None:
        return None
    number, status, packed = written.split(SEPARATOR, 2)
    return Answer(int(number), status.decode(), packed)


def conclude(group: ChildGroup, policy: Policy, answers: Sequence[Answer | None]) -> list[Any]:
    """
    Give what `ctx.map` gives, of those ends that were counted before the map was settled.

    The same at any later time.

    Raises ChildFailed of the child by whose end the policy could no longer be met.
    """
    if policy == "settled":
        return [_value(group.child(index), answer) for index, answer in enumerate(answers)]
    won = [
        (index, unpack(answer.packed))
        for index, answer in enumerate(answers)
        if answer is not None and answer.status == SUCCEEDED and 1 <= answer.number <= group.need
    ]
    if len(won) == group.need:
        return [value for _, value in won] if policy == "all" else won
    for index, answer in enumerate(answers):
        if (
            answer is not None
            and answer.status != SUCCEEDED
            and answer.number == group.most_bad + 1
        ):
            raise failure_of(group.child(index), answer.status, answer.packed)
    msg = f"map {group.stem} is settled, yet the end that settled it is not kept"
    raise AssertionError(msg)


def _value(run_id: str, answer: Answer | None) -> Any:
    if answer is None:
        return None
    if answer.status == SUCCEEDED:
        return unpack(answer.packed)
    return failure_of(run_id, answer.status, answer.packed)
