"""
Many readers of one run look into Redis once: each catches up by itself, then hears from one tail.

A tail follows a stream from a position, and gives what comes to all who stand at that position.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from stepflow.core.events import Event
from stepflow.core.output import OutputEnd, OutputEvent

E = TypeVar("E", bound=OutputEvent | Event)
E_co = TypeVar("E_co", bound=OutputEvent | Event, covariant=True)

#: events that a reader may lag behind before it reads by itself again
MOST_QUEUED = 1000
#: times that a reader catches up before it goes on alone
_TRIES = 5


class Read(Protocol[E_co]):
    """Reads a stream after an event: until it ends, or, not *live*, as far as it goes now."""

    def __call__(self, after: str | None, *, live: bool) -> AsyncIterator[E_co]:
        """Give the events."""


class Tails(Generic[E]):
    """The tails that somebody hears, by what they follow."""

    def __init__(self) -> None:
        self._tails: dict[Hashable, _Tail[E]] = {}

    async def follow(self, key: Hashable, read: Read[E], after: str | None) -> AsyncIterator[E]:
        """Give what *read* gives after *after*; readers with the same *key* share the waiting."""
        position = after
        for _ in range(_TRIES):
            async for event in read(position, live=False):
                yield event
                position = event.id or position
                if isinstance(event, OutputEnd):
                    return
            tail = self._at((asyncio.get_running_loop(), key), read, position)
            if tail is None:
                continue
            ear = tail.join()
            try:
                while (heard := await ear.queue.get()) is not None:
                    yield heard
                    position = heard.id or position
            finally:
                tail.leave(ear)
            if not ear.has_lost:
                return
        async for event in read(position, live=True):
            yield event

    def _at(self, key: Hashable, read: Read[E], position: str | None) -> _Tail[E] | None:
        """Give the tail that stands at *position*; None where it stands elsewhere."""
        tail = self._tails.get(key)
        if tail is None or tail.is_over:
            tail = self._tails[key] = _Tail(position, read, lambda gone: self._forget(key, gone))
        return tail if tail.position == position else None

    def _forget(self, key: Hashable, gone: _Tail[E]) -> None:
        if self._tails.get(key) is gone:
            del self._tails[key]


class _Ear(Generic[E]):
    """One who hears a tail: what has come for it, None at the end."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[E | None] = asyncio.Queue()
        #: whether it has to read by itself, for it was too slow or the tail broke off
        self.has_lost = False


class _Tail(Generic[E]):
    """Follows a stream for all that hear it, until it ends or the last one leaves."""

    def __init__(
        self, position: str | None, read: Read[E], forget: Callable[[_Tail[E]], None]
    ) -> None:
        self.position, self.is_over = position, False
        self._forget = forget
        self._ears: set[_Ear[E]] = set()
        self._task = asyncio.create_task(self._follow(read))

    def join(self) -> _Ear[E]:
        """Hear what comes from now on."""
        ear: _Ear[E] = _Ear()
        self._ears.add(ear)
        return ear

    def leave(self, ear: _Ear[E]) -> None:
        """Hear no more."""
        self._ears.discard(ear)
        if not self._ears:
            self._end()
            self._task.cancel()

    async def _follow(self, read: Read[E]) -> None:
        try:
            async for event in read(self.position, live=True):
                self.position = event.id or self.position
                for ear in list(self._ears):
                    self._give(ear, event)
        except Exception:  # noqa: BLE001  each reader reads by itself, and meets it there
            for ear in self._ears:
                ear.has_lost = True
        finally:
            self._end()
            for ear in self._ears:
                ear.queue.put_nowait(None)

    def _end(self) -> None:
        self.is_over = True
        self._forget(self)

    def _give(self, ear: _Ear[E], event: E) -> None:
        if ear.queue.qsize() < MOST_QUEUED:
            ear.queue.put_nowait(event)
        else:
            ear.has_lost = True
            self._ears.discard(ear)
            ear.queue.put_nowait(None)
