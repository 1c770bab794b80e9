"""Schedules under attack: each time has its run, once, and none overlap that must not."""

from __future__ import annotations

import time
from itertools import pairwise

from stepflow import Client
from stepflow.core.schedules.state import ScheduleState
from stepflow.core.schedules.times import between, every, run_id_of
from stepflow.store.schedules.reads import load_schedule
from tests.crash.support.app import path
from tests.crash.support.waiting import PATIENCE_S, until


class OnTime:
    """
    Some schedules that make up for all missed times side by side, and some that skip.

    What they are to begin is known when it is over.
    """

    def __init__(
        self, client: Client, many: int, *, skipping: int | None = None, every_s: int = 1
    ) -> None:
        self._client, self._every_s = client, every_s
        self.complete = [f"all-{number}" for number in range(many)]
        self.skipping = [
            f"skip-{number}" for number in range(many if skipping is None else skipping)
        ]
        put = client.schedules.put
        for name in self.complete:
            put(
                name, "chain", every=self._every_s, payload=path(1), catch_up="all", overlap="allow"
            )
        # in one look each: many are put, and the first have fired when the last one is
        self._begins = {name: self._state(name) for name in self.complete}
        for name in self.skipping:
            put(name, "chain", every=self._every_s, payload=path(2, pause=0.7))

    def stop(self, patience_s: float = PATIENCE_S) -> list[str]:
        """Wait until all times were dealt with, and stop; gives the runs that must be there."""
        try:
            until(lambda: not self._late(), what="schedules", patience_s=patience_s)
        except AssertionError:
            late = {name: self._state(name) for name in self._late()}
            shown = list(late.items())[:5]
            raise AssertionError(f"{len(late)} schedules are late, such as {shown}") from None
        for name in [*self.complete, *self.skipping]:
            self._client.schedules.pause(name)
        return [run_id for name in self.complete for run_id in self._expected(name)]

    def wrong(self) -> list[str]:
        """Say what is wrong, after all their runs have ended."""
        missed = [
            f"schedule {name} has lost a time or begun one twice"
            for name in self.complete
            if self._state(name).runs - self._begins[name].runs != len(self._expected(name))
        ]
        return missed + [problem for name in self.skipping for problem in self._overlaps(name)]

    def delete(self) -> None:
        """Delete the schedules; their runs stay."""
        for name in [*self.complete, *self.skipping]:
            self._client.schedules.delete(name)

    def runs(self, name: str) -> list[str]:
        """Name the last runs of a schedule, the oldest first."""
        lines = reversed(self._client.schedules.history(name))
        return [line.run_id for line in lines if line.run_id]

    def _expected(self, name: str) -> list[str]:
        through = self._state(name).through
        times = between(every(self._every_s), self._begins[name].through, through)
        return [run_id_of(name, nominal) for nominal in times]

    def _overlaps(self, name: str) -> list[str]:
        seen = [status for run_id in self.runs(name) if (status := self._client.status(run_id))]
        return [
            f"run {after.id} began before {before.id} had ended"
            for before, after in pairwise(seen)
            if before.ended_at is None or after.created_at < before.ended_at
        ]

    def _late(self) -> list[str]:
        since = time.time() - 1.5 * self._every_s
        return [name for name in self.complete if self._state(name).through <= since]

    def _state(self, name: str) -> ScheduleState:
        client = self._client
        record = client.connection.call(load_schedule(client.env.keys, name))
        assert record is not None, f"schedule {name} is gone"
        return record.state
