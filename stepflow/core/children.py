"""A run's family: whose child it is, how its children end, how many of them make up a map."""

from __future__ import annotations

from dataclasses import dataclass

#: how far down somebody looks who asks why a run stands that waits for its children
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Parent:
    """
    What a child keeps of its parent, so that whoever ends the child can notify it.

    *queue* is the RQ queue that carries the parent; *index* is the child's number in a map, None
    outside of one.
    """

    run_id: str
    generation: int
    queue: str
    depth: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class ChildGroup:
    """
    The children of one map.

    Their run ids are *group_id*, a dash and a number below *total*; at most *limit* are at work.
    The map is settled once *need* have succeeded, more than *max_failed* have not, or all have
    ended.
    """

    group_id: str
    total: int
    need: int
    max_failed: int
    limit: int

    def child(self, index: int) -> str:
        """Return the run id of a child."""
        return f"{self.group_id}-{index}"

    def children(self) -> list[str]:
        """Return the run ids of all."""
        return [self.child(index) for index in range(self.total)]


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """
    How a child ended, as its parent learns of it: `status|packed`.

    *packed* is its result, or [type, message] of its error. *number* says as which of those of a
    map that ended in the same way it counted before the map was settled; 0 after that, or outside
    of a map.
    """

    status: str
    packed: bytes
    number: int = 0

    @property
    def is_success(self) -> bool:
        """Whether the child succeeded."""
        return self.status == "succeeded"

    def write(self) -> bytes:
        """Write what the parent is sent."""
        return f"{self.status}|".encode() + self.packed

    @classmethod
    def read(cls, written: bytes) -> ChildEnd:
        """Read what `write` wrote; raises ValueError for anything else."""
        status, packed = written.split(b"|", 1)
        return cls(status.decode(), packed)

    @classmethod
    def read_numbered(cls, written: bytes) -> ChildEnd:
        """Read an end as the server keeps it, with its number before it."""
        number, rest = written.split(b"|", 1)
        end = cls.read(rest)
        return cls(end.status, end.packed, int(number))
