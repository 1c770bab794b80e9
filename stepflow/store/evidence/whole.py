"""Calls of the doctor: it goes through all runs and indexes, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, command, nothing, raw
from stepflow.store.claims import as_text
from stepflow.store.family_update import children_keys
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time


def inspect_runs(keys: Keys, run_ids: Sequence[str]) -> Call[list[str]]:
    """Give those of a page of live runs that deserve a closer look."""
    return scripts.INSPECT_RUNS.call(
        as_text,
        keys={
            "claims": keys.claims,
            "due": keys.due,
            "deadlines": keys.deadlines,
            "waiting_lists": keys.waiting_lists,
        },
        args={"ns": keys.namespace},
        lists={"runs": run_ids},
    )


def list_page(name: str, first: int, count: int) -> Call[list[str]]:
    """Read some items of a list of names; a key of another type holds none."""
    return command("LRANGE", name, first, first + count - 1, read=as_text, misfit=list)


def put_back(keys: Keys, run: Run, index: str, member: str, score: float) -> Call[bool]:
    """Put a run back into an index; False when it stands there, or has moved since it was read."""
    return scripts.MEND_INDEX.call(
        bool,
        keys={"record": keys.run(run.id), "index": index},
        args={"rev": run.rev_held, "member": member, "score": format_time(score) or "0"},
    )


def mend_ttl(keys: Keys, run_id: str, ended: str, names: Sequence[str], ttl_s: float) -> Call[int]:
    """
    Give keys of a run the time to live that goes with its record.

    *ended* is what the caller read there. Gives how many keys were changed.
    """
    return scripts.MEND_TTL.call(
        int,
        keys={"record": keys.run(run_id)},
        args={"ended": ended, "ttl_s": max(1, int(ttl_s))},
        key_lists={"mended": names},
    )


def rev_and_end(keys: Keys, run_id: str) -> Call[list[bytes | None]]:
    """Read the rev of a run, and when it ended, as its record has them."""
    return command("HMGET", keys.run(run_id), "rev", "ended", read=raw, misfit=lambda: [None, None])


def take_out(record: str, index: str, member: str) -> Call[bool]:
    """
    Take a member without a record out of an index; False when the record is there.

    Without a member the key goes as a whole.
    """
    return scripts.MEND_INDEX.call(
        bool,
        keys={"record": record, "index": index},
        args={"rev": "", "member": member, "score": ""},
    )


def scan_index(index: str, cursor: str, count: int) -> Call[tuple[str, list[str]]]:
    """Read one page of an index's members; gives the next cursor, "0" at the end."""
    return command("ZSCAN", index, cursor, "COUNT", count, read=_scanned, misfit=lambda: ("0", []))


def _scanned(reply: Any) -> tuple[str, list[str]]:
    cursor = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
    items = reply[1]
    if items and isinstance(items[0], list | tuple):
        return cursor, as_text([member for member, _ in items])
    return cursor, as_text(items[::2])


def list_child(keys: Keys, run: Run, child: str) -> Call[None]:
    """Put a child on its parent's list of those that end with it."""
    return command("SADD", children_keys(keys, run.id, run.generation)[0], child, read=nothing)


def ping() -> Call[None]:
    """Ask the server for a sign of life."""
    return command("PING", read=nothing)
