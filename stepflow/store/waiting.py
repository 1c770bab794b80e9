"""The call by which a run leaves those that wait for what other runs do."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.ids import run_member
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call
from stepflow.store.keys import Keys
from stepflow.store.run_hash import rq_time


def leave_waiting(
    keys: Keys,
    waiting: Sequence[str],
    run: Run,
    token: str,
    *,
    waits_for: str,
    first: int,
    given: str,
    now: float,
) -> Call[bool]:
    """
    Take a run out of the sets *waiting*; False when the claim is another's.

    *first* is how many at the head of a set are counted on, for a breaker's next trial say: where
    the run was among them, those who are so then look anew.
    """
    return scripts.LEAVE_WAITING.call(
        bool,
        keys={"run": keys.run(run.id), "due": keys.due},
        key_lists={"waiting": waiting},
        args={
            "given": given, "ns": keys.namespace, "member": run_member(run.id), "token": token,
            "first": first, "rq_time": rq_time(now), "pending": RunState.PENDING,
            "channels": keys.tell_channel(""), "waits_for": waits_for,
        },
    )  # fmt: skip
