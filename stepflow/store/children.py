"""
Calls of a run about its children.

Make one, look for how they ended, list those that end with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.children import ChildGroup
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, flat_map, load_hash, raw
from stepflow.store.family_update import FamilyUpdate, children_keys
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time, rq_time
from stepflow.store.runs import submission


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
    tags: Sequence[str] = (),
    listed: bool,
    group: ChildGroup | None = None,
    index: int = 0,
) -> Call[SpawnReply]:
    """
    Make *child*, number *index* of *group* if there is one, under the claim of *parent*.

    One that is not *listed* lives on when its parent ends.
    """
    made = submission(keys, child, request=request, data=data, tags=tags)
    children, answers, maps = children_keys(keys, parent.id, parent.generation)
    place: dict[str, Part] = {"group": "", "index": "", "goal": "", "at_once": ""}
    if group is not None:
        goal = f"{group.need}|{group.max_failed}|{group.total}"
        place = {"group": group.group_id, "index": index, "goal": goal, "at_once": group.limit}
    return scripts.SUBMIT_CHILD.call(
        _read_spawned,
        keys={
            **made.keys,
            "parent": keys.run(parent.id),
            "children": children,
            "answers": answers,
            "maps": maps,
        },
        args={
            **made.args,
            "token": token,
            "listed": child.id if listed else "",
            "waiting": RunState.WAITING,
            **place,
        },
        lists=made.lists,
        key_lists=made.key_lists,
    )


def _read_spawned(reply: Any) -> SpawnReply:
    if isinstance(reply[0], bytes):
        return SpawnReply(reply[0].decode())
    return SpawnReply("", reply[0], None if reply[1] else flat_map(reply[2]))


def settle_map(keys: Keys, run: Run, token: str, group_id: str) -> Call[bytes | None]:
    """
    Settle a map of *run* whose time is up, under the claim.

    Gives `succeeded|failed` as the map was settled, now or before; None when the claim is lost.
    """
    _, answers, maps = children_keys(keys, run.id, run.generation)
    return scripts.SETTLE_MAP.call(
        raw,
        keys={"parent": keys.run(run.id), "answers": answers, "maps": maps},
        args={"token": token, "group": group_id},
    )


def load_answers(keys: Keys, run: Run, names: Sequence[str]) -> Call[list[bytes | None]]:
    """Read how children (by run id) and maps (by stem) ended; None for each that has not."""
    return command(
        "HMGET",
        children_keys(keys, run.id, run.generation)[1],
        *names,
        read=raw,
        misfit=lambda: [None] * len(names),
    )


def load_all_answers(keys: Keys, run: Run) -> Call[dict[bytes, bytes]]:
    """Read how all children and maps of a run have ended that have, by their names."""
    return load_hash(children_keys(keys, run.id, run.generation)[1])


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
    return load_hash(children_keys(keys, run.id, run.generation)[2])


def scan_children(
    keys: Keys, run_id: str, generation: int, cursor: str, count: int
) -> Call[tuple[str, list[str]]]:
    """
    Read one page of the children that end with their parent.

    Gives the next cursor, "0" at the end.
    """
    return command(
        "SSCAN", children_keys(keys, run_id, generation)[0], cursor, "COUNT", count,
        read=lambda reply: (
            reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0]),
            [item.decode("utf-8", "backslashreplace") for item in reply[1]],
        ),
        misfit=lambda: ("0", []),
    )  # fmt: skip


def count_children(keys: Keys, run: Run) -> Call[int]:
    """Count the live children that end with their parent."""
    return command("SCARD", children_keys(keys, run.id, run.generation)[0], read=int, misfit=int)


def tell_gone(keys: Keys, child_id: str, update: FamilyUpdate, *, now: float) -> Call[bool]:
    """
    Tell the parent in *update* that a child on its list is gone.

    False when the child is there, or was told of before.
    """
    return scripts.TELL_GONE.call(
        bool,
        keys={"child": keys.run(child_id), "children": update.parent_children},
        args={
            "run_id": child_id,
            "now": format_time(now),
            "rq_time": rq_time(now),
            "ns": keys.namespace,
        },
        lists={"parent": update.parent},
        key_lists={"parent": update.parent_keys},
    )


def forget_children(keys: Keys, run_id: str, generation: int, gone: Sequence[str]) -> Call[int]:
    """Take children whose records are gone off the list."""
    return command("SREM", children_keys(keys, run_id, generation)[0], *gone, read=int)
