"""Deleting an ended run: afterwards nothing of it is kept, no key, no index entry, no hook."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.errors import NotDeletable, StepflowError, stands
from stepflow.store.calls import batch_of
from stepflow.store.hooks import MOST_UNTOLD, load_hook, load_untold
from stepflow.store.query import scan_members
from stepflow.store.runs import load_run
from stepflow.store.steering.deletion import (
    DELETED,
    GONE,
    HAS_CHILDREN,
    HAS_HOOK,
    delete_run,
    forget_entries,
)
from stepflow.store.values.codec import unpack

log = logging.getLogger("stepflow.run")

#: generations, ends of one and deliveries of an end that are looked for by their ids: the last
#: generations and ends, the first deliveries. Dead ones and those not delivered yet stand in an
#: index; a delivered one beyond these expires by itself
_GENERATIONS, _ENDS, _NUMBERS = 5, 20, 32


async def delete(run_id: str, env: Env) -> bool:
    """
    Take an ended run away, with all that is kept of it.

    False when there is no such run. Raises NotDeletable for one that has not ended, whose end is to
    be archived, that has a hook to be delivered, or children that live; UnreadableRecord for a
    damaged one.
    """
    while True:
        run = await load_run(env.keys, run_id)
        if run is None:
            return False
        if not check_readable(run).is_finished:
            raise NotDeletable(run_id, f"it {stands(run.state)}; cancel it first, or force it")
        if run.is_to_archive:
            raise NotDeletable(run_id, "its end is still to be archived: stepflow archive health")
        hooks = await _hooks_of(run, env)
        answer = await delete_run(env.keys, run, hooks, await _notes_of(run, env))
        match answer[0]:
            case code if code == HAS_HOOK:
                hook = bytes(answer[1]).decode()
                raise NotDeletable(
                    run_id,
                    f"its hook {hook} is still to be delivered; wait for that, or for its last try",
                )
            case code if code == HAS_CHILDREN:
                raise NotDeletable(run_id, "children of it live; they are being stopped, wait")
            case code if code in {DELETED, GONE}:
                await batch_of(forget_entries(env.keys, run))
                log.info("run=%s is deleted", run_id)
                return bool(code == DELETED)


async def _hooks_of(run: Run, env: Env) -> list[str]:
    """Give the ids of the deliveries of *run* that are kept, of all its generations."""
    found = {
        f"{run.id}-{generation}-{end}-{number}"
        for generation in range(max(0, run.generation - _GENERATIONS), run.generation + 1)
        for end in range(max(1, run.ends - _ENDS), max(run.ends, 1) + 1)
        for number in (*range(_NUMBERS), "children")
    }
    for index in (env.keys.live_hooks, env.keys.dead_hooks):
        cursor = ""
        while cursor != "0":
            cursor, members = await scan_members(index, cursor or "0", f"{run.id}-")
            found.update(members)
    ids = sorted(found)
    records = await batch_of([load_hook(env.keys, hook_id) for hook_id in ids])
    return [
        hook_id
        for hook_id, record in zip(ids, records, strict=True)
        if record is not None and record.run_id == run.id
    ]


async def _notes_of(run: Run, env: Env) -> Sequence[bytes]:
    """Give the notes of ends of *run* that hooks of its app were not known for."""
    notes = await load_untold(env.keys, run.runner, MOST_UNTOLD)
    return [note for note in notes if _names(note, run.id)]


def _names(note: bytes, run_id: str) -> bool:
    try:
        return bool(unpack(note)[0] == run_id)
    except (StepflowError, TypeError, LookupError):
        return False
