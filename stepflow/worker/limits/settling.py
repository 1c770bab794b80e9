"""What runners and jobs say of the rates that they have used: `limit.settle(units)`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from stepflow.core.limits.slot import StepSlot, present_slot
from stepflow.core.limits.use import read_uses
from stepflow.errors import ReplyLost
from stepflow.store.limits.lines import settle_units
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.runtime.ask import tell
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.run")

#: numbers of settlements: each is higher than those before it
_numbers = count(1)


@contextmanager
def settling(claimed: ClaimedRun, worker_state: WorkerState) -> Iterator[None]:
    """
    Let the present step of *claimed* settle the limits of its run.

    What it says is sent when it is left, before the commit and under the same claim. An attempt
    whose commit never comes has settled all the same: the next one is charged anew.
    """
    run = claimed.run
    slot = StepSlot("", next(_numbers), read_uses(run.limits))
    before = present_slot.set(slot)
    try:
        yield
    finally:
        present_slot.reset(before)
        slot.is_over = True
        if slot.is_settled:
            env = worker_state.env
            call = settle_units(env.keys, run, slot, given=env.clock.given, now=env.clock.now())
            over = claimed.attempt.settling = asyncio.Event()
            tell(
                worker_state.connection, call, f"run={run.id} cannot settle its limits",
                partial(_said, run.id, over),
            )  # fmt: skip


def _said(run_id: str, over: asyncio.Event, sent: asyncio.Future[bool]) -> None:
    over.set()
    problem = None if sent.cancelled() else sent.exception()
    if problem is not None and not isinstance(problem, ReplyLost):
        log.warning(
            "run=%s what it has used of its limits could not be settled; what it was charged when "
            "it began counts: %s",
            run_id, problem,
        )  # fmt: skip
