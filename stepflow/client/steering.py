"""What both clients do for operators beside cancel and retry: pause runs and queues, run now."""

from __future__ import annotations

from typing import TypeVar

from stepflow.engine.env import Env
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.steering.pause import pause, run_now
from stepflow.engine.steering.queues import pause_queue, resume_queue
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

    def pause_queue(self, queue: str, reason: str = "", *, by: str | None = None) -> bool:
        """
        Pause a queue: no worker takes anything from it until somebody resumes it.

        Workers leave the runs of it that they have after their present step. False when it was
        paused already. Raises InvalidName.
        """
        who = name_of(by)
        return self._do(
            noted(pause_queue(queue, reason, who, self.env), "pause-queue", queue, who, reason)
        )

    def resume_queue(self, queue: str, *, by: str | None = None) -> bool:
        """Have workers take from a queue again; False when it was not paused."""
        who = name_of(by)
        return self._do(noted(resume_queue(queue, self.env), "resume-queue", queue, who))


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

    async def pause_queue(self, queue: str, reason: str = "", *, by: str | None = None) -> bool:
        """See Client.pause_queue."""
        who = name_of(by)
        return await self._do(
            noted(pause_queue(queue, reason, who, self.env), "pause-queue", queue, who, reason)
        )

    async def resume_queue(self, queue: str, *, by: str | None = None) -> bool:
        """See Client.resume_queue."""
        who = name_of(by)
        return await self._do(noted(resume_queue(queue, self.env), "resume-queue", queue, who))
