"""What a run of a schedule knows of its time: two headers say it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

#: the schedule that began the run
SCHEDULE_HEADER = "workflow.schedule"
#: the time that the run is for, in ISO 8601
SCHEDULED_FOR_HEADER = "workflow.scheduled_for"


class Scheduled(NamedTuple):
    """The schedule that begins a run, and the time (unix seconds) that the run is for."""

    schedule_id: str
    nominal: float

    def headers(self) -> dict[str, str]:
        """Give the headers of the run."""
        at = datetime.fromtimestamp(self.nominal, UTC).isoformat()
        return {SCHEDULE_HEADER: self.schedule_id, SCHEDULED_FOR_HEADER: at}


def scheduled_for(headers: Mapping[str, str]) -> datetime | None:
    """Read the time that a run is for out of its headers; None for one of no schedule."""
    written = headers.get(SCHEDULED_FOR_HEADER)
    try:
        return None if written is None else datetime.fromisoformat(written)
    except ValueError:
        return None
