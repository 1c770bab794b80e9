"""leave: a worker's way out. No more is claimed, what runs may finish, the rest is handed back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from stepflow.core.outcomes import HandBack
from stepflow.worker.claimed_run import Hold
from stepflow.worker.commit import commit
from stepflow.worker.maintenance import Rounds
from stepflow.worker.notify import Notifier
from stepflow.worker.state import Shift

log = logging.getLogger("stepflow.worker")

#: seconds hook deliveries in progress are given, at most
DELIVERING_S = 5.0
#: seconds steps have to end that were cancelled at the end of the grace
CANCELLED_S = 2.0
#: seconds to hand back those that did not
TAKEN_S = 2.0


async def way_out(
    shift: Shift, notifier: Notifier, rounds: Rounds, feeding: Sequence[asyncio.Task[None]], *, is_stuck: bool
) -> None:
    """Let steps finish for the grace, then hand them back; over within a few seconds of it, whatever user code does."""
    shift.must_let_go = True
    grace_s = shift.desk.settings.worker.grace_s
    until = shift.loop.time() + grace_s
    delivering = asyncio.ensure_future(notifier.leave(min(grace_s, DELIVERING_S)))
    # a claim that Redis, being gone, does not answer is left to its lease
    _, waiting = await asyncio.wait(feeding, timeout=grace_s)
    for feed_task in waiting:
        feed_task.cancel()
    log.info("worker %s leaves: %s runs in hand, %g s of grace", shift.name, len(shift.holds), grace_s)
    tasks = _tasks(shift)
    if tasks and not is_stuck:
        await asyncio.wait(tasks, timeout=max(0.0, until - shift.loop.time()))
    for hold in list(shift.holds.values()):
        shift.hand_back(hold)
    await asyncio.wait([*_tasks(shift), delivering], timeout=CANCELLED_S)
    await _take(shift)
    await rounds.leave()


def _tasks(shift: Shift) -> list[asyncio.Task[None]]:
    return [hold.task for hold in shift.holds.values() if hold.task is not None]


async def _take(shift: Shift) -> None:
    """Hand back what user code does not let go of though it was cancelled; what it does from now on counts for nothing."""
    handing = [asyncio.ensure_future(_hand_back(hold, shift)) for hold in shift.holds.values() if hold.in_runner]
    settling = [hold.task for hold in shift.holds.values() if hold.task is not None and not hold.in_runner]
    if handing or settling:
        await asyncio.wait([*handing, *settling], timeout=TAKEN_S)


async def _hand_back(hold: Hold, shift: Shift) -> None:
    log.warning("run=%s step=%s goes on though it was cancelled; handed back without it", hold.run.id, hold.run.step)
    await commit(hold, HandBack(), shift)
    hold.lose()
