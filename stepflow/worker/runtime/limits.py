"""Slots of limits, for the steps of one claimed run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count

from stepflow.core import probes
from stepflow.core.limits.slot import StepSlot
from stepflow.core.limits.use import LimitUse
from stepflow.core.outcomes import Resting
from stepflow.core.run import Cleanup, Run
from stepflow.engine.env import Env
from stepflow.errors import ClaimLost, LimitTimeout, Postponed, ReplyLost
from stepflow.store.calls import Call
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.limits.steps import (
    GRACE_S,
    Answer,
    InLine,
    Overdue,
    add_entry_limited,
    leave_slots,
    take_slots,
    waits_for,
)
from stepflow.worker.runtime.ask import ask, tell

log = logging.getLogger("stepflow.run")

#: numbers of asks: each is higher than those before it
_numbers = count(1)


class Crowd:
    """
    The steps of one activation that want the same limits.

    One at a time asks for a slot; the first that gets none stands in line for all of them. So a run
    of a thousand steps has one place in line, and a slot that is free wakes one of them.
    """

    __slots__ = ("first", "has_asked", "lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        #: the step that stands in line, and those that wait for it, in order
        self.first: str | None = None
        #: whether one has asked under the present claim; a place in line may be left from the last
        self.has_asked = False
        self.waiting: dict[str, None] = {}

    def is_turn_of(self, step: str) -> bool:
        """Whether nobody stands in line any more, and *step* is next."""
        return self.first is None and next(iter(self.waiting), step) == step

    def leave(self, step: str) -> None:
        """Learn that *step* waits no more, or asks."""
        self.waiting.pop(step, None)
        if self.first == step:
            self.first = None


class ClaimLimits:
    """
    Takes slots under the claim that *token* is of, and gives them back.

    What a step has goes back in the write that remembers its value, or with the claim.
    """

    def __init__(self, run: Run, token: str, env: Env, connection: AsyncCaller) -> None:
        self._run = run
        self._token = token
        self._env = env
        self._connection = connection
        self._crowds: dict[tuple[tuple[str, str], ...], Crowd] = {}
        #: what goes with the next entry: slots of calls that are over, and limits that are to rest
        self._over: list[StepSlot] = []
        self._rests: list[Resting] = []
        #: the same, of entries that are on their way: Redis may refuse one for a while
        self._sent: dict[int, tuple[list[StepSlot], list[Resting]]] = {}

    async def take(
        self,
        step: str,
        name: str,
        uses: Sequence[LimitUse],
        said: Mapping[str, str],
        *,
        is_first: bool,
        wake: Callable[[], None],
    ) -> StepSlot:
        """
        Get a slot of each limit in *uses*; *wake* has steps asked whether they may go on.

        One that *is_first* goes before all others in line. Raises Postponed while there is no room,
        and LimitTimeout once the step has waited for longer than a limit allows.
        """
        crowd = self._crowds.setdefault(tuple(use[:2] for use in uses), Crowd())
        async with crowd.lock:
            if crowd.first != step and not crowd.is_turn_of(step):
                crowd.waiting[step] = None
                raise self._wait(crowd, step, uses[0].label)
            crowd.leave(step)
            slot, answer = await self._ask(
                step, name, uses, said, is_first=is_first, takes_place=not crowd.has_asked
            )
            crowd.has_asked = True
            if isinstance(answer, InLine):
                crowd.first = step
        if isinstance(answer, InLine):
            log.info("run=%s step %r waits in line for limit %s", self._run.id, name, answer.label)
            raise self._in_line(crowd, slot, answer)
        if crowd.waiting:
            wake()
        if isinstance(answer, Overdue):
            raise LimitTimeout(answer.label, answer.wait_s)
        return slot

    async def _ask(
        self,
        step: str,
        name: str,
        uses: Sequence[LimitUse],
        said: Mapping[str, str],
        *,
        is_first: bool,
        takes_place: bool,
    ) -> tuple[StepSlot, bool | InLine | Overdue]:
        self._run.has_asks = True
        since = (self._run.started_at or self._run.created_at) if is_first else None
        while True:
            slot = StepSlot(step, next(_numbers), uses)
            call = take_slots(
                self._env.keys, self._run, self._token, slot, name=name, said=said,
                first_since=since, takes_place=takes_place, given=self._env.clock.given,
            )  # fmt: skip
            probes.at("limit.ready")
            answer = await ask(
                self._connection, call, f"run={self._run.id} cannot ask for its limits",
                partial(self._late, slot),
            )  # fmt: skip
            probes.at("limit.taken")
            if answer is None:
                raise ClaimLost(f"run {self._run.id!r} is held by another worker")
            if answer:
                return slot, answer

    def _late(self, slot: StepSlot, answer: Answer) -> None:
        """Give back what came when nobody waited for it any more: a slot, or a place in line."""
        if answer is True or isinstance(answer, InLine):
            self.give_back(slot)

    def _wait(self, crowd: Crowd, step: str, label: str) -> Postponed:
        """Wait for one of the run's own steps that stands in line."""
        return Postponed(
            waits_for(label), self._env.clock.now() + GRACE_S, None,
            is_told=partial(crowd.is_turn_of, step), give_up=partial(crowd.leave, step),
        )  # fmt: skip

    def _in_line(self, crowd: Crowd, slot: StepSlot, answer: InLine) -> Postponed:
        def give_up() -> None:
            crowd.leave(slot.step)
            self.give_back(slot)

        return Postponed(waits_for(answer.label), answer.again_at, answer.inbox, give_up=give_up)

    def over(self, slot: StepSlot) -> None:
        """Give a slot back with the next entry: the call is over, and its end is remembered."""
        slot.is_over = True
        self._over.append(slot)

    def rest(self, resting: Resting) -> None:
        """Have a limit rest, with the next entry."""
        self._rests.append(resting)

    def give_back(self, *slots: StepSlot) -> None:
        """Give slots back, or places in line; sent at once, and not waited for."""
        for slot in slots:
            slot.is_over = True
        self._send(slots, ())

    def leave_places(self, steps: Sequence[str]) -> None:
        """Give up places in line that steps have from an earlier claim: nobody wants them now."""
        self._send((), (), steps)

    def flush(self) -> None:
        """Send at once what waits for an entry: there may be none, or one of another kind."""
        if self._over or self._rests:
            self._send(self._over, self._rests)
            self._over, self._rests = [], []

    def _send(
        self, slots: Sequence[StepSlot], rests: Sequence[Resting], places: Sequence[str] = ()
    ) -> None:
        env = self._env
        call = leave_slots(
            env.keys, self._run, self._token, slots, rests, places, given=env.clock.given,
            now=env.clock.now(),
        )  # fmt: skip
        tell(
            self._connection, call, f"run={self._run.id} cannot give back slots of its limits",
            partial(_said, self._run.id),
        )  # fmt: skip

    def entry(self, index: int, entry: bytes, cleanup: Cleanup | None) -> Call[int] | None:
        """Make the call that adds an entry and carries what goes with it; None for nothing."""
        if self._over or self._rests:
            slots, rests = self._sent.get(index, ([], []))
            self._sent[index] = [*slots, *self._over], [*rests, *self._rests]
            self._over, self._rests = [], []
        if index not in self._sent:
            return None
        slots, rests = self._sent[index]
        env = self._env
        return add_entry_limited(
            env.keys, self._run, self._token, index, entry, cleanup, slots=slots, rests=rests,
            given=env.clock.given, now=env.clock.now(),
        )  # fmt: skip

    def follow(self, index: int, sent: asyncio.Future[int]) -> None:
        """Have what the entry could not carry sent behind it, and learn whether it was written."""
        self.flush()
        if index in self._sent:
            sent.add_done_callback(partial(self._written, index))

    def _written(self, index: int, sent: asyncio.Future[int]) -> None:
        if not sent.cancelled() and sent.exception() is None and sent.result():
            self._sent.pop(index, None)


def _said(run_id: str, sent: asyncio.Future[bool]) -> None:
    problem = None if sent.cancelled() else sent.exception()
    if problem is not None and not isinstance(problem, ReplyLost):
        log.warning("run=%s slots of limits go back with its claim: %s", run_id, problem)
