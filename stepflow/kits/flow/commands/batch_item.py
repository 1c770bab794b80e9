"""One item of a batch: tried as a step is, remembered by its batch."""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from stepflow.core.backoff import RetryPolicy
from stepflow.core.journal import EntryKind, read_try, write_try
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run
from stepflow.errors import InvalidOption, Postponed
from stepflow.kits.flow.commands.host import CommandHost, Send, Writable
from stepflow.kits.flow.commands.step import Around, StepCommand
from stepflow.kits.flow.runtime import FlowRuntime, Settling
from stepflow.store.values.codec import pack, unpack

T = TypeVar("T")

#: bytes: a shorter value is nested less deep than can be read, however deep it stands itself
_SURELY_FLAT = 400
#: how the error of an item begins, behind the error's type: with the index of the item
_INDEX = re.compile(r"[^:]*: \[(\d+)\]")


@dataclass(frozen=True, slots=True)
class ItemFunction:
    """What is done with each item: *function*, tried by *policy*, *timeout_s* for one attempt."""

    name: str
    function: Callable[..., Any]
    policy: RetryPolicy
    timeout_s: float | None
    read: Callable[[Any], Any]
    around: Around | None = None


class ItemCommand(StepCommand):
    """The value of an item; *failures* of its attempts are remembered."""

    __slots__ = ("index",)

    def __init__(
        self,
        place: str,
        index: int,
        item: Any,
        work: ItemFunction,
        loop: asyncio.AbstractEventLoop,
        *,
        failures: int,
        due_at: float | None,
        context: contextvars.Context,
    ) -> None:
        super().__init__(
            f"{place}.{index}", f"{work.name}[{index}]", asyncio.Future(loop=loop), work.function,
            (item,), policy=work.policy, timeout_s=work.timeout_s, read=work.read,
            around=work.around,
            context=context,
        )  # fmt: skip
        self.index = index
        self.due_at = due_at
        self._failures = failures

    def failed_again(self, due_at: float, *, counts: bool, is_first: bool) -> None:
        """Learn that it is remembered how its attempt failed; the next is due then."""
        self._failures += counts
        self.was_refused = self.was_refused or is_first
        self.due_at, self.is_busy = due_at, False

    def _postpone(self, host: CommandHost, wait: Postponed) -> None:
        super()._postpone(host, wait)
        if isinstance(host, ItemHost):
            host.postponed(self)

    @property
    def cause(self) -> BaseException | None:
        """What its last attempt raised."""
        return self._error

    def _pack(self, value: Any, limit: int) -> bytes:
        data = super()._pack(value, limit)
        if len(data) > _SURELY_FLAT:
            pack([[[value]]], what=f"the value of step {self.name!r}", in_clear=True)
        return data


class ItemOwner(Protocol):
    """The batch, as the host of its items sees it."""

    def answered(self, item: ItemCommand, kind: EntryKind, data: bytes) -> None:
        """Take what one of the items has come to; it stays busy until that is remembered."""

    def postponed(self, item: ItemCommand) -> None:
        """Learn that an item has to wait before it may be tried."""

    def may_have_begun(self, index: int) -> bool:
        """Whether an earlier activation may have begun with an item."""


class ItemHost:
    """The host of a batch, as its items see it: what they would write goes to the batch."""

    def __init__(self, host: CommandHost, owner: ItemOwner) -> None:
        self._host = host
        self._owner = owner
        self.run: Run = host.run
        self.runtime: FlowRuntime = host.runtime
        self.restarts = host.restarts
        self.is_live = host.is_live

    @property
    def inbox_version(self) -> int:
        """Grows whenever something may have come into the run's inbox."""
        return self._host.inbox_version

    def postponed(self, item: ItemCommand) -> None:
        """Have the batch begin an item again later."""
        self._owner.postponed(item)

    @property
    def is_slice_over(self) -> bool:
        """Whether the run's time slice has passed."""
        return self._host.is_slice_over

    async def is_to_leave(self) -> bool:
        """Whether the run is to leave its worker."""
        return await self._host.is_to_leave()

    @property
    def outer_loop(self) -> asyncio.AbstractEventLoop:
        """The worker's loop."""
        return self._host.outer_loop

    def spawn(
        self,
        work: Coroutine[Any, Any, T],
        then: Callable[[asyncio.Task[T]], None] | None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """
        Do *work* on the worker's loop, then call *then*; without *then* from the next turn on.

        An item that came to its end right here would have its batch begin the next one, and so on.
        """
        if then is None:
            return self.outer_loop.create_task(work, context=context)
        return self._host.spawn(work, then, context)

    def leave_memo(self, command: Writable, data: bytes) -> None:
        """Refuse it: the answers of items are remembered together."""
        del data
        msg = f"an item of a batch has no memo, such as {command.name}; make it a ctx.step"
        raise InvalidOption(msg)

    def was_begun_before(self, command: Writable) -> bool:
        """Whether an earlier activation may have begun with the item."""
        return isinstance(command, ItemCommand) and self._owner.may_have_begun(command.index)

    def write(
        self,
        command: Writable,
        kind: EntryKind,
        data: bytes = b"",
        settling: Settling | None = None,
    ) -> None:
        """Give what an item has come to to its batch."""
        del settling  # an item spends of no budget
        if isinstance(command, ItemCommand):
            command.is_busy = command.is_writing = True
            if command.began_at is not None:
                self.runtime.attempt_counter()(kind, self.runtime.now() - command.began_at)
            self._owner.answered(command, kind, data)

    def write_computed(self, command: Writable, kind: EntryKind, send: Send) -> None:
        """Refuse what no item asks for."""
        del kind, send
        raise _no_such_item(command.name, "computes what it writes on the server")

    def take_from_inbox(self, command: Writable, kind: EntryKind, send: Send) -> bool:
        """Refuse what no item asks for."""
        del kind, send
        raise _no_such_item(command.name, "takes something from the run's inbox")

    def read_end(self, name: str, then: Callable[[bytes | None], None]) -> None:
        """Refuse what no item asks for."""
        del then
        raise _no_such_item(name, "waits for the end of a child")

    def withdraw(self, digest: str) -> None:
        """Refuse what no item asks for."""
        raise _no_such_item(digest, "withdraws a question")

    def note_inbox(self, inbox: int) -> None:
        """Learn how much was put into the run's inbox."""
        self._host.note_inbox(inbox)

    def wake(self) -> None:
        """Have every open command advanced once more."""
        self._host.wake()

    def lose_claim(self) -> None:
        """End the activation: the run is another worker's now."""
        self._host.lose_claim()

    def fail(self, error: Exception) -> None:
        """End the activation with *error*."""
        self._host.fail(error)


def _no_such_item(name: str, does: str) -> InvalidOption:
    return InvalidOption(f"{name} {does}, which no item of a batch does; make it a call of ctx")


def with_index(kind: EntryKind, data: bytes, index: int) -> bytes:
    """Put the index of an item into its error, or into what is remembered of its failed attempt."""
    if kind is EntryKind.TRY:
        due_at, brief = read_try(data)
        error = ErrorInfo.of_brief(brief) or ErrorInfo("", "")
        return write_try(due_at, ErrorInfo(error.type, f"[{index}] {error.message}").brief())
    error_type, message, *rest = unpack(data)
    return pack([error_type, f"[{index}] {message}", *rest])


def index_in(brief: str) -> int:
    """Read the index of the item whose attempt failed; raises ValueError where there is none."""
    found = _INDEX.match(brief)
    if found is None:
        msg = f"no item is named in {brief[:60]!r}"
        raise ValueError(msg)
    return int(found[1])
