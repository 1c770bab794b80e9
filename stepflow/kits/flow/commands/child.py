"""Children: runs that a workflow begins, and how it learns of their ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import child_run_id
from stepflow.core.journal import Entry, EntryKind
from stepflow.errors import ChildFailed, SpawnRefused, StepflowError, UnreadableRecord
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.store.values.codec import pack, unpack

if TYPE_CHECKING:
    from stepflow.engine.spec import RunSpec
    from stepflow.kits.flow.replay.activation import Activation

#: how often the making of children is tried while Redis refuses
SPAWN_RETRY = RetryPolicy(max_attempts=10, give_up_on=(SpawnRefused,))

SUCCEEDED = "succeeded"

END_NOT_FORWARDED = "it belongs to the run that this one was forked from, and had not ended then; fork before it was begun"


def id_at(activation: Activation, place: str) -> str:
    """Make the id of what the run begins at *place*: the same on every replay."""
    run = activation.run
    return child_run_id(run.id, run.generation, getattr(activation, "restarts", 0), place)


def failure_of(run_id: str, status: str, packed: bytes) -> ChildFailed:
    """Read how a child ended that did not succeed."""
    kind, message = unpack(packed)
    return ChildFailed(run_id, status, kind, message)


def _is_told(told: bytes) -> bool:
    """Whether this is how a child says that it ended."""
    status, _, packed = told.partition(b"|")
    try:
        value = unpack(packed)
    except StepflowError:
        return False
    is_error = isinstance(value, list) and len(value) == 2  # noqa: PLR2004
    return status == SUCCEEDED.encode() or (status in {b"failed", b"cancelled"} and is_error)


class AwaitEndCommand(Command):
    """
    What somebody's end brings; looked for whenever something has come into the run's inbox.

    *wanted* names who. One that is not *ours* was begun by the run that this one was forked from,
    and tells that one alone: either it had told before the fork, or it never does.
    """

    __slots__ = ("_is_dropped", "_is_ours", "_seen", "wanted")
    wakes_on_inbox = True

    def __init__(
        self, place: str, name: str, future: asyncio.Future[Any], wanted: str, *, is_ours: bool
    ) -> None:
        super().__init__(place, name, future)
        self.wanted = wanted
        self._is_ours = is_ours
        #: the round of news in which it was looked for last
        self._seen = 0
        self._is_dropped = False

    def advance(self, activation: Activation, now: float) -> None:
        del now
        if self._seen != activation.inbox_version:
            self._seen = activation.inbox_version
            self.is_busy = True
            asked = activation.child_ends.read(self.wanted)
            asked.add_done_callback(
                activation.wakeup.safely(lambda done: self._looked(activation, done.result()))
            )

    def abandon(self) -> None:
        self._is_dropped = True

    def _looked(self, activation: Activation, answer: bytes | None) -> None:
        self.is_busy = False
        activation.wakeup.wake()
        if not self.is_wanted or self._is_dropped:
            return
        if answer is not None:
            self.found(activation, answer)
        elif not self._is_ours:
            activation.write(
                self, self.entry_kinds[0], b"failed|" + pack(["NotTold", END_NOT_FORWARDED])
            )

    def found(self, activation: Activation, answer: bytes) -> None:
        """Remember the answer."""
        raise NotImplementedError


class ChildCommand(AwaitEndCommand):
    """The end of one child."""

    __slots__ = ()
    what = "child"
    entry_kinds = (EntryKind.CHILD,)

    def found(self, activation: Activation, answer: bytes) -> None:
        told = answer.split(b"|", 1)[-1]
        if not _is_told(told):
            raise UnreadableRecord.of_run(
                activation.run.id, f"its child {self.wanted!r} told it {answer[:60]!r}"
            )
        activation.write(self, EntryKind.CHILD, told)

    def value_in(self, entry: Entry) -> bytes | None:
        status, packed = entry.data.split(b"|", 1)
        return packed if status.decode() == SUCCEEDED else None

    def answer(self, entry: Entry) -> None:
        status, packed = entry.data.split(b"|", 1)
        if status.decode() == SUCCEEDED:
            self.answer_with(packed)
        else:
            self.future.set_exception(failure_of(self.wanted, status.decode(), packed))


class StopChildrenCommand(Command):
    """
    That the children which end with the run have ended.

    They are asked to, and waited for, by nobody.
    """

    __slots__ = ("_seen", "_task", "_was_asked")
    what = "children"
    entry_kinds = (EntryKind.VALUE,)
    wakes_on_inbox = True

    def __init__(self, future: asyncio.Future[Any]) -> None:
        super().__init__("children", "to end", future)
        self._seen = 0
        self._was_asked = False
        self._task: asyncio.Task[int] | None = None

    def advance(self, activation: Activation, now: float) -> None:
        del now
        if self._seen != activation.inbox_version:
            self._seen = activation.inbox_version
            self.is_busy = True
            self._task = activation.outer.create_task(self._look(activation))
            self._task.add_done_callback(
                activation.wakeup.safely(lambda done: self._looked(activation, done))
            )

    async def _look(self, activation: Activation) -> int:
        if not self._was_asked:
            await activation.runtime.stop_children()
            self._was_asked = True
        inbox, left = await activation.runtime.count_children()
        activation.hear(inbox)
        return left

    def _looked(self, activation: Activation, done: asyncio.Task[int]) -> None:
        self.is_busy = False
        activation.wakeup.wake()
        if not done.cancelled() and done.result() == 0:
            activation.write(self, EntryKind.VALUE, pack(None))

    def abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()


class Child:
    """A run that a workflow began: `id`, and `await child.result()`."""

    def __init__(self, activation: Activation, run_id: str, *, is_ours: bool) -> None:
        self.id = run_id
        self._is_ours = is_ours
        self._activation = activation
        self._asked: asyncio.Future[Any] | None = None

    def __repr__(self) -> str:
        return f"Child({self.id!r})"

    def result(self) -> asyncio.Future[Any]:
        """
        Wait until the child has ended, held by nobody, and give its result.

        However often it is asked, the same.

        Raises ChildFailed when it failed or was cancelled.
        """
        loop = self._activation.loop
        branch = loop.branch()
        if self._asked is None:
            self._asked = self._activation.start(self.end_at(branch.next_place(), self.id))
        return asyncio.shield(self._asked)  # who waits no more takes it from nobody else

    def end_at(self, place: str, name: str) -> ChildCommand:
        """Make the wish for its end at a place, called *name* there."""
        return ChildCommand(
            place, name, self._activation.loop.create_future(), self.id, is_ours=self._is_ours
        )


def spawn(
    activation: Activation, place: str, spec: RunSpec, *, abandon: bool
) -> asyncio.Future[Child]:
    """
    Begin the child of *spec*, whose id is set here, at *place*.

    Gives the future of its handle.
    """

    async def begin() -> str:
        await activation.runtime.spawn_children([spec], abandon=abandon)
        return str(spec.run_id)

    command = StepCommand(
        place, f"spawn {spec.runner}", activation.loop.create_future(), begin, policy=SPAWN_RETRY,
        read=lambda run_id: Child(activation, run_id, is_ours=run_id == spec.run_id),
    )  # fmt: skip
    return activation.start(command)
