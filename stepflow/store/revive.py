"""The call that takes an ended run up again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, raw
from stepflow.store.keys import Keys
from stepflow.store.kin import family_keys
from stepflow.store.rows import rq_time, stamp
from stepflow.store.runs import expiry_member, flow_keys, member_of


def revive_run(keys: Keys, run: Run, *, request: str, now: float, forget: Sequence[bytes] = ()) -> Call[Any]:
    """
    Hand over the last step of an ended run again, attempts fresh, its deadline and stop forgotten.

    *forget* are journal entries that go: the failure that ended it, should it have remembered one.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    rq_id = keys.rq_id(run.next_delivery(run.step))
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.PENDING, "failures", 0, "crashes", 0, "handoff", run.handoff + 1, "due", "",
        "delivery", rq_id, "parked", "", "stop", "", "ended", "", "deadline", "", "updated", stamp(now), "ask", request,
    ]  # fmt: skip
    return Call(
        scripts.REVIVE_RUN,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:kv", keys.rq_job(rq_id), keys.rq_list(queue),
            keys.pending(queue), keys.wake_of(run.queue), keys.live, keys.done_index(run.state), keys.expiry,
            *flow_keys(base), f"{base}:memo", *family_keys(keys, run.id, run.generation),
        ),
        (
            run.rev, request, run.id, member_of(run.id), stamp(run.created_at), rq_id, stamp(now), rq_time(now),
            keys.namespace, queue, expiry_member(run), len(forget), *forget, len(fields), *fields,
        ),
        raw,
    )  # fmt: skip
