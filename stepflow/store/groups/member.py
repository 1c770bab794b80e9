"""The keys of a group, and those with which the scripts that end and retry runs count a member."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store.keys import Keys


def parts_of(keys: Keys, group_id: str) -> dict[str, str]:
    """Give the keys of a group, by the names that the scripts have for them."""
    base = keys.group(group_id)
    return {
        "group": base, "names": f"{base}:names", "specs": f"{base}:specs",
        "begun": f"{base}:begun", "group_live": f"{base}:live", "group_failed": f"{base}:failed",
    }  # fmt: skip


def some_parts(keys: Keys, group_id: str, *names: str) -> dict[str, str]:
    """Give some of them."""
    parts = parts_of(keys, group_id)
    return {name: parts[name] for name in names}


def ended_member_keys(keys: Keys, run: Run) -> Sequence[str]:
    """Give the keys with which the end of *run* is counted; none unless it is a member."""
    if not run.group:
        return ()
    parts = some_parts(keys, run.group, "group", "group_live", "group_failed")
    return (*parts.values(), keys.wake_of(run.queue))


def reopened_keys(keys: Keys, run: Run) -> Sequence[str]:
    """Give the keys that a retry of *run* reopens its group with; none unless it is a member."""
    if not run.group:
        return ()
    names = ("group", "group_live", "group_failed", "names", "begun")
    return tuple(some_parts(keys, run.group, *names).values())
