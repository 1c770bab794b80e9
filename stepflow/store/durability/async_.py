"""
An async connection whose writes count as done when the server has confirmed them.

It stands before another connection and shares it with those who do not wait. The answer to a write
is held until a wait behind it has been answered over the same socket; one wait serves all answers
that have come until then. Where the socket breaks before, what was answered is unsure: the call is
sent again, and the script recognizes its own second arrival.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, cast

from stepflow.errors import NotConfirmed, RedisRefused, ReplyLost, StepflowError
from stepflow.store.calls import Call, CalledScript, Part
from stepflow.store.connection.async_ import AsyncCaller, AsyncConnection, carry_out
from stepflow.store.connection.retry_waits import warn_rarely
from stepflow.store.durability.demand import Demand, check_demand, is_waited_for

T = TypeVar("T")

log = logging.getLogger("stepflow.connection")

#: seconds before a wait that was refused is asked again
_AGAIN_S = 1.0
#: epochs of no socket: of a call that has no answer, and of one answered before what it follows
_UNANSWERED, _TOO_SOON = -1, -2


class _Held(Generic[T]):
    """A call whose answer is held: what a connection sends, and over which socket it came."""

    __slots__ = ("_after", "_connection", "asked", "epoch", "future", "since")

    def __init__(
        self,
        asked: Call[T],
        future: asyncio.Future[T],
        connection: AsyncConnection,
        since: float,
        *,
        after: _Held[Any] | None = None,
    ) -> None:
        self.asked = asked
        self.future = future
        self.since = since
        self.epoch = _UNANSWERED
        self._connection = connection
        self._after = after

    @property
    def script(self) -> CalledScript | None:
        return self.asked.script

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.asked.parts

    @property
    def resend(self) -> bool:
        return self.asked.resend

    @property
    def name(self) -> str:
        return self.asked.name

    @property
    def misfit(self) -> Callable[[], T] | None:
        return None if self.asked.misfit is None else self._misfit

    def has_misfit(self, problem: str) -> bool:
        return self.asked.has_misfit(problem)

    def read(self, reply: Any) -> T:
        is_first = self._after is not None and self._after.epoch == _UNANSWERED
        self.epoch = _TOO_SOON if is_first else self._connection.epoch
        return self.asked.read(reply)

    def _misfit(self) -> T:
        self.epoch = self._connection.epoch
        assert self.asked.misfit is not None
        return self.asked.misfit()


class ConfirmedConnection:
    """
    Carries out calls over *connection*, and answers writes once *demand* is met.

    With *give_up_s* a write that is not confirmed for so many seconds fails with NotConfirmed: it
    was carried out and may be lost yet. None waits for ever, as workers do.
    """

    def __init__(
        self, connection: AsyncConnection, demand: Demand, *, give_up_s: float | None = None
    ) -> None:
        self._connection = connection
        self.demand = demand
        self._give_up_s = give_up_s
        self._loop = asyncio.get_running_loop()
        #: calls with their answers, in the order of these
        self._answered: list[tuple[_Held[Any], Any]] = []
        self._confirming: asyncio.Task[None] | None = None

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Add *call* to the next write; the future resolves to its result once it is confirmed."""
        if not is_waited_for(call):
            return self._connection.send(call)
        future: asyncio.Future[T] = self._loop.create_future()
        self._send(_Held(call, future, self._connection, self._loop.time()))
        return future

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return await self.send(call)

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one write, in order."""
        return list(await asyncio.gather(*[self.send(call) for call in calls]))

    async def confirm(self) -> None:
        """Wait until all that the server has carried out so far is confirmed, whoever sent it."""
        await self.send(self.demand.marker())

    def _send(self, held: _Held[Any]) -> None:
        sent = self._connection.send(cast("Call[Any]", held))
        sent.add_done_callback(partial(self._note_answer, held))
        held.future.add_done_callback(partial(_give_up_with, sent))

    def _note_answer(self, held: _Held[Any], sent: asyncio.Future[Any]) -> None:
        if held.future.done():
            if not sent.cancelled():
                sent.exception()
            return
        if sent.cancelled():
            held.future.cancel()
        elif (error := sent.exception()) is not None:
            held.future.set_exception(error)
        else:
            self._answered.append((held, sent.result()))
            if self._confirming is None or self._confirming.done():
                self._confirming = self._loop.create_task(self._confirm_all())

    async def _confirm_all(self) -> None:
        """Wait for the server until no answer is held any more; one wait for all there are."""
        while self._answered:
            count = len(self._answered)
            try:
                epoch = await self._confirmed_in()
            except ReplyLost:  # the socket broke: what it has answered is unsure
                self._settle(count, -1)
            except StepflowError as error:
                await self._bear(error)
            else:
                if epoch is not None:
                    self._settle(count, epoch)
                else:
                    self._fail_overdue()

    async def _confirmed_in(self) -> int | None:
        """Ask once; give the epoch of the socket that confirmed, None if it was not in time."""
        barrier = self._ask(self.demand.barrier())
        asked = [barrier, *[self._ask(wait, after=barrier) for wait in self.demand.waits()]]
        answers = await asyncio.gather(*[held.future for held in asked], return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        confirmed = asked[-1]
        if confirmed.epoch == _TOO_SOON:  # the server was busy for the one, and not for the other
            return None
        if barrier.epoch != confirmed.epoch:
            raise ReplyLost(confirmed.name)
        return confirmed.epoch if self.demand.is_met_by(answers[-1]) else None

    def _ask(self, call: Call[Any], after: _Held[Any] | None = None) -> _Held[Any]:
        future = self._loop.create_future()
        held: _Held[Any] = _Held(call, future, self._connection, 0.0, after=after)
        held.future = self._connection.send(cast("Call[Any]", held))
        return held

    def _settle(self, count: int, epoch: int) -> None:
        """Give the first *count* answers to their callers, but for those of another socket."""
        settled, self._answered = self._answered[:count], self._answered[count:]
        for held, answer in settled:
            if held.future.done():
                continue
            if held.epoch == epoch:
                held.future.set_result(answer)
            elif held.resend:
                self._send(held)
            else:
                held.future.set_exception(ReplyLost(held.name))

    async def _bear(self, error: StepflowError) -> None:
        """Have the callers fail with *error*, or wait before the next try, as workers do."""
        refusal = str(error)
        without_file = self.demand.without_file(refusal)
        if without_file is not None:
            self.demand = without_file
        elif self._give_up_s is None and isinstance(error, RedisRefused):
            warn_rarely(log, f"what was written cannot be confirmed: {refusal}; trying on")
            await asyncio.sleep(_AGAIN_S)
        else:
            failed, self._answered = self._answered, []
            for held, _ in failed:
                if not held.future.done():
                    held.future.set_exception(error)

    def _fail_overdue(self) -> None:
        if self._give_up_s is None:
            warn_rarely(
                log, f"Redis does not confirm that what was written is {self.demand.words}; "
                "waiting on",
            )  # fmt: skip
            return
        now = self._loop.time()
        left = []
        for held, answer in self._answered:
            if held.future.done():
                continue
            if now - held.since < self._give_up_s:
                left.append((held, answer))
            else:
                held.future.set_exception(
                    NotConfirmed(held.name, self.demand.words, now - held.since)
                )
        self._answered = left


def _give_up_with(sent: asyncio.Future[Any], future: asyncio.Future[Any]) -> None:
    """Take back what was not sent yet when its caller gives up."""
    if future.cancelled():
        sent.cancel()


async def confirming(
    connection: AsyncConnection, demand: Demand, *, give_up_s: float | None = None
) -> ConfirmedConnection:
    """Stand before *connection*; raises ServerUnfit where its server can never confirm."""
    met = await carry_out(connection, check_demand(demand))
    return ConfirmedConnection(connection, met, give_up_s=give_up_s)


async def confirm(connection: AsyncCaller) -> None:
    """Wait for what was carried out so far, on a connection that confirms; else do nothing."""
    if isinstance(connection, ConfirmedConnection):
        await connection.confirm()
