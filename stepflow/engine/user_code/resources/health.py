"""How a resource is: what a health check answers, and the worst of several answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

#: characters that `stepflow workers` shows of it
MOST_WORDS = 200


class HealthState(IntEnum):
    """How well something works; the higher, the worse."""

    OK = 0
    #: it works, and somebody should look at it
    DEGRADED = 1
    #: it does not work: its worker takes nothing until it is better
    UNHEALTHY = 2


@dataclass(frozen=True, slots=True)
class Health:
    """What the health check of a resource answers; *words* say what is wrong."""

    state: HealthState = HealthState.OK
    words: str = ""

    @classmethod
    def ok(cls) -> Self:
        """Say that all is well."""
        return cls()

    @classmethod
    def degraded(cls, words: str) -> Self:
        """Say that it works, worse than it should; the worker goes on, and shows *words*."""
        return cls(HealthState.DEGRADED, words)

    @classmethod
    def unhealthy(cls, words: str) -> Self:
        """Say that it does not work; until it does, the worker takes nothing and shows *words*."""
        return cls(HealthState.UNHEALTHY, words)

    def line(self) -> str:
        """Write it as one short line; empty when all is well."""
        return "" if self.state is HealthState.OK else " ".join(str(self).split())[:MOST_WORDS]

    def __str__(self) -> str:
        word = self.state.name.lower()
        return f"{word}: {self.words}" if self.words else word


def worst(found: Mapping[str, Health]) -> Health:
    """Give the health of a worker by that of its resources: the worst, with the name of each."""
    state = max((each.state for each in found.values()), default=HealthState.OK)
    if state is HealthState.OK:
        return Health()
    return Health(
        state,
        "; ".join(
            f"{name}: {each.words}" if each.words else name
            for name, each in found.items()
            if each.state is state
        ),
    )
