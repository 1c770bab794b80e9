"""A sync connection whose writes count as done when the server has confirmed them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from stepflow.errors import NotConfirmed
from stepflow.store.calls import Call
from stepflow.store.connection.address import Address
from stepflow.store.connection.error_replies import ELSEWHERE, LATER, refusal_of, word_of
from stepflow.store.connection.resp import ReplyError, encode_command
from stepflow.store.connection.sockets import Socket
from stepflow.store.connection.sync import PendingCalls, SyncConnection, carry_out_calls
from stepflow.store.durability.demand import WAIT_MS, Demand, check_demand, is_waited_for

#: milliseconds by which a wait may be answered late: servers look at them ten times a second
_SLACK_MS = 250


class ConfirmedSyncConnection(SyncConnection):
    """
    Carries out calls, and answers a write once *demand* is met, on the socket that it went over.

    Raises NotConfirmed for one that is not confirmed within the time of the call: it was carried
    out and may be lost yet; ServerUnfit, before anything is written, for a server that cannot
    confirm.
    """

    demand: Demand
    _is_checked = False

    @classmethod
    def meeting(cls, demand: Demand, address: Address) -> Self:
        """Return a connection to *address* that connects, and looks at the server, when used."""
        made = cls.to(address)
        made.demand = demand
        return made

    def calls(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Carry out several calls in one round trip; returns their results in order."""
        if not self._is_checked:
            self.demand = carry_out_calls(super().calls, check_demand(self.demand))
            self._is_checked = True
        return super().calls(calls)

    def confirm(self) -> None:
        """Wait until all that the server has carried out so far is confirmed, whoever sent it."""
        self.call(self.demand.marker())

    def _pending(self, calls: Sequence[Call[Any]]) -> PendingCalls:
        return _ConfirmedCalls(calls, self) if self._is_checked else super()._pending(calls)


class _ConfirmedCalls(PendingCalls):
    """A batch of calls whose answers to writes are dropped again unless they are confirmed."""

    def __init__(self, calls: Sequence[Call[Any]], connection: ConfirmedSyncConnection) -> None:
        super().__init__(calls)
        self._connection = connection
        self._confirmed: set[int] = set()
        self._began = time.monotonic()

    def send(self, sock: Socket, until: float) -> str:
        """Send the unanswered calls over *sock*, and wait for what the server has written."""
        try:
            again = super().send(sock, until)
            held = self._held()
            if held:
                self._confirm(sock, until, held)
            self._confirmed.update(held)
        except OSError:
            self._take_back()
            raise
        return again

    def _held(self) -> list[int]:
        return [
            number
            for number, answer in self.answers.items()
            if number not in self._confirmed
            and not isinstance(answer, ReplyError)
            and is_waited_for(self.asked[number])
        ]

    def _take_back(self) -> None:
        """Have the calls sent again whose answers are unsure, unless they must not be."""
        unsure = self._held()
        for number in unsure:
            del self.answers[number]
        self.unanswered = sorted({*self.unanswered, *unsure})
        self.refuse_to_repeat(unsure)

    def _confirm(self, sock: Socket, until: float, held: Sequence[int]) -> None:
        demand = self._connection.demand
        while True:
            left_ms = int((until - time.monotonic()) * 1000) - _SLACK_MS
            if left_ms <= 0:
                raise NotConfirmed(
                    self.asked[held[0]].name, demand.words, time.monotonic() - self._began
                )
            asked = [demand.barrier(), *demand.waits(min(WAIT_MS, left_ms))]
            sock.send(b"".join(encode_command(call.parts) for call in asked), until)
            replies = [sock.read(until) for _ in asked]
            for reply in replies:
                if isinstance(reply, ReplyError):
                    demand = self._refused(str(reply), demand)
                    break
            else:
                if demand.is_met_by(replies[-1]):
                    return

    def _refused(self, problem: str, demand: Demand) -> Demand:
        """Give the demand to go on with; raises OSError where the calls are to be sent again."""
        without_file = demand.without_file(problem)
        if without_file is not None:
            self._connection.demand = without_file
            return without_file
        word = word_of(problem)
        if word in ELSEWHERE:
            raise ConnectionError(problem)
        if word not in LATER:
            raise refusal_of(problem)
        return demand
