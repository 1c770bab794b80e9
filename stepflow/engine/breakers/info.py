"""How a breaker stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stepflow.store.breakers.record import BreakerRecord
from stepflow.times import as_datetime


class BreakerState(StrEnum):
    """Whether a breaker lets calls through: all, none, or a few trials."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerInfo:
    """
    A circuit breaker, and the runs that wait for it.

    *failures* are those in a row that opened it, or so far; *error* is `Type: message` of the last
    of them. *until* is when it lets a trial through: None for one that is closed, or that *by* has
    opened by hand until somebody closes it. *rule* is what code says of it.
    """

    name: str
    state: BreakerState
    #: why it is open: `after 5 failures (ConnectTimeout)`; empty for one that is closed
    why: str = ""
    failures: int = 0
    error: str = ""
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""
    note: str = ""
    #: runs that wait for it
    waiting: int = 0
    #: trials under way
    trials: int = 0
    #: calls that it has not let through, and how often it has opened and closed
    refused: int = 0
    opened: int = 0
    closed: int = 0
    rule: str = ""


def info_of(
    record: BreakerRecord, now: float, *, waiting: int, failed: int, trials: int
) -> BreakerInfo:
    """Say how a breaker stands at unix time *now*."""
    state = BreakerState.CLOSED
    if record.is_open:
        is_half = bool(record.until) and record.until <= now
        state = BreakerState.HALF_OPEN if is_half else BreakerState.OPEN
    failures, reset_s, most = record.rule
    rule = f"{failures} failures in a row, reset {reset_s:g} s, {most} at once" if failures else ""
    return BreakerInfo(
        record.name, state, why=why_open(record),
        failures=record.failures if record.is_open else failed, error=record.error,
        since=as_datetime(record.since),
        until=as_datetime(record.until) if record.is_open else None, by=record.by,
        note=record.note, waiting=waiting, trials=trials, refused=record.refused,
        opened=record.opened, closed=record.closed, rule=rule,
    )  # fmt: skip


def why_open(record: BreakerRecord) -> str:
    """Say why a breaker is open; empty for one that is not."""
    if not record.is_open:
        return ""
    if record.by:
        return f"by {record.by}{f': {record.note}' if record.note else ''}"
    times = "1 failure" if record.failures == 1 else f"{record.failures} failures"
    kind = record.error.partition(":")[0]
    return f"after {times}{f' ({kind})' if kind else ''}"
