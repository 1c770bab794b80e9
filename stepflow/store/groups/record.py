"""A group's record: one hash, read with its live members counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.fanout.group import Counts, GroupState
from stepflow.core.fanout.join import Goal, Verdict
from stepflow.core.run import Damage
from stepflow.store.calls import Part
from stepflow.store.run_hash import Fields, format_time
from stepflow.store.values.codec import pack, unpack

_MET, _NOT_MET = "met", "not met"


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """
    A group as kept. Times are unix seconds.

    *join* is in words. *slices* are those of its manifest, of which *written* are written and the
    members of *submitted* have begun. *has_goal* says that the ends of its members may settle its
    join. *wave* counts the retries. *webhooks* are packed. *rev* grows with every decision.
    """

    id: str
    digest: bytes
    join: str
    goal: Goal
    slices: int
    state: GroupState = GroupState.WRITING
    rev: int = 1
    written: int = 0
    submitted: int = 0
    has_goal: bool = True
    verdict: Verdict | None = None
    wave: int = 0
    ends: int = 0
    reason: str = ""
    by: str = ""
    webhooks: bytes = b""
    created_at: float = 0.0
    deadline_at: float = 0.0
    ended_at: float = 0.0
    counts: Counts = field(default_factory=Counts)
    #: the fields that could not be read
    damage: Sequence[Damage] = ()

    def fields(self) -> list[Part]:
        """Write it as the fields of its hash; the counts are written by scripts alone."""
        goal = self.goal
        verdict = {None: "", Verdict.MET: _MET, Verdict.NOT_MET: _NOT_MET}[self.verdict]
        return [
            "state", self.state, "rev", self.rev, "digest", self.digest, "join", self.join,
            "total", goal.total, "need", goal.need, "max_failed", goal.max_failed, "least",
            goal.least, "goal", write_goal(goal) if self.has_goal else "", "slices", self.slices,
            "submitted", self.submitted, "verdict", verdict, "wave", self.wave, "ends", self.ends,
            "reason", self.reason, "by", self.by, "webhooks", self.webhooks,
            "created", format_time(self.created_at), "deadline", format_time(self.deadline_at),
            "ended", format_time(self.ended_at),
        ]  # fmt: skip


def write_goal(goal: Goal) -> str:
    """Write what settles a group as `lib/groups/count.lua` reads it."""
    return f"{goal.need}|{goal.max_failed}|{goal.total}"


def read_group(group_id: str, row: Mapping[bytes, bytes], live: int) -> GroupRecord:
    """Read a group's hash. Never raises: what cannot be read is named in `damage`."""
    fields = Fields(row)
    text, count, time = fields.text, fields.count, fields.time
    goal = Goal(count(b"total"), count(b"need"), count(b"max_failed"), count(b"least"))
    words = ("succeeded", "failed", "cancelled", "refused", "gone")
    counted = {word: count(f"n.{word}".encode()) for word in words}
    verdict = {_MET: Verdict.MET, _NOT_MET: Verdict.NOT_MET}.get(text(b"verdict"))
    return GroupRecord(
        group_id, row.get(b"digest", b""), text(b"join"), goal, count(b"slices"), _state(fields),
        rev=count(b"rev"), written=count(b"written"), submitted=count(b"submitted"),
        has_goal=fields.is_set(b"goal"), verdict=verdict, wave=count(b"wave"), ends=count(b"ends"),
        reason=text(b"reason"), by=text(b"by"), webhooks=row.get(b"webhooks", b""),
        created_at=time(b"created"), deadline_at=time(b"deadline"), ended_at=time(b"ended"),
        counts=Counts(goal.total, live, **counted), damage=tuple(fields.damage),
    )  # fmt: skip


def _state(fields: Fields) -> GroupState:
    try:
        return GroupState(fields.text(b"state"))
    except ValueError:
        fields.note(b"state")
        return GroupState.WRITING


@dataclass(frozen=True, slots=True)
class Member:
    """
    What a member begins with, as the manifest keeps it.

    *run_digest* is that of runner and payload; *payload* and *options* are packed, *chosen* are
    the other attributes of its record. *due_at* is unix seconds, 0 for at once; *timeout_s*
    counts from its begin, 0 for none.
    """

    key: str
    runner: str
    version: int
    queue: str
    priority: int
    run_digest: bytes
    timeout_s: float
    due_at: float
    payload: bytes
    options: bytes
    tags: Sequence[str]
    chosen: Mapping[str, Any]

    def listed(self) -> list[Any]:
        """Write it for `pack`."""
        return [getattr(self, name) for name in self.__slots__]

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.payload) + len(self.options) + 100


def write_names(members: Sequence[tuple[str, bytes]]) -> bytes:
    """Write a slice of names: key and digest of each member."""
    return pack([list(pair) for pair in members], what="a slice of a group", in_clear=True)


def read_names(packed: bytes) -> list[tuple[str, bytes]]:
    """Read a slice of names; raises UnreadableValue, ValueError or TypeError for what is none."""
    return [(str(key), bytes(digest)) for key, digest in unpack(packed)]


def write_members(first: int, members: Sequence[Member]) -> bytes:
    """Write a slice of what members begin with; *first* is the number of the first one."""
    return pack(
        [first, [member.listed() for member in members]], what="a slice of a group", in_clear=True
    )


def read_members(packed: bytes) -> tuple[int, list[Member]]:
    """Read a slice back; raises UnreadableValue, TypeError or ValueError for what is none."""
    first, members = unpack(packed)
    return int(first), [Member(*each) for each in members]
