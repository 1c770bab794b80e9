"""What both clients do for operators beside cancel and retry: pause, run now."""

from __future__ import annotations

from typing import TypeVar

from stepflow.engine.env import Env
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.steering.pause import pause, run_now
from stepflow.store.calls import Plan

T = TypeVar("T")


class Steering:
    """The verbs of operators, for `Client`."""

    env: Env

    def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    def pause(self, run_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """
        Pause the run: it stands until somebody resumes it.

        One that waits stands at once, and True is returned. A worker that has the run finishes the
        present step first, and its outcome counts; then False is returned. A paused run takes
        signals and answers, and its timeout goes on. *by* is who asks, user@host by default.
        Raises RunNotFound, and NotPausable for a run that has ended or is being stopped.
        """
        who = name_of(by)
        return self._do(noted(pause(run_id, reason, who, self.env), "pause", run_id, who, reason))

    def run_now(self, run_id: str, *, by: str | None = None) -> bool:
        """
        Have a run that is scheduled, or waits for its next attempt, be due now.

        True when this call moved it, False when it was in its queue already. Raises RunNotFound,
        and NotScheduled for a run that waits for no time of its own.
        """
        who = name_of(by)
        return self._do(noted(run_now(run_id, self.env), "run-now", run_id, who))


class AsyncSteering:
    """The verbs of operators, for `AsyncClient`."""

    env: Env

    async def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    async def pause(self, run_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """See Client.pause."""
        who = name_of(by)
        return await self._do(
            noted(pause(run_id, reason, who, self.env), "pause", run_id, who, reason)
        )

    async def run_now(self, run_id: str, *, by: str | None = None) -> bool:
        """See Client.run_now."""
        who = name_of(by)
        return await self._do(noted(run_now(run_id, self.env), "run-now", run_id, who))
