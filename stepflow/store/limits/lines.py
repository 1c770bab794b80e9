"""Calls about lines and slots: who waits for a limit, who has a slot of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.limits.slot import StepSlot
from stepflow.core.limits.use import split_limited, write_key
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, command
from stepflow.store.claims import as_text
from stepflow.store.keys import Keys
from stepflow.store.run_hash import rq_time

#: scores between the places of one priority in a line and those of the next
LEVEL = 10**10


class LineLook(NamedTuple):
    """What a look at a line left: how many wait in it, and when the next thing is due."""

    now: float
    waiting: int
    next_due: float | None


def call_line(keys: Keys, name: str, key: str, *, given: str, now: float) -> Call[LineLook]:
    """Give the first in the line of a limit and key their turn, as many as there is room for."""
    return scripts.CALL_LINE.call(
        lambda reply: LineLook(
            float(reply[0]), int(reply[1]), float(reply[2]) if reply[2] else None
        ),
        keys={"due": keys.due},
        args={
            "given": given, "ns": keys.namespace, "prefix": keys.job_prefix,
            "rq_time": rq_time(now), "limit": name, "key": write_key(key),
        },
    )  # fmt: skip


def settle_units(keys: Keys, run: Run, slot: StepSlot, *, given: str, now: float) -> Call[bool]:
    """
    Have what a step of a run has used of rates stand for what was charged when it began.

    False when the claim is another's.
    """
    _, number, settled = slot.written()
    return scripts.SETTLE_UNITS.call(
        bool,
        keys={"run": keys.run(run.id)},
        args={
            "given": given, "ns": keys.namespace, "prefix": keys.job_prefix,
            "rq_time": rq_time(now), "token": run.token, "number": number,
        },
        lists={"settled": [part for line in settled.splitlines() for part in line.split("=")]},
    )  # fmt: skip


def line_length(keys: Keys, name: str, key: str) -> Call[int]:
    """Count those who wait in the line of a limit and key."""
    line = keys.of_limit("line", name, write_key(key))
    return command("ZCARD", line, read=int, misfit=int)


def slot_count(keys: Keys, name: str, key: str) -> Call[int]:
    """Count those who have a slot of a limit and key."""
    return command("ZCARD", keys.of_limit("slots", name, write_key(key)), read=int, misfit=int)


def some_of(index: str, count: int) -> Call[list[tuple[str, str]]]:
    """Give limit and key of up to *count* members of an *index* of lines or slots, by chance."""
    return command("SRANDMEMBER", index, count, read=_limited, misfit=list)


def mend_slots(
    keys: Keys, name: str, key: str, *, given: str, now: float, most: int = 20
) -> Call[list[str]]:
    """Take slots back that nobody has any more; gives the ids of their runs and steps."""
    return scripts.MEND_SLOTS.call(
        as_text,
        keys={},
        args={
            "given": given, "ns": keys.namespace, "prefix": keys.job_prefix,
            "rq_time": rq_time(now), "limit": name, "key": write_key(key), "most": most,
        },
    )  # fmt: skip


def waiting_since(
    keys: Keys, name: str, key: str, before: float, level: int, count: int
) -> Call[list[str]]:
    """Give runs of one priority that have stood in a line since before a time, unix seconds."""
    line, first = keys.of_limit("line", name, write_key(key)), level * LEVEL
    return command(
        "ZRANGE",
        line,
        first,
        first + before,
        "BYSCORE",
        "LIMIT",
        0,
        count,
        read=as_text,
        misfit=list,
    )


def scan_keys(index: str, name: str, cursor: int) -> Call[tuple[int, list[tuple[str, str]]]]:
    """
    Scan an *index* of lines or slots for the keys of one limit, all of them for an empty *name*.

    Gives the next cursor, 0 at the end, and limits with keys; one may come twice.
    """
    return command(
        "SSCAN", index, cursor, "MATCH", f"{name}|*" if name else "*", "COUNT", 1000,
        read=lambda reply: (int(reply[0]), _limited(reply[1])), misfit=lambda: (0, []),
    )  # fmt: skip


def _limited(reply: Any) -> list[tuple[str, str]]:
    return [split_limited(member) for member in as_text(reply)]


def members_since(key: str, count: int) -> Call[list[tuple[str, float]]]:
    """Read the first members of a line or of slots, with their scores."""

    def read(reply: Any) -> list[tuple[str, float]]:
        pairs: Sequence[Any] = reply
        if pairs and not isinstance(pairs[0], list | tuple):
            pairs = list(zip(pairs[::2], pairs[1::2], strict=True))
        return [(member.decode("utf-8", "replace"), float(score)) for member, score in pairs]

    return command("ZRANGE", key, 0, count - 1, "WITHSCORES", read=read, misfit=list)


def forget_rate(keys: Keys, name: str, key: str) -> Call[int]:
    """Forget what has begun of a limit and key, and that it rests; gives how much was kept."""
    written = write_key(key)
    kept = [keys.of_limit(kind, name, written) for kind in ("tat", "rest")]
    return command("DEL", *kept, read=int)
