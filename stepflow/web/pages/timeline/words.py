"""Lengths of time and errors in few words."""

from __future__ import annotations

from math import floor, log10

from stepflow.core.outcomes import ErrorInfo
from stepflow.web.pages.timeline.model import AT_WORK, Row

#: the characters of an error that a row has room for
_BRIEF = 80
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def length(seconds: float) -> str:
    """Write a length of time with two units at most: `2 h 5 min`, `1.5 s`, `12 ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for index, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            smaller, name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"


def since(seconds: float, step_s: float) -> str:
    """
    Write a moment of an axis by what has passed since it began: `0`, `1.5 s`, `6:18`, `3 d`.

    It is as exact as *step_s*, the distance of the moments that the axis names: no two look alike.
    """
    if not seconds:
        return "0"
    if step_s >= _HOUR or (step_s >= _MINUTE and seconds < _DAY):
        return length(seconds)
    decimals = max(0, -floor(log10(step_s)))
    if seconds < 1:
        return length(seconds)
    if seconds < _MINUTE:
        text = f"{seconds:.{decimals}f}"
        return (text.rstrip("0").rstrip(".") if decimals else text) + " s"
    return _clock(seconds, decimals)


def _clock(seconds: float, decimals: int) -> str:
    """Write a length of time as a clock does: `1:05`, `1:05.25`, `26:01:05`."""
    parts = 10**decimals
    whole, fraction = divmod(round(seconds * parts), parts)
    minutes, rest = divmod(whole, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    text = f"{rest:02}" + (f".{fraction:0{decimals}}" if decimals else "")
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def brief(error: ErrorInfo) -> str:
    """Write an error in one line, cut."""
    line = " ".join(f"{error.type}: {error.message}".split())
    return line if len(line) <= _BRIEF else f"{line[: _BRIEF - 1]}…"


#: what a share of the time was spent with
SHARES = {
    "work": "working", "child": "waiting for children", "question": "waiting for an answer",
    "signal": "waiting for a signal", "retry": "waiting to retry", "sleep": "sleeping",
    "queue": "waiting for a worker", "start": "delayed or waiting for a worker",
    "between": "between steps",
}  # fmt: skip


def told(row: Row) -> str:
    """Say in a line what a row shows."""
    took = "" if row.took_s is None else f" in {length(row.took_s)}"
    if row.bundle is not None:
        failed = f", {row.bundle.failures:,} with failures" if row.bundle.failures else ""
        return f"{row.bundle.count:,} of them{took}{failed}"
    tries = sum(segment.look in AT_WORK for segment in row.segments)
    many = f", {tries} attempts" if tries > 1 else ""
    return f"{row.state}{took}{many}"
