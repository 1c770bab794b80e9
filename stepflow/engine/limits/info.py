"""What callers see of a limit: what it says and who says so, who is at work, who waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LimitHolder:
    """A run that has a slot, and since when; *step* is the name of the step that has it, if any."""

    run_id: str
    since: datetime | None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """
    A limit: its bounds as they count now, and what they make of it. Times are aware datetimes.

    Without *key* it tells of all keys together; *bounds* are then those for keys without bounds of
    their own. *rate* is text like "100/min". *declared* says what the code says, where an operator
    has set something else, and *keys_set* the keys with bounds of their own. *slots* counts the
    runs and steps at work, *waiting* those in line; *holders* have had their slots the longest,
    *next* are the runs that are first in line. *rests_until* is set while nothing may begin,
    *next_at* when the first in line may begin by the rate.
    """

    name: str
    key: str | None
    concurrency: int | None
    rate: str | None
    burst: int | None
    scope: str
    max_line: int
    max_wait: float | None
    declared: str | None
    keys_set: Sequence[str]
    slots: int
    waiting: int
    keys: Sequence[str] = ()
    holders: Sequence[LimitHolder] = ()
    next: Sequence[str] = ()
    rests_until: datetime | None = None
    next_at: datetime | None = None
