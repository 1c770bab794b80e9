"""How many spans a run may have: a run of a million steps is no trace that anybody can read."""

from __future__ import annotations


class SpanBudget:
    """
    Counts the spans of one run while one attempt lasts.

    *made* is how many it has had by then, counted by what its record says of it: steps, attempts,
    entries of its journal. So the count needs no memory between attempts, and is never too low.
    """

    __slots__ = ("_limit", "made")

    def __init__(self, limit: int, made: int) -> None:
        self._limit = limit
        self.made = made

    def take(self) -> tuple[bool, int]:
        """
        Take one more span.

        Gives whether it may be made, and the limit if the span is the last one or past it, else 0.
        """
        self.made += 1
        return self.made <= self._limit, self._limit if self.made >= self._limit else 0
