"""
Probes: the named points at which a crash is worth a test; only tests listen.

Each stands where a process may die between two writes, or between a write and its answer.
`tests/crash/test_crash_points.py` kills a process at each of them.
"""

from __future__ import annotations

from collections.abc import Callable

#: every point there is, and what has just happened there
POINTS = {
    "submit.ready": "a submit is about to be sent",
    "submit.done": "Redis has answered a submit, its caller does not know yet",
    "claim.taken": "a worker has claimed a step and not begun it",
    "execute.done": "a runner has returned, nothing is written",
    "offload.done": "a large value is in its store, nothing leads to it yet",
    "commit.ready": "the transition is decided, about to be sent",
    "commit.done": "the transition is written, the worker has not gone on",
    "journal.ready": "a step of a workflow is done, its entry about to be sent",
    "journal.done": "an entry is durable, the workflow has not gone on",
    "limit.ready": "a step is about to ask for slots of its limits",
    "limit.taken": "a step has its slots, or stands in line, and does not know yet",
    "notify.sent": "a hook was delivered, which is not yet written",
    "notify.done": "the delivery is written",
    "cancel.ready": "a stop is decided, about to be sent",
    "recover.ready": "a recovery is decided, about to be sent",
    "recover.done": "a recovery is written",
    "group.slice": "a slice of a group's manifest is about to be sent",
    "group.written": "the manifest is written, no member has begun",
    "group.submitted": "the members of a slice have begun, which is not yet written",
    "group.stopped": "members were cancelled, which is not yet noted",
    "group.retried": "members were retried",
    "group.ending": "the end of a group is about to be sent",
    "supervise.dead": "a supervisor has found a dead worker and not yet handed over its runs",
}


def _ignore(point: str) -> None:
    del point


#: called with the name of each point that is passed
at: Callable[[str], None] = _ignore


def listen(listener: Callable[[str], None]) -> None:
    """Call *listener* at every point this process passes, on the thread that passes it."""
    global at  # noqa: PLW0603  one process, one listener
    at = listener
