"""
Ends of runs are written into the archive, many at once, and Redis may forget them then.

While the archive is away, deliveries for it stand in a waiting list, where they cost nothing, and
this worker looks again and again whether it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from stepflow.archive.archive import Archive
from stepflow.archive.collect import collect_end
from stepflow.core.run import RunOutcome
from stepflow.core.verdict import Verdict
from stepflow.engine.env import Env
from stepflow.engine.insist import insist
from stepflow.errors import ArchiveConflict, StepflowError
from stepflow.settings import ArchiveSettings
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.runs import load_run
from stepflow.store.runs.release import release_run
from stepflow.worker.threads import Threads

if TYPE_CHECKING:
    from stepflow.archive.values import End

log = logging.getLogger("stepflow.archive")

#: seconds until the first look whether the archive is back; each later one waits twice as long
FIRST_LOOK_S = 1.0
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
        self._waiting: list[tuple[End, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        """Whether the archive did not answer when it was asked last."""
        return self._looking is not None

    async def deliver(self, outcome: RunOutcome) -> Verdict:
        """Archive one end, and let the run go. Safe to repeat: an end counts once."""
        if self.is_away:
            return self._busy()
        end = await carry_out(
            self._connection, collect_end(outcome, self._env, self._settings.redact)
        )
        limit_s = self._settings.statement_timeout_s + _SPARE_S
        try:
            async with asyncio.timeout(limit_s):
                await self._write(end)
        except ArchiveConflict as error:
            return Verdict.retry(str(error))
        except (StepflowError, TimeoutError) as error:
            self._note_away(str(error) or f"it did not answer in {limit_s:g} s")
            return self._busy()
        await self._release(outcome)
        return Verdict.delivered()

    def leave(self) -> None:
        """End what is under way; it is repeated by whoever gets the deliveries next."""
        for task in (self._writing, self._looking):
            if task is not None:
                task.cancel()
        self._threads.run(self._archive.close)

    def _busy(self) -> Verdict:
        """Have the delivery come again: by then it waits in a list, or the archive is back."""
        wait_s = FIRST_LOOK_S * (1 + self._env.rng.random())
        return Verdict.busy(wait_s, "the archive does not answer")

    async def _write(self, end: End) -> None:
        """Write an end with all others that wait, once it is their turn."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((end, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write_waiting())
        await written

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch = self._waiting[: self._settings.batch]
            del self._waiting[: len(batch)]
            await self._write_batch(batch)

    async def _write_batch(self, batch: list[tuple[End, asyncio.Future[None]]]) -> None:
        """Write a batch; where one end is refused, each by itself, so that it stops no other."""
        try:
            await self._threads.run(self._archive.write, [end for end, _ in batch])
        except ArchiveConflict as error:
            if len(batch) > 1:
                for each in batch:
                    await self._write_batch([each])
            else:
                _settle(batch, error)
        except Exception as error:  # noqa: BLE001  whoever waits gets it, as it came
            _settle([*batch, *self._waiting], error)
            self._waiting.clear()
        else:
            _settle(batch, None)

    async def _release(self, outcome: RunOutcome) -> None:
        """Give the run the time to live that its settings say, counted from its end."""
        env = self._env
        run = await self._connection.call(load_run(env.keys, outcome.run_id))
        if run is None or (run.generation, run.ends) != (outcome.generation, outcome.end):
            return
        now, retention = env.clock.now(), env.settings.retention
        left_s = run.ended_at + retention.of_run(run.runner, run.state) - now
        output_s = left_s if retention.output_s is None else run.ended_at + retention.output_s - now
        call = release_run(
            env.keys, run, ttl_s=left_s, output_ttl_s=output_s, now=now,
            keeps_all=retention.keeps_all(run.runner, run.state),
        )  # fmt: skip
        await insist(
            lambda: self._connection.call(call), f"run={run.id} is archived and cannot be let go"
        )

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


def _settle(batch: list[tuple[End, asyncio.Future[None]]], error: Exception | None) -> None:
    """Tell those who wait for their ends to be written what became of them."""
    for _, written in batch:
        if written.done():  # its worker is leaving
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
