"""What both clients follow of a run: what it emits, and what happens to it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import TypeVar

from stepflow.client.doing import AsyncDoing, Doing
from stepflow.client.following import Reader, follow, follow_blocking
from stepflow.client.per_loop import PerLoop
from stepflow.core.events import Event
from stepflow.core.output import OutputEvent
from stepflow.engine.events.derived import EventReader
from stepflow.engine.events.output import OutputReader
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.sync import SyncCaller

T = TypeVar("T")


class Following(Doing):
    """What `Client` follows of a run."""

    @property
    @abstractmethod
    def connection(self) -> SyncCaller:
        """The link that carries out this client's calls."""

    def output(
        self,
        run_id: str,
        *,
        after: str | None = None,
        topics: str | Sequence[str] | None = None,
        live: bool = True,
        committed: bool = False,
    ) -> Iterator[OutputEvent]:
        """
        Read what the run emits: `for event in client.output(run_id)`.

        It yields an OutputItem for each item, an OutputReset when the items of a step must be
        dropped because it is tried again, an OutputGap where items were removed, and an OutputEnd
        when the run has ended. OutputView puts them together. There may be any number of readers.

        Pass the id of an event as *after* to continue after it, or `latest` for new items only.
        With `live=False` it stops at the latest item. With *committed* you get items only once
        their step is committed, so none is dropped later. Raises RunNotFound.
        """
        reader = OutputReader(run_id, self.env, after=after, topics=topics, committed=committed)
        return self._follow(reader, live=live)

    def events(
        self, run_id: str, *, after: str | None = None, live: bool = True
    ) -> Iterator[Event]:
        """
        Read what happens to the run, from its submit to its end: `for event in client.events(id)`.

        Events are read from the records of the run, so you can read them late as well as live. Pass
        the id of an event as *after* to continue after it. With `live=False` it stops at the latest
        event. If a run is retried after its end, read on from the id of its end.
        Raises RunNotFound.
        """
        return self._follow(EventReader(run_id, self.env, after=after), live=live)

    def _follow(self, reader: Reader[T], *, live: bool) -> Iterator[T]:
        return follow_blocking(
            reader, lambda: self._do(reader.look()), lambda: self.connection, live=live
        )


class AsyncFollowing(AsyncDoing):
    """What `AsyncClient` follows of a run."""

    _per_loop: PerLoop

    def output(
        self,
        run_id: str,
        *,
        after: str | None = None,
        topics: str | Sequence[str] | None = None,
        live: bool = True,
        committed: bool = False,
    ) -> AsyncIterator[OutputEvent]:
        """See Client.output; `async for event in client.output(run_id)`."""
        reader = OutputReader(run_id, self.env, after=after, topics=topics, committed=committed)
        return self._follow(reader, live=live)

    def events(
        self, run_id: str, *, after: str | None = None, live: bool = True
    ) -> AsyncIterator[Event]:
        """See Client.events; `async for event in client.events(run_id)`."""
        return self._follow(EventReader(run_id, self.env, after=after), live=live)

    async def _follow(self, reader: Reader[T], *, live: bool) -> AsyncIterator[T]:
        following = follow(
            reader, lambda: self._do(reader.look()), live=live, find_listener=self._listener
        )  # fmt: skip
        async with aclosing(following):
            async for event in following:
                yield event

    def _listener(self) -> Listener | None:
        """Return what listens to channels on the running loop, once it is connected."""
        opened = self._per_loop.known()
        return None if opened is None else opened.listener
