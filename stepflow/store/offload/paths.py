"""
Where the values of a run are, and who needs them.

    <namespace>/<run id>/<parent's run id, or "~">/<digest>-<chance>    a value
    <namespace>/<run id>/<parent's run id, or "~">/for/<run id>         another run that has it

A value is needed while its run is there, or its parent, which has it as the result of a child, or
a run with a note: a fork, or the fork of a parent.
"""

from __future__ import annotations

#: stands for a parent where there is none; no run id has this sign
_ALONE = "~"
_FORKS = "for"


def blob_path(namespace: str, run_id: str, parent: str | None, name: str) -> str:
    """Say where a value of a run is."""
    return f"{namespace}/{run_id}/{_under(parent)}/{name}"


def fork_path(path: str, fork_id: str) -> str:
    """Say where it is noted that a fork needs the value at *path*, and all beside it."""
    folder, _, _ = path.rpartition("/")
    return f"{folder}/{_FORKS}/{fork_id}"


def owners_of(path: str) -> set[str]:
    """Name the runs that have the value at *path*, or all in that folder, from the start."""
    _, run_id, parent, *_ = path.split("/")
    return {run_id} if parent == _ALONE else {run_id, parent}


def fork_in(path: str) -> str | None:
    """Name the fork of which *path* is a note; None for a value."""
    *_, folder, name = path.split("/")
    return name if folder == _FORKS else None


def _under(parent: str | None) -> str:
    return parent or _ALONE
