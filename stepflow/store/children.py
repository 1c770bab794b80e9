"""
Calls of a run about its children.

Make one, look for how they ended, list those that end with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.family import ChildGroup
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, flat_map, load_hash, raw
from stepflow.store.family_update import FamilyUpdate, family_keys
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time, rq_time
from stepflow.store.runs import submit_run


class SpawnReply(NamedTuple):
    """
    What became of a child's submit.

    *refused* is `lost`, `stopped` or `settled`, empty for a child that is there now; *there* is the
    hash of one that was there before; *rev* is the parent's.
    """

    refused: str = ""
    rev: int = 0
    there: dict[bytes, bytes] | None = None


def submit_child(
    keys: Keys,
    child: Run,
    parent: Run,
    token: str,
    *,
    request: str,
    data: Sequence[Part],
    listed: bool,
    group: ChildGroup | None = None,
    index: int = 0,
) -> Call[SpawnReply]:
    """
    Make *child*, number *index* of *group* if there is one, under the claim of *parent*.

    One that is not *listed* lives on when its parent ends.
    """
    made = submit_run(keys, child, request=request, data=data)
    place: tuple[Part, ...] = ("", "", "", "")
    if group is not None:
        place = (group.group_id, index, f"{group.need}|{group.max_failed}|{group.total}", group.limit)
    return Call(
        scripts.SUBMIT_CHILD,
        (*made.keys, keys.run(parent.id), *family_keys(keys, parent.id, parent.generation)),
        (*made.args, token, child.id if listed else "", RunState.WAITING, *place),
        _read_birth,
    )


def _read_birth(reply: Any) -> SpawnReply:
    if isinstance(reply[0], bytes):
        return SpawnReply(reply[0].decode())
    return SpawnReply("", reply[0], None if reply[1] else flat_map(reply[2]))


def load_answers(keys: Keys, run: Run, names: Sequence[str]) -> Call[list[bytes | None]]:
    """Read how children (by run id) and maps (by stem) ended; None for each that has not."""
    return command(
        "HMGET",
        family_keys(keys, run.id, run.generation)[1],
        *names,
        read=raw,
        misfit=lambda: [None] * len(names),
    )


def load_inbox(keys: Keys, run_id: str) -> Call[int]:
    """Read how much was ever put into the run's inbox."""
    return command(
        "HGET",
        keys.run(run_id),
        "inbox",
        read=lambda reply: int(reply) if reply and reply.isdigit() else 0,
        misfit=int,
    )


def load_maps(keys: Keys, run: Run) -> Call[dict[bytes, bytes]]:
    """Read the counters of the run's maps that are not settled."""
    return load_hash(family_keys(keys, run.id, run.generation)[2])


def scan_children(
    keys: Keys, run_id: str, generation: int, cursor: str, count: int
) -> Call[tuple[str, list[str]]]:
    """
    Read one page of the children that end with their parent.

    Gives the next cursor, "0" at the end.
    """
    return command(
        "SSCAN", family_keys(keys, run_id, generation)[0], cursor, "COUNT", count,
        read=lambda reply: (
            reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0]),
            [item.decode("utf-8", "backslashreplace") for item in reply[1]],
        ),
        misfit=lambda: ("0", []),
    )  # fmt: skip


def count_children(keys: Keys, run: Run) -> Call[int]:
    """Count the live children that end with their parent."""
    return command("SCARD", family_keys(keys, run.id, run.generation)[0], read=int, misfit=int)


def tell_gone(keys: Keys, child_id: str, update: FamilyUpdate, *, now: float) -> Call[bool]:
    """
    Tell the parent in *update* that a child on its list is gone.

    False when the child is there, or was told of before.
    """
    return Call(
        scripts.TELL_GONE,
        (keys.run(child_id), *update.keys),
        (child_id, format_time(now), rq_time(now), keys.namespace, *update.args),
        bool,
    )


def forget_children(keys: Keys, run_id: str, generation: int, gone: Sequence[str]) -> Call[int]:
    """Take children whose records are gone off the list."""
    return command("SREM", family_keys(keys, run_id, generation)[0], *gone, read=int)
