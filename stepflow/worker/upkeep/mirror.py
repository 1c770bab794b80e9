"""Live runs are mirrored into the archive, a second behind, and snapshots are taken on the way."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right

from stepflow.archive.archive import Archive
from stepflow.archive.collect import collect_moment
from stepflow.archive.snapshots import Moment
from stepflow.core.run import ENDS
from stepflow.errors import RunNotFound, UnreadableRecord
from stepflow.settings import ArchiveSettings
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.worker.archiving.refused import AWAY, REDIS
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.archive")

#: seconds between two rounds
ROUND_S = 1.0
#: runs that one round looks at
MOST = 200
#: runs whose progress is remembered for their snapshots
REMEMBERED = 10_000


class Mirror:
    """
    Writes the runs that a worker has had its hands on into the archive as they stand.

    It reads them from Redis beside the steps; no step waits for it.
    """

    def __init__(
        self, worker_state: WorkerState, connection: AsyncCaller, settings: ArchiveSettings
    ) -> None:
        self._state = worker_state
        self._connection = connection
        self._settings = settings
        self._opened: Archive | None = None
        #: how far runs had come at their last snapshot
        self._taken: dict[str, int] = {}
        self._is_away = False
        #: runs of which it was said that they cannot be mirrored
        self._refused: set[str] = set()
        #: the run that was looked at last: of more than one round takes, all have their turn
        self._last = ""
        worker_state.touched = set()

    @property
    def _archive(self) -> Archive:
        """The archive; raises ArchiveMisconfigured each time that it cannot be used."""
        if self._opened is None:
            self._opened = Archive(self._settings, self._state.env.keys.namespace)
        return self._opened

    async def run(self) -> None:
        """Go round until cancelled."""
        try:
            while True:
                await asyncio.sleep(ROUND_S)
                await self.go()
        finally:
            if self._opened is not None:
                self._opened.close()

    async def go(self) -> None:
        """Mirror what was touched since the last round, and what is in progress."""
        chosen = self._choose()
        try:
            looks = [await self._look(run_id) for run_id in sorted(chosen)]
            moments = [moment for moment in looks if moment is not None]
            if moments:
                await self._state.threads.run(self._write, moments)
        except (*AWAY, *REDIS) as error:
            if not self._is_away:
                log.error("live runs are not mirrored for now: %s", error)
            self._is_away = True
            self._state.touched = (self._state.touched or set()) | chosen
            return
        self._is_away = False

    def _choose(self) -> set[str]:
        """
        Give the runs that this round looks at; those in progress now the next one looks at again.

        A run is forgotten before it is read: what becomes of it while it is read is seen then.
        """
        touched, in_progress = self._state.touched or set(), set(self._state.runs)
        order = sorted(touched | in_progress)
        behind = bisect_right(order, self._last)
        round_ = [*order[behind:], *order[:behind]][:MOST]
        chosen, self._last = set(round_), round_[-1] if round_ else ""
        self._state.touched = (touched - chosen) | in_progress
        return chosen

    async def _look(self, run_id: str) -> Moment | None:
        """Read a run; None for one that is gone or has ended, whose end has a way of its own."""
        env = self._state.env
        try:
            moment = await carry_out(
                self._connection, collect_moment(run_id, env, self._settings.redact, why="mirror")
            )
        except (RunNotFound, UnreadableRecord):
            moment = None
        except (*AWAY, *REDIS):
            raise
        except Exception as error:  # noqa: BLE001  it stops no other run, and no step
            self._say_refused(run_id, error)
            moment = None
        if moment is None or moment.state in list(ENDS):
            self._taken.pop(run_id, None)
            return None
        return moment

    def _write(self, moments: list[Moment]) -> None:
        """Write moments; where one is refused, each by itself, so that it stops no other."""
        try:
            self._write_all(moments)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001  whatever the database or its driver says
            if len(moments) == 1:
                self._say_refused(moments[0].run_id, error)
                return
            for each in moments:
                self._write([each])

    def _say_refused(self, run_id: str, error: Exception) -> None:
        """Log, once for a run, that it is not mirrored."""
        if run_id not in self._refused:
            if len(self._refused) >= REMEMBERED:
                self._refused.clear()
            self._refused.add(run_id)
            log.error("run=%s is not mirrored: %s", run_id, error)

    def _write_all(self, moments: list[Moment]) -> None:
        """Write moments, and a snapshot of those that have come far enough; in a thread."""
        if self._settings.mirror == "live":
            self._archive.mirror(moments)
        every = self._settings.snapshot_every
        for moment in moments:
            if every and moment.progress >= self._taken.get(moment.run_id, 0) + every:
                self._archive.take(moment)
                self._note_taken(moment)

    def _note_taken(self, moment: Moment) -> None:
        self._taken[moment.run_id] = moment.progress
        if len(self._taken) > REMEMBERED:
            del self._taken[next(iter(self._taken))]
