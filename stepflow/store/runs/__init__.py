"""
Calls that move a run: one for each kind of transition.

`core/transitions.py` decides which; these write it.
"""

from stepflow.store.runs.end import finish_run, mark_run, retry_run
from stepflow.store.runs.load import (
    load_data,
    load_outline,
    load_row,
    load_run,
    load_spec,
    load_steps,
)
from stepflow.store.runs.move import (
    AGAIN,
    BRIEF_S,
    DONE,
    NO_WRITES,
    NOT_YET,
    STALE,
    Answer,
    Fence,
    Writes,
    wip_member,
)
from stepflow.store.runs.stand import park_run, pause_run
from stepflow.store.runs.step import hand_over, keep_step
from stepflow.store.runs.submit import (
    Full,
    Submission,
    Taken,
    put_off,
    read_submit,
    submission,
    submit_run,
)

__all__ = [
    "AGAIN",
    "BRIEF_S",
    "DONE",
    "NOT_YET",
    "NO_WRITES",
    "STALE",
    "Answer",
    "Fence",
    "Full",
    "Submission",
    "Taken",
    "Writes",
    "finish_run",
    "hand_over",
    "keep_step",
    "load_data",
    "load_outline",
    "load_row",
    "load_run",
    "load_spec",
    "load_steps",
    "mark_run",
    "park_run",
    "pause_run",
    "put_off",
    "read_submit",
    "retry_run",
    "submission",
    "submit_run",
    "wip_member",
]
