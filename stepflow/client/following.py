"""Following what a run says or does: look, wait until there is more, look again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from stepflow.store.calls import Plan
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.sync import SyncCaller

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Reader(Protocol[T_co]):
    """Where a reader is: `OutputReader` and its like."""

    run_id: str
    has_more: bool
    is_over: bool

    @property
    def wait_s(self) -> float:
        """Seconds until the next look, should nobody be notified before."""

    @property
    def channels(self) -> Sequence[str]:
        """The channels on which is said that there is more to read."""

    def look(self) -> Plan[Sequence[T_co]]:
        """Read what has come."""


async def follow(
    reader: Reader[T],
    look: Callable[[], Awaitable[Sequence[T]]],
    *,
    live: bool,
    find_listener: Callable[[], Listener | None],
) -> AsyncGenerator[T]:
    """
    Give what *reader* finds, by *look*; when *live*, until it is over.

    *find_listener* gives, after the first look, who listens to channels.
    """
    woken = asyncio.Event()

    def wake(message: str) -> None:
        del message
        woken.set()

    listener: Listener | None = None
    try:
        while True:
            woken.clear()
            for event in await look():
                yield event
            if reader.is_over or not (live or reader.has_more):
                return
            if reader.has_more:
                continue
            if listener is None and (listener := find_listener()) is not None:
                for channel in reader.channels:
                    await listener.subscribe(channel, wake)
            else:
                await pause(woken, reader.wait_s)
    finally:
        if listener is not None:
            for channel in reader.channels:
                listener.unsubscribe(channel, wake)


def follow_blocking(
    reader: Reader[T],
    look: Callable[[], Sequence[T]],
    connection: Callable[[], SyncCaller],
    *,
    live: bool,
) -> Iterator[T]:
    """Give what *reader* finds, by *look*; when *live*, until it is over."""
    while True:
        yield from look()
        if reader.is_over or not (live or reader.has_more):
            return
        if not reader.has_more:
            break
    with connection().listening(*reader.channels) as heard:
        yield from look()
        while not _is_over(reader):
            if not reader.has_more:
                heard(reader.wait_s)
            yield from look()


def _is_over(reader: Reader[Any]) -> bool:
    """Whether it is over by now: each look may have changed that."""
    return reader.is_over


async def pause(woken: asyncio.Event, timeout_s: float) -> None:
    """Wait for *woken*, or for the time to pass."""
    try:
        async with asyncio.timeout(timeout_s):
            await woken.wait()
    except TimeoutError:
        return
