"""The `ctx` of a plain `def` workflow: the same methods, which block instead of being awaited."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Never, TypeVar

from stepflow.core.output import TOPIC
from stepflow.core.runner import WorkflowContext
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.calls.sync_agents import SyncAgentCalls
from stepflow.kits.flow.calls.sync_batch import SyncBatchCalls
from stepflow.kits.flow.calls.sync_children import (
    SyncChildCalls,
    SyncSession,
    SyncVariables,
    SyncWaitCalls,
)
from stepflow.kits.flow.calls.sync_gather import SyncGatherCalls
from stepflow.kits.flow.calls.sync_pages import SyncPageCalls
from stepflow.kits.flow.calls.sync_steps import SyncStepCalls
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.fiber import current_fiber, run_all, run_plain
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.logs import StepLog

if TYPE_CHECKING:
    from stepflow.core.budgets.budget import Budget

T = TypeVar("T")


class SyncContext(
    SyncStepCalls,
    SyncWaitCalls,
    SyncPageCalls,
    SyncChildCalls,
    SyncGatherCalls,
    SyncBatchCalls,
    SyncAgentCalls,
    WorkflowContext,
):
    """
    The `Context` of a plain `def` workflow: each call blocks and returns its value.

    Every call is recorded. When the workflow function runs again, each call returns its recorded
    result immediately. Code between the calls runs on the worker's event loop, so put whatever
    takes time into a step.
    """

    _of: Context

    @property
    def run_id(self) -> str:
        """The id of this run."""
        return self._of.run_id

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that the run was submitted with."""
        return self._of.headers

    @property
    def scheduled_for(self) -> datetime | None:
        """The time that the run is for, in UTC; None for a run of no schedule."""
        return self._of.scheduled_for

    def parallel(self, *calls: Callable[[], T]) -> list[T]:
        """
        Run calls side by side; returns their values in order.

        `ctx.parallel(partial(ctx.step, "a", read, 1), ...)`. Each is a function without parameters,
        which may make several `ctx` calls. When one raises, the others are cancelled and its error
        is raised.
        """
        fiber = current_fiber(self._loop)
        return fiber.wait(run_all(calls, self._loop)) if calls else []

    def run(self, work: Awaitable[T]) -> T:
        """
        Run a coroutine as code of this workflow, and return what it returns: `ctx.run(main())`.

        It may use asyncio and anyio as an `async def` workflow does. `stepflow.current()` in it is
        a Context, whose calls it awaits.
        """
        fiber = current_fiber(self._loop)
        if not hasattr(work, "__await__"):
            msg = f"ctx.run takes a coroutine, as main() is of an async def, not {shown(work)}"
            raise InvalidOption(msg)
        return fiber.wait(work)

    def patched(self, name: str) -> bool:
        """Tell whether this run takes changed code; see `Context.patched`."""
        current_fiber(self._loop)
        return self._of.patched(name)

    def continue_as_new(self, new_input: Any = None) -> Never:
        """
        Start a new, empty history under the same run id, with *new_input*.

        Write `return ctx.continue_as_new(new_input)`; see `Context.continue_as_new`.
        """
        return self._wait(self._of.continue_as_new, new_input)  # type: ignore[misc]  # the workflow returns it, and ends there

    def emit(self, data: Any, topic: str = TOPIC) -> None:
        """Say *data* to whoever reads the run's output; see `Context.emit`."""
        self._wait(self._of.emit, data, topic)

    @property
    def vars(self) -> SyncVariables:
        """The variables of this run: `ctx.vars.incr("turns")`."""
        return SyncVariables(self._of.vars, self._loop)

    def session(self, session_id: str) -> SyncSession:
        """Return the variables that all runs of a session share: `ctx.session(user).vars`."""
        return SyncSession(self._of.session(session_id), self._loop)

    @property
    def log(self) -> StepLog:
        """A logger for the workflow function; it logs nothing while the function is replayed."""
        return self._of.log

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
        """Name a budget of this run and its children; see `Context.budget`."""
        return self._of.budget(
            name, usd=usd, tokens=tokens, per=per, on_exceeded=on_exceeded,
            unknown_price=unknown_price,
        )  # fmt: skip

    def now(self) -> datetime:
        """Return the time of the last recorded result; it is the same on replay."""
        return self._of.now()

    def random(self) -> random.Random:
        """Return a source of random numbers that follows from the run and this place."""
        return self._of.random()

    def uuid(self) -> uuid.UUID:
        """Return a UUID that is the same on replay: use it as an idempotency key."""
        return self._of.uuid()


async def carry_plain(
    function: Callable[..., T], ctx: Context, loop: WorkflowLoop, *args: Any
) -> T:
    """Run plain workflow *function* with the blocking side of *ctx*, as a coroutine of *loop*."""
    return await run_plain(lambda: function(SyncContext(ctx, loop), *args), loop)
