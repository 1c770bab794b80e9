"""The scribe: writes journal entries, each at its index, and says when they are durable, in the order of the writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from stepflow.core import probes
from stepflow.core.run import Rest
from stepflow.engine.port import Port
from stepflow.kits.flow.journal import Entry

#: sends an entry whose data the server makes, given its index and its head
Send = Callable[[int, bytes], asyncio.Future[Any]]


class Scribe:
    """
    Keeps the journal's next index.

    *landed* is called with each entry once it is durable, *refused* when the claim is another's now. A take may or may not
    use up an index, so what is to be written meanwhile waits for it, as it does for the replay to end. *news* is called when
    more was put into the inbox than was heard of: what came after another had looked must be looked for again before the
    run may park.
    """

    def __init__(
        self, port: Port, landed: Callable[[Entry], None], refused: Callable[[], None], news: Callable[[], None]
    ) -> None:
        self._port = port
        self._landed = landed
        self._refused = refused
        self._news = news
        self._in_flight = 0
        self._taking = False
        self._is_replaying = True
        self._held_back: deque[Callable[[], None]] = deque()
        self.index = 0
        #: how much was ever put into the run's inbox, as last heard
        self.inbox = port.hold.run.inbox

    @property
    def is_taking(self) -> bool:
        """Whether a take is on its way: the next index is not known until it has come back."""
        return self._taking

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way."""
        return bool(self._in_flight or self._taking or self._held_back)

    def hear(self, inbox: int) -> None:
        """Take note of how much was ever put into the run's inbox."""
        if inbox != self.inbox:
            self.inbox = inbox
            self._news()

    def go_live(self) -> None:
        """Begin to write; what was chosen on the way here comes first."""
        self._is_replaying = False
        self._write_held_back()

    def write(self, entry: Entry, rest: Rest | None = None) -> None:
        """Write an entry at the next index, and what the run has left to do from then on, if that changes."""
        if self._taking or self._is_replaying:
            self._held_back.append(lambda: self.write(entry, rest))
            return
        future = self._port.add_entry(self._next(), entry.write(), rest)
        future.add_done_callback(lambda done: self._written(entry if _answer_of(done) == 1 else None))

    def ask(self, entry: Entry, send: Send) -> None:
        """Write an entry at the next index whose data is what the server answers to *send*."""
        if self._taking:
            self._held_back.append(lambda: self.ask(entry, send))
            return
        future = send(self._next(), entry.head())
        future.add_done_callback(lambda done: self._written(entry.holding(a[0]) if (a := _answer_of(done)) else None))

    def _next(self) -> int:
        """Take the next index for an entry that is about to be sent."""
        probes.at("journal.ready")
        self.index += 1
        self._in_flight += 1
        return self.index - 1

    def _written(self, entry: Entry | None) -> None:
        self._in_flight -= 1
        if entry is None:
            self._refused()
            return
        probes.at("journal.done")
        self._landed(entry)

    def take(self, entry: Entry, send: Send, nothing: Callable[[], None]) -> None:
        """
        Have *send* take what there may be for *entry* and remember it, in one write; *nothing* is called for nothing.

        Its answer is [inbox, data], [inbox], or [] when refused.
        """
        self._taking = True
        future = send(self.index, entry.head())
        future.add_done_callback(lambda done: self._taken(entry, done, nothing))

    def _taken(self, entry: Entry, done: asyncio.Future[Any], nothing: Callable[[], None]) -> None:
        self._taking = False
        answer = _answer_of(done)
        if not answer:
            self._refused()
            return
        self.hear(int(answer[0]))
        if len(answer) > 1:
            self.index += 1
            self._landed(entry.holding(answer[1]))
        else:
            nothing()
        self._write_held_back()

    def _write_held_back(self) -> None:
        while self._held_back:
            self._held_back.popleft()()


def _answer_of(done: asyncio.Future[Any]) -> Any:
    return None if done.cancelled() or done.exception() is not None else done.result()
