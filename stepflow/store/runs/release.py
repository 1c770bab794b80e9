"""An ended run that was kept for the archive is let go."""

from __future__ import annotations

from stepflow.core.run import Run
from stepflow.core.step_record import closed_name
from stepflow.store import scripts
from stepflow.store.calls import Call
from stepflow.store.family_update import children_keys
from stepflow.store.indexes.places import expiry_member
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time
from stepflow.store.runs.move import flow_keys


def release_run(
    keys: Keys, run: Run, *, ttl_s: float, output_ttl_s: float, keeps_all: bool, now: float
) -> Call[int]:
    """
    Give an ended run *ttl_s* to live, and let go what it need not keep.

    Gives 1 released, 0 when it is gone, or not as *run* has it any more.
    """
    base = keys.run(run.id)
    return scripts.RELEASE_RUN.call(
        int,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "kv": f"{base}:kv",
            "memo": f"{base}:memo", **flow_keys(base), "questions_index": keys.questions,
            "expiry": keys.expiry,
        },
        args={
            "run_id": run.id, "generation": run.generation, "ends": run.ends,
            "fence": closed_name(run.step), "ttl_s": max(1, int(ttl_s)),
            "output_ttl_s": max(1, int(min(ttl_s, output_ttl_s))), "keeps_all": int(keeps_all),
            "expires_at": format_time(now + max(1.0, ttl_s)), "expiry_member": expiry_member(run),
        },
        key_lists={"kept": children_keys(keys, run.id, run.generation)},
    )  # fmt: skip
