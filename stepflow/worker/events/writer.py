"""
Writes what the steps of one claimed run emit, in order and under its claim.

One batch is on its way at a time; what is emitted meanwhile makes the next one. So a slow emitter
has each item sent at once, and a fast one costs a call for each round trip.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from stepflow.core.output import TOPIC
from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.events.emitting import pack_output
from stepflow.engine.insist import insist
from stepflow.errors import ClaimLost, OutputOverflow, StepOver
from stepflow.logs import StepFacts
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.events.output import Bounds, Item, emit

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Permits

log = logging.getLogger("stepflow.run")

#: items and bytes not written yet, above which a thread that emits waits
FULL_ITEMS, FULL_BYTES = 1000, 256 * 1024
#: items and bytes of one batch
BATCH_ITEMS, BATCH_BYTES = 500, 128 * 1024
#: bytes that an item counts for beside its data
_OVERHEAD = 64
#: seconds between two looks of a thread that waits, in case the loop is gone
_LOOK_S = 1.0


class OutputWriter:
    """
    Buffers and sends the items of one claim.

    *token* and *rev* are the claim's. `add` may be called from any thread.
    """

    def __init__(
        self,
        run_id: str,
        token: str,
        rev: int,
        env: Env,
        connection: AsyncCaller,
        loop: asyncio.AbstractEventLoop,
        loop_thread: int,
    ) -> None:
        self.run_id = run_id
        self.bounds = bounds_of(env)
        self.rev = rev
        self._token = token
        self._env = env
        self._connection = connection
        self._loop = loop
        self._loop_thread = loop_thread
        self._room = threading.Condition()
        self._items: deque[Item] = deque()
        #: items added, items written, and bytes added and not written
        self._added = self._written = self._bytes = 0
        self._batches = 0
        self._sending: asyncio.Task[None] | None = None
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        #: why nothing more is written
        self._problem: BaseException | None = None

    def add(self, item: Item, *, is_forced: bool = False) -> Emission:
        """
        Take one more item, one that *is_forced* however many wait.

        Raises what ended the stream; OutputOverflow when far too many wait. A thread waits for
        room.
        """
        is_on_loop = threading.get_ident() == self._loop_thread
        weight = len(item[0]) + _OVERHEAD
        with self._room:
            while self._is_full() and not (is_on_loop or is_forced) and self._problem is None:
                self._room.wait(_LOOK_S)
            if self._problem is not None:
                raise self._problem
            unwritten = self._added - self._written
            is_allowed = is_forced or not unwritten
            if not is_allowed and self._is_too_much(unwritten + 1, self._bytes + weight):
                raise OutputOverflow(self.run_id, unwritten)
            self._items.append(item)
            self._added += 1
            self._bytes += weight
            number, is_first = self._added, len(self._items) == 1
        if is_first:
            if is_on_loop:
                self._begin()
            else:
                self._loop.call_soon_threadsafe(self._begin)
        return Emission(self, number)

    def _is_too_much(self, items: int, size: int) -> bool:
        """Whether the stream could not keep so much: the first of it would be gone at once."""
        return items > self.bounds.items or size > self.bounds.bytes

    def _is_full(self) -> bool:
        return self._added - self._written >= FULL_ITEMS or self._bytes >= FULL_BYTES

    def _begin(self) -> None:
        if self._items and (self._sending is None or self._sending.done()):
            self._sending = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        """Send batches until nothing is left, or until the claim is lost."""
        try:
            while batch := self._take():
                self._batches += 1
                await self._send(batch, self._batches)
        except (Exception, ClaimLost) as error:  # noqa: BLE001  handed to whoever emits next
            log.warning("run=%s: no more of its output is written: %s", self.run_id, error)
            self._end(error)
        except asyncio.CancelledError:
            self._end(ClaimLost(f"run {self.run_id!r}: its worker has left; its output is dropped"))
            raise

    async def _send(self, batch: list[Item], number: int) -> None:
        call = emit(
            self._env.keys, self.run_id, self._token, rev=self.rev, batch=number, items=batch,
            bounds=self.bounds,
        )  # fmt: skip
        what = f"run={self.run_id} cannot write its output"
        if not await insist(lambda: self._connection.call(call), what):
            raise ClaimLost(f"run {self.run_id!r} is held by another worker; its output is dropped")
        with self._room:
            self._written += len(batch)
            self._bytes -= sum(len(item[0]) + _OVERHEAD for item in batch)
            self._room.notify_all()
        while self._waiting and self._waiting[0][0] <= self._written:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def _take(self) -> list[Item]:
        batch: list[Item] = []
        size = 0
        with self._room:
            while self._items and len(batch) < BATCH_ITEMS and size < BATCH_BYTES:
                batch.append(self._items.popleft())
                size += len(batch[-1][0]) + _OVERHEAD
        return batch

    def _end(self, error: BaseException) -> None:
        """Take nothing more; whoever waits hears why."""
        with self._room:
            self._problem = error
            self._items.clear()
            self._room.notify_all()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    async def written(self, number: int) -> None:
        """Wait until item *number* is written; raises what ended the stream before."""
        if number <= self._written:
            return
        if self._problem is not None:
            raise self._problem
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((number, future))
        await future

    async def drain(self) -> None:
        """Wait until all that was emitted is written, or will never be."""
        while self._sending is not None and not self._sending.done():
            await asyncio.wait([self._sending])

    async def flush(self) -> None:
        """Begin with what threads have just added, and wait as `drain` does."""
        self._begin()
        await self.drain()

    def raise_problem(self) -> None:
        """Raise what ended the stream, if anything did."""
        if self._problem is not None:
            raise self._problem


class Emission:
    """An item on its way; awaiting it waits until it is written."""

    __slots__ = ("_number", "_writer")

    def __init__(self, writer: OutputWriter, number: int) -> None:
        self._writer = writer
        self._number = number

    def __await__(self) -> Generator[Any, None, None]:
        return self._writer.written(self._number).__await__()


class Claimant(Protocol):
    """The run whose steps emit, as its worker holds it."""

    @property
    def run(self) -> Run:
        """The claimed run."""

    @property
    def output_limit(self) -> int:
        """The most bytes that a packed item may have."""

    def output_writer(self) -> OutputWriter:
        """Give the writer of the claim, made at first use."""

    @property
    def permits(self) -> Permits:
        """What gives permits of circuit breakers."""


class Scope:
    """
    Where the emits of one attempt lead.

    *name* is its name in the stream, *step* that of its step in log lines. Every attempt has one,
    and most emit nothing: so it asks its *claimant* for what it needs only then.
    """

    __slots__ = ("_claimant", "_step", "attempt", "has_emitted", "is_over", "name")

    def __init__(self, claimant: Claimant, name: str, attempt: int, step: str) -> None:
        self._claimant = claimant
        self.name = name
        self.attempt = attempt
        self._step = step
        self.has_emitted = False
        #: whether the attempt has ended
        self.is_over = False

    @property
    def permits(self) -> Permits:
        """What gives permits to a `Breaker` that is entered in the step."""
        return self._claimant.permits

    @property
    def facts(self) -> StepFacts:
        """What log lines say of the step."""
        run = self._claimant.run
        return StepFacts(run.id, run.runner, self._step, self.attempt)

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        """Take one item."""
        if self.is_over:
            raise StepOver(f"run {self._claimant.run.id!r} step {self.name}: what it emits")
        packed = pack_output(data, topic, self._claimant.output_limit)
        self.has_emitted = True
        item = (
            packed,
            "" if topic == TOPIC else topic,
            self.name,
            "" if self.attempt == 1 else self.attempt,
        )
        return self._claimant.output_writer().add(item)

    def reset(self, attempt: int | None) -> None:
        """
        Declare void what the scope has said so far; *attempt* begins, None given up.

        Never raises: where nothing can be written any more, what comes next meets that.
        """
        item: Item = (b"", "", self.name, "" if attempt is None else attempt)
        with suppress(Exception, ClaimLost):
            self._claimant.output_writer().add(item, is_forced=True)

    def close(self) -> None:
        """Take nothing more: the attempt has ended."""
        self.is_over = True

    async def end(self) -> None:
        """Take nothing more, and wait until all is written; raises why that cannot be."""
        self.is_over = True
        if self.has_emitted:
            writer = self._claimant.output_writer()
            await writer.flush()
            writer.raise_problem()


def bounds_of(env: Env, most_bytes: int | None = None) -> Bounds:
    """Give the bounds of each run's output stream; *most_bytes* where it is to hold less."""
    limits = env.settings.limits
    least = limits.output_bytes if most_bytes is None else min(most_bytes, limits.output_bytes)
    return Bounds(limits.output_items, least)
