"""Calls that read what has been added to a run's records since somebody looked last."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.store.calls import Call, command, raw
from stepflow.store.keys import Keys


def load_entries(
    keys: Keys, run_id: str, first: int, count: int | None = None
) -> Call[list[bytes]]:
    """Read the journal from entry *first* on, at most *count* entries."""
    last = -1 if count is None else first + count - 1
    return command("LRANGE", f"{keys.run(run_id)}:journal", first, last, read=raw, misfit=list)


def count_step_records(keys: Keys, run_id: str) -> Call[int]:
    """Count the run's step records."""
    return command("HLEN", f"{keys.run(run_id)}:steps", read=int, misfit=int)


def load_first_entry(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read the first entry of the journal; None without one."""
    return command("LINDEX", f"{keys.run(run_id)}:journal", 0, read=raw, misfit=lambda: None)


def load_step_records(keys: Keys, run_id: str, names: Sequence[str]) -> Call[list[bytes | None]]:
    """Read step records by name; None for each that is not there."""
    return command(
        "HMGET", f"{keys.run(run_id)}:steps", *names,
        read=raw, misfit=lambda: [None] * len(names),
    )  # fmt: skip
