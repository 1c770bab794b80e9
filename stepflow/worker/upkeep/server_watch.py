"""
Notices that the server of a worker has become another one, and checks what the worker holds.

A server that was started again, or a replica that has taken over, may lack the last writes. Nothing
stale could be committed anyway; but a run whose claim or step the server has lost need not be
worked on any longer.
"""

from __future__ import annotations

import logging

from stepflow.engine.gate import one_by_one
from stepflow.store.calls import batch_of
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.durability.losses import ServerIdentity, load_identity
from stepflow.store.runs import load_run
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.worker")

#: runs that are read in one round trip
_PAGE = 200


class ServerWatch:
    """Looks once at start, and after every reconnect of *connection*, at which server it is."""

    def __init__(self, worker_state: WorkerState, connection: AsyncCaller) -> None:
        self._worker_state = worker_state
        self._connection = connection
        self._known: ServerIdentity | None = None

    async def look(self) -> None:
        """
        Ask which server it is; where it is another than before, say so and check the runs.

        A failure is logged: the guards of the scripts do not depend on it.
        """
        with one_by_one("the server could not be asked which it is"):
            await self._look()

    async def _look(self) -> None:
        found = await carry_out(self._connection, load_identity())
        before, self._known = self._known, found
        change = "" if before is None else found.words_since(before)
        if not change:
            return
        held = list(self._worker_state.runs.values())
        log.warning(
            "Redis: %s; it may lack the last writes. Checking %s held here", change,
            f"{len(held)} run{'' if len(held) == 1 else 's'}",
        )  # fmt: skip
        for start in range(0, len(held), _PAGE):
            await self._check(held[start : start + _PAGE])

    async def _check(self, held: list[ClaimedRun]) -> None:
        """Drop those of the runs that the server does not know as this worker knew them."""
        keys = self._worker_state.env.keys
        seen = [(each.run.token, each.run.rev) for each in held]  # later writes only add to these
        runs = await carry_out(
            self._connection, batch_of([load_run(keys, each.run.id) for each in held])
        )
        for claimed, (token, rev), run in zip(held, seen, runs, strict=True):
            if run is not None and run.token == token and run.rev >= rev:
                continue
            is_held = self._worker_state.runs.get(claimed.run.id) is claimed
            if is_held and claimed.run.token == token and not claimed.is_lost:
                log.error(
                    "run=%s step=%s dropped: Redis %s; the server lost its last writes",
                    claimed.run.id, claimed.run.step,
                    "has no such run" if run is None else f"holds rev {run.rev}, this worker had "
                    f"seen {rev}" if run.rev < rev else "does not know this worker's claim",
                )  # fmt: skip
                claimed.lose()
