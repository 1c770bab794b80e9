"""`Marks`: what a run has done of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Mark(StrEnum):
    """What became of a node; one without a mark has not begun."""

    DONE = "done"
    #: the run is in it now
    NOW = "now"
    FAILED = "failed"
    #: left out by its condition
    SKIPPED = "skipped"
    #: cannot begin any more: what it needs has failed
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Marks:
    """
    The marks of a run: *nodes* by their ids, *ways* that it has taken.

    *visits* count how often it came to a node, where that may be more than once.
    """

    nodes: Mapping[str, Mark] = field(default_factory=dict)
    ways: frozenset[tuple[str, str]] = frozenset()
    visits: Mapping[str, int] = field(default_factory=dict)
