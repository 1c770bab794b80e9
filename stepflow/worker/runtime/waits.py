"""The steps of one claim that wait for what other runs do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.waiting import leave_waiting
from stepflow.worker.runtime.ask import tell

#: the sets in which a run waits, of one breaker, of one value, of all budgets of a step
Sets = tuple[str, ...]


class ClaimWaits:
    """
    Knows which steps wait in which sets, and has the run leave with the last of them.

    A run waits once for all of its steps. Where it stayed when nobody wants a step any more, others
    would wait for it: it is told when its turn comes, and does nothing.
    """

    def __init__(self, run: Run, token: str, env: Env, connection: AsyncCaller) -> None:
        self._run = run
        self._token = token
        self._env = env
        self._connection = connection
        self._steps: dict[Sets, set[str]] = {}

    def note_ask(self, sets: Sets, step: str) -> None:
        """Learn that *step* does not wait now: it asks."""
        if sets in self._steps:
            self._steps[sets].discard(step)

    def note_wait(
        self, sets: Sets, step: str, waits_for: str, first: int = 0
    ) -> Callable[[], None] | None:
        """
        Learn that *step* waits; gives what is called should nobody want it any more.

        None where it is no step of a workflow: then the run does not leave before its claim ends.
        *first* is as for `leave_waiting`.
        """
        self._steps.setdefault(sets, set()).add(step)
        return partial(self.leave, sets, step, waits_for, first) if step else None

    def leave(self, sets: Sets, step: str, waits_for: str, first: int = 0) -> None:
        """Have the run leave, unless another step of it waits there."""
        self.note_ask(sets, step)
        if not step or self._steps.get(sets):
            return
        call = leave_waiting(
            self._env.keys, sets, self._run, self._token, waits_for=waits_for, first=first,
            given=self._env.clock.given, now=self._env.clock.now(),
        )  # fmt: skip
        what = f"run={self._run.id} cannot leave those that wait for {waits_for}"
        tell(self._connection, call, what, _left)


def _left(sent: asyncio.Future[bool]) -> None:
    if not sent.cancelled():
        sent.exception()  # retrieved: it is told in vain then
