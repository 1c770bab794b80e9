"""Cursors: how far a list of runs has been looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepflow.errors import InvalidOption
from stepflow.errors import shown as in_short
from stepflow.times import unix_time


@dataclass(slots=True)
class Mark:
    """A place in an index: the last score that was looked at, and the runs of that very score."""

    score: float
    run_ids: set[str] = field(default_factory=set)

    def move_to(self, run_id: str, score: float) -> None:
        """Note that a run has been looked at."""
        if score == self.score:
            self.run_ids.add(run_id)
        else:
            self.score, self.run_ids = score, {run_id}

    def __str__(self) -> str:
        return f"{self.score:.6f}|{','.join(sorted(self.run_ids))}"


@dataclass(slots=True)
class Cursor:
    """
    How far down the list has been looked at, and how far up, where its order is not for good.

    *down* is None at the beginning. *news* is None for a list whose runs do not move up in it.
    """

    down: Mark | None = None
    news: Mark | None = None

    def __str__(self) -> str:
        return "|".join(str(mark) for mark in (self.down, self.news) if mark is not None)

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Read a cursor, also one of the version before; raises InvalidOption for what is none."""
        if text is None:
            return cls()
        try:
            parts = text.split("|")
            marks = [_mark(*parts[at : at + 2]) for at in range(0, len(parts), 2)]
            return cls(*marks)
        except (ValueError, TypeError, AttributeError, InvalidOption):
            msg = f"{in_short(text)} is not the cursor of a listing"
            raise InvalidOption(msg) from None


def _mark(score: str, run_ids: str) -> Mark:
    return Mark(unix_time(float(score)), set(run_ids.split(",")) - {""})
