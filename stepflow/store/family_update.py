"""
What the end of a run means to its family, as `finish_run` takes it.

Its own children's keys, and the parent to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow.core.family import Parent
from stepflow.core.ids import hook_member, run_member
from stepflow.core.run import Run, RunState
from stepflow.store.calls import Part
from stepflow.store.channel import ChannelMessage
from stepflow.store.hooks import HookJob
from stepflow.store.keys import Keys


@dataclass(frozen=True, slots=True)
class FamilyUpdate:
    """Keys and arguments of `lib/family.lua`; none for a run without parent and children."""

    keys: Sequence[str] = ()
    args: Sequence[Part] = ()


NO_KIN = FamilyUpdate()


def family_keys(keys: Keys, run_id: str, generation: int) -> tuple[str, str, str]:
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
    Put together what the end of *run* in *state* writes for its family.

    *outcome* is what its parent is told; *stops* is the delivery that stops its own children,
    written where some live.
    """
    own_keys: tuple[str, ...] = ()
    own_args: tuple[Part, ...] = (0,)
    if stops is not None:
        own_keys = (
            *family_keys(keys, run.id, run.generation),
            keys.hook(stops.id),
            keys.rq_job(stops.rq_id),
        )
        own_args = (1, stops.rq_id, hook_member(stops.id), len(stops.fields), *stops.fields)
    if parent is None:
        return FamilyUpdate(own_keys, own_args) if own_keys else NO_KIN
    queue, mine = parent.queue, keys.queue_of(run)
    return FamilyUpdate(
        (
            *own_keys, keys.run(parent.run_id),
            *family_keys(keys, parent.run_id, parent.generation), keys.rq_list(queue),
            keys.queued_at(queue), keys.wake_of(keys.split_queue(queue)[0]), keys.due,
            keys.rq_scheduled(queue), keys.rq_list(mine), keys.queued_at(mine),
            keys.wake_of(run.queue),
        ),
        (
            *own_args, run_member(parent.run_id), parent.generation, queue, mine,
            "ok" if state is RunState.SUCCEEDED else "bad", outcome,
            "" if parent.index is None else run.id.rpartition("-")[0], RunState.PENDING,
            keys.tell_channel(""), ChannelMessage(parent.run_id).write(),
        ),
    )  # fmt: skip
