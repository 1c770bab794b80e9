"""What callers see of a group: how it stands, in numbers, and what its failed members say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stepflow.core.fanout.group import Counts, GroupState, key_of
from stepflow.core.outcomes import readable
from stepflow.engine.env import Env
from stepflow.errors import StepflowError
from stepflow.store.calls import batch_of
from stepflow.store.groups.reads import failed_members, to_be_asked
from stepflow.store.groups.record import GroupRecord
from stepflow.store.runs.load import load_error
from stepflow.store.values.codec import unpack
from stepflow.times import as_datetime

#: failed members whose errors are read, and keys that are named for one error
READ, NAMED = 1000, 5
#: characters of an error by which failures are put together
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class GroupFailure:
    """Members that failed with one error: how many of those looked at, and the keys of some."""

    error: str
    count: int
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """
    A group: how many members it has, and how they stand. Times are aware datetimes, or None.

    *waiting* have not begun, *live* have begun and not ended, *refused* did not begin because
    another run had their id, of *gone* the record vanished before their end. *join* says when it
    has succeeded, *end* how often it has ended. *oldest* is the key of the member that has been
    live for longest, since *oldest_since*; *failures* are the errors of its failed members, those
    of a thousand at most. Both are read by `status` only.
    """

    id: str
    state: GroupState
    join: str
    total: int
    waiting: int
    live: int
    succeeded: int
    failed: int
    cancelled: int
    refused: int
    gone: int
    reason: str | None
    by: str | None
    end: int
    created_at: datetime | None
    deadline_at: datetime | None
    ended_at: datetime | None
    oldest: str | None = None
    oldest_since: datetime | None = None
    failures: Sequence[GroupFailure] = ()

    @property
    def is_finished(self) -> bool:
        """Whether the group has ended."""
        return self.state.is_end


def info_of(
    group: GroupRecord,
    oldest: tuple[str, float] | None = None,
    failures: Sequence[GroupFailure] = (),
) -> GroupInfo:
    """Turn a record into what callers see."""
    counts: Counts = group.counts
    return GroupInfo(
        group.id, group.state, group.join, counts.total, counts.unbegun, counts.live,
        counts.succeeded, counts.failed, counts.cancelled, counts.refused, counts.gone,
        group.reason or None, group.by or None, group.ends, as_datetime(group.created_at),
        as_datetime(group.deadline_at), as_datetime(group.ended_at),
        None if oldest is None else key_of(group.id, oldest[0]),
        None if oldest is None else as_datetime(oldest[1]), failures,
    )  # fmt: skip


async def oldest_of(group_id: str, env: Env) -> tuple[str, float] | None:
    """Give the run id of the member that has been live for longest, and since when."""
    found = await to_be_asked(env.keys, group_id, 1)
    return found[0] if found else None


async def failures_of(group_id: str, env: Env) -> list[GroupFailure]:
    """Give what the failed members say, the commonest first."""
    ids = await failed_members(env.keys, group_id, READ)
    errors = await batch_of([load_error(env.keys, run_id) for run_id in ids])
    by_error: dict[str, list[str]] = defaultdict(list)
    for run_id, error in zip(ids, errors, strict=True):
        by_error[_words(error)].append(key_of(group_id, run_id))
    return sorted(
        (GroupFailure(words, len(keys), keys[:NAMED]) for words, keys in by_error.items()),
        key=lambda failure: (-failure.count, failure.error),
    )


def _words(error: bytes | None) -> str:
    try:
        kind, message, *_ = unpack(error) if error else ("its record is gone", "")
        words = readable(f"{kind}: {message}" if message else str(kind))
    except (StepflowError, TypeError, ValueError):
        return "its error cannot be read"
    return words[:_LONGEST]
