"""Children: runs that a workflow begins, and how it learns of their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Generic, TypeVar

from stepflow.core.backoff import RetryPolicy
from stepflow.core.children import ChildEnd
from stepflow.core.ids import child_run_id
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.run import RunState
from stepflow.engine.spec import RunSpec
from stepflow.errors import (
    ChildFailed,
    SpawnRefused,
    StepflowError,
    UnknownChild,
    UnreadableRecord,
)
from stepflow.kits.flow.commands.command import Command, WorkflowHost
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.store.values.codec import pack, unpack

T = TypeVar("T")

#: how often the making of children is tried while Redis refuses
SPAWN_RETRY = RetryPolicy(max_attempts=10, give_up_on=(SpawnRefused,))
#: how often it is tried to look at a child
LOOK_RETRY = RetryPolicy(max_attempts=10)
#: tries after which a runner that no worker has said it knows is a mistake: a worker says so a
#: second after its start
MOST_MISSES = 4

_NOT_FORWARDED = (
    "it belongs to the run that this one was forked from, and had not ended then; "
    "fork before it was begun"
)
#: stands for the end of a child that tells another run of it
END_NOT_FORWARDED = ChildEnd("failed", pack(["NotTold", _NOT_FORWARDED]))


def id_at(host: CommandHost, place: str) -> str:
    """Make the id of what the run begins at *place*: the same on every replay."""
    return child_run_id(host.run.id, host.run.generation, host.restarts, place)


class SpawnCommand(StepCommand):
    """The making of children: a step, patient with workers that have just started."""

    __slots__ = ()

    def _write_failure(self, host: CommandHost, error: BaseException) -> None:
        if isinstance(error, UnknownChild):
            self._policy = replace(self._policy, max_attempts=MOST_MISSES)
        super()._write_failure(host, error)


def failure_of(run_id: str, end: ChildEnd) -> ChildFailed:
    """Make the error of a child that did not succeed."""
    kind, message = unpack(end.packed)
    return ChildFailed(run_id, end.status, kind, message)


def _is_readable(end: ChildEnd) -> bool:
    """Whether this is how a child says that it ended."""
    try:
        value = unpack(end.packed)
    except StepflowError:
        return False
    is_error = isinstance(value, list) and len(value) == 2  # noqa: PLR2004  type and message
    return end.is_success or (end.status in {"failed", "cancelled"} and is_error)


class AwaitEndCommand(Command):
    """
    What the end of a child or a map brings; looked for whenever something came into the inbox.

    *awaited* names which. One that is not *ours* was begun by the run that this one was forked
    from, and tells that one alone: either it had ended before the fork, or this never learns.
    """

    __slots__ = ("_is_abandoned", "_is_ours", "_seen", "awaited")
    wakes_on_inbox = True

    def __init__(
        self, place: str, name: str, future: asyncio.Future[Any], awaited: str, *, is_ours: bool
    ) -> None:
        super().__init__(place, name, future)
        self.awaited = awaited
        self._is_ours = is_ours
        #: the inbox version at which it was looked for last
        self._seen = 0
        self._is_abandoned = False

    @property
    def awaited_id(self) -> str:
        return self.awaited

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        if self._seen != host.inbox_version:
            self._seen = host.inbox_version
            self.is_busy = True
            host.read_end(self.awaited, partial(self._looked, host))

    def abandon(self) -> None:
        self._is_abandoned = True

    def _looked(self, host: CommandHost, end: bytes | None) -> None:
        self.is_busy = False
        host.wake()
        if not self.is_wanted or self._is_abandoned:
            return
        if end is not None:
            self.found(host, end)
        elif not self._is_ours:
            host.write(self, self.entry_kinds[0], END_NOT_FORWARDED.write())

    def found(self, host: CommandHost, end: bytes) -> None:
        """Remember the end, as it was told."""
        raise NotImplementedError


class ChildCommand(AwaitEndCommand):
    """The end of one child."""

    __slots__ = ()
    what = "child"
    entry_kinds = (EntryKind.CHILD,)

    def found(self, host: CommandHost, end: bytes) -> None:
        try:
            told = ChildEnd.read_numbered(end)
        except ValueError:
            told = None
        if told is None or not _is_readable(told):
            raise UnreadableRecord.of_run(
                host.run.id, f"its child {self.awaited!r} told it {end[:60]!r}"
            )
        host.write(self, EntryKind.CHILD, told.write())

    def value_in(self, entry: Entry) -> bytes | None:
        end = ChildEnd.read(entry.data)
        return end.packed if end.is_success else None

    def resolve(self, entry: Entry) -> None:
        end = ChildEnd.read(entry.data)
        if end.is_success:
            self.resolve_with(end.packed)
        else:
            self.future.set_exception(failure_of(self.awaited, end))


class StopChildrenCommand(Command):
    """The fact that the children which end with the run were asked to end, and have ended."""

    __slots__ = ("_seen", "_task", "_was_asked")
    what = "children"
    entry_kinds = (EntryKind.VALUE,)
    wakes_on_inbox = True

    def __init__(self, future: asyncio.Future[Any]) -> None:
        super().__init__("children", "to end", future)
        self._seen = 0
        self._was_asked = False
        self._task: asyncio.Task[int] | None = None

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        if self._seen != host.inbox_version:
            self._seen = host.inbox_version
            self.is_busy = True
            self._task = host.spawn(self._count_living(host), partial(self._counted, host))

    async def _count_living(self, host: CommandHost) -> int:
        if not self._was_asked:
            await host.runtime.stop_children()
            self._was_asked = True
        inbox, living = await host.runtime.count_children()
        host.note_inbox(inbox)
        return living

    def _counted(self, host: CommandHost, done: asyncio.Task[int]) -> None:
        self.is_busy = False
        host.wake()
        if not done.cancelled() and done.result() == 0:
            host.write(self, EntryKind.VALUE, pack(None))

    def abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()


class Child(Generic[T]):
    """A child run: `id`, and `await child.result()`."""

    def __init__(
        self,
        host: WorkflowHost,
        run_id: str,
        *,
        is_ours: bool,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self.id = run_id
        self._read = read
        self._is_ours = is_ours
        self._host = host
        self._result: asyncio.Future[T] | None = None

    def __repr__(self) -> str:
        return f"Child({self.id!r})"

    def result(self) -> asyncio.Future[T]:
        """
        Wait until the child has ended and return its result; you may call it again.

        The run occupies no worker meanwhile. Raises ChildFailed when the child failed or was
        cancelled.
        """
        host = self._host
        host.check_caller()
        if self._result is None:
            self._result = host.start(end_of(self, host.next_place(), self.id))
        given = asyncio.shield(self._result)  # who stops waiting takes it from nobody else
        host.give_out(given)
        return given

    def status(self) -> asyncio.Future[RunState | None]:
        """
        Return the state of the child as it is now, without waiting for its end.

        It is recorded, so a replay sees the same. None when the record of the child is gone.
        """
        host, run_id = self._host, self.id
        command = StepCommand(
            host.next_place(), "child status", host.create_future(),
            lambda: host.runtime.child_state(run_id), policy=LOOK_RETRY, read=_as_state,
        )  # fmt: skip
        return host.start(command)


def _as_state(state: str | None) -> RunState | None:
    return None if state is None else RunState(state)


def end_of(child: Child[Any], place: str, name: str) -> ChildCommand:
    """Make the command for the end of *child* at a place, called *name* there."""
    host, is_ours, read = child._host, child._is_ours, child._read  # noqa: SLF001  one house
    command = ChildCommand(place, name, host.create_future(), child.id, is_ours=is_ours)
    command.read = read
    return command


def spawn(
    host: WorkflowHost,
    place: str,
    spec: RunSpec,
    *,
    abandon: bool,
    read: Callable[[Any], Any] | None = None,
) -> asyncio.Future[Child[Any]]:
    """
    Begin the child of *spec*, whose id is set here, at *place*; returns its handle.

    *read* turns its result into the type that is expected.
    """

    async def begin() -> str:
        await host.runtime.spawn_children([spec], abandon=abandon)
        return str(spec.run_id)

    command = SpawnCommand(
        place, f"spawn {spec.runner}", host.create_future(), begin, policy=SPAWN_RETRY,
        read=lambda run_id: Child(host, run_id, is_ours=run_id == spec.run_id, read=read),
    )  # fmt: skip
    return host.start(command)
