"""What `client.stats()` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StatsPeriod:
    """What was counted in the minute or the hour that began at *at*."""

    at: datetime
    submitted: int
    #: runs that ended, by end state
    ended: Mapping[str, int]
    #: attempts of steps, by how they ended: done, failed, retried, cancelled, handed_back, lost
    steps: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RunnerStats:
    """What was counted of one runner in all the hours asked for; times are of single attempts."""

    runner: str
    submitted: int
    ended: Mapping[str, int]
    steps: Mapping[str, int]
    mean_s: float | None
    #: half of the attempts took less, and 95 in 100; estimated within a power of two
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """
    Runs of one runner that one type of error has ended.

    *recent* are those in the minutes asked for, *count* those in the hours. *since* and *last_at*
    are the beginnings of the first and the last minute or hour with one.
    """

    runner: str
    error: str
    recent: int
    count: int
    since: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Stats:
    """
    What was counted lately.

    *minutes* and *hours* have the oldest first and end with the present one; those in which nothing
    happened are there as well. *failing* has the most recent first.
    """

    at: datetime
    minutes: Sequence[StatsPeriod]
    hours: Sequence[StatsPeriod]
    runners: Sequence[RunnerStats]
    failing: Sequence[FailureGroup]
