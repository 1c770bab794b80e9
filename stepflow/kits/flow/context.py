"""`ctx`, which every workflow is called with: its only way to the world."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import UTC, datetime
from typing import Any, Never

from stepflow.core.output import TOPIC
from stepflow.engine.events.emitting import pack_output
from stepflow.kits.flow.calls.base import checked_name
from stepflow.kits.flow.calls.children import ChildCalls
from stepflow.kits.flow.calls.polls import PollCalls
from stepflow.kits.flow.commands.emit import EmitCommand
from stepflow.kits.flow.commands.variable import Session, Variables
from stepflow.logs import StepLog


class Context(PollCalls, ChildCalls):
    """
    The workflow's side of its run.

    Everything here is remembered: on replay it answers at once, with what it answered first.
    Outside of `ctx` your workflow may compute, branch and `gather` as it likes, but not wait, draw
    random numbers or read the clock.
    """

    def patched(self, name: str) -> bool:
        """
        Choose the way at a change of your code: `if ctx.patched("v2"): new else: old`.

        True for a run that gets here for the first time, and from then on; False for one that had
        gone past before the change. Takes no place.
        """
        self._activation.check_caller()
        return self._activation.patched(checked_name(name))

    def continue_as_new(self, new_input: Any = None) -> asyncio.Future[Never]:
        """
        End this history and go on under the same run id with *new_input*.

        Write `return await ctx.continue_as_new(new_input)`. The journal begins anew, so that a loop
        stays small; the mailbox, the variables and the children stay. Nothing that was done is
        undone, as at the end of a run that succeeds.
        """
        self._activation.check_caller()
        future = self._activation.create_future()
        future.set_result(self._activation.continue_as_new(new_input))
        return future

    def emit(self, data: Any, topic: str = TOPIC) -> asyncio.Future[None]:
        """
        Say *data* to whoever reads the run's output, once whatever is replayed.

        Steps say what they have in `stepflow.emit`, which costs no place and no entry.
        """
        packed = pack_output(data, topic, self._activation.runtime.output_limit)
        place = self._activation.next_place()
        return self._activation.start(
            EmitCommand(place, self._activation.create_future(), packed, topic)
        )

    @property
    def vars(self) -> Variables:
        """The variables of this run: `await ctx.vars.incr("turns")`."""
        return Variables(self._activation, readers=self._readers)

    def session(self, session_id: str) -> Session:
        """
        Return what the runs of a session share: `ctx.session(user).vars`.

        It is kept for days after its last use (`settings.retention.session_s`).
        """
        return Session(self._activation, session_id, self._readers)

    @property
    def log(self) -> StepLog:
        """A logger for the workflow's own code; silent where that only repeats what it did."""
        return self._activation.log

    def now(self) -> datetime:
        """Return the time of the last thing remembered: the same on replay, and free."""
        return datetime.fromtimestamp(self._activation.loop.now, UTC)

    def random(self) -> random.Random:
        """
        Return a source of random numbers that follows from the run and this place.

        It is the same on replay, and free.
        """
        run, restarts = self._activation.run, self._activation.restarts
        history = f"{run.seed}.{restarts}" if restarts else run.seed
        return random.Random(f"{history}.{self._activation.next_place()}")

    def uuid(self) -> uuid.UUID:
        """Return a UUID that follows from the run and this place: the same on replay, and free."""
        return uuid.UUID(int=self.random().getrandbits(128), version=4)
