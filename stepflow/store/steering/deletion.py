"""Calls that take an ended run away before its time."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.ids import Delivery
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, command, nothing, raw
from stepflow.store.family_update import children_keys
from stepflow.store.hooks import DEAD, DELIVERED
from stepflow.store.indexes.old import old_indexes_of
from stepflow.store.indexes.places import expiry_member
from stepflow.store.keys import Keys

#: answers of `delete_run`
STALE, DELETED, GONE, HAS_HOOK, HAS_CHILDREN = 0, 1, 2, 3, 4
#: what a run keeps beside its record; what its children left has the generation in its name
_PARTS = (
    "data", "steps", "memo", "kv", "journal", "mail", "sent", "vars", "questions", "replies", "out",
    "asks",
)  # fmt: skip
#: generations and hand-overs whose leftovers are looked for: the last ones
_RECENT = 50


def delete_run(
    keys: Keys, run: Run, hooks: Sequence[str], notes: Sequence[bytes]
) -> Call[list[int | bytes]]:
    """
    Take away an ended run, its deliveries *hooks* and the *notes* of its ends.

    Gives [DELETED], [GONE], [STALE], [HAS_HOOK, hook id] or [HAS_CHILDREN].
    """
    base = keys.run(run.id)
    generations = range(max(0, run.generation - _RECENT), run.generation + 1)
    families = [children_keys(keys, run.id, generation) for generation in generations]
    return scripts.DELETE_RUN.call(
        raw,
        keys={
            "run": base, "notes": keys.untold(run.runner), "live_hooks": keys.live_hooks,
            "dead_hooks": keys.dead_hooks, "data": f"{base}:data", "expiry": keys.expiry,
        },
        args={
            "ns": keys.namespace, "rev": run.rev, "run_id": run.id,
            "expiry_member": expiry_member(run), "delivered": DELIVERED, "dead": DEAD,
        },
        lists={"hooks": hooks, "noted": notes},
        key_lists={
            "ended": [
                keys.ended_index(run.state),
                keys.runner_index(run.state, run.runner),
                *old_indexes_of(keys, run),
            ],
            "kept": [
                *(f"{base}:{part}" for part in _PARTS),
                *(key for family in families for key in family),
            ],
            "children": [children for children, _, _ in families],
            "hook": [keys.hook(hook_id) for hook_id in hooks],
        },
    )  # fmt: skip


def forget_entries(keys: Keys, run: Run) -> list[Call[None]]:
    """Take out of RQ's lists what an ended run left there: entries that a worker would drop."""
    queue = keys.queue_of(run)
    calls = [
        command("LREM", keys.waiting_list(queue, run.runner_key), 0, _last(keys, run), read=nothing)
    ]
    left = [
        Delivery(run.id, run.step, run.generation, handoff)
        for handoff in range(max(0, run.handoff - _RECENT), run.handoff + 1)
    ]
    left += [  # of generations that were cancelled in the queue
        Delivery(run.id, 0, generation, handoff)
        for generation in range(max(0, run.generation - _RECENT), run.generation)
        for handoff in range(2)
    ]
    for delivery in left:
        rq_id = keys.rq_id(delivery)
        calls += [
            command("LREM", keys.rq_list(queue), 0, rq_id, read=nothing),
            command("ZREM", keys.rq_failed(queue), rq_id, read=nothing),
        ]
    return calls


def _last(keys: Keys, run: Run) -> str:
    return keys.rq_id(Delivery(run.id, run.step, run.generation, run.handoff))
