"""What both clients do for operators: stop, retry, pause and delete runs, pause queues."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from stepflow.client.doing import AsyncDoing, Doing
from stepflow.engine.cancel import cancel, fail
from stepflow.engine.lanes.look import set_weight, set_window
from stepflow.engine.redeliver import redeliver
from stepflow.engine.retry import retry
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.steering.delete import delete
from stepflow.engine.steering.pause import pause, resume, run_now
from stepflow.engine.steering.queues import pause_queue, resume_queue
from stepflow.errors import NotDeletable
from stepflow.times import seconds

#: seconds that a forced delete waits for the run's end and its hooks
FORCE_S = 30.0
#: and those between two looks
_LOOK_S = 0.1


class Steering(Doing):
    """The verbs of operators, for `Client`."""

    def cancel(self, run_id: str, reason: str = "", *, by: str = "") -> bool:
        """
        Cancel the run; *by* is recorded as the person who asked for it.

        Return True when it is certain that the run will end, by this call or an earlier one, whose
        reason stays. Return False when the run is unknown or has ended; `status` tells which.
        """
        return self._do(
            noted(cancel(run_id, reason, self.env, by=by), "cancel", run_id, by, reason)
        )

    def fail(self, run_id: str, reason: str = "", *, by: str = "") -> bool:
        """
        End the run as failed; *by* is recorded as the person who did it.

        A waiting or paused run ends immediately, without compensation. A running one is told to
        stop; a second call ends it if it does not. Return True when the run will end, False when
        it is unknown or has ended.
        """
        return self._do(noted(fail(run_id, reason, self.env, by=by), "fail", run_id, by, reason))

    def retry(self, run_id: str, *, by: str | None = None) -> None:
        """
        Run a failed run again from the step that failed, with all its attempts.

        Raises RunNotFound, NotRetryable.
        """
        self._do(noted(retry(run_id, self.env), "retry", run_id, by))

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

    def resume(self, run_id: str, *, by: str | None = None) -> None:
        """Let a paused run continue; raises RunNotFound, NotResumable."""
        self._do(noted(resume(run_id, self.env), "resume", run_id, by))

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

    def set_weight(
        self, queue: str, lane: str, weight: float | None, *, by: str | None = None
    ) -> None:
        """
        Give a lane *weight* turns for each turn of a lane with the weight 1; None takes it back.

        It counts from its next turn on, for all priorities. Raises InvalidName and InvalidOption.
        """
        done = set_weight(queue, lane, weight, self.env)
        self._do(noted(done, "set-weight", f"{queue}|{lane}", name_of(by)))

    def set_window(self, queue: str, size: int | None, *, by: str | None = None) -> None:
        """
        Have the RQ list of a fair queue hold *size* runs, the rest in lanes; None takes it back.

        Raises InvalidName and InvalidOption.
        """
        done = set_window(queue, size, self.env)
        self._do(noted(done, "set-window", queue, name_of(by)))

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

    def redeliver(self, hook_id: str, *, by: str | None = None) -> None:
        """Send a hook again, with all its tries; raises HookNotFound."""
        self._do(noted(redeliver(hook_id, self.env), "redeliver", hook_id, by))


class AsyncSteering(AsyncDoing):
    """The verbs of operators, for `AsyncClient`."""

    async def cancel(self, run_id: str, reason: str = "", *, by: str = "") -> bool:
        """See Client.cancel."""
        return await self._do(
            noted(cancel(run_id, reason, self.env, by=by), "cancel", run_id, by, reason)
        )

    async def fail(self, run_id: str, reason: str = "", *, by: str = "") -> bool:
        """See Client.fail."""
        return await self._do(
            noted(fail(run_id, reason, self.env, by=by), "fail", run_id, by, reason)
        )

    async def retry(self, run_id: str, *, by: str | None = None) -> None:
        """See Client.retry."""
        await self._do(noted(retry(run_id, self.env), "retry", run_id, by))

    async def pause(self, run_id: str, reason: str = "", *, by: str | None = None) -> bool:
        """See Client.pause."""
        who = name_of(by)
        return await self._do(
            noted(
                pause(run_id, reason, who, self.env), "pause", run_id, who, reason, is_always=True
            )
        )

    async def resume(self, run_id: str, *, by: str | None = None) -> None:
        """See Client.resume."""
        await self._do(noted(resume(run_id, self.env), "resume", run_id, by))

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

    async def set_weight(
        self, queue: str, lane: str, weight: float | None, *, by: str | None = None
    ) -> None:
        """See Client.set_weight."""
        done = set_weight(queue, lane, weight, self.env)
        await self._do(noted(done, "set-weight", f"{queue}|{lane}", name_of(by)))

    async def set_window(self, queue: str, size: int | None, *, by: str | None = None) -> None:
        """See Client.set_window."""
        done = set_window(queue, size, self.env)
        await self._do(noted(done, "set-window", queue, name_of(by)))

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

    async def redeliver(self, hook_id: str, *, by: str | None = None) -> None:
        """See Client.redeliver."""
        await self._do(noted(redeliver(hook_id, self.env), "redeliver", hook_id, by))
