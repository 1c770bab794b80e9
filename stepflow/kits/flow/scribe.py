"""The scribe: writes journal entries, each at its index, and says when they are durable, in the order of the writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from stepflow.core import probes
from stepflow.core.run import Rest
from stepflow.engine.port import Port
from stepflow.kits.flow.journal import Entry


class Scribe:
    """
    Keeps the journal's next index.

    *landed* is called with each entry once it is durable, *refused* when the claim is another's now. A take may or may not
    use up an index, so what is to be written meanwhile waits for it. *news* is called when more was put into the inbox
    than was heard of: what came after another had looked must be looked for again before the run may park.
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
        self._held_back: deque[tuple[Entry, Rest | None]] = deque()
        self.index = 0
        #: how much was ever put into the run's inbox, as last heard
        self.inbox = port.hold.run.inbox

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way."""
        return bool(self._in_flight or self._taking or self._held_back)

    def hear(self, inbox: int) -> None:
        """Take note of how much was ever put into the run's inbox."""
        if inbox != self.inbox:
            self.inbox = inbox
            self._news()

    def write(self, entry: Entry, rest: Rest | None = None) -> None:
        """Write an entry at the next index, and what the run has left to do from then on, if that changes."""
        if self._taking:
            self._held_back.append((entry, rest))
            return
        probes.at("journal.ready")
        future = self._port.add_entry(self.index, entry.write(), rest)
        self.index += 1
        self._in_flight += 1
        future.add_done_callback(lambda done: self._written(entry, done))

    def _written(self, entry: Entry, done: asyncio.Future[int]) -> None:
        self._in_flight -= 1
        if _answer_of(done) == 1:
            probes.at("journal.done")
            self._landed(entry)
        else:
            self._refused()

    def take(self, entry: Entry, names: Sequence[str], nothing: Callable[[], None]) -> None:
        """Take a signal of *names* and remember it as *entry*, in one write; *nothing* is called when there is none."""
        self._taking = True
        future = self._port.take_signal(self.index, entry.head(), names)
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
            self._landed(Entry(entry.kind, entry.place, entry.name, entry.at, answer[1]))
        else:
            nothing()
        while self._held_back:
            self.write(*self._held_back.popleft())


def _answer_of(done: asyncio.Future[Any]) -> Any:
    return None if done.cancelled() or done.exception() is not None else done.result()
