"""How many spans a run may have: a run of a million steps is no trace that anybody can read."""

from __future__ import annotations

from typing import Self

from stepflow.core.run import Run

#: the rev of a run in its first attempt: its submit and its claim
_FIRST_REV = 2


class SpanBudget:
    """
    Counts the spans of one run while one attempt lasts.

    Between attempts nothing is kept for it: *made* is what the run may have had by then, which its
    record tells. A workflow that continues as new begins a new count of its steps.
    """

    __slots__ = ("_limit", "_made")

    def __init__(self, limit: int, made: int) -> None:
        self._limit = limit
        self._made = made

    @classmethod
    def of_run(cls, run: Run, limit: int) -> Self:
        """
        Begin with the attempts that *run* has had, or somewhat more.

        A step that was closed has raised its rev by one or more, an attempt that failed by two or
        more: it was handed over, and claimed again.
        """
        return cls(limit, run.step + max(0, run.rev - _FIRST_REV - run.step) // 2)

    def note(self, spans: int) -> None:
        """Count what a workflow has behind it, by its journal: an entry is a span at most."""
        self._made += spans

    def take(self) -> tuple[bool, int]:
        """
        Take one more span.

        Gives whether it may be made, and the limit if the span is the last one or past it, else 0.
        """
        self._made += 1
        return self._made <= self._limit, self._limit if self._made >= self._limit else 0
