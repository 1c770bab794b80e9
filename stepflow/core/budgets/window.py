"""The windows of time for which a budget is: a day, a month, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from stepflow.errors import InvalidOption, shown

Per = Literal["hour", "day", "week", "month"]

#: how the windows of each kind are named
_NAMES = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


class Window(NamedTuple):
    """A window: its name, and when it ends in unix seconds, 0 for never."""

    name: str
    until: float


def check_per(per: object, what: str) -> None:
    """Raise InvalidOption, which names *what*, unless *per* is a kind of window or None."""
    if per is not None and not (isinstance(per, str) and per in _NAMES):
        kinds = ", ".join(repr(kind) for kind in _NAMES)
        msg = f"per of {what} is {shown(per)}; it is one of {kinds}, or None for all time"
        raise InvalidOption(msg)


def window_at(per: Per | None, now: float) -> Window:
    """Say in which window the unix time *now* is; all time is one without a name."""
    if per is None:
        return Window("", 0.0)
    at = datetime.fromtimestamp(now, UTC)
    hour = at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    match per:
        case "hour":
            end = hour + timedelta(hours=1)
        case "day":
            end = day + timedelta(days=1)
        case "week":
            end = day + timedelta(days=7 - day.weekday())
        case _:
            end = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return Window(at.strftime(_NAMES[per]), end.timestamp())
