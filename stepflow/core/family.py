"""A run's family: whose child it is, and how many children make up a map."""

from __future__ import annotations

from dataclasses import dataclass

#: how deep runs may be nested: the child of a run without a parent is at depth 1
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Parent:
    """
    What a child keeps of its parent, so that whoever ends the child can tell it.

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

    Their ids are *stem*, a dash and a number below *total*, at most *limit* of them at work.

    It is settled once *need* have succeeded, more than *most_bad* have not, or all have ended.
    """

    stem: str
    total: int
    need: int
    most_bad: int
    limit: int

    def child(self, index: int) -> str:
        """Give the run id of a child."""
        return f"{self.stem}-{index}"

    def children(self) -> list[str]:
        """Give the run ids of all."""
        return [self.child(index) for index in range(self.total)]


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """
    How a child ended, as its parent is told: `status|packed`.

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
        """Write what the parent is told."""
        return f"{self.status}|".encode() + self.packed

    @classmethod
    def read(cls, written: bytes) -> ChildEnd:
        """Read what `write` wrote; raises ValueError for anything else."""
        status, packed = written.split(b"|", 1)
        return cls(status.decode(), packed)

    @classmethod
    def read_numbered(cls, written: bytes) -> ChildEnd:
        """Read an end as the server keeps it, with its number before it."""
        number, told = written.split(b"|", 1)
        end = cls.read(told)
        return cls(end.status, end.packed, int(number))
