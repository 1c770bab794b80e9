"""
Times as users write them, checked against one bound.

A duration is at most FOREVER_S, a moment at most LATEST. Whatever they add up to is a time that
datetime can show.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from stepflow.durations import FOREVER_S, RULE, length_s, number
from stepflow.errors import InvalidOption, shown

#: unix seconds: the first and the last moment that datetime shows in every time zone
FIRST, LAST = (datetime(*date, tzinfo=UTC).timestamp() for date in ((1, 1, 2), (9999, 12, 30)))
#: unix seconds: no moment is later, so that one can wait from then on for as long as one can wait
LATEST = LAST - FOREVER_S

_LATEST_DAY = f"{datetime.fromtimestamp(LATEST, UTC):%Y-%m-%d}"
_MOMENT = f"a moment is unix seconds or an aware datetime, to {_LATEST_DAY} at the latest"


def seconds(duration: object, what: str = "the duration") -> float:
    """
    Turn a duration, seconds or a timedelta, into seconds.

    Raises InvalidOption, which names *what*, for anything that is no duration up to FOREVER_S.
    """
    length = length_s(duration)
    if length is None:
        msg = f"{what} is {shown(duration)}; {RULE}"
        raise InvalidOption(msg)
    return length


def unix_time(moment: object, what: str = "the moment") -> float:
    """
    Turn a moment, unix seconds or an aware datetime, into unix seconds.

    Raises InvalidOption, which names *what*, for anything else, naive datetimes included.
    """
    at = _of_datetime(moment, what) if isinstance(moment, datetime) else number(moment)
    if at is not None and FIRST <= at <= LATEST:
        return at
    msg = f"{what} is {shown(moment)}; {_MOMENT}"
    raise InvalidOption(msg)


def wait_asked(duration: object) -> float | None:
    """
    Return the seconds that somebody asks to wait, cut to FOREVER_S.

    None for what is no duration. Unlike `seconds` it never raises: an error that user code raised
    must not be hidden by a second one.
    """
    length = duration.total_seconds() if isinstance(duration, timedelta) else number(duration)
    return min(length, FOREVER_S) if length is not None and 0 <= length < math.inf else None


def as_datetime(moment: float) -> datetime | None:
    """
    Turn unix seconds into an aware UTC datetime, cut to the years that datetime has.

    None for 0, which means never, and for nan.
    """
    return (
        datetime.fromtimestamp(min(max(moment, FIRST), LAST), UTC)
        if moment and not math.isnan(moment)
        else None
    )


def in_words(moment: float) -> str:
    """Write unix seconds as a date and a time of day in UTC; never raises."""
    at = as_datetime(moment)
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _of_datetime(moment: datetime, what: str) -> float:
    try:
        offset = moment.utcoffset()
    except Exception as error:
        problem = f"a datetime whose time zone cannot say its offset ({type(error).__name__})"
        msg = f"{what} is {problem}; {_MOMENT}"
        raise InvalidOption(msg) from error
    if offset is None:
        msg = f"{what} is {shown(moment)}, which has no time zone; {_MOMENT}"
        raise InvalidOption(msg)
    return max(FIRST, moment.timestamp())
