"""Times as fields and scores hold them, and as RQ writes them."""

from __future__ import annotations

from datetime import UTC, datetime

#: unix seconds: the last day that datetime can show; a later time is none
LATEST_S = 253_402_214_400.0


def format_time(moment: float | None) -> str:
    """Write unix seconds as fields and scores hold them; None and 0 are empty."""
    return f"{moment:.6f}" if moment else ""


def rq_time(moment: float) -> str:
    """Write unix seconds as RQ writes times: UTC, ISO 8601, microseconds, Z."""
    # A third of the time of strftime, on every write; isoformat ends in +00:00.
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def read_rq_time(field: bytes | None) -> float | None:
    """Read a time as RQ writes it, as unix seconds; None for none, and for what cannot be read."""
    try:
        return None if not field else datetime.fromisoformat(field.decode()).timestamp()
    except (ValueError, OverflowError):
        return None
