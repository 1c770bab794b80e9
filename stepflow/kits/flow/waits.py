"""Waiting: for a time, for a signal. Nobody holds the run meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stepflow.kits.flow.journal import Entry, Kind
from stepflow.kits.flow.wish import Wish

if TYPE_CHECKING:
    from stepflow.kits.flow.replay import Activation


class SleepWish(Wish):
    """The end of a sleep: its due time is remembered first, so a restart does not start the clock anew."""

    __slots__ = ("_wait_s",)
    what = "sleep"
    fits = (Kind.DUE, Kind.OVER)

    def __init__(self, place: str, future: asyncio.Future[Any], wait_s: float) -> None:
        super().__init__(place, "sleep", future)
        self._wait_s = wait_s

    def pursue(self, activation: Activation, now: float) -> None:
        if self.due_at is None:
            self.due_at = now + self._wait_s
            activation.write(self, Kind.DUE, f"{self.due_at:.6f}".encode())
        elif self.due_at <= now:
            activation.write(self, Kind.OVER)


class SignalWish(Wish):
    """The first signal of some names, or None when its time has passed: whichever is written first."""

    __slots__ = ("_seen", "_wait_s", "names")
    what = "signal"
    fits = (Kind.DUE, Kind.SIGNAL, Kind.NONE)
    listens = True

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        names: Sequence[str],
        wait_s: float | None = None,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(place, ",".join(names), future, read)
        self.names = names
        self._wait_s = wait_s
        #: the round of news in which it looked into the mailbox last
        self._seen = 0

    def pursue(self, activation: Activation, now: float) -> None:
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            activation.write(self, Kind.DUE, f"{self.due_at:.6f}".encode())
        elif self._seen != activation.rounds_of_news:
            if activation.take(self, Kind.SIGNAL, lambda at, head: activation.port.take_signal(at, head, self.names)):
                self._seen = activation.rounds_of_news
        elif self.due_at is not None and self.due_at <= now:
            activation.write(self, Kind.NONE)

    def answer(self, entry: Entry) -> None:
        if entry.kind is Kind.SIGNAL:
            self.answer_with(entry.data.split(b"|", 1)[1])
        else:
            self.future.set_result(None)
