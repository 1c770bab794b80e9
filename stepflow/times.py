"""
Times as users write them.

One bound for all of them, so that whatever they add up to is a time that can be shown.

A duration is at most FOREVER_S, a moment at most LATEST: a duration from any moment on ends within
what datetime shows.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from numbers import Real

from stepflow.errors.base import shown
from stepflow.errors.usage import InvalidOption

#: seconds: some 285 years, which a thread can wait for, too
FOREVER_S = 9e9
#: unix seconds: the first and the last moment that datetime shows in every time zone
FIRST, LAST = (datetime(*date, tzinfo=UTC).timestamp() for date in ((1, 1, 2), (9999, 12, 30)))
#: unix seconds: no moment is later, so that one can wait from then on for as long as one can wait
LATEST = LAST - FOREVER_S

_DURATION = f"a duration is seconds or a timedelta, from 0 to {FOREVER_S:,.0f} s"
_MOMENT = f"a moment is unix seconds or an aware datetime, to {datetime.fromtimestamp(LATEST, UTC):%Y-%m-%d} at the latest"


def seconds(duration: object, what: str = "the duration") -> float:
    """
    Turn a duration as users write it into seconds.

    Raises InvalidOption, naming *what*, for anything else.
    """
    length = duration.total_seconds() if isinstance(duration, timedelta) else _number(duration)
    if length is not None and 0 <= length <= FOREVER_S:  # False for nan
        return length + 0.0  # no minus before a zero
    msg = f"{what} is {shown(duration)}; {_DURATION}"
    raise InvalidOption(msg)


def unix_time(moment: object, what: str = "the moment") -> float:
    """
    Turn a point in time as users write it into unix seconds.

    Raises InvalidOption, also for a naive datetime.
    """
    at = _of_datetime(moment, what) if isinstance(moment, datetime) else _number(moment)
    if at is not None and FIRST <= at <= LATEST:
        return at
    msg = f"{what} is {shown(moment)}; {_MOMENT}"
    raise InvalidOption(msg)


def wait_asked(duration: object) -> float | None:
    """
    Give the seconds that somebody asks to wait, cut where they end in no time we know.

    None for what is no duration.
    """
    length = duration.total_seconds() if isinstance(duration, timedelta) else _number(duration)
    return min(length, FOREVER_S) if length is not None and 0 <= length < math.inf else None


def as_datetime(moment: float) -> datetime | None:
    """
    Turn unix seconds into an aware UTC datetime, cut to what can be shown.

    None for 0, which means never, and for nan.
    """
    return (
        datetime.fromtimestamp(min(max(moment, FIRST), LAST), UTC)
        if moment and not math.isnan(moment)
        else None
    )


def in_words(moment: float) -> str:
    """Write unix seconds as a date and a time of day; never raises."""
    at = as_datetime(moment)
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _of_datetime(moment: datetime, what: str) -> float:
    try:
        offset = moment.utcoffset()
    except Exception as error:
        msg = f"{what} is a datetime whose time zone cannot say its offset ({type(error).__name__}); {_MOMENT}"
        raise InvalidOption(msg) from error
    if offset is None:
        msg = f"{what} is {shown(moment)}, which has no time zone; {_MOMENT}"
        raise InvalidOption(msg)
    return max(FIRST, moment.timestamp())


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return math.inf
