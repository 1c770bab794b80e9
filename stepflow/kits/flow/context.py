"""`ctx`, which every workflow is called with: its only way to the world."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Never

from stepflow.core.output import TOPIC
from stepflow.engine.events.emitting import pack_output
from stepflow.kits.flow.calls.agents import AgentCalls
from stepflow.kits.flow.calls.base import checked_name
from stepflow.kits.flow.calls.batch import BatchCalls
from stepflow.kits.flow.calls.children import ChildCalls
from stepflow.kits.flow.calls.gather import GatherCalls
from stepflow.kits.flow.calls.pages import PageCalls
from stepflow.kits.flow.calls.polls import PollCalls
from stepflow.kits.flow.commands.emit import EmitCommand
from stepflow.kits.flow.commands.variable import Session, Variables
from stepflow.kits.flow.replay.forgotten import detach
from stepflow.logs import StepLog

if TYPE_CHECKING:
    from stepflow.core.budgets.budget import Budget


class Context(PollCalls, PageCalls, ChildCalls, GatherCalls, BatchCalls, AgentCalls):
    """
    What a workflow calls to run steps, wait, ask people and start other runs.

    Every call is recorded. When the workflow function runs again, each call returns its recorded
    result immediately. Between these calls your code may compute, branch and use
    `asyncio.gather`, timeouts and task groups; it may not block, draw random numbers or read the
    clock.
    """

    def patched(self, name: str) -> bool:
        """
        Tell whether this run takes changed code: `if ctx.patched("v2"): new else: old`.

        True for a run that gets here for the first time, and from then on. False for a run that
        had passed this point before the change. It takes no place in the history.
        """
        self._activation.check_caller()
        return self._activation.patched(checked_name(name))

    def continue_as_new(self, new_input: Any = None) -> asyncio.Future[Never]:
        """
        Start a new, empty history under the same run id, with *new_input*.

        Write `return await ctx.continue_as_new(new_input)`. Use it in loops, so that the journal
        stays short. The mailbox, the variables and the children stay. Compensations of the old
        history are dropped, as when a run succeeds.
        """
        self._activation.check_caller()
        future = self._activation.create_future()
        future.set_result(self._activation.continue_as_new(new_input))
        return future

    def emit(self, data: Any, topic: str = TOPIC) -> asyncio.Future[None]:
        """
        Publish *data* in the run's output, once, also when the workflow is replayed.

        Steps use `stepflow.emit`, which is cheaper.
        """
        return self._emit(data, topic)

    def _emit(self, data: Any, topic: str, most_bytes: int | None = None) -> asyncio.Future[None]:
        packed = pack_output(data, topic, self._activation.runtime.output_limit)
        place = self._activation.next_place()
        return self._activation.start(
            EmitCommand(place, self._activation.create_future(), packed, topic, most_bytes)
        )

    def detach(self, call: Awaitable[Any]) -> None:
        """
        Mark *call* as one that you do not await on purpose: `ctx.detach(ctx.step(warm_up))`.

        It runs beside the rest of the workflow. If the workflow ends first, it may be left undone.
        Without `detach`, a workflow that returns with calls that it never awaited fails, and the
        error names them.
        """
        self._activation.check_caller()
        detach(call, self._activation.loop)

    @property
    def vars(self) -> Variables:
        """The variables of this run: `await ctx.vars.incr("turns")`."""
        return Variables(self._activation, readers=self._readers)

    def session(self, session_id: str) -> Session:
        """
        Return the variables that all runs of a session share: `ctx.session(user).vars`.

        They are kept for 30 days after their last use (`STEPFLOW_RETENTION_SESSION_S`).
        """
        return Session(self._activation, session_id, self._readers)

    @property
    def log(self) -> StepLog:
        """A logger for the workflow function; it logs nothing while the function is replayed."""
        return self._activation.log

    def budget(
        self,
        name: str,
        *,
        usd: Decimal | int | str | None = None,
        tokens: int | None = None,
        per: Literal["hour", "day", "week", "month"] | None = None,
        on_exceeded: Literal["fail", "wait", "ask"] = "fail",
        unknown_price: Literal["refuse", "allow"] = "refuse",
    ) -> Budget:
        """
        Name a budget of this run and its children: `ctx.budget("order-7", usd="0.50")`.

        Steps spend of it: `ctx.step(ask, text, spends=budget.spend(usd="0.02", tokens=4000))`. A
        child that names it has the same one. For one that all runs share, see `stepflow.budget`.
        """
        from stepflow.core.budgets.budget import budget  # noqa: PLC0415  wanted by few

        made = budget(
            name, usd=usd, tokens=tokens, per=per, on_exceeded=on_exceeded,
            unknown_price=unknown_price,
        )  # fmt: skip
        return made.of_family(self._activation.runtime.family)

    def now(self) -> datetime:
        """Return the time of the last recorded result; it is the same on replay."""
        return datetime.fromtimestamp(self._activation.loop.now, UTC)

    def random(self) -> random.Random:
        """
        Return a random number generator, seeded by the run and this place in the code.

        It gives the same numbers on replay, without a call to Redis.
        """
        run, restarts = self._activation.run, self._activation.restarts
        history = f"{run.seed}.{restarts}" if restarts else run.seed
        return random.Random(f"{history}.{self._activation.next_place()}")

    def uuid(self) -> uuid.UUID:
        """Return a UUID that is the same on replay: use it as an idempotency key."""
        return uuid.UUID(int=self.random().getrandbits(128), version=4)
