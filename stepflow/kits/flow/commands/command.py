"""
A command: something a workflow asked for at a place, and awaits.

The other modules of this folder have one kind each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, ClassVar, Protocol, TypeVar

from stepflow.core.journal import Entry, EntryKind, read_try
from stepflow.core.under_way import UnderWay
from stepflow.engine.user_code.calls import EscapedError
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.step_options import Compensation
from stepflow.store.values.codec import unpack

T = TypeVar("T")


class Command:
    """
    What was asked for, and how far it is.

    *place* is where in the workflow, *name* what it is called there; *future* belongs to the
    workflow's loop. *read* turns a remembered value into the type that is expected. *due_at* (unix
    seconds) is when the command has to be advanced again.
    """

    __slots__ = (
        "began_at",
        "compensation",
        "due_at",
        "future",
        "is_busy",
        "is_writing",
        "last_error",
        "name",
        "place",
        "read",
    )

    #: what it is called in words
    what: ClassVar[str]
    #: the kinds of entries that may stand at its place
    entry_kinds: ClassVar[tuple[EntryKind, ...]]
    #: whether something put into the run's inbox may answer it
    wakes_on_inbox: ClassVar[bool] = False
    #: whether a part of it may wait for what wakes it through the inbox while others are under way
    has_waiting_parts: ClassVar[bool] = False
    #: whether the workflow has to await it: its answer says that it is done
    has_to_be_awaited: ClassVar[bool] = True

    def __init__(
        self,
        place: str,
        name: str,
        future: asyncio.Future[Any],
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self.place = place
        self.name = name
        self.future = future
        self.read = read
        self.due_at: float | None = None
        #: `Type: message` of the attempt that failed last
        self.last_error = ""
        #: what undoes it once it has its value
        self.compensation: Compensation | None = None
        #: when (unix seconds) the attempt began that is under way; None for what has no attempts
        self.began_at: float | None = None
        #: a try is running, or an entry is being written for it
        self.is_busy = False
        #: an entry is being written for it
        self.is_writing = False

    @property
    def attempt(self) -> int:
        """The number of its present attempt, from 1."""
        return 1

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task on the worker's loop that carries out its present attempt."""
        return None

    def under_way(self) -> Iterable[UnderWay]:
        """List its attempts in progress; another thread may ask."""
        if self.is_busy and self.began_at is not None:
            yield UnderWay(self.place, self.name, self.attempt, self.began_at)

    def task_at(self, place: str) -> asyncio.Task[Any] | None:
        """Return the task that carries out the attempt at *place*, its own or that of a part."""
        return self.task if place == self.place else None

    @property
    def is_drained(self) -> bool:
        """Whether it has made room for the run to leave its worker, with work left to begin."""
        return False

    @property
    def is_wanted(self) -> bool:
        """Whether the workflow still waits for it."""
        return not self.future.cancelled()

    def is_resolved_by(self, entry: Entry) -> bool:
        """Take in a remembered fact at this place; False when it is not the answer yet."""
        if entry.kind in (EntryKind.DUE, EntryKind.TRY):
            self.due_at, self.last_error = read_try(entry.data)
            return False
        return True

    def value_in(self, entry: Entry) -> bytes | None:
        """Return the packed value that an answer brings, with which a compensation is called."""
        return entry.data if entry.kind is EntryKind.VALUE else None

    def resolve(self, entry: Entry) -> None:
        """Answer with a remembered fact; with None where the kind has nothing to say."""
        del entry
        self.future.set_result(None)

    def resolve_with(self, packed: bytes) -> None:
        """Answer with a packed value, as the type that is expected."""
        # outside of the try: a value that nobody can unpack is not the workflow's to answer for
        value = unpack(packed)
        try:
            value = value if self.read is None else self.read(value)
        except (StopIteration, GeneratorExit) as error:  # awaited, they would end who awaits
            self.future.set_exception(EscapedError(error))
        except BaseException as error:  # noqa: BLE001  what reads it may be a validator, user code
            self.future.set_exception(error)
        else:
            self.future.set_result(value)

    def describe(self) -> str:
        """Say in a few words what a run waits for that waits for this."""
        return f"{self.what} {self.name}"

    @property
    def awaited_id(self) -> str:
        """The id of the run, map or question that it waits for; empty for what has none."""
        return ""

    def expects(self) -> dict[str, dict[str, Any]]:
        """Return the JSON schemas that a signal sent to it must fit, by the signal's name."""
        return {}

    def advance(self, host: CommandHost, now: float) -> None:
        """Do what can be done for it now; called again whenever something has changed."""
        raise NotImplementedError

    def void_output(self, host: CommandHost, *, was_begun: bool = False) -> None:
        """
        Declare void what its attempts have emitted: it will never be answered.

        *was_begun* when an earlier activation may have begun with it.
        """

    def withdraw(self, host: CommandHost) -> None:
        """Take back what people, or other systems, see of it: it will never be answered."""

    def abandon(self) -> None:
        """Leave off: the workflow does not want it any more, or the activation is over."""

    def give_up(self) -> None:
        """Leave off for good: the workflow does not want it any more."""
        self.abandon()


class WorkflowHost(CommandHost, Protocol):
    """The activation, as `ctx` and the handles it gives out see it."""

    #: how the children of settled maps ended, by the map's id: the journal only points to them
    recalled: dict[str, list[bytes | None]]

    def check_caller(self) -> None:
        """
        Refuse a call that does not come from the workflow's own code.

        Raises NotReplayable, or Evicted when the activation is over.
        """

    def next_place(self) -> str:
        """Take the next place of the branch whose code is running; raises as `check_caller`."""

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of the workflow's loop."""

    def create_branch(self, coro: Coroutine[Any, Any, T], place: str, name: str) -> asyncio.Task[T]:
        """Make a branch at *place*, which is not taken from the branch that makes it."""

    def start(self, command: Command) -> asyncio.Future[Any]:
        """Have *command* answered from the journal, or carried out; returns its future."""

    def give_out(self, given: Awaitable[Any]) -> None:
        """Take note of what `ctx` gives out, to be awaited, that no command answers."""
