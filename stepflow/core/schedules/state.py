"""Where a schedule stands: which of its times are dealt with, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class LastRun(StrEnum):
    """How the run of the last time that had one stands."""

    #: there is none, or its record is gone
    GONE = "gone"
    LIVE = "live"
    ENDED = "ended"
    FAILED = "failed"


class Left(StrEnum):
    """Why a time has no run."""

    OVERLAP = "overlap"
    MISSED = "missed"
    PAUSED = "paused"
    FULL = "buffer full"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Firing:
    """
    One line of a schedule's history: a time and its run, or why it has none.

    Times are unix seconds. *count* times in a row, the last of them *nominal*, may share a line.
    """

    nominal: float
    at: float
    run_id: str = ""
    left: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class SchedulePause:
    """Who paused a schedule, when (unix seconds), and why."""

    by: str
    note: str
    at: float


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """
    Where a schedule stands.

    All times up to *through* are dealt with, and none of them comes again, whatever becomes of the
    clock or of the rules. *buffer* has times that wait for the end of *last_run*. *judged* is the
    run whose failure was answered.
    """

    through: float
    last_run: str = ""
    last_nominal: float = 0.0
    runs: int = 0
    buffer: tuple[float, ...] = ()
    pause: SchedulePause | None = None
    judged: str = ""
    blocked_since: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What becomes of a schedule: where it stands from now on, and what is to be done.

    *run_for* is the time whose run begins, None for none; *cancel* a run to cancel first; *due_at*
    when somebody is to look again, None when nobody need; *history* what is written down.
    """

    state: ScheduleState
    run_for: float | None = None
    cancel: str = ""
    due_at: float | None = None
    history: Sequence[Firing] = ()
