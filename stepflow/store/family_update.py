"""
What the end of a run writes for its children and for its parent.

Lua's side is `lib/family_update.lua`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow.core.children import Parent
from stepflow.core.ids import run_member
from stepflow.core.run import Run, RunState
from stepflow.store.calls import Part
from stepflow.store.channel import ChannelMessage
from stepflow.store.hooks import HookJob, write_hook_jobs
from stepflow.store.keys import Keys
from stepflow.store.scripts import Group

_OWN_KEYS = Group("lib/family_update", "own_keys")
_PARENT_KEYS = Group("lib/family_update", "parent_keys")
_PARENT = Group("lib/family_update", "parent")


@dataclass(frozen=True, slots=True)
class FamilyUpdate:
    """The lists of `lib/family_update.lua`; none for a run without parent and children."""

    own_keys: Sequence[str] = ()
    #: the delivery that stops the run's own children
    stop_hook: Sequence[Part] = ()
    parent_keys: Sequence[str] = ()
    parent: Sequence[Part] = ()
    #: the key of the parent's list of children
    parent_children: str = ""


NO_UPDATE = FamilyUpdate()


def children_keys(keys: Keys, run_id: str, generation: int) -> tuple[str, str, str]:
    """
    Name what one generation of a run keeps of its children.

    Who they are, how they ended, how its maps stand.
    """
    base = keys.run(run_id)
    return (
        f"{base}:children:{generation}",
        f"{base}:answers:{generation}",
        f"{base}:maps:{generation}",
    )


def family_update(
    keys: Keys,
    run: Run,
    parent: Parent | None,
    state: RunState,
    outcome: bytes,
    stops: HookJob | None = None,
) -> FamilyUpdate:
    """
    Put together what the end of *run* in *state* writes for its parent and its children.

    *outcome* is what its parent is told; *stops* is the delivery that stops its own children,
    written where some live.
    """
    own_keys: tuple[str, ...] = ()
    stop_hook: Sequence[Part] = ()
    if stops is not None:
        children, answers, maps = children_keys(keys, run.id, run.generation)
        job, hook = keys.rq_job(stops.rq_id), keys.hook(stops.id)
        own_keys = _OWN_KEYS.order(
            {"children": children, "answers": answers, "maps": maps, "hook": hook, "job": job}
        )
        stop_hook = write_hook_jobs([stops])
    if parent is None:
        return FamilyUpdate(own_keys, stop_hook) if own_keys else NO_UPDATE
    queue, own_queue = parent.queue, keys.queue_of(run)
    children, answers, maps = children_keys(keys, parent.run_id, parent.generation)
    parent_keys = {
        "record": keys.run(parent.run_id), "children": children, "answers": answers, "maps": maps,
        "list": keys.rq_list(queue), "queued_at": keys.queued_at(queue),
        "wake_list": keys.wake_of(keys.split_queue(queue)[0]), "due": keys.due,
        "scheduled": keys.rq_scheduled(queue), "own_list": keys.rq_list(own_queue),
        "own_queued_at": keys.queued_at(own_queue), "own_wake": keys.wake_of(run.queue),
    }  # fmt: skip
    told: dict[str, Part] = {
        "member": run_member(parent.run_id), "generation": parent.generation, "queue": queue,
        "own_queue": own_queue, "word": "ok" if state is RunState.SUCCEEDED else "bad",
        "outcome": outcome, "group": "" if parent.index is None else run.id.rpartition("-")[0],
        "state": RunState.PENDING, "channels": keys.tell_channel(""),
        "message": ChannelMessage(parent.run_id).write(),
    }  # fmt: skip
    return FamilyUpdate(
        own_keys=own_keys,
        stop_hook=stop_hook,
        parent_keys=_PARENT_KEYS.order(parent_keys),
        parent=_PARENT.order(told),
        parent_children=children,
    )
