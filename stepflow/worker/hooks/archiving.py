"""
Ends of runs are written into the archive, many at once, and Redis may forget them then.

While the archive is away, deliveries for it stand in a waiting list, where they cost nothing, and
this worker looks again and again whether it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stepflow.archive.archive import Archive
from stepflow.archive.collect import collect_end
from stepflow.core.run import Run, RunOutcome
from stepflow.core.verdict import Verdict
from stepflow.engine.env import Env
from stepflow.engine.insist import insist
from stepflow.errors import ArchiveConflict, ArchiveMisconfigured, ArchiveUnreachable
from stepflow.settings import ArchiveSettings
from stepflow.store.calls import Call, together
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.runs.release import release_run
from stepflow.worker.threads import Threads

if TYPE_CHECKING:
    from stepflow.archive.values import End

log = logging.getLogger("stepflow.archive")

#: seconds until the first look whether the archive is back; each later one waits twice as long
FIRST_LOOK_S = 1.0
#: batches that are under way at once: one is read from Redis while another one is written
AT_ONCE = 2
#: seconds beyond a statement's time limit that a write may take before it counts as hung
_SPARE_S = 30.0


class Archiver:
    """
    Carries ends into the archive of an app.

    *on_change* is told whether this worker reaches the archive, whenever that changes.
    """

    def __init__(
        self,
        env: Env,
        connection: AsyncCaller,
        settings: ArchiveSettings,
        threads: Threads,
        on_change: Callable[[bool], None],
    ) -> None:
        self._env = env
        self._connection = connection
        self._settings = settings
        self._threads = threads
        self._on_change = on_change
        self._archive = Archive(settings, env.keys.namespace)
        self._waiting: list[_Due] = []
        self._carrying: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        """Whether the archive did not answer when it was asked last."""
        return self._looking is not None

    async def deliver(self, outcome: RunOutcome) -> Verdict:
        """Archive one end, and let the run go. Safe to repeat: an end counts once."""
        if self.is_away:
            return self._busy()
        archived: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Due(outcome, archived))
        if len(self._carrying) < AT_ONCE:
            task = asyncio.ensure_future(self._carry_waiting())
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)
        return await archived

    def leave(self) -> None:
        """End what is under way; it is repeated by whoever gets the deliveries next."""
        for task in (*self._carrying, self._looking):
            if task is not None:
                task.cancel()
        self._threads.run(self._archive.close)

    def _busy(self) -> Verdict:
        """Have the delivery come again: by then it waits in a list, or the archive is back."""
        wait_s = FIRST_LOOK_S * (1 + self._env.rng.random())
        return Verdict.busy(wait_s, "the archive does not answer")

    def _put_off(self, batch: Sequence[_Due]) -> None:
        for due in batch:
            due.settle(self._busy())

    async def _carry_waiting(self) -> None:
        """Archive what waits, batch by batch; what comes meanwhile fills the next one."""
        while self._waiting:
            batch = self._waiting[: self._settings.batch]
            del self._waiting[: len(batch)]
            if self.is_away:
                self._put_off(batch)
            else:
                await self._carry(batch)

    async def _carry(self, batch: Sequence[_Due]) -> None:
        """Archive a batch; where one end is refused, each by itself, so that it stops no other."""
        try:
            await self._archive_all(batch)
        except (ArchiveUnreachable, ArchiveMisconfigured, TimeoutError) as error:
            self._note_away(str(error))
            self._put_off(batch)
        except Exception as error:  # noqa: BLE001  whoever waits gets it, as it came
            if len(batch) > 1:
                for due in batch:
                    await self._carry([due])
            else:
                batch[0].fail(error)

    async def _archive_all(self, batch: Sequence[_Due]) -> None:
        """Read the runs of a batch, write their ends in one transaction, let the runs go."""
        env, secrets = self._env, self._settings.redact
        plans = [collect_end(due.outcome, env, secrets) for due in batch if not due.is_over]
        found = await carry_out(self._connection, together(plans))
        await self._write([each.end for each in found])
        await self._release([each.run for each in found if each.run is not None])
        for due in batch:
            due.settle(Verdict.delivered())

    async def _write(self, ends: Sequence[End]) -> None:
        limit_s = self._settings.statement_timeout_s + _SPARE_S
        try:
            async with asyncio.timeout(limit_s):
                await self._threads.run(self._archive.write, ends)
        except TimeoutError:
            raise TimeoutError(f"the archive did not answer in {limit_s:g} s") from None

    async def _release(self, runs: Sequence[Run]) -> None:
        """Give each run the time to live that its settings say, counted from its end."""
        calls = [self._releasing(run) for run in runs]
        await insist(
            lambda: self._connection.calls(calls),
            f"{len(runs)} runs are archived and cannot be let go",
        )

    def _releasing(self, run: Run) -> Call[int]:
        now, retention = self._env.clock.now(), self._env.settings.retention
        left_s = run.ended_at + retention.of_run(run.runner, run.state) - now
        output_s = left_s if retention.output_s is None else run.ended_at + retention.output_s - now
        return release_run(
            self._env.keys, run, ttl_s=left_s, output_ttl_s=output_s, now=now,
            keeps_all=retention.keeps_all(run.runner, run.state),
        )  # fmt: skip

    def _note_away(self, problem: str) -> None:
        if self._looking is None:
            log.error("%s; ends wait in Redis until it is back, steps go on", problem.rstrip("."))
            self._looking = asyncio.ensure_future(self._look())
            self._on_change(False)  # noqa: FBT003  it is what changed

    async def _look(self) -> None:
        """Look again and again whether the archive is back."""
        wait_s = FIRST_LOOK_S
        while True:
            await asyncio.sleep(wait_s * (0.5 + self._env.rng.random() / 2))
            try:
                await self._threads.run(self._archive.ping)
                break
            except Exception as error:  # noqa: BLE001  whatever it is, it is not back
                log.debug("the archive is still away: %s", error)
            wait_s = min(2 * wait_s, self._settings.retry_most_s)
        self._looking = None
        log.info("the archive answers again; the ends that waited are written")
        self._on_change(True)  # noqa: FBT003  it is what changed


class _Due:
    """An end that is to be archived, and who waits for that."""

    __slots__ = ("_archived", "outcome")

    def __init__(self, outcome: RunOutcome, archived: asyncio.Future[Verdict]) -> None:
        self.outcome = outcome
        self._archived = archived

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more: its worker is leaving."""
        return self._archived.done()

    def settle(self, verdict: Verdict) -> None:
        """Say what became of it."""
        if not self.is_over:
            self._archived.set_result(verdict)

    def fail(self, error: Exception) -> None:
        """Say that it is refused, or that we ourselves failed."""
        if isinstance(error, ArchiveConflict):
            self.settle(Verdict.retry(str(error)))
        elif not self.is_over:
            self._archived.set_exception(error)
