"""What both clients read of a run beside its status: its steps and its variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.engine.env import Env
from stepflow.engine.inspect import find_runs
from stepflow.engine.timeline import Timeline, timeline
from stepflow.engine.timeline.variables import session_variables, variables
from stepflow.store.calls import Plan

if TYPE_CHECKING:
    from stepflow.engine.why import Why

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

    async def why_many(self, run_ids: Sequence[str]) -> Sequence[Why]:
        """See Client.why_many."""
        from stepflow.engine.why import ask_many  # noqa: PLC0415  only who asks pays

        return await self._do(ask_many(run_ids, self.env))

    async def find(self, start: str, *, limit: int = 6) -> Sequence[str]:
        """See Client.find."""
        return await self._do(find_runs(start, self.env, limit=limit))

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
