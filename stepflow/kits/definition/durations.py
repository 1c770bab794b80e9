"""Durations as definitions write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stepflow.durations import FOREVER_S, span_s


def _seconds(given: Any) -> Any:
    """Read `5m` as seconds; leaves numbers to the type, and refuses the rest in words."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, str):
        found = span_s(given.strip())
        if found is None:
            msg = f"{given!r} is no duration; write seconds, or 500ms, 30s, 5m, 2h, 1d"
            raise ValueError(msg)
        return found
    return given


#: seconds, as a number or as text with a unit
Duration = Annotated[float, Field(ge=0, le=FOREVER_S), BeforeValidator(_seconds, float | str)]
