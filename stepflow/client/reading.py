"""What both clients read beside the status of runs: steps, variables, and what was counted."""

from __future__ import annotations

from typing import Any, TypeVar

from stepflow.engine.env import Env
from stepflow.engine.stats import HOURS, MINUTES, Stats, stats
from stepflow.engine.timeline import Timeline, timeline
from stepflow.engine.timeline.variables import session_variables, variables
from stepflow.store.calls import Plan

T = TypeVar("T")


class Reading:
    """What `Client` reads."""

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

    def stats(self, *, minutes: int = MINUTES, hours: int = HOURS) -> Stats:
        """
        Return what was counted in the last minutes (up to 360) and hours (up to 168).

        Workers send their counts once a second.
        """
        return self._do(stats(self.env, minutes=minutes, hours=hours))

    def vars(self, run_id: str) -> dict[str, Any]:
        """Return the variables of the run by name, as they are now; raises RunNotFound."""
        return self._do(variables(run_id, self.env))

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
    """What `AsyncClient` reads."""

    env: Env

    async def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    async def steps(self, run_id: str) -> Timeline:
        """See Client.steps."""
        return await self._do(timeline(run_id, self.env))

    async def stats(self, *, minutes: int = MINUTES, hours: int = HOURS) -> Stats:
        """See Client.stats."""
        return await self._do(stats(self.env, minutes=minutes, hours=hours))

    async def vars(self, run_id: str) -> dict[str, Any]:
        """See Client.vars."""
        return await self._do(variables(run_id, self.env))

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
