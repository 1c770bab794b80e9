"""Calls that put away what cannot be read: a run is set aside, paused; a hook delivery ends dead."""

from __future__ import annotations

from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part
from stepflow.store.hooks import DEAD, HookRecord
from stepflow.store.keys import Keys
from stepflow.store.run_hash import stamp
from stepflow.store.runs import member_of


def set_aside(keys: Keys, run: Run, *, reason: str, now: float) -> Call[bool]:
    """
    Pause a run whose record is damaged, for *reason*; False when that was repaired meanwhile.

    What a pause writes over is mended by it; every other field stays as it is, for whoever repairs it.
    """
    base, queue, damage = keys.run(run.id), keys.queue_of(run), run.damage[0]
    fields: list[Part] = [
        "state", RunState.PAUSED, "delivery", "", "due", "", "token", "", "held", "", "updated", stamp(now), "parked", "",
        "waits", "resume",
    ]  # fmt: skip
    return Call(
        scripts.SET_ASIDE,
        (
            base, f"{base}:data", keys.claims, keys.due, keys.deadlines, keys.rq_job(run.held or run.delivery),
            keys.pending(queue), keys.rq_wip(queue), keys.rq_scheduled(queue),
        ),
        (
            member_of(run.id), run.id, damage.field, damage.held, f"{run.held}:{run.token}", run.delivery, reason,
            len(fields), *fields,
        ),
        bool,
    )  # fmt: skip


def bury_hook(keys: Keys, hook: HookRecord, *, problem: str, now: float, ttl_s: float) -> Call[bool]:
    """End a delivery as dead whose record is damaged; False when it has ended, or is not kept."""
    queue = keys.hook_queue
    fields: list[Part] = [
        "rev", hook.rev + 1, "state", DEAD, "problem", problem, "token", "", "held", "", "delivery", "", "due", "",
        "tries", hook.tries, "created", stamp(hook.created_at), "run", hook.run_id, "runner", hook.runner,
    ]  # fmt: skip
    return Call(
        scripts.BURY_HOOK,
        (
            keys.hook(hook.id), keys.claims, keys.due, keys.pending(queue), keys.dead_hooks, keys.rq_wip(queue),
            keys.rq_job(hook.held or hook.delivery),
        ),
        (f"hook:{hook.id}", hook.id, stamp(now), max(1, int(ttl_s)), f"{hook.held}:{hook.token}", len(fields), *fields),
        bool,
    )  # fmt: skip
