"""
Durations as users write them: which there are, and how long each is.

Stands apart from `times`, whose refusals are errors of ours, so that an error of ours can be given
a duration.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from numbers import Real

#: seconds: some 285 years, which a thread can wait for, too
FOREVER_S = 9e9

#: the rule, for the sentence that refuses a duration
RULE = f"a duration is seconds or a timedelta, from 0 to {FOREVER_S:,.0f} s"

#: seconds of the units that a duration in text may have
UNITS_S = {
    "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0,
}  # fmt: skip
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|min|h|d|w)")


def span_s(text: str) -> float | None:
    """Read a number with a unit, such as 500ms, 1.5s, 5m, 2h, 1d, as seconds; None for no such."""
    found = _SPAN.fullmatch(text)
    return None if found is None else float(found[1]) * UNITS_S[found[2]]


def length_s(duration: object) -> float | None:
    """Return the seconds of a duration between 0 and FOREVER_S, None for anything else."""
    length = duration.total_seconds() if isinstance(duration, timedelta) else number(duration)
    if length is not None and 0 <= length <= FOREVER_S:  # False for nan
        return length + 0.0  # no minus before a zero
    return None


def number(value: object) -> float | None:
    """Return a real number as a float, infinity when it has too many digits; None for the rest."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return math.inf
