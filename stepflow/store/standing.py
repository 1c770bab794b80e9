"""Calls that let a run stand, held by nobody: parked until something comes, paused until somebody resumes it."""

from __future__ import annotations

from typing import Any

from stepflow.core.run import Rest, Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, raw
from stepflow.store.keys import Keys
from stepflow.store.rows import stamp
from stepflow.store.runs import Proof, member_of


def park_run(
    keys: Keys,
    run: Run,
    proof: Proof,
    *,
    due_at: float | None,
    inbox: int | None,
    waits_for: str,
    now: float,
    rest: Rest = Rest.NONE,
    expects: bytes = b"",
) -> Call[Any]:
    """
    Close the present step and let the run stand until *due_at*, or until its inbox holds more than the *inbox* seen.

    Answers as `keep_step`, or [NOT_YET]. *inbox* None waits for the due time alone.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.WAITING, "step", run.step + 1, "failures", 0, "crashes", 0, "handoff", 0,
        "delivery", keys.rq_id(run.next_delivery(run.step + 1)), "due", stamp(due_at), "token", "", "held", "",
        "updated", stamp(now), "parked", "due" if inbox is None else "inbox", "waits", waits_for[:60],
    ]  # fmt: skip
    if rest is not run.rest:
        fields += ("rest", int(rest))
    return Call(
        scripts.PARK_RUN,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:memo", keys.claims, keys.rq_job(run.held), keys.rq_wip(queue),
            keys.due, keys.wake_of(run.queue),
        ),
        (
            run.rev, proof.token, proof.name, "" if inbox is None else inbox, member_of(run.id),
            f"{run.held}:{run.token}", stamp(due_at), expects, len(fields), *fields, *proof.record_fields(),
        ),
        raw,
    )  # fmt: skip


def pause_run(keys: Keys, run: Run, proof: Proof, *, reason: str, now: float) -> Call[Any]:
    """Let the run stand at its present step until it is resumed. Answers as `keep_step`."""
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.PAUSED, "delivery", "", "due", "", "token", "", "held", "",
        "updated", stamp(now), "parked", "", "waits", "resume",
    ]  # fmt: skip
    return Call(
        scripts.PAUSE_RUN,
        (base, f"{base}:data", f"{base}:steps", keys.claims, keys.rq_job(run.held or run.delivery), keys.rq_wip(queue)),
        (
            run.rev, proof.token, proof.name, member_of(run.id), f"{run.held}:{run.token}", reason, len(fields), *fields,
            *proof.record_fields(),
        ),
        raw,
    )  # fmt: skip
