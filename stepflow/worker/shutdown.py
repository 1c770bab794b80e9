"""leave: a worker's way out. No more is claimed, what runs may finish, the rest is handed back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from stepflow.core.outcomes import HandBack
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.commit import commit
from stepflow.worker.maintenance import Maintenance
from stepflow.worker.notify import Notifier
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.worker")

#: seconds hook deliveries in progress are given, at most
DELIVERING_S = 5.0
#: seconds steps have to end that were cancelled at the end of the grace
CANCELLED_S = 2.0
#: seconds to hand back those that did not
TAKEN_S = 2.0


async def way_out(
    worker_state: WorkerState,
    notifier: Notifier,
    maintenance: Maintenance,
    feeding: Sequence[asyncio.Task[None]],
    *,
    is_stuck: bool,
) -> None:
    """
    Let steps finish for the grace, then hand them back.

    Over within a few seconds of it, whatever user code does.
    """
    worker_state.must_let_go = True
    grace_s = worker_state.env.settings.worker.grace_s
    until = worker_state.loop.time() + grace_s
    delivering = asyncio.ensure_future(notifier.leave(min(grace_s, DELIVERING_S)))
    # a claim that Redis, being gone, does not answer is left to its lease
    _, waiting = await asyncio.wait(feeding, timeout=grace_s)
    for feed_task in waiting:
        feed_task.cancel()
    log.info(
        "worker %s leaves: %s runs in hand, %g s of grace",
        worker_state.name,
        len(worker_state.runs),
        grace_s,
    )
    tasks = _tasks(worker_state)
    if tasks and not is_stuck:
        await asyncio.wait(tasks, timeout=max(0.0, until - worker_state.loop.time()))
    for claimed in list(worker_state.runs.values()):
        worker_state.hand_back(claimed)
    await asyncio.wait([*_tasks(worker_state), delivering], timeout=CANCELLED_S)
    await _take(worker_state)
    await maintenance.leave()


def _tasks(worker_state: WorkerState) -> list[asyncio.Task[None]]:
    return [claimed.task for claimed in worker_state.runs.values() if claimed.task is not None]


async def _take(worker_state: WorkerState) -> None:
    """
    Hand back what user code does not let go of though it was cancelled.

    What it does from now on counts for nothing.
    """
    handing = [
        asyncio.ensure_future(_hand_back(claimed, worker_state))
        for claimed in worker_state.runs.values()
        if claimed.in_runner
    ]
    settling = [
        claimed.task
        for claimed in worker_state.runs.values()
        if claimed.task is not None and not claimed.in_runner
    ]
    if handing or settling:
        await asyncio.wait([*handing, *settling], timeout=TAKEN_S)


async def _hand_back(claimed: ClaimedRun, worker_state: WorkerState) -> None:
    log.warning(
        "run=%s step=%s goes on though it was cancelled; handed back without it",
        claimed.run.id,
        claimed.run.step,
    )
    await commit(claimed, HandBack(), worker_state)
    claimed.lose()
