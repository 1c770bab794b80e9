"""Groups whose counts do not agree with their members, or that nobody would come to."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stepflow.core.fanout.group import Counts, GroupState, member_run_id
from stepflow.engine.env import Env
from stepflow.errors import StepflowError
from stepflow.store.calls import batch_of
from stepflow.store.groups.moves import mend_member, put_due, recount_group
from stepflow.store.groups.reads import (
    group_due,
    group_ids,
    live_members,
    load_group,
    load_slice,
    member_state,
    to_be_asked,
)
from stepflow.store.groups.record import GroupRecord, read_names
from stepflow.store.query import index_size

log = logging.getLogger("stepflow.doctor")

#: groups, and members, in one round trip
_PAGE = 500
#: what is counted of members that have ended
_WORDS = ("succeeded", "failed", "cancelled", "gone")


@dataclass(frozen=True, slots=True)
class BrokenGroup:
    """
    A group that does not stand as it should, and what mends it.

    *uncounted* are members that it takes for live; *counts* are what it should count where it has
    *seen* others; with *is_lost* somebody should look at it and nobody would.
    """

    id: str
    sentence: str
    uncounted: Sequence[str] = ()
    counts: Mapping[str, int] | None = None
    seen: Mapping[str, int] = field(default_factory=dict)
    is_lost: bool = False


async def broken_groups(env: Env) -> list[BrokenGroup]:
    """Give the groups that do not stand as they should."""
    found: list[BrokenGroup] = []
    first = 0
    while ids := await group_ids(env.keys, first, _PAGE):
        first += len(ids)
        for group_id in ids:
            group = await load_group(env.keys, group_id)
            if group is not None:
                found += await _look_at(group, env)
    return found


async def _look_at(group: GroupRecord, env: Env) -> list[BrokenGroup]:
    if group.damage:
        words = "; ".join(map(str, group.damage))
        return [BrokenGroup(group.id, f"its record cannot be read: {words}")]
    uncounted = await _uncounted(group, env)
    if uncounted:
        words = f"it takes {len(uncounted):,} members for live that have ended, or are gone"
        return [BrokenGroup(group.id, words, uncounted=uncounted)]
    counts = await _recounted(group, env)
    if counts is not None:
        seen = _counted(group.counts)
        words = f"it counts {_words(seen)}, and its members say {_words(counts)}"
        return [BrokenGroup(group.id, words, counts=counts, seen=seen)]
    if await _is_lost(group, env):
        words = "it stands in no due set: nobody would come to it"
        return [BrokenGroup(group.id, words, is_lost=True)]
    return []


async def _uncounted(group: GroupRecord, env: Env) -> list[str]:
    """Give the members that the group takes for live and that are not."""
    found: list[str] = []
    first = 0
    while page := await live_members(env.keys, group.id, first, _PAGE):
        first += len(page)
        states = await batch_of([member_state(env.keys, run_id) for run_id in page])
        found += [
            run_id
            for run_id, (state, of) in zip(page, states, strict=True)
            if state != "live" or of != group.id
        ]
    return found


async def _recounted(group: GroupRecord, env: Env) -> dict[str, int] | None:
    """Count its members where its counts cannot be right; None where they are."""
    counts = group.counts
    begun = counts.live + counts.succeeded + counts.bad
    has_begun = group.state in (GroupState.RUNNING, GroupState.RETRYING)
    failed = await index_size(f"{env.keys.group(group.id)}:failed")
    if begun <= counts.total and counts.failed >= failed and not (
        has_begun and begun < counts.total
    ):  # fmt: skip
        return None
    found: Counter[str] = Counter()
    try:
        for number in range(group.slices):
            packed = await load_slice(env.keys, group.id, "names", number)
            ids = [member_run_id(group.id, key) for key, _ in read_names(packed or b"")]
            states = await batch_of([member_state(env.keys, run_id) for run_id in ids])
            found.update(state if of == group.id else "" for state, of in states)
    except (StepflowError, TypeError, ValueError):
        return None
    return _agreed(found, counts, is_whole=has_begun)


def _agreed(found: Counter[str], counts: Counts, *, is_whole: bool) -> dict[str, int] | None:
    """
    Say what the counts should be, by the members whose records are there.

    Those without a record have ended as was counted, as far as that was; *is_whole* says that all
    have begun, so that the rest is gone.
    """
    seen, left = _counted(counts), max(0, found[""] - counts.refused)
    agreed = {}
    for word in _WORDS:
        more = min(left, max(0, seen[word] - found[word]))
        agreed[word], left = found[word] + more, left - more
    agreed["gone"] += left if is_whole else 0
    return agreed if agreed != seen else None


def _counted(counts: Counts) -> dict[str, int]:
    return {word: getattr(counts, word) for word in _WORDS}


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "none"


async def _is_lost(group: GroupRecord, env: Env) -> bool:
    """Whether somebody should look at a group, and nobody would."""
    if group.state.is_end or group.state is GroupState.WRITING:
        return False
    if await group_due(env.keys, group.id) is not None:
        return False
    counts = group.counts
    if group.state in (GroupState.SUBMITTING, GroupState.RETRYING):
        return True
    if not group.has_goal:
        stops = group.state in (GroupState.STOPPING, GroupState.CANCELLING)
        return not counts.live or (stops and bool(await to_be_asked(env.keys, group.id, 1)))
    verdict = group.goal.verdict(counts.succeeded, counts.bad)
    return verdict is not None or bool(group.deadline_at)


async def mend_group(broken: BrokenGroup, env: Env) -> bool:
    """Mend what is wrong with a group; False when it has moved meanwhile."""
    now, is_mended = env.clock.now(), False
    if broken.uncounted:
        counted = await batch_of(
            [mend_member(env.keys, broken.id, one, now=now) for one in broken.uncounted]
        )
        is_mended = any(counted)
    if broken.counts is not None:
        is_mended = await recount_group(env.keys, broken.id, broken.seen, broken.counts, now=now)
    if broken.is_lost:
        is_mended = await put_due(env.keys, broken.id, now)
    if is_mended:
        log.warning("group=%s mended: %s", broken.id, broken.sentence)
    return is_mended
