"""What both clients do for operators beside cancel and retry: pause runs and queues, run now."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TypeVar

from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.steering.delete import delete
from stepflow.engine.steering.pause import pause, run_now
from stepflow.engine.steering.queues import pause_queue, resume_queue
from stepflow.errors import NotDeletable
from stepflow.store.calls import Plan
from stepflow.times import seconds

T = TypeVar("T")

#: seconds that a forced delete waits for the run's end and its hooks
FORCE_S = 30.0
#: and those between two looks
_LOOK_S = 0.1


class Steering:
    """The verbs of operators, for `Client`."""

    env: Env

    def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    def pause(self, run_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """
        Pause the run until somebody resumes it.

        A waiting run is paused immediately; the call returns True. A running one finishes its
        current step first, whose outcome counts; the call returns False. A paused run accepts
        signals and answers, and its timeout still counts. *by* is recorded, by default user@host.
        Raises RunNotFound, and NotPausable for a run that has ended or is being stopped.
        """
        who = name_of(by)
        return self._do(
            noted(
                pause(run_id, reason, who, self.env), "pause", run_id, who, reason, is_always=True
            )
        )

    def run_now(self, run_id: str, *, by: str | None = None) -> bool:
        """
        Start a scheduled run now, or the next attempt of one that is being retried.

        Return True when this call moved it, False when it was in its queue already. Raises
        RunNotFound, and NotScheduled for a run that is not waiting for a time.
        """
        who = name_of(by)
        return self._do(noted(run_now(run_id, self.env), "run-now", run_id, who))

    def pause_queue(self, queue: str, reason: str = "", *, by: str | None = None) -> bool:
        """
        Pause a queue: workers take nothing from it until somebody resumes it.

        Workers hand back its runs after their current step. Return False when it was paused
        already. Raises InvalidName.
        """
        who = name_of(by)
        return self._do(
            noted(pause_queue(queue, reason, who, self.env), "pause-queue", queue, who, reason)
        )

    def resume_queue(self, queue: str, *, by: str | None = None) -> bool:
        """Let workers take from a queue again; return False when it was not paused."""
        who = name_of(by)
        return self._do(noted(resume_queue(queue, self.env), "resume-queue", queue, who))

    def delete(
        self,
        run_id: str,
        *,
        force: bool = False,
        timeout: float | timedelta = FORCE_S,
        by: str | None = None,
    ) -> bool:
        """
        Delete an ended run with everything that is kept of it: data, output, indexes, hooks.

        With *force* a run that has not ended is cancelled first; the call waits up to *timeout*,
        in seconds, for its end and its hooks. False when there is no such run. Raises NotDeletable
        for a run that has not ended, that has a hook to be delivered, or children that live.
        """
        who, until = name_of(by), time.monotonic() + seconds(timeout, "timeout of delete")
        if force:
            self._do(cancel(run_id, "deleted", self.env, by=who))
        while True:
            try:
                return self._do(noted(delete(run_id, self.env), "delete", run_id, who))
            except NotDeletable:
                if not force or time.monotonic() > until:
                    raise
            time.sleep(_LOOK_S)


class AsyncSteering:
    """The verbs of operators, for `AsyncClient`."""

    env: Env

    async def _do(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    async def pause(self, run_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """See Client.pause."""
        who = name_of(by)
        return await self._do(
            noted(
                pause(run_id, reason, who, self.env), "pause", run_id, who, reason, is_always=True
            )
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

    async def delete(
        self,
        run_id: str,
        *,
        force: bool = False,
        timeout: float | timedelta = FORCE_S,
        by: str | None = None,
    ) -> bool:
        """See Client.delete."""
        who, until = name_of(by), time.monotonic() + seconds(timeout, "timeout of delete")
        if force:
            await self._do(cancel(run_id, "deleted", self.env, by=who))
        while True:
            try:
                return await self._do(noted(delete(run_id, self.env), "delete", run_id, who))
            except NotDeletable:
                if not force or time.monotonic() > until:
                    raise
            await asyncio.sleep(_LOOK_S)
