"""
Branches of a workflow side by side, until their join is settled.

Nothing of this is remembered by itself: the steps of the branches are, in the order in which they
ended, so a replay settles the join by the same branch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from stepflow.core.fanout.join import Failed, Join, Verdict, goal_of, results
from stepflow.engine.user_code.calls import EscapedError
from stepflow.errors import InvalidOption, JoinNotMet, NotAnswered, StepFailed, shown
from stepflow.kits.flow.commands.command import WorkflowHost
from stepflow.kits.flow.commands.sleep_and_signal import SleepCommand

#: what is awaited, or makes it once it is its turn
Branch = Awaitable[Any] | Callable[[], Awaitable[Any]]


def check_branches(branches: Sequence[object], limit: int | None) -> None:
    """Refuse what cannot be gathered; raises InvalidOption."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        msg = f"ctx.gather was given limit {shown(limit)}; it is at least 1, or None"
        raise InvalidOption(msg)
    for index, branch in enumerate(branches):
        if not isinstance(branch, Awaitable) and not callable(branch):
            msg = (
                f"branch[{index}] of ctx.gather is {shown(branch)}; pass what you would await, "
                "or a function that returns it"
            )
            raise InvalidOption(msg)
        if limit is not None and asyncio.isfuture(branch):
            msg = (
                f"branch[{index}] of ctx.gather has begun already, so limit={limit} cannot hold "
                "it back; pass a function that begins it: lambda: ctx.step(...)"
            )
            raise InvalidOption(msg)


async def carry_gather(
    host: WorkflowHost, place: str, branches: Sequence[Branch], *, join: Join, limit: int | None
) -> list[Any]:
    """
    Run the branches, at most *limit* at once, and return what *join* makes of them.

    The rest is cancelled and has ended when this returns or raises. Branch 2 has the places that
    begin with *place*.2, whenever it begins. Raises JoinNotMet.
    """
    gathering = Gathering(host, place, branches, join, limit or len(branches))
    try:
        gathering.begin()
        await gathering.settled
    except asyncio.CancelledError:
        await gathering.stop_the_rest()
        raise
    finally:  # also where the workflow is evicted, and may await nothing
        gathering.drop_waiting()
    await gathering.stop_the_rest()
    return gathering.conclude()


class Gathering:
    """The branches of one `ctx.gather`: those that wait for their turn, run, and have ended."""

    def __init__(
        self, host: WorkflowHost, place: str, branches: Sequence[Branch], join: Join, limit: int
    ) -> None:
        self._host = host
        self._place = place
        self._join = join
        self._limit = limit
        self._goal = goal_of(join, len(branches))
        self._waiting = deque(enumerate(branches))
        self._running: dict[int, asyncio.Future[Any]] = {}
        self._won: dict[int, Any] = {}
        self._failed: dict[int, Exception] = {}
        self._timer: asyncio.Future[None] | None = None
        self._is_late = False
        #: done once the join is settled
        self.settled: asyncio.Future[None] = host.create_future()

    def begin(self) -> None:
        """Begin the timeout, and as many branches as may run at once."""
        if self._goal.verdict(0, 0) is not None:
            self.settled.set_result(None)
            return
        if self._join.timeout_s is not None:
            timer = SleepCommand(
                f"{self._place}.timeout", self._host.create_future(), self._join.timeout_s
            )
            self._timer = self._host.start(timer)
            self._timer.add_done_callback(self._time_is_up)
        self._begin_more()

    def _begin_more(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            index, branch = self._waiting.popleft()
            running = self._begin_branch(index, branch)
            self._running[index] = running
            running.add_done_callback(partial(self._ended, index))

    def _begin_branch(self, index: int, branch: Branch) -> asyncio.Future[Any]:
        if asyncio.isfuture(branch):
            return branch
        return self._host.create_branch(
            _await(branch), f"{self._place}.{index}", f"branch[{index}]"
        )

    def _ended(self, index: int, done: asyncio.Future[Any]) -> None:
        error = _error_of(index, done)
        if self.settled.done():
            return
        del self._running[index]
        if error is None:
            self._won[index] = done.result()
        else:
            error.add_note(f"in branch[{index}] of ctx.gather")
            self._failed[index] = error
        if self._goal.verdict(len(self._won), len(self._failed)) is None:
            self._begin_more()
        else:
            self.settled.set_result(None)

    def _time_is_up(self, timer: asyncio.Future[None]) -> None:
        if not timer.cancelled() and not self.settled.done():
            self._is_late = True
            self.settled.set_result(None)

    def drop_waiting(self) -> None:
        """Close the branches that never began; Python would warn of them later."""
        for _, branch in self._waiting:
            if isinstance(branch, Coroutine):
                branch.close()
        self._waiting.clear()

    async def stop_the_rest(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        if not self.settled.done():
            self.settled.cancel()
        rest = list(self._running.values())
        if self._timer is not None:
            self._timer.cancel()
        for running in rest:
            running.cancel()
        if rest:
            await asyncio.wait(rest)

    def conclude(self) -> list[Any]:
        """Return what the join makes of its branches; raises JoinNotMet."""
        won, failed, total = self._won, dict(sorted(self._failed.items())), self._goal.total
        if self._goal.verdict(len(won), len(failed), is_time_up=True) is Verdict.NOT_MET:
            problem = JoinNotMet(
                str(self._join), total, succeeded=dict(sorted(won.items())), failed=failed,
                timed_out=self._is_late,
            )  # fmt: skip
            raise problem from next(iter(self._failed.values()), None)
        return results(
            self._join, total, won,
            lambda index: Failed(index, failed.get(index) or NotAnswered(index)),
        )  # fmt: skip


async def _await(branch: Branch) -> Any:
    return await (branch() if callable(branch) else branch)


def _error_of(index: int, done: asyncio.Future[Any]) -> Exception | None:
    """Return the error by which a branch ended; an end by its own cancel is one as well."""
    if done.cancelled():
        return StepFailed(f"branch[{index}]", "Cancelled", "it was cancelled")
    error = done.exception()
    return error if error is None or isinstance(error, Exception) else EscapedError(error)
