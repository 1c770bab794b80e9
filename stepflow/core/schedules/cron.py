"""
Cron lines in a time zone, as cronsim and Debian's cron read them.

Fixed times that the clock skips run at the first instant after the gap, and times that come twice
run once, the first time. A line whose minute or hour begins with `*` follows real time: what the
clock skips does not run, what comes twice runs twice.
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
        start = datetime.fromtimestamp(moment // 1, UTC)
        for found in self._from(start if self.tz == "UTC" else start.astimezone(zone_of(self.tz))):
            at = found.timestamp()
            if at > moment:  # an hour that comes twice reads as the first of the two
                yield at

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
