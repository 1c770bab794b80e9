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
