"""What the operations on schedules take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stepflow.engine.steering.bulk import MOST_RATE, RATE
from stepflow.web.models import NAME, QUEUE, Given, Level, Rows, Span, Version, integer, whole

#: what the id of a schedule looks like
SCHEDULE_ID = r"^[A-Za-z0-9_-]{1,60}$"
#: a time in ISO 8601 with its offset
Moment = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


class SchedulesQuery(Given):
    """Which schedules are listed: so many, after so many."""

    limit: Rows = 100
    offset: Annotated[int, Field(ge=0, le=10**8), BeforeValidator(whole)] = 0


class NextQuery(Given):
    """How many times are given."""

    count: Rows = 10


class PutSchedule(Given):
    """A schedule; the fields are the options of `stepflow schedules put`."""

    runner: Annotated[str, Field(pattern=NAME)]
    payload: Any = None
    cron: Annotated[str, Field(max_length=200)] | None = None
    tz: Annotated[str, Field(max_length=100)] | None = None
    every: Span | None = None
    offset: Span | None = None
    at: Annotated[list[Moment], Field(max_length=1000)] | None = None
    jitter: Span | None = None
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow"] | None = None
    catch_up: Literal["latest", "all", "none"] | None = None
    catch_up_within: Span | None = None
    until: Moment | None = None
    max_runs: Annotated[int, Field(ge=1, le=2**53), BeforeValidator(integer)] | None = None
    pause_on_failure: bool = False
    queue: Annotated[str, Field(pattern=QUEUE)] = "default"
    priority: Level = "normal"
    timeout: Span | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    version: Version | None = None


class PauseSchedule(Given):
    """Why a schedule is paused."""

    note: Annotated[str, Field(max_length=500)] = ""


class ResumeSchedule(Given):
    """Whether the times that came meanwhile are made up for."""

    catch_up: bool = False


class TriggerSchedule(Given):
    """What becomes of the run while the last one goes on."""

    overlap: Literal["allow", "skip", "cancel_other"] = "allow"


class Backfill(Given):
    """Between which times the runs of a schedule begin."""

    start: Moment
    end: Moment
    overlap: Literal["buffer_all", "allow"] = "buffer_all"
    rate: Annotated[float, Field(gt=0, le=MOST_RATE, allow_inf_nan=False)] = RATE
