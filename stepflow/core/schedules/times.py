"""
When a schedule's runs begin: at the times of a cron line, every so often, or at given times.

Each kind gives the first of its times after a moment. Moments are unix seconds, and the times of a
schedule are whole seconds, for they are part of run ids.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count, takewhile
from typing import Any, Protocol

from stepflow.core.ids import check_text
from stepflow.core.schedules.cron import CronLine
from stepflow.durations import number
from stepflow.errors import InvalidOption, shown

#: times in one `at=[...]`
MOST_MOMENTS = 1000
#: seconds: the first look for the newest time before a moment goes back so far, each next one more
_FIRST_LOOK_S, _LOOKS_GROW = 64.0, 8.0


class Times(Protocol):
    """The times of a schedule."""

    def walk(self, moment: float) -> Iterator[float]:
        """Give the times after *moment*, in order."""

    def as_dict(self) -> dict[str, Any]:
        """Give what `read_times` reads back."""

    @property
    def words(self) -> str:
        """Say when, in a few words."""

    @property
    def tz(self) -> str:
        """The time zone in which people think of these times."""


@dataclass(frozen=True, slots=True)
class Every:
    """
    Every so many seconds, counted from the epoch plus an offset.

    So neither a restart nor a deploy shifts the times.
    """

    every_s: int
    offset_s: int = 0
    tz: str = "UTC"

    def walk(self, moment: float) -> Iterator[float]:
        turns = math.floor((moment - self.offset_s) / self.every_s) + 1
        yield from map(float, count(turns * self.every_s + self.offset_s, self.every_s))

    def as_dict(self) -> dict[str, Any]:
        return {"every": self.every_s, "offset": self.offset_s}

    @property
    def words(self) -> str:
        offset = f" and {self.offset_s} s" if self.offset_s else ""
        return f"every {self.every_s} s{offset}"


@dataclass(frozen=True, slots=True)
class Moments:
    """At given times, in order."""

    moments: tuple[int, ...]
    tz: str = "UTC"

    def walk(self, moment: float) -> Iterator[float]:
        yield from map(float, self.moments[bisect_right(self.moments, moment) :])

    def as_dict(self) -> dict[str, Any]:
        return {"at": list(self.moments)}

    @property
    def words(self) -> str:
        return f"at {len(self.moments)} given times"


def cron(line: str, tz: str = "UTC") -> CronLine:
    """
    Make the times of a cron line in a time zone.

    Raises InvalidOption for a line that is none, or that names no time within 50 years.
    """
    made = CronLine(
        check_text("a cron line", line, least=0, most=1000), check_text("tz", tz, least=0)
    )
    if after(made, 0.0) is None:
        raise InvalidOption(f"cron {line!r} can never be: no day of the next 50 years fits it")
    return made


def every(every_s: float, offset_s: float = 0.0) -> Every:
    """Make times that many seconds apart; raises InvalidOption for what is no whole number."""
    if every_s < 1 or every_s != int(every_s):
        raise InvalidOption(f"every is {every_s:g} s; it must be whole seconds, at least 1")
    if not 0 <= offset_s < every_s or offset_s != int(offset_s):
        raise InvalidOption(
            f"offset is {offset_s:g} s; it must be whole seconds, from 0 to less than every"
        )
    return Every(int(every_s), int(offset_s))


def at(moments: Sequence[float]) -> Moments:
    """Make given times; raises InvalidOption for none at all, and for more than MOST_MOMENTS."""
    if not 0 < len(moments) <= MOST_MOMENTS:
        raise InvalidOption(f"at has {len(moments)} times; give 1 to {MOST_MOMENTS}")
    return Moments(tuple(sorted({int(moment) for moment in moments})))


def read_times(written: object) -> Times:
    """Read times as `as_dict` writes them; raises InvalidOption for anything else."""
    match written:
        case {"cron": str(line), "tz": str(tz)}:
            return cron(line, tz)
        case {"every": int(every_s), "offset": int(offset_s)}:
            return every(every_s, offset_s)
        case {"at": [*moments]} if all(number(moment) is not None for moment in moments):
            return at(moments)
    raise InvalidOption(f"{shown(written)} says no times of a schedule")


def after(times: Times, moment: float) -> float | None:
    """Give the first time after *moment*; None when there is none."""
    return next(times.walk(moment), None)


def between(times: Times, moment: float, until: float) -> Iterator[float]:
    """Give the times after *moment*, up to and with *until*, in order."""
    return takewhile(lambda moment: moment <= until, times.walk(moment))


def newest(times: Times, moment: float, until: float) -> float | None:
    """
    Give the last of the times after *moment*, up to and with *until*; None when there is none.

    It looks back further and further, so a long gap costs no walk through all of its times.
    """
    look_s = _FIRST_LOOK_S
    while True:
        start = max(moment, until - look_s)
        found = max(between(times, start, until), default=None)
        if found is not None or start <= moment:
            return found
        look_s *= _LOOKS_GROW


def jitter_of(schedule_id: str, nominal: float, jitter_s: float) -> float:
    """Give by how many seconds the run of a time begins later: the same for every worker."""
    if jitter_s <= 0:
        return 0.0
    drawn = blake2b(f"{schedule_id}|{nominal:.0f}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) % max(1, int(jitter_s * 1000)) / 1000


def write_nominal(nominal: float) -> str:
    """Write a time as run ids hold it: `20261125T020000Z`."""
    return f"{datetime.fromtimestamp(nominal, UTC):%Y%m%dT%H%M%SZ}"


def run_id_of(schedule_id: str, nominal: float) -> str:
    """Name the run of a time: the same whatever is lost, doubled or restored."""
    return f"{schedule_id}-{write_nominal(nominal)}"
