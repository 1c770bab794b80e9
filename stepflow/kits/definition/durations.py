"""Durations as definitions write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stepflow.durations import FOREVER_S

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def _seconds(given: Any) -> Any:
    """Read `5m` as seconds; leaves numbers to the type, and refuses the rest in words."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, str):
        found = _TEXT.fullmatch(given.strip())
        if found is None:
            msg = f"{given!r} is no duration; write seconds, or 500ms, 30s, 5m, 2h, 1d"
            raise ValueError(msg)
        return float(found[1]) * _UNITS[found[2]]
    return given


#: seconds, as a number or as text with a unit
Duration = Annotated[float, Field(ge=0, le=FOREVER_S), BeforeValidator(_seconds, float | str)]
