"""The page of workers: who is there, and what they have."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.engine.inspect import WorkerInfo
from stepflow.web.pages.visit import Page, Shown, Visit

#: runners that a row names
_NAMED = 6


async def workers(visit: Visit) -> Shown:
    """List the workers, those that are live first."""
    found = sorted(await visit.client.workers(), key=lambda each: (not each.is_live, each.name))
    live = [worker for worker in found if worker.is_live]
    values = {
        "workers": [(worker, _queues_of(worker, visit)) for worker in found],
        "named": _NAMED, "live_count": len(live),
        "slots": sum(worker.concurrency or 0 for worker in live),
        "taken": sum(max(worker.running, 0) for worker in live),
    }  # fmt: skip
    return Shown("lists/workers.html", values)


def _queues_of(worker: WorkerInfo, visit: Visit) -> Sequence[str]:
    """Name the queues of a worker, each once whatever its priorities."""
    keys = visit.client.env.keys
    names = [name for name in worker.queues if name != keys.hook_queue]
    return list(dict.fromkeys(keys.split_queue(name)[0] for name in names))


PAGES = (Page("/workers", workers, "Workers", "w"),)
