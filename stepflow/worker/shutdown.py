"""shut down: nothing more is claimed, running steps may finish, the rest is handed back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from stepflow.core.outcomes import HandBack
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.commit import commit
from stepflow.worker.parts import WorkerParts
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.worker")

#: seconds hook deliveries in progress are given, at most
DELIVERING_S = 5.0
#: seconds steps have to end that were cancelled at the end of the grace
CANCELLED_S = 2.0
#: seconds to hand back those that did not
HANDING_BACK_S = 2.0


async def shut_down(
    parts: WorkerParts, fetching: Sequence[asyncio.Task[None]], *, is_stuck: bool
) -> None:
    """
    Let steps finish for the grace, then hand them back; *fetching* was told to leave.

    Over within a few seconds of the grace, whatever user code does. With *is_stuck* no step is
    waited for.
    """
    state = parts.state
    state.is_leaving = True
    grace_s = state.env.settings.worker.grace_s
    until = state.loop.time() + grace_s
    delivering = asyncio.ensure_future(parts.notifier.leave(min(grace_s, DELIVERING_S)))
    # a claim that Redis, being gone, does not answer is left to its lease
    _, waiting = await asyncio.wait(fetching, timeout=grace_s)
    for task in waiting:
        task.cancel()
    log.info(
        "worker %s leaves: %s runs in progress, %g s of grace", state.name, len(state.runs), grace_s
    )
    tasks = _tasks(state)
    if tasks and not is_stuck:
        await asyncio.wait(tasks, timeout=max(0.0, until - state.loop.time()))
    for claimed in list(state.runs.values()):
        state.hand_back(claimed)
    await asyncio.wait([*_tasks(state), delivering], timeout=CANCELLED_S)
    await _hand_back_the_rest(state)
    await parts.maintenance.leave()


def _tasks(state: WorkerState) -> list[asyncio.Task[None]]:
    return [claimed.task for claimed in state.runs.values() if claimed.task is not None]


async def _hand_back_the_rest(state: WorkerState) -> None:
    """
    Hand back the steps that go on although they were cancelled.

    What their user code does from now on counts for nothing.
    """
    handing = [
        asyncio.ensure_future(_hand_back(claimed, state))
        for claimed in state.runs.values()
        if claimed.attempt.in_runner
    ]
    settling = [
        claimed.task
        for claimed in state.runs.values()
        if claimed.task is not None and not claimed.attempt.in_runner
    ]
    if handing or settling:
        await asyncio.wait([*handing, *settling], timeout=HANDING_BACK_S)


async def _hand_back(claimed: ClaimedRun, state: WorkerState) -> None:
    log.warning(
        "run=%s step=%s goes on though it was cancelled; handed back without it",
        claimed.run.id,
        claimed.run.step,
    )
    await commit(claimed, HandBack(), state)
    claimed.lose()
