"""What a worker is doing for a run, as its renewing thread says it of what takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

#: attempts of one run that are told
MOST_UNDER_WAY = 20


class UnderWay(NamedTuple):
    """An attempt in progress; for the step of a runner *place* is empty, *name* its number."""

    place: str
    name: str
    attempt: int
    #: unix seconds
    began_at: float

    @classmethod
    def read_all(cls, told: Any, token: str) -> Sequence[UnderWay]:
        """Read what the holder of *token* said; nothing for what another said, or is unreadable."""
        match told:
            case [str(said_by), list(attempts)] if said_by == token:
                return [
                    cls(place, name, attempt, float(began_at))
                    for each in attempts
                    for place, name, attempt, began_at in _sound(each)
                ]
        return []


class Attempts(Protocol):
    """The attempts in progress of the steps of a workflow; any thread may ask."""

    def under_way(self) -> Sequence[UnderWay]:
        """List them."""

    def task_of(self, place: str) -> asyncio.Task[Any] | None:
        """Return the task that carries out the attempt at *place*; None when it has ended."""


def _sound(each: Any) -> Sequence[tuple[str, str, int, float]]:
    match each:
        case [str(place), str(name), int(attempt), float(began_at)]:
            return [(place, name, attempt, began_at)]
    return []
