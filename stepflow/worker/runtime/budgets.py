"""What the steps of one claimed run spend of budgets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from stepflow.core.budgets.budget import Budget
from stepflow.core.budgets.cost import NOTHING, Cost
from stepflow.core.run import Cleanup, Run
from stepflow.engine.env import Env
from stepflow.errors import ClaimLost
from stepflow.store.budgets.keys import budget_key
from stepflow.store.budgets.spending import (
    NoRoom,
    Reservation,
    reserve_budget,
    settle_budget,
    waits_for,
)
from stepflow.store.calls import Call
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.worker.runtime.ask import ask, tell
from stepflow.worker.runtime.waits import ClaimWaits

log = logging.getLogger("stepflow.budgets")


class ClaimBudgets:
    """
    Reserves what calls may cost under the claim that *token* is of, and settles what they did cost.

    What is not settled when the claim ends is lost: it has cost something up to what was reserved.
    """

    def __init__(
        self, run: Run, token: str, env: Env, connection: AsyncCaller, waits: ClaimWaits
    ) -> None:
        self._run = run
        self._token = token
        self._env = env
        self._connection = connection
        self._waits = waits

    async def reserve(
        self, budgets: Sequence[Budget], most: Cost, slot: str, granted: Mapping[str, int]
    ) -> Reservation | NoRoom:
        """Reserve what a call costs at most; raises ClaimLost."""
        env, run = self._env, self._run
        call = reserve_budget(
            env.keys, budgets, most, run, self._token, slot, env.request_id(),
            granted=granted, given=env.clock.given, now=env.clock.now(),
        )  # fmt: skip
        names = ", ".join(each.account for each in budgets)
        self._waits.note_ask(self._sets(budgets), slot)
        answer = await ask(
            self._connection, call, f"run={run.id} cannot spend of {names}",
            partial(self._give_back, budgets, slot),
        )  # fmt: skip
        if answer is None:
            raise ClaimLost(f"run {run.id!r} is held by another worker; nothing is spent")
        return answer

    def wait(self, budgets: Sequence[Budget], slot: str) -> Callable[[], None] | None:
        """Learn that a step waits for room; gives what is called should nobody want it any more."""
        return self._waits.note_wait(self._sets(budgets), slot, waits_for(budgets[0].account))

    def _sets(self, budgets: Sequence[Budget]) -> tuple[str, ...]:
        return tuple(budget_key(self._env.keys, "waiting", each.account) for each in budgets)

    def settle(self, reserved: Reservation, used: Cost | None) -> None:
        """Settle a call whose step remembers nothing of it; sent at once, and not waited for."""
        call, what = self.settling(reserved, used), f"run={self._run.id} cannot settle its budgets"
        tell(self._connection, call, what, _said)

    def settling(
        self,
        reserved: Reservation,
        used: Cost | None,
        index: int | None = None,
        entry: bytes = b"",
        cleanup: Cleanup | None = None,
    ) -> Call[int]:
        """Make the call that settles, and adds journal entry *index* with that."""
        env = self._env
        return settle_budget(
            env.keys, self._run.id, self._token, reserved, used, index=index, entry=entry,
            cleanup=cleanup, given=env.clock.given, now=env.clock.now(),
        )  # fmt: skip

    def _give_back(
        self, budgets: Sequence[Budget], slot: str, answer: Reservation | NoRoom | None
    ) -> None:
        """Give back what came when nobody waited for it any more."""
        if isinstance(answer, Reservation):
            self.settle(answer, NOTHING)
        elif answer is not None:
            self._waits.leave(self._sets(budgets), slot, waits_for(budgets[0].account))


def _said(sent: asyncio.Future[int]) -> None:
    problem = None if sent.cancelled() else sent.exception()
    if problem is not None:
        log.warning("a budget was not told what a call has cost: %s", problem)
