"""What both clients read of a run beside its status: steps, variables, what is done right now."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.engine.env import Env
from stepflow.engine.timeline import Timeline, timeline
from stepflow.engine.timeline.variables import session_variables, variables
from stepflow.errors import WorkerSilent
from stepflow.store.calls import Plan

if TYPE_CHECKING:
    from stepflow.engine.why.now import Now

T = TypeVar("T")


class Reading:
    """What `Client` reads of a run."""

    env: Env

    def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

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

    def now(self, run_id: str) -> Now:
        """
        Ask the worker that is running the run what it is doing: its steps in progress, and where.

        It answers even while your code blocks its event loop. Raises RunNotFound, NotRunning when
        no worker has the run, and WorkerSilent when its worker does not answer within 2 s.
        """
        from stepflow.engine.why.now import ANSWER_S, LOOK_S, ask_now, read_now  # noqa: PLC0415

        asked, until = self._do(ask_now(run_id, self.env)), time.monotonic() + ANSWER_S
        while (now := self._do(read_now(asked, self.env))) is None:
            if time.monotonic() > until:
                raise WorkerSilent(run_id, asked.worker, ANSWER_S)
            time.sleep(LOOK_S)
        return now

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


class AsyncReading:
    """What `AsyncClient` reads of a run."""

    env: Env

    async def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    async def steps(self, run_id: str) -> Timeline:
        """See Client.steps."""
        return await self._do(timeline(run_id, self.env))

    async def vars(self, run_id: str) -> dict[str, Any]:
        """See Client.vars."""
        return await self._do(variables(run_id, self.env))

    async def now(self, run_id: str) -> Now:
        """See Client.now."""
        from stepflow.engine.why.now import ANSWER_S, LOOK_S, ask_now, read_now  # noqa: PLC0415

        asked, until = await self._do(ask_now(run_id, self.env)), time.monotonic() + ANSWER_S
        while (now := await self._do(read_now(asked, self.env))) is None:
            if time.monotonic() > until:
                raise WorkerSilent(run_id, asked.worker, ANSWER_S)
            await asyncio.sleep(LOOK_S)
        return now

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
