"""
A batch: a step for each item, at most so many at once, as one command.

Its journal holds `batch` entries, each with the answers that came while the one before was written.
A failed attempt has an entry of its own, and so has the error that ends a batch which raises.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from stepflow.core.fanout.join import Failed
from stepflow.core.fanout.progress import Progress
from stepflow.core.journal import (
    Entry,
    EntryKind,
    counts_as_attempt,
    read_batch,
    read_try,
    was_refused,
    write_batch,
)
from stepflow.core.under_way import UnderWay
from stepflow.engine.user_code.calls import EscapedError
from stepflow.errors import StepFailed
from stepflow.kits.flow.commands.batch_item import (
    ItemCommand,
    ItemFunction,
    ItemHost,
    index_in,
    with_index,
)
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.store.values.codec import pack, pack_list, unpack

#: answers, and about how many bytes of them, in one entry
MOST_ANSWERS, MOST_BYTES = 500, 1 << 18


class BatchCommand(Command):
    """
    The answers of all *items*; at most *limit* are under way.

    With *raises* the first item that fails for good ends it. Which items are under way follows from
    those that have answers, and not from *limit*: a run may go on with another.
    """

    __slots__ = (
        "_answers", "_asked", "_cause", "_context", "_drains", "_first", "_host", "_idle", "_limit",
        "_next", "_notes", "_raises", "_ready", "_timer", "_tries", "_under_way", "_work",
        "items", "progress",
    )  # fmt: skip
    what = "batch"
    entry_kinds = (EntryKind.BATCH, EntryKind.TRY, EntryKind.ERROR)

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        items: Sequence[Any],
        work: ItemFunction,
        *,
        limit: int,
        raises: bool,
    ) -> None:
        super().__init__(place, f"{work.name} of {len(items)}", future, work.read)
        self.items = items
        self._work = work
        #: the context variables of the code that asked for it
        self._context = contextvars.copy_context()
        self._limit = limit
        self._raises = raises
        self.progress = Progress(len(items))
        #: value, or the parts of an error, by the index of the item
        self._answers: dict[int, tuple[bool, Any]] = {}
        #: how often an item has failed, and when it is due again
        self._tries: dict[int, tuple[int, float]] = {}
        self._under_way: dict[int, ItemCommand] = {}
        #: those of them that begin their next attempt as soon as that is due
        self._idle: dict[int, ItemCommand] = {}
        #: the first item that may not have begun
        self._next = 0
        #: items that an earlier activation may have begun; None before any began here
        self._first: frozenset[int] | None = None
        #: answers to be written, and whether they are values; entries to be written that are none
        self._ready: deque[tuple[bytes, bool]] = deque()
        self._notes: deque[tuple[EntryKind, bytes]] = deque()
        #: what the item raised that ends the batch
        self._cause: BaseException | None = None
        self._timer: asyncio.Task[None] | None = None
        self._asked: asyncio.Task[bool] | None = None
        self._drains = False
        self._host: CommandHost | None = None

    @property
    def function_name(self) -> str:
        """What its items are called, without their index."""
        return self._work.name

    def describe(self) -> str:
        return f"batch {self._work.name}: {self.progress}"

    @property
    def awaited_id(self) -> str:
        """What the first of its items waits for before it may be tried."""
        return next((item.awaited_id for item in self._idle.values() if item.awaited_id), "")

    # what is remembered

    def is_resolved_by(self, entry: Entry) -> bool:
        if entry.kind is EntryKind.BATCH:
            self.progress, packed = read_batch(entry.data)
            for index, is_value, answer in unpack(packed):
                self._answers[index] = is_value, answer
                self._tries.pop(index, None)
                self._under_way.pop(index, None)
            return self.progress.is_done
        if entry.kind is EntryKind.TRY:
            due_at, self.last_error = read_try(entry.data)
            index = index_in(self.last_error)
            failures, _ = self._tries.get(index, (0, 0.0))
            counts = counts_as_attempt(self.last_error)
            self._tries[index] = failures + counts, due_at
            is_first = was_refused(self.last_error)
            if index in self._under_way:
                self._idle[index] = self._under_way[index]
                self._under_way[index].failed_again(due_at, counts=counts, is_first=is_first)
            return False
        return True

    def resolve(self, entry: Entry) -> None:
        self.give_up()
        if entry.kind is EntryKind.ERROR:
            self.future.set_exception(self._failure(unpack(entry.data), self._cause))
            return
        try:
            found = [self._slot(index) for index in range(len(self.items))]
        except BaseException as error:  # noqa: BLE001  what reads a value may be a validator, user code
            problem = error if isinstance(error, Exception) else EscapedError(error)
            self.future.set_exception(problem)
        else:
            self.future.set_result(found)

    def _slot(self, index: int) -> Any:
        is_value, answer = self._answers[index]
        if is_value:
            return answer if self.read is None else self.read(answer)
        return Failed(index, self._failure(answer, None))

    def _failure(self, parts: Sequence[str], cause: BaseException | None) -> StepFailed:
        kind, message, trace, *data = parts
        failed = StepFailed(self._work.name, kind, message, *data)
        if cause is not None:
            failed.__cause__ = cause
        elif trace:
            failed.add_note(f"The step's own error:\n{trace.rstrip()}")
        return failed

    # what is new

    def advance(self, host: CommandHost, now: float) -> None:
        self._host = host
        self._write_next(host)
        self._begin_more(host)
        items = ItemHost(host, self)
        for item in list(self._idle.values()):
            item.advance(items, now)
            if item.is_busy:
                del self._idle[item.index]
        self._note_state(host, now)

    def _begin_more(self, host: CommandHost) -> None:
        """Have as many items under way as may be; fewer while the run is to leave its worker."""
        if self._drains and self._under_way:
            return
        self._drains = False
        if host.is_slice_over and self._asked is None and self._under_way:
            self._asked = host.spawn(host.is_to_leave(), self._was_asked)
        while len(self._under_way) < self._limit and self._next < len(self.items):
            index = self._next
            self._next += 1
            if index not in self._answers:
                self._under_way[index] = self._idle[index] = self._item(index)
        if self._first is None:
            self._first = frozenset(self._under_way)

    def _was_asked(self, done: asyncio.Task[bool]) -> None:
        self._asked = None
        self._drains = not done.cancelled() and done.result()

    def _item(self, index: int) -> ItemCommand:
        failures, due_at = self._tries.get(index, (0, None))
        return ItemCommand(
            self.place, index, self.items[index], self._work, self.future.get_loop(),
            failures=failures, due_at=due_at, context=self._context,
        )  # fmt: skip

    def may_have_begun(self, index: int) -> bool:
        """Whether an earlier activation may have begun with an item, should there have been one."""
        host = self._host
        begun = self._first is None or index in self._first
        return begun and host is not None and host.was_begun_before(self)

    def postponed(self, item: ItemCommand) -> None:
        """Learn that an item has to wait before it may be tried."""
        self._idle[item.index] = item
        if self._host is not None:
            self.advance(self._host, self._host.runtime.now())

    @property
    def wakes_on_inbox(self) -> bool:  # type: ignore[override]  # of most batches it never does
        """Whether an item waits for what wakes it through the inbox."""
        return any(item.wakes_on_inbox for item in self._idle.values())

    @property
    def has_waiting_parts(self) -> bool:  # type: ignore[override]  # likewise
        """Whether an item waits for what wakes it, whatever the others do."""
        return self.wakes_on_inbox

    @property
    def is_drained(self) -> bool:
        """Whether the run may leave its worker here: items are left, and none is under way."""
        return self._drains and not self._under_way and not self.is_busy

    def answered(self, item: ItemCommand, kind: EntryKind, data: bytes) -> None:
        """Take what one of the items has come to, and have it written."""
        ends_all = kind is EntryKind.ERROR and self._raises
        if kind is EntryKind.TRY or ends_all:
            self._cause = item.cause if ends_all else None
            self._notes.append((kind, with_index(kind, data, item.index)))
        else:
            is_value = kind is EntryKind.VALUE
            answer = pack_list(
                [pack(item.index, in_clear=True), pack(is_value, in_clear=True), data]
            )
            self._ready.append((answer, is_value))
        if self._host is not None:
            self.advance(self._host, self._host.runtime.now())

    def _write_next(self, host: CommandHost) -> None:
        """Write what has come in since the last entry was sent, once that is durable."""
        if self.is_writing:
            return
        if self._ready:
            host.write(self, EntryKind.BATCH, self._take_ready())
        elif self._notes:
            host.write(self, *self._notes.popleft())

    def _take_ready(self) -> bytes:
        """Make one entry of as many answers as one may hold."""
        taken: list[bytes] = []
        size = won = 0
        while self._ready and len(taken) < MOST_ANSWERS and size < MOST_BYTES:
            answer, is_value = self._ready.popleft()
            taken.append(answer)
            size += len(answer)
            won += is_value
        before = self.progress
        failed = before.failed + len(taken) - won
        now = Progress(before.total, before.succeeded + won, failed)
        return write_batch(now, pack_list(taken))

    def _note_state(self, host: CommandHost, now: float) -> None:
        """Say whether anything is under way, and when an item is due that is not."""
        dues = (item.due_at for item in self._idle.values() if item.due_at is not None)
        self.due_at = min(dues, default=None)
        self.is_busy = self.is_writing or len(self._idle) < len(self._under_way)
        if self.is_busy and self.due_at is not None and self._timer is None:
            wait_s = max(0.0, self.due_at - now)
            self._timer = host.spawn(_pass(host.runtime, wait_s), partial(self._rang, host))

    def _rang(self, host: CommandHost, done: asyncio.Task[None]) -> None:
        self._timer = None
        if not done.cancelled() and self.is_wanted:
            self.advance(host, host.runtime.now())

    def under_way(self) -> Iterable[UnderWay]:
        for item in list(self._under_way.values()):
            yield from item.under_way()

    def task_at(self, place: str) -> asyncio.Task[Any] | None:
        index = place.rpartition(".")[2]
        item = self._under_way.get(int(index)) if index.isdecimal() else None
        return None if item is None else item.task

    def void_output(self, host: CommandHost, *, was_begun: bool = False) -> None:
        if was_begun and not self._under_way:
            self._begin_more(host)
        for item in self._under_way.values():
            item.void_output(ItemHost(host, self), was_begun=was_begun)

    def give_up(self) -> None:
        for item in self._under_way.values():
            item.give_up()
        self.abandon()

    def abandon(self) -> None:
        for item in self._under_way.values():
            item.abandon()
        for task in (self._timer, self._asked):
            if task is not None:
                task.cancel()


async def _pass(runtime: FlowRuntime, seconds: float) -> None:
    """Let so many seconds go by."""
    try:
        async with runtime.timeout(seconds):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        return
