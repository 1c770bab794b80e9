"""Calls that read schedules."""

from __future__ import annotations

from typing import Any

from stepflow.core.ids import schedule_member
from stepflow.core.run import RunState
from stepflow.core.schedules.state import Firing, LastRun
from stepflow.store.calls import Call, command, load_hash
from stepflow.store.keys import Keys
from stepflow.store.schedules.record import KEPT, ScheduleRecord, read_firing, read_schedule


def load_schedule(keys: Keys, schedule_id: str) -> Call[ScheduleRecord | None]:
    """Read a schedule; None when there is none."""
    call = load_hash(keys.schedule(schedule_id))
    return Call(
        call.script, call.parts,
        lambda reply: read_schedule(schedule_id, row) if (row := call.read(reply)) else None,
        resend=call.resend, misfit=lambda: None,
    )  # fmt: skip


def load_last(keys: Keys, run_id: str) -> Call[LastRun]:
    """Read how a schedule's last run stands."""
    key = keys.run(run_id)
    return command("HMGET", key, "rev", "ended", "state", read=_last, misfit=lambda: LastRun.GONE)


def _last(reply: Any) -> LastRun:
    rev, ended, state = reply
    if not rev:
        return LastRun.GONE
    if not ended:
        return LastRun.LIVE
    return LastRun.FAILED if state == RunState.FAILED.encode() else LastRun.ENDED


def load_firings(keys: Keys, schedule_id: str) -> Call[list[Firing]]:
    """Read the last times of a schedule, the newest first."""
    return command(
        "LRANGE", f"{keys.schedule(schedule_id)}:history", 0, KEPT - 1,
        read=lambda reply: [line for line in map(read_firing, reply) if line is not None],
        misfit=list,
    )  # fmt: skip


def schedule_ids(keys: Keys, first: int, count: int) -> Call[list[str]]:
    """Read the ids of some schedules, the one put first first."""
    return command(
        "ZRANGE", keys.schedules, first, first + count - 1,
        read=lambda reply: [item.decode("utf-8", "backslashreplace") for item in reply],
        misfit=list,
    )  # fmt: skip


def due_of(keys: Keys, schedule_id: str) -> Call[float | None]:
    """Read when somebody is to look at a schedule next; None when it is not in the due set."""
    return command(
        "ZSCORE", keys.due, schedule_member(schedule_id),
        read=lambda reply: None if reply is None else float(reply), misfit=lambda: None,
    )  # fmt: skip


def load_declared(keys: Keys) -> Call[dict[bytes, bytes]]:
    """Read what workers declare, dead ones among them."""
    return load_hash(keys.declared)
