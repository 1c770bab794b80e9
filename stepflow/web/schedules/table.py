"""The rows of the table of operations that are about schedules."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.engine.schedules.info import FiringInfo, NextTime, ScheduleInfo
from stepflow.engine.steering.bulk import BulkInfo
from stepflow.errors import (
    InvalidName,
    InvalidOption,
    PayloadTooLarge,
    ReservedHeader,
    ScheduleNotFound,
    UnsupportedValue,
)
from stepflow.web.operation import Operation
from stepflow.web.problems import Problem
from stepflow.web.schedules import handlers
from stepflow.web.schedules.given import (
    Backfill,
    NextQuery,
    PauseSchedule,
    PutSchedule,
    ResumeSchedule,
    SchedulesQuery,
    TriggerSchedule,
)

_ONE: tuple[Problem, ...] = (ScheduleNotFound,)
_AT = "/schedules/{schedule_id}"


@dataclass(frozen=True, slots=True)
class Triggered:
    """The run that was begun; null where the last one had not ended."""

    schedule: str
    run: str | None


@dataclass(frozen=True, slots=True)
class ScheduleDeleted:
    """That a schedule is gone."""

    schedule: str
    deleted: bool


SCHEDULES = (
    Operation(
        "GET", "/schedules", handlers.list_schedules, "List schedules", list[ScheduleInfo],
        query=SchedulesQuery,
    ),
    Operation(
        "GET", _AT, handlers.show_schedule, "Show a schedule", ScheduleInfo, problems=_ONE,
    ),
    Operation(
        "GET", f"{_AT}/history", handlers.schedule_history, "List the last times of a schedule",
        list[FiringInfo], problems=_ONE,
    ),
    Operation(
        "GET", f"{_AT}/next", handlers.schedule_next, "List the next times of a schedule",
        list[NextTime], query=NextQuery, problems=_ONE,
    ),
    Operation(
        "PUT", _AT, handlers.put_schedule, "Put a schedule", ScheduleInfo, right="put-schedule",
        body=PutSchedule,
        problems=(InvalidName, InvalidOption, ReservedHeader, PayloadTooLarge, UnsupportedValue),
    ),
    Operation(
        "POST", f"{_AT}/pause", handlers.pause_schedule, "Pause a schedule", ScheduleInfo,
        right="pause-schedule", body=PauseSchedule, problems=_ONE,
    ),
    Operation(
        "POST", f"{_AT}/resume", handlers.resume_schedule, "Resume a schedule", ScheduleInfo,
        right="resume-schedule", body=ResumeSchedule, problems=_ONE,
    ),
    Operation(
        "POST", f"{_AT}/trigger", handlers.trigger_schedule, "Begin a run of a schedule now",
        Triggered, right="trigger", body=TriggerSchedule, problems=_ONE,
    ),
    Operation(
        "POST", f"{_AT}/backfill", handlers.backfill_schedule, "Begin the runs of past times",
        BulkInfo, right="backfill", status=202, body=Backfill, problems=(*_ONE, InvalidOption),
    ),
    Operation(
        "DELETE", _AT, handlers.delete_schedule, "Delete a schedule", ScheduleDeleted,
        right="delete-schedule", problems=_ONE,
    ),
)  # fmt: skip
