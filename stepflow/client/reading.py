"""What both clients read: runs, their steps, variables and histories, queues and workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from stepflow.client.doing import AsyncDoing, Doing
from stepflow.engine.history import history
from stepflow.engine.inspect import QueueInfo, WorkerInfo, find_runs, queues, workers
from stepflow.engine.lanes.look import LaneInfo, lanes
from stepflow.engine.listing import Page, list_runs
from stepflow.engine.stats import HOURS, MINUTES, Stats, stats
from stepflow.engine.timeline import Timeline, timeline
from stepflow.engine.timeline.variables import session_variables, variables
from stepflow.engine.versions.runners import RunnerInfo, runners
from stepflow.errors import WorkerSilent

if TYPE_CHECKING:
    from stepflow.engine.why import Why
    from stepflow.engine.why.now import Now


class Reading(Doing):
    """What `Client` reads beside the status of a run."""

    def steps(self, run_id: str) -> Timeline:
        """
        Return what the run has done and is doing, step by step; raises RunNotFound.

        For a workflow these are its steps, waits and children, for a runner the attempts of its
        steps.
        """
        return self._do(timeline(run_id, self.env))

    def vars(self, run_id: str) -> dict[str, Any]:
        """Return the variables of the run by name, as they are now; raises RunNotFound."""
        return self._do(variables(run_id, self.env))

    def why_many(self, run_ids: Sequence[str]) -> Sequence[Why]:
        """
        Say where each of the runs stands, in two round trips or three: for lists.

        Unlike `why` it does not look again at what seems broken, and says nothing of children.
        """
        from stepflow.engine.why import ask_many  # noqa: PLC0415  only who asks pays

        return self._do(ask_many(run_ids, self.env))

    def find(self, start: str, *, limit: int = 6) -> Sequence[str]:
        """Give the ids of runs that begin with *start*; of one that is a whole id, this one."""
        return self._do(find_runs(start, self.env, limit=limit))

    def now(self, run_id: str) -> Now:
        """
        Ask the worker that is running the run what it is doing: its steps in progress, and where.

        It answers even while your code blocks its event loop. Raises RunNotFound, NotRunning when
        no worker has the run, and WorkerSilent when its worker does not answer within 2 s.
        """
        from stepflow.engine.why.now import ANSWER_S, LOOK_S, Asked, ask_now, read_now  # noqa: PLC0415

        asked, until = self._do(ask_now(run_id, self.env)), time.monotonic() + ANSWER_S
        while isinstance(found := self._do(read_now(asked, self.env)), Asked):
            asked = found
            if time.monotonic() > until:
                raise WorkerSilent(run_id, asked.worker, ANSWER_S)
            time.sleep(LOOK_S)
        return found

    def list(
        self,
        *,
        state: str | None = None,
        runner: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        queue: str | None = None,
        parent: str | None = None,
        roots: bool = False,
        since: float | datetime | timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        where: str | None = None,
        values: bool = True,
    ) -> Page:
        """
        List runs, newest first; pass the page's `cursor` for the next one.

        A run that has ended stands where it ended, another where it was submitted. *parent* gives
        the children of a run, *roots* those that no run began, *since* (a moment, or a timedelta
        back from now) those submitted from then on, *headers* and *tags* those that have all of
        these, *where* those that fit conditions as `bulk` takes them. Only an end state, a runner
        and a tag have indexes: for anything else a page looks at 5,000 runs at most, says in
        `scanned` at how many, and may be empty and still have a `cursor`. Without *values* payloads
        and results, which may be large, are not read and are None.
        """
        return self._do(
            list_runs(
                self.env, state=state, runner=runner, limit=limit, cursor=cursor, queue=queue,
                parent=parent, roots=roots, since=since, headers=headers, tags=tags, where=where,
                values=values,
            )
        )  # fmt: skip

    def history(self, run_id: str) -> dict[str, Any]:
        """
        Return the run and its journal as plain JSON values; raises RunNotFound.

        `stepflow check` and the test harness replay it against changed code. Webhooks and their
        secrets are left out.
        """
        return self._do(history(run_id, self.env))

    def stats(self, *, minutes: int = MINUTES, hours: int = HOURS) -> Stats:
        """
        Return what was counted in the last minutes (up to 360) and hours (up to 168).

        Workers send their counts once a second.
        """
        return self._do(stats(self.env, minutes=minutes, hours=hours))

    def lanes(self, queue: str = "default", *, most: int | None = None) -> Sequence[LaneInfo]:
        """
        Return the lanes of a fair queue that have waiting runs, in the order of their turns.

        At most *most* of each priority. Raises InvalidName.
        """
        return self._do(lanes(queue, self.env, most=most))

    def queues(self) -> Sequence[QueueInfo]:
        """Return the queues: what waits in each, for how long, and how much is running."""
        return self._do(queues(self.env))

    def workers(self) -> Sequence[WorkerInfo]:
        """Return the workers, and how many steps each is running."""
        return self._do(workers(self.env))

    def runners(self) -> Sequence[RunnerInfo]:
        """Return the runners that workers know, by version and build, and what waits for them."""
        return self._do(runners(self.env))

    def session(self, session_id: str) -> SessionReader:
        """Return what the runs of a session share: `client.session("user-7").vars()`."""
        return SessionReader(self, session_id)


class SessionReader:
    """A session as `Client` reads it."""

    def __init__(self, client: Reading, session_id: str) -> None:
        self.id = session_id
        self._client = client

    def vars(self) -> dict[str, Any]:
        """Return the variables of the session by name, as they are now."""
        client = self._client
        return client._do(session_variables(self.id, client.env))  # noqa: SLF001  one module


class AsyncReading(AsyncDoing):
    """What `AsyncClient` reads beside the status of a run."""

    async def steps(self, run_id: str) -> Timeline:
        """See Client.steps."""
        return await self._do(timeline(run_id, self.env))

    async def vars(self, run_id: str) -> dict[str, Any]:
        """See Client.vars."""
        return await self._do(variables(run_id, self.env))

    async def why_many(self, run_ids: Sequence[str]) -> Sequence[Why]:
        """See Client.why_many."""
        from stepflow.engine.why import ask_many  # noqa: PLC0415  only who asks pays

        return await self._do(ask_many(run_ids, self.env))

    async def find(self, start: str, *, limit: int = 6) -> Sequence[str]:
        """See Client.find."""
        return await self._do(find_runs(start, self.env, limit=limit))

    async def now(self, run_id: str) -> Now:
        """See Client.now."""
        from stepflow.engine.why.now import ANSWER_S, LOOK_S, Asked, ask_now, read_now  # noqa: PLC0415

        asked, until = await self._do(ask_now(run_id, self.env)), time.monotonic() + ANSWER_S
        while isinstance(found := await self._do(read_now(asked, self.env)), Asked):
            asked = found
            if time.monotonic() > until:
                raise WorkerSilent(run_id, asked.worker, ANSWER_S)
            await asyncio.sleep(LOOK_S)
        return found

    async def list(
        self,
        *,
        state: str | None = None,
        runner: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        queue: str | None = None,
        parent: str | None = None,
        roots: bool = False,
        since: float | datetime | timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        where: str | None = None,
        values: bool = True,
    ) -> Page:
        """See Client.list."""
        return await self._do(
            list_runs(
                self.env, state=state, runner=runner, limit=limit, cursor=cursor, queue=queue,
                parent=parent, roots=roots, since=since, headers=headers, tags=tags, where=where,
                values=values,
            )
        )  # fmt: skip

    async def history(self, run_id: str) -> dict[str, Any]:
        """See Client.history."""
        return await self._do(history(run_id, self.env))

    async def stats(self, *, minutes: int = MINUTES, hours: int = HOURS) -> Stats:
        """See Client.stats."""
        return await self._do(stats(self.env, minutes=minutes, hours=hours))

    async def lanes(self, queue: str = "default", *, most: int | None = None) -> Sequence[LaneInfo]:
        """See Client.lanes."""
        return await self._do(lanes(queue, self.env, most=most))

    async def queues(self) -> Sequence[QueueInfo]:
        """See Client.queues."""
        return await self._do(queues(self.env))

    async def workers(self) -> Sequence[WorkerInfo]:
        """See Client.workers."""
        return await self._do(workers(self.env))

    async def runners(self) -> Sequence[RunnerInfo]:
        """See Client.runners."""
        return await self._do(runners(self.env))

    def session(self, session_id: str) -> AsyncSessionReader:
        """Return what the runs of a session share: `await client.session("user-7").vars()`."""
        return AsyncSessionReader(self, session_id)


class AsyncSessionReader:
    """A session as `AsyncClient` reads it."""

    def __init__(self, client: AsyncReading, session_id: str) -> None:
        self.id = session_id
        self._client = client

    async def vars(self) -> dict[str, Any]:
        """See SessionReader.vars."""
        client = self._client
        return await client._do(session_variables(self.id, client.env))  # noqa: SLF001  one module
