"""Calls that only look: where a run stands in line, who has the slots, until when a limit rests."""

from __future__ import annotations

from typing import Any

from stepflow.core.ids import limit_member
from stepflow.core.limits.use import read_held, write_key
from stepflow.core.run import Run
from stepflow.store.calls import Call, command
from stepflow.store.evidence.of_run import score_of
from stepflow.store.keys import Keys
from stepflow.store.limits.hash import load_values
from stepflow.store.limits.lines import line_length, members_since, slot_count

#: holders of slots that are named
NAMED = 5


def line_of(keys: Keys, run: Run) -> dict[str, Call[Any]]:
    """Read what explains why *run* waits in line; nothing for one that waits in none."""
    held = read_held(run.held)
    if held is None:
        return {}
    place = place_in(keys.of_limit("line", held.name, write_key(held.key)), run.id)
    return {"line": place, **state_of_line(keys, held.name, held.key)}


def state_of_line(keys: Keys, name: str, key: str, start: str = "") -> dict[str, Call[Any]]:
    """Read how a limit and key stand; the names of the calls begin with *start*."""
    written = write_key(key)
    calls: dict[str, Call[Any]] = {
        "line_length": line_length(keys, name, key),
        "slots": slot_count(keys, name, key),
        "holders": members_since(keys.of_limit("slots", name, written), NAMED),
        "limit": load_values(keys, name, key),
        "timer": score_of(keys.due, limit_member(name, written)),
        "rest": moment_of(keys.of_limit("rest", name, written)),
        "rest_all": moment_of(keys.of_limit("rest", name, "")),
    }
    return {f"{start}{each}": call for each, call in calls.items()}


def place_in(line: str, run_id: str) -> Call[int | None]:
    """Read how many stand in a line before a run; None when it does not stand there."""
    return command(
        "ZRANK", line, run_id, read=lambda reply: None if reply is None else int(reply),
        misfit=lambda: None,
    )  # fmt: skip


def moment_of(key: str) -> Call[float]:
    """Read a time in unix seconds, 0 for none."""

    def read(reply: Any) -> float:
        try:
            return float(reply or 0)
        except ValueError:
            return 0.0

    return command("GET", key, read=read, misfit=float)


def record_of_holder(keys: Keys, run_id: str) -> Call[list[str]]:
    """Read state, token, end and `held` of a run that has a slot or stands in line."""
    return command(
        "HMGET", keys.run(run_id), "state", "token", "ended", "held",
        read=lambda reply: [(field or b"").decode("utf-8", "replace") for field in reply],
        misfit=lambda: [""] * 4,
    )  # fmt: skip
