"""
Cron lines in a time zone, as cronsim and Debian's cron read them.

Fixed times that the clock skips run at the first instant after the gap, and times that come twice
run once, the first time. A line whose minute or hour begins with `*`, or that has seconds, follows
real time: what the clock skips does not run, what comes twice runs twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from stepflow.errors import InvalidOption

#: short names for common lines, as crontab(5) has them
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

#: of a line without seconds
_FIELDS = 5
_DAY_S = 86400
#: where a line is tried
_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Give the time zone of that name; raises InvalidOption for what is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise InvalidOption(
            f"{name!r} is no time zone; use a name such as 'Europe/Berlin', or 'UTC'"
        ) from error


def _offset_s(zone: ZoneInfo, at: int) -> int:
    """How far the zone's clock is ahead of UTC at an instant, in seconds."""
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _first_change(zone: ZoneInfo, start: int, end: int) -> int | None:
    """Find the instant up to *end* from which the zone has another offset than at *start*."""
    before = _offset_s(zone, start)
    if end <= start or _offset_s(zone, end) == before:
        return None
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (middle, end) if _offset_s(zone, middle) == before else (start, middle)
    return end


@dataclass(frozen=True, slots=True)
class CronLine:
    """
    The times of a cron line: five fields, six with seconds first, or a nickname like `@daily`.

    InvalidOption where the line or the time zone cannot be read.
    """

    line: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        self._from(_ANY_DAY.astimezone(zone_of(self.tz)))

    def walk(self, moment: float) -> Iterator[float]:
        if self.tz != "UTC" and self._follows_real_time:
            yield from self._walk_real_time(moment)
            return
        start = datetime.fromtimestamp(moment // 1, UTC)
        for found in self._from(start if self.tz == "UTC" else start.astimezone(zone_of(self.tz))):
            at = found.timestamp()
            if at > moment:  # an hour that comes twice reads as the first of the two
                yield at

    def _walk_real_time(self, moment: float) -> Iterator[float]:
        """
        Walk from one offset of the zone to the next; within each the line is one in UTC.

        cronsim leaves times out, or looks for one without end, where a zone skips or repeats other
        than whole hours: Lord Howe, the Chatham Islands.
        """
        zone, at = zone_of(self.tz), int(moment // 1)
        offset_s = _offset_s(zone, at + 1)
        local = self._from(datetime.fromtimestamp(at + offset_s, UTC))
        while (day := next(local, None)) is not None:
            found = int(day.timestamp()) - offset_s
            change = _first_change(zone, at + 1, min(found, at + _DAY_S))
            if change is None and found <= at + _DAY_S:
                at = found
                if at > moment:
                    yield float(at)
                continue
            # what lies between was looked at; a zone repeats less than a day
            at = change - 1 if change is not None else max(at + _DAY_S, found - 2 * _DAY_S)
            offset_s = _offset_s(zone, at + 1)
            local = self._from(datetime.fromtimestamp(at + offset_s, UTC))

    @property
    def _follows_real_time(self) -> bool:
        """As cronsim and Debian have it: its minute or hour begins with `*`, or it has seconds."""
        fields = _NICKNAMES.get(self.line, self.line).split()
        return len(fields) != _FIELDS or any(each.startswith("*") for each in fields[:2])

    def _from(self, start: datetime) -> CronSim:
        try:
            return CronSim(_NICKNAMES.get(self.line, self.line), start)
        except CronSimError as error:
            raise InvalidOption(f"cron {self.line!r} is no cron line: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        return {"cron": self.line, "tz": self.tz}

    @property
    def words(self) -> str:
        return self.line
