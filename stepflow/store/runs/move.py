"""What the moves of a run have in common: who makes one, what it writes, what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stepflow.core.run import PauseRequest, Run
from stepflow.store.calls import Part
from stepflow.store.keys import Keys
from stepflow.store.run_hash import NO_PAUSE, write_pause

#: answers of the deciding scripts: written; the run is not as the caller saw it; written before, by
#: this very command; not parked, for the inbox holds what the step has not seen
DONE, STALE, AGAIN, NOT_YET = 1, 0, 2, 3
#: one of them, and what goes with it: lengths of lists, or the rev and the token that stand there
Answer = list[int | bytes]
#: seconds: a delivery due within this time has its RQ job already, a later one gets it when it is
#: due
BRIEF_S = 60.0


@dataclass(frozen=True, slots=True)
class Writes:
    """
    What a step writes beside its outcome.

    Keys of the run's own space to delete, and flat key, value, key, value.
    """

    deleted: Sequence[str] = ()
    written: Sequence[Part] = ()


NO_WRITES = Writes()
#: what a workflow keeps beside the record of its run: its name in scripts, the end of its key
_FLOW_ENDS = (
    ("journal", ":journal"), ("mail", ":mail"), ("sent", ":sent"), ("questions", ":questions"),
    ("replies", ":replies"), ("variables", ":vars"), ("output", ":out"),
)  # fmt: skip


class Fence(NamedTuple):
    """
    Who moves the run.

    A worker by its claim token and the step record it writes, or an outsider by a request id.
    """

    token: str
    name: str
    record: str = ""
    #: text of a time by which the lease must have run out, for recovery
    lapsed: str = ""
    #: where an outsider writes the record; a worker's own is *name*
    record_name: str = ""

    def records(self) -> Sequence[Part]:
        """Give the step record to write, by name; none where there is none."""
        return (self.record_name or self.name, self.record) if self.record else ()


def flow_keys(base: str) -> dict[str, str]:
    """Give the keys of what a workflow keeps beside the record of its run."""
    return {name: base + end for name, end in _FLOW_ENDS}


def pause_fields(run: Run, pause: PauseRequest | None = None) -> Sequence[Part]:
    """Write *pause*, or take the request that the run holds out of its record."""
    if pause is not None:
        return write_pause(pause)
    return () if run.pause is None else NO_PAUSE


def wip_member(run: Run) -> str:
    """Name the claim of *run* as RQ's registry of started jobs holds it."""
    return f"{run.claimed_rq_id}:{run.token}"


def is_brief(due_at: float, now: float) -> int:
    """Say, for a script, whether a delivery due then has its RQ job from the start."""
    return 1 if due_at - now <= BRIEF_S else 0


def counts_keys(keys: Keys, counted: Sequence[str]) -> Sequence[str]:
    """Give the key of what a script counts, where there is anything to count."""
    return (keys.new_counts,) if counted else ()
