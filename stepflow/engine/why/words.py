"""Times, spans and names as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.times import as_datetime, in_words

#: seconds of a day, within which a moment is told by its time of day
_DAY_S = 86_400.0
#: units of a span: from twice of one on it is told in that one
_UNITS = ((_DAY_S, "d"), (3600.0, "h"), (60.0, "min"))
#: seconds below which a span is told with a tenth
_EXACT_S = 3.0


def lasting(seconds: float) -> str:
    """Write a span in one unit: `12 s`, `3 min`, `2 d`."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= _EXACT_S else f"{seconds:.1f} s"


def moment(at: float, now: float) -> str:
    """Write a moment and how far it is: `09:00:00 UTC (in 6 h)`, with the day if it is not near."""
    found = as_datetime(at)
    if found is None:
        return "an unknown time"
    far = f"in {lasting(at - now)}" if at >= now else f"{lasting(now - at)} ago"
    text = f"{found:%H:%M:%S} UTC" if abs(at - now) < _DAY_S / 2 else in_words(at)
    return f"{text} ({far})"


def in_a_line(said: str) -> str:
    """Give what people and code have said without line breaks."""
    return " ".join(said.splitlines())


def ordinal(number: int) -> str:
    """Write a place: `1st`, `412th`."""
    teens = 10 <= number % 100 < 20  # noqa: PLR2004  11th, 12th, 13th
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def count(number: int, what: str, many: str = "") -> str:
    """Write a number of things: `1 worker`, `2 workers`."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def listed(names: Sequence[str], *, most: int = 3, joined: str = ", ") -> str:
    """Write some names, and how many more there are."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return joined.join(names[:most]) + rest
