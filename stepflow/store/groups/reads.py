"""Calls that read groups."""

from __future__ import annotations

from typing import Any

from stepflow.core.ids import group_member
from stepflow.store.calls import Call, batch, command, load_hash
from stepflow.store.groups.moves import ASKED
from stepflow.store.groups.record import GroupRecord, read_group
from stepflow.store.keys import Keys
from stepflow.store.query import index_size
from stepflow.store.run_hash import format_time


async def load_group(keys: Keys, group_id: str) -> GroupRecord | None:
    """
    Read a group; None when there is none.

    An end in between is counted, and its member may seem to live; it is never the other way round.
    """
    base = keys.group(group_id)
    live, row = await batch(index_size(f"{base}:live"), load_hash(base))
    return read_group(group_id, row, live) if row else None


def load_slice(keys: Keys, group_id: str, what: str, number: int) -> Call[bytes | None]:
    """Read a packed slice of a group's `names` or `specs`; None when it is not kept."""
    key = f"{keys.group(group_id)}:{what}"
    return command("LINDEX", key, number, read=_bytes, misfit=lambda: None)


def to_be_asked(keys: Keys, group_id: str, count: int) -> Call[list[tuple[str, float]]]:
    """Read live members that nobody has asked to stop, the first begun first, and when they did."""
    return command(
        "ZRANGE", f"{keys.group(group_id)}:live", "-inf", f"({format_time(ASKED)}", "BYSCORE",
        "LIMIT", 0, count, "WITHSCORES", read=_scored, misfit=list,
    )  # fmt: skip


def live_members(keys: Keys, group_id: str, first: int, count: int) -> Call[list[str]]:
    """Read some live members, by rank."""
    key = f"{keys.group(group_id)}:live"
    return command("ZRANGE", key, first, first + count - 1, read=_names, misfit=list)


def failed_members(
    keys: Keys, group_id: str, count: int, *, before: int | None = None
) -> Call[list[str]]:
    """Read failed members, up to *count*; those that failed in a wave of retries *before* that."""
    return command(
        "ZRANGE", f"{keys.group(group_id)}:failed", "-inf",
        "+inf" if before is None else f"({before}", "BYSCORE", "LIMIT", 0, count,
        read=_names, misfit=list,
    )  # fmt: skip


def group_ids(keys: Keys, first: int, count: int) -> Call[list[str]]:
    """Read the ids of some groups, the one submitted first first."""
    return command("ZRANGE", keys.groups, first, first + count - 1, read=_names, misfit=list)


def member_state(keys: Keys, run_id: str) -> Call[tuple[str, str]]:
    """Read how a member stands, "live" or its end, and of which group; "" and "" without a run."""
    return command(
        "HMGET", keys.run(run_id), "state", "ended", "group", read=_state,
        misfit=lambda: ("", ""),
    )  # fmt: skip


def _state(reply: Any) -> tuple[str, str]:
    state, ended, group = (item.decode("utf-8", "replace") if item else "" for item in reply)
    return (state if ended else "live", group) if state else ("", "")


def group_due(keys: Keys, group_id: str) -> Call[float | None]:
    """Read when somebody is to look at a group; None when nobody is before its members settle."""
    return command(
        "ZSCORE", keys.due, group_member(group_id),
        read=lambda reply: None if reply is None else float(reply), misfit=lambda: None,
    )  # fmt: skip


def _bytes(reply: Any) -> bytes | None:
    return None if reply is None else bytes(reply)


def _names(reply: Any) -> list[str]:
    return [item.decode("utf-8", "backslashreplace") for item in reply]


def _scored(reply: Any) -> list[tuple[str, float]]:
    pairs = (
        reply
        if reply and isinstance(reply[0], list | tuple)
        else list(zip(reply[::2], reply[1::2], strict=True))
    )
    return [(name.decode("utf-8", "backslashreplace"), float(at)) for name, at in pairs]
