"""What `ctx` and the commands ask of an activation, and the parts that answer them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from zlib import crc32

from stepflow.core.journal import Entry, EntryKind
from stepflow.core.outcomes import ContinueAsNew
from stepflow.core.run import Cleanup
from stepflow.engine.user_code.tasks import begin_task
from stepflow.kits.flow.commands.batch import BatchCommand
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import Send, Writable
from stepflow.kits.flow.commands.question import WithdrawnQuestions
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.replay.child_ends import ChildEndReader
from stepflow.kits.flow.replay.compensations import CompensationStack
from stepflow.kits.flow.replay.ending import Ending
from stepflow.kits.flow.replay.forgotten import GivenOut, WatchingLoop
from stepflow.kits.flow.replay.journal_writer import JournalWriter
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.output import StepOutput
from stepflow.kits.flow.replay.patches import Patches
from stepflow.kits.flow.replay.pending import PendingCommands
from stepflow.kits.flow.replay.time_slice import TimeSlice
from stepflow.kits.flow.replay.timing.marks import TimeMarks
from stepflow.kits.flow.replay.timing.timers import Timers
from stepflow.kits.flow.replay.wakeup import Wakeup
from stepflow.kits.flow.runtime import FlowRuntime, Settling

T = TypeVar("T")


class ActivationHost:
    """
    The parts of one activation, as `ctx` and its handles, and the commands know them.

    *loop* is the workflow's own; steps run on the worker's.
    """

    def __init__(self, runtime: FlowRuntime, loop: WorkflowLoop | None = None) -> None:
        self.runtime = runtime
        self.run = runtime.run
        # only to the type checker it is abstract: asyncio leaves what is not there to raise
        self.loop = loop or WorkflowLoop()  # type: ignore[abstract]
        self.loop.now = self.run.began_at
        self.loop.next_serial = crc32(self.run.seed.encode())
        self._cancel = runtime.cancel
        self._watch = runtime.watch
        self._outer = asyncio.get_running_loop()
        self._count_attempt = runtime.attempt_counter()
        # each step asks for these, so they are the loop's own methods
        #: makes the future of a command
        self.create_future: Callable[[], asyncio.Future[Any]] = self.loop.create_answer
        #: takes the next place of the branch whose code is running
        self.next_place: Callable[[], str] = self.loop.next_place
        #: grows whenever something may have come into the run's inbox: a command that waits for
        #: something from there looks once for each
        self.inbox_version = 1
        #: how often the run has continued as new
        self.restarts = 0
        self._patches: Patches
        #: whether the journal is used up and more may be written
        self.is_live = False
        #: remembered entries not handed over yet; 0 when live
        self._left = 0
        #: how the children of settled maps ended, by the map's id: the journal only points to them
        self.recalled: dict[str, list[bytes | None]] = {}
        self._time_slice = TimeSlice(runtime)
        self._wakeup = Wakeup(self.run.id)
        self._writer = JournalWriter(
            runtime,
            on_written=self._written,
            on_refused=self._wakeup.lose_claim,
            on_inbox=self._on_inbox,
            on_failed=self._wakeup.fail,
        )
        #: made for the first child or map
        self._child_ends: ChildEndReader | None = None
        #: steps that are withdrawn, and may stand in lines of limits since an earlier claim
        self._left_lines: list[str] = []
        #: made for the first question that is withdrawn
        self._withdrawn: WithdrawnQuestions | None = None
        self._ending = Ending(
            self.run, runtime.policy, limit=runtime.limit, grace_s=runtime.stop_grace_s
        )
        self._compensations = CompensationStack()
        self.commands = PendingCommands(self._compensations, self._on_dropped)
        self._timers = Timers(self.loop, self.commands)
        self.loop.timers = self._timers
        self._marks = TimeMarks(self.loop, runtime.now, self._writer.write)
        self._output = StepOutput(self.commands)
        #: told of the answers of steps; None where the app has none
        self.observers = runtime.observers
        self._given_out = GivenOut(is_watched=isinstance(self.loop, WatchingLoop))

    # for `ctx` and the handles it gives out: commands.command.WorkflowHost

    def check_caller(self) -> None:
        """Refuse a call that does not come from the workflow's own code."""
        self.loop.branch()

    @property
    def has_compensations(self) -> bool:
        """Whether steps were done that are undone should the run fail."""
        return bool(self._compensations)

    @property
    def is_in_main_branch(self) -> bool:
        """Whether the code that runs is the workflow's function itself."""
        return not self.loop.branch().path

    def create_branch(self, coro: Coroutine[Any, Any, T], place: str, name: str) -> asyncio.Task[T]:
        """Make a branch at *place*, which is not taken from the branch that makes it."""
        return self.loop.create_branch(coro, f"{place}.", name=name)

    def start(self, command: Command) -> asyncio.Future[Any]:
        """Have *command* answered from the journal, or carried out; returns its future."""
        self.commands.add(command)
        if self.observers is not None and command.future.done():  # by what its key remembers
            self._observe(command, None)
        if self._given_out.is_watched:
            self._given_out.note(command)
        return command.future

    def give_out(self, given: Awaitable[Any]) -> None:
        """Take note of what `ctx` gives out, to be awaited, that no command answers."""
        self._given_out.add(given)

    def patched(self, name: str) -> bool:
        """Say whether the run takes the new way at a patch."""
        is_new, is_first = self._patches.choose(name, is_live=not self._left)
        if is_first:
            self._writer.write(Entry(EntryKind.PATCH, f"patch:{name}", name, self.runtime.now()))
        return is_new

    def continue_as_new(self, payload: Any) -> ContinueAsNew:
        """Make what the function has to return for its run to continue as new."""
        self._ending.next_history = ContinueAsNew(payload, self.restarts + 1)
        return self._ending.next_history

    # for commands: commands.host.CommandHost

    @property
    def outer_loop(self) -> asyncio.AbstractEventLoop:
        """The worker's loop, on which steps run."""
        return self._outer

    def spawn(
        self,
        work: Coroutine[Any, Any, T],
        then: Callable[[asyncio.Task[T]], None] | None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Do *work* on the worker's loop, then call *then*, whose error ends the activation."""
        task = begin_task(self._outer, work, context)
        if then is not None:
            task.add_done_callback(self._guarded(then))
        return task

    @property
    def is_slice_over(self) -> bool:
        """Whether the run's time slice has passed."""
        return self._outer.time() >= self._time_slice.until

    async def is_to_leave(self) -> bool:
        """Whether others wait for the run's slot, or its worker is leaving."""
        return await self._time_slice.is_over()

    def was_begun_before(self, command: Writable) -> bool:
        """Whether an earlier activation may have begun with *command*."""
        return self._output.was_begun_before(command.place)

    def write(
        self,
        command: Writable,
        kind: EntryKind,
        data: bytes = b"",
        settling: Settling | None = None,
    ) -> None:
        """Write an entry for *command*, unless it is answered or abandoned by now."""
        if self.loop.is_over or self.commands.get(command.place) is not command:
            if settling is not None:
                self.runtime.budgets.settle(*settling)
            self._wakeup.wake()
            return
        command.is_busy = command.is_writing = True
        is_first_to_undo = (
            kind is EntryKind.VALUE and command.compensation is not None and not self.run.cleanup
        )
        now, began_at = self.runtime.now(), command.began_at
        took_ms = None
        if began_at is not None:
            took_ms = max(0, int((now - began_at) * 1000))
            self._count_attempt(kind, now - began_at)
        entry = Entry(kind, command.place, command.name, now, data, took_ms)
        self._writer.write(entry, Cleanup.NEEDED if is_first_to_undo else None, settling)

    def leave_memo(self, command: Writable, data: bytes) -> None:
        """Write what an attempt of *command*, which goes on meanwhile, leaves to the next."""
        if self.loop.is_over:
            return
        now = self.runtime.now()
        self._writer.write(Entry(EntryKind.MEMO, command.place, command.name, now, data))

    def write_computed(self, command: Writable, kind: EntryKind, send: Send) -> None:
        """Write an entry whose data is what the server answers to *send*."""
        command.is_busy = command.is_writing = True
        self._writer.write_computed(self._entry_of(command, kind), send)

    def take_from_inbox(self, command: Writable, kind: EntryKind, send: Send) -> bool:
        """Have *send* look for what came in; False when it cannot look now."""
        if self._writer.is_taking:
            return False
        command.is_busy = True

        def found_nothing() -> None:
            command.is_busy = False
            self._wakeup.wake()

        self._writer.take(self._entry_of(command, kind), send, found_nothing)
        return True

    def read_end(self, name: str, then: Callable[[bytes | None], None]) -> None:
        """Read how a child or a map ended, and call *then* with that."""
        if self._child_ends is None:
            self._child_ends = ChildEndReader(self.runtime, self.note_inbox)
        found = self._child_ends.read(name)
        found.add_done_callback(self._guarded(lambda done: then(done.result())))

    def withdraw(self, digest: str) -> None:
        """Take a question off the list; one that a replay withdraws, once that is live."""
        if self._withdrawn is None:
            self._withdrawn = WithdrawnQuestions(self.runtime, self._wakeup.wake)
        self._withdrawn.add(digest)
        if self.is_live:  # not here: the workflow's loop may be the running one
            self._outer.call_soon(self._withdrawn.send)

    def note_inbox(self, inbox: int) -> None:
        """Learn how much was ever put into the run's inbox; more wakes all who wait for it."""
        self._writer.note_inbox(inbox)

    def wake(self) -> None:
        """Have every open command advanced once more."""
        self._wakeup.wake()

    def lose_claim(self) -> None:
        """End the activation: the run is another worker's now."""
        self._wakeup.lose_claim()

    def fail(self, error: Exception) -> None:
        """End the activation with *error*."""
        self._wakeup.fail(error)

    def _entry_of(self, command: Writable, kind: EntryKind) -> Entry:
        return Entry(kind, command.place, command.name, self.runtime.now())

    # for the activation itself

    def _go_live(self) -> None:
        """Learn that the journal is used up."""
        self.is_live = True
        if self._withdrawn is not None:
            self._withdrawn.send()
        self._send_left()
        self._marks.end()
        self._output.go_live(self)

    def _leave_lines(self, command: Command) -> None:
        """Give up the places in line that a step, or its parts, may have from an earlier claim."""
        name = command.occurrence if isinstance(command, StepCommand) else command.place
        self._left_lines.append(f"{self.restarts}/{name}")
        if self.is_live:
            self._outer.call_soon(self._send_left)

    def _send_left(self) -> None:
        left, self._left_lines = self._left_lines, []
        if left and not self.loop.is_over:
            self.runtime.limits.leave_places(left)

    def _observe(self, command: Command, entry: Entry | None) -> None:
        """Tell observers what an entry means for a step; None for what its key remembers."""
        told = entry or self.commands.keyed.answer_of(command)
        if self.observers is None or told is None:
            return
        is_live = self.is_live and entry is not None
        if isinstance(command, BatchCommand) and told.kind is EntryKind.BATCH:
            self.observers.items_answered(
                self.run, command.function_name, command.items, told, is_live=is_live
            )
        elif isinstance(command, StepCommand):
            self.observers.step_answered(self.run, command, told, is_live=is_live)

    def _written(self, entry: Entry) -> None:
        """Hand over what is durable now."""
        raise NotImplementedError

    def _remember(
        self,
        kind: EntryKind,
        data: bytes = b"",
        *,
        name: str = "",
        cleanup: Cleanup | None = None,
    ) -> None:
        """Write an entry about the run itself rather than a command."""
        self._writer.write(Entry(kind, str(kind), name, self.runtime.now(), data), cleanup)

    def _take_apart(self) -> None:
        """
        Have the parts of an activation that is over forget each other.

        So all of it goes as soon as nobody has it. Else a collection would have to find it, which
        costs a workflow of ten steps a tenth of its time.
        """
        self.loop.ctx = self.loop.timers = self.loop.before_time = self._child_ends = None
        self._withdrawn = None
        self.commands.forget_host()

    def _guarded(self, callback: Callable[[T], None]) -> Callable[[T], None]:
        """
        Have what *callback* raises end the activation.

        Asyncio would only log it, and nothing would ever go on.
        """

        def call(argument: T) -> None:
            try:
                callback(argument)
            except Exception as error:  # noqa: BLE001  handed on
                self._wakeup.fail(error)

        return call

    def _on_inbox(self) -> None:
        """Note that something was put into the run's inbox while it runs."""
        self.inbox_version += 1
        self._wakeup.wake()

    def _on_dropped(self, command: Command) -> None:
        """Cancel the try of what the workflow cancelled; its answer will not be handed over."""
        if self.loop.is_over:
            return
        command.withdraw(self)
        if self.run.has_asks:
            self._leave_lines(command)
        if self.is_live:
            self._outer.call_soon(command.void_output, self)
        self._outer.call_soon(command.give_up)
        self._outer.call_soon(self._wakeup.wake)
