"""A fetcher claims deliveries into free slots; idle it blocks on the queues' wake lists."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one
from stepflow.errors import ReplyLost, StepflowError
from stepflow.store.claims import (
    Batch,
    ClaimedDelivery,
    QueueSource,
    claim_steps,
    wait_for_work,
    waiting_source,
)
from stepflow.store.connection.async_ import AsyncCaller

log = logging.getLogger("stepflow.worker")

#: seconds an idle worker blocks at a time
BLOCK_S = 5.0
#: the same in a burst, which leaves when nothing is left to do
BURST_S = 0.2
#: seconds between looks while RQ is suspended
SUSPENDED_S = 1.0
#: turns of the loop in which a claimed run comes to its first write, a workflow's included
_TURNS = 2
#: seconds before an idle worker blocks again on a connection that broke
_BROKEN_S = 0.05


class Fetcher:
    """
    Keeps slots filled from *sources*.

    Idle it blocks on the wake lists, never on a queue: a wake-up may be lost, a job cannot.

    *runners* are those whose waiting lists wake it; *take_numbers* reserves token numbers; *start*
    begins with a claim; *adopt* is called after a claim whose reply was lost, to begin with what
    this worker has claimed without knowing. *on_due* is told when the next delivery comes due,
    *on_look* (given for a burst) after each look whether there was anything.
    """

    def __init__(
        self,
        env: Env,
        connection: AsyncCaller,
        wake_connection: AsyncCaller,
        *,
        worker: str,
        slots: Slots,
        sources: Sequence[QueueSource],
        runners: Sequence[str],
        take_numbers: Callable[[int], int],
        start: Callable[[ClaimedDelivery], None],
        adopt: Callable[[], Awaitable[None]],
        on_due: Callable[[float | None], None],
        on_look: Callable[[bool], None] | None = None,
    ) -> None:
        self._env = env
        self._connection = connection
        self._wake_connection = wake_connection
        self._worker = worker
        self._slots = slots
        self._sources = list(sources)
        self._take_numbers = take_numbers
        self._start = start
        self._adopt = adopt
        self._on_due = on_due
        self._on_look = on_look
        self._leaving = asyncio.Event()
        #: the order to leave, or something to claim that no wake list tells of
        self._changed = asyncio.Event()
        #: the blocking read of the wake lists that is under way
        self._blocking: asyncio.Future[str] | None = None
        self._live_workers = 1
        self.know(runners)
        #: set while nothing holds it back
        self._may_claim = asyncio.Event()
        self._may_claim.set()

    def know(self, runners: Sequence[str]) -> None:
        """Claim what is for *runners* from now on; waiting lists are offered anew."""
        self._runners = list(runners)
        #: the wake lists that mean "this runner has waiting lists"
        self._runner_wakes = {self._env.keys.wake(f"@{name}"): name for name in runners}
        self._wakes = list(
            dict.fromkeys([source.wake for source in self._sources] + list(self._runner_wakes))
        )
        self._extra_sources: list[QueueSource] = []

    def leave(self) -> None:
        """Take no more claims; `run` returns once the present one, if any, has its reply."""
        self._leaving.set()
        self._changed.set()

    def hold(self, *, holds: bool) -> None:
        """Take no more claims for as long as *holds*: the worker is not well."""
        if holds:
            self._may_claim.clear()
            self._changed.set()
        else:
            self._may_claim.set()

    def serve(self, sources: Sequence[QueueSource]) -> None:
        """Claim from *sources* from now on, of the same queues: other priorities are in use."""
        self._sources = list(sources)
        self._changed.set()

    def offer(self, sources: Sequence[QueueSource], *, live_workers: int) -> None:
        """
        Claim from the waiting lists *sources* too from now on, if any: something waits in them.

        *live_workers* share what there is.
        """
        self._live_workers = live_workers
        self._extra_sources = list(sources)
        if sources:
            self._changed.set()

    async def run(self) -> None:
        """Claim until told to leave."""
        while not self._leaving.is_set():
            if self._slots.free <= 0:
                await self._either(self._slots.wait_free())
            if not self._may_claim.is_set():
                await self._either(self._may_claim.wait())
            if self._leaving.is_set() or self._slots.free <= 0 or not self._may_claim.is_set():
                continue
            try:
                batch = await self.claim()
            except ReplyLost:
                await self._adopt()
                continue
            except StepflowError as error:
                log.error("cannot claim: %s; trying again in %g s", error, SUSPENDED_S)
                await self._pause(SUSPENDED_S)
                continue
            except Exception:
                log.exception("a look for work met a fault; trying again in %g s", SUSPENDED_S)
                await self._pause(SUSPENDED_S)
                continue
            if self._on_look is not None:
                self._on_look(bool(batch.taken or batch.waiting))
            if batch.waiting < 0:
                await self._pause(SUSPENDED_S)
            elif batch.waiting == 0 and self._slots.free > 0:
                for _ in range(_TURNS):  # what was claimed begins first
                    await asyncio.sleep(0)
                await self._sleep()  # whatever comes leaves a token, also while steps are begun

    async def claim(self) -> Batch:
        """Claim one batch of deliveries and start them."""
        env, worker = self._env, self._env.settings.worker
        limit = min(self._slots.free, worker.batch)
        call = claim_steps(
            env.keys,
            [*self._sources, *self._extra_sources],
            given=env.clock.given,
            stem=f"{self._worker}.",
            number=self._take_numbers(limit),
            lease_s=worker.lease_s,
            limit=limit,
            live_workers=self._live_workers,
            worker=self._worker,
            now=env.clock.now(),
            runners=self._runners,
        )
        batch = await self._connection.call(call)
        env.clock.learn(batch.now)
        for taken in batch.taken:
            with one_by_one(f"claim of {taken.rq_id}"):
                self._start(taken)
        self._on_due(batch.next_due)
        return batch

    async def _sleep(self) -> None:
        """
        Block until a wake list has a token, a few seconds at a time, or something has changed.

        A burst looks again sooner.
        """
        blocking: asyncio.Future[str] | None = None
        while blocking is None:
            if self._blocking is None:
                block_s = BLOCK_S if self._on_look is None else BURST_S
                self._blocking = self._wake_connection.send(wait_for_work(self._wakes, block_s))
                self._blocking.add_done_callback(lambda done: done.cancelled() or done.exception())
            changed = asyncio.ensure_future(self._changed.wait())
            either: set[asyncio.Future[Any]] = {self._blocking, changed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if not self._blocking.done():
                self._changed.clear()
                return  # it goes on blocking, and is waited for again
            blocking, self._blocking = self._blocking, None
            if (
                blocking.exception() is None
                and not blocking.result()
                and self._on_look is None
                and not self._leaving.is_set()
            ):
                # time passed, nothing else: maintenance puts a token where jobs have none
                blocking = None
        self._changed.clear()
        if blocking.exception() is not None:
            await asyncio.sleep(_BROKEN_S)
        elif blocking.result() in self._runner_wakes:
            # told before maintenance finds the waiting list: look there now
            runner = self._runner_wakes[blocking.result()]
            self._extra_sources = [
                waiting_source(self._env.keys, source.rq_queue, runner) for source in self._sources
            ]

    async def _pause(self, seconds: float) -> None:
        await self._either(asyncio.sleep(seconds))

    async def _either(self, what: Awaitable[object]) -> None:
        """Wait for *what* or for the order to leave."""
        waited = asyncio.ensure_future(what)
        if waited.done():
            return
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({waited, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            waited.cancel()


class Slots:
    """A count of free slots and a way to wait for one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many are free."""
        return self.size - self.used

    def take(self) -> None:
        """Use one. An adopted claim may take more than there are: it is this worker's already."""
        self.used += 1

    def give_back(self) -> None:
        """Free one."""
        self.used -= 1
        self._changed.set()

    async def wait_free(self) -> None:
        """Wait until one is free."""
        while self.free <= 0:
            self._changed.clear()
            if self.free <= 0:
                await self._changed.wait()

    async def wait_idle(self) -> None:
        """Wait until all are free."""
        while self.used > 0:
            self._changed.clear()
            await self._changed.wait()


class Burst:
    """
    Calls *leave* when each of *fetchers* fetchers has looked twice in a row and found nothing.

    Nothing may be in progress meanwhile. The first look may have been sent before the last thing in
    progress ended, and so have missed what that left behind: a run's next step, or its hook in the
    other fetcher's queue. The second was sent after it.
    """

    def __init__(
        self, fetchers: int, *, is_busy: Callable[[], bool], leave: Callable[[], None]
    ) -> None:
        self._in_vain: Counter[int] = Counter()
        self._count = fetchers
        self._is_busy = is_busy
        self._leave = leave

    def looked(self, fetcher: int, has_found: bool) -> None:  # noqa: FBT001
        """Take note of a look of the *fetcher*-th fetcher."""
        if has_found or self._is_busy():
            self._in_vain.clear()
            return
        self._in_vain[fetcher] += 1
        if all(self._in_vain[number] > 1 for number in range(self._count)):
            self._leave()
