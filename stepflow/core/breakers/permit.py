"""A permit: what lets one call through a breaker, and what the end of that call tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the end of a call tells of the service behind it."""

    SUCCESS = "good"
    FAILURE = "bad"
    NOTHING = ""


@dataclass(frozen=True, slots=True)
class Permit:
    """
    The permit *id* for one call, of the breaker's *epoch*.

    What a call of an earlier epoch has come to counts nothing. A trial's permit belongs to the
    claim of its run, and ends with that.
    """

    id: str
    epoch: int
    is_trial: bool = False
