"""
One activation of a workflow, from the top to where it ends or waits.

Its first half is `_replay`: remembered answers are handed to the function in the order in which
they once came. Where memory ends it goes on in `_live`. The same `_hand_over` serves both, so a
replay takes the turns that the first run took: an answer is handed over only when none of the
workflow's tasks is ready.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from stepflow.core.journal import MISREAD, Entry, EntryKind, first_step, misread, read_journal
from stepflow.core.outcomes import (
    ContinueAsNew,
    ErrorInfo,
    Outcome,
    Park,
    Pause,
    TryElsewhere,
    Yield,
)
from stepflow.core.run import Cleanup
from stepflow.engine.gate import pause_for
from stepflow.errors import DataError
from stepflow.kits.flow.commands.child import StopChildrenCommand
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import Send, Writable
from stepflow.kits.flow.commands.map import recall
from stepflow.kits.flow.replay.blocking import watch_blocking
from stepflow.kits.flow.replay.child_ends import ChildEndReader
from stepflow.kits.flow.replay.compensations import CompensationStack
from stepflow.kits.flow.replay.ending import Ending, Facts, Undo, read_end
from stepflow.kits.flow.replay.forgotten import GivenOut, WatchingLoop, in_words
from stepflow.kits.flow.replay.journal_writer import JournalWriter
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.misfit import misfit, misread_end
from stepflow.kits.flow.replay.output import StepOutput
from stepflow.kits.flow.replay.patches import Patches
from stepflow.kits.flow.replay.pending import PendingCommands
from stepflow.kits.flow.replay.suspend import park, was_here, yield_slot
from stepflow.kits.flow.replay.time_slice import TimeSlice
from stepflow.kits.flow.replay.wakeup import Wakeup
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.logs import StepFacts, StepLog

log = logging.getLogger("stepflow.flow")

T = TypeVar("T")
#: begins the workflow's function
Begin = Callable[[], Coroutine[Any, Any, Any]]

#: outcomes after which the same commands are asked for again
_GOES_ON = (Park, Yield, Pause, TryElsewhere)

#: the kinds of entries that concern the run itself, and no command
_OF_THE_RUN = (EntryKind.PATCH, EntryKind.STOP, EntryKind.UNDO)


class Activation:
    """
    The machinery of one activation: the host of its commands, and what `ctx` speaks to.

    *loop* is the workflow's own; steps run on the worker's.
    """

    def __init__(self, runtime: FlowRuntime, loop: WorkflowLoop | None = None) -> None:
        self.runtime = runtime
        self.run = runtime.run
        # only to the type checker it is abstract: asyncio leaves what is not there to raise
        self.loop = loop or WorkflowLoop()  # type: ignore[abstract]
        self.loop.now = self.run.began_at
        self._outer = asyncio.get_running_loop()
        #: grows whenever something may have come into the run's inbox: a command that waits for
        #: something from there looks once for each
        self.inbox_version = 1
        #: how often the run has continued as new
        self.restarts = 0
        self._patches = Patches()
        #: whether the journal is used up and more may be written
        self.is_live = False
        #: remembered entries not handed over yet; 0 when live
        self._left = 0
        #: how the children of settled maps ended, by the map's id: the journal only points to them
        self.recalled: dict[str, list[bytes | None]] = {}
        self._wakeup = Wakeup(self.run.id)
        self._writer = JournalWriter(
            runtime,
            on_written=self._guarded(self._written),
            on_refused=self._wakeup.lose_claim,
            on_inbox=self._on_inbox,
            on_failed=self._wakeup.fail,
        )
        self._child_ends = ChildEndReader(runtime, self.note_inbox)
        self._main: asyncio.Task[Any]  # of the workflow's function
        self._ending = Ending(
            self.run, runtime.policy, limit=runtime.limit, grace_s=runtime.stop_grace_s
        )
        self._time_slice = TimeSlice(runtime)
        self._compensations = CompensationStack()
        self.commands = PendingCommands(self._compensations, self._on_dropped)
        self._output = StepOutput(self, self.commands)
        self._is_repeating = True
        #: begins the workflow's function in another activation, to look at it once more
        self.begin: Callable[[Activation], Coroutine[Any, Any, Any]] | None = None
        self._given_out = GivenOut(is_watched=isinstance(self.loop, WatchingLoop))
        #: what was forgotten, in words; None before that was looked at
        self._forgotten: str | None = None
        facts = StepFacts(self.run.id, self.run.runner)
        #: logs what the workflow's code says; silent where that is replayed
        self.log = StepLog(lambda: facts, self._is_silent)

    async def carry(self, workflow: Begin) -> Outcome:
        """
        Run the workflow's function until it ends or waits.

        Or until it turns out not to be the one that the journal remembers, which pauses the run.
        """
        try:
            outcome = await self._carry(workflow)
            if not isinstance(outcome, _GOES_ON):
                self._output.void_all()
            return outcome
        except DataError as error:  # what is read here; the workflow's own errors are in its task
            return pause_for(error)
        finally:
            self._close()

    def _close(self) -> None:
        self._given_out.close()
        self._writer.close()
        self.loop.evict()

    async def _carry(self, workflow: Begin) -> Outcome:
        watch_blocking()
        outcome = await self._replay_all(workflow)
        if outcome is not None:
            return outcome
        self.runtime.go_live(self._ending.so_far(self._facts()))
        return await self._live()

    # the first half: what is remembered

    async def _replay_all(self, workflow: Begin) -> Outcome | None:
        journal = await self.runtime.load_journal() if self.run.has_journal else []
        self.recalled |= await recall(journal, self.runtime)
        return self._replay(workflow, journal)

    def _replay(self, workflow: Begin, journal: Sequence[bytes]) -> Outcome | None:
        """Hand over all that *journal* remembers; returns the outcome where that does not fit."""
        entries = read_journal(journal, self.run.id)
        self._writer.index = len(journal)
        began_with = 0
        if entries and entries[0].kind is EntryKind.START:
            start = entries.pop(0)
            self.restarts = int(start.name) if start.name.isdecimal() else 0
            self.loop.now = start.at
            began_with = first_step(start)
        self._is_repeating = was_here(self.run, began_with)
        self._patches, self._left = Patches(entries), len(entries)
        self._time_slice.begin_replay()
        self._main = self.loop.create_task(workflow())
        self.loop.run_ready()
        for entry in entries:
            self._left -= 1
            try:
                problem = self._hand_over(entry)
            except MISREAD as error:
                index = len(journal) - 1 - self._left
                raise misread(self.run.id, index, entry.write(), error) from error
            if problem is not None:
                index = len(journal) - 1 - self._left
                return self._ending.another_try(self._main) or misfit(problem, journal, index)
        return misread_end(self._main, journal)

    def _hand_over(self, entry: Entry) -> str | None:
        """Give a remembered fact to the command at its place; says in words why it does not fit."""
        if entry.kind in _OF_THE_RUN:
            self._hand_to_run(entry)
            return None
        command, problem = self.commands.find_for(entry, has_ended=self._main.done())
        if problem:
            return problem
        if command is None:
            self.loop.now = entry.at
            return None
        if not command.is_resolved_by(entry):
            return None
        self.commands.remove(entry.place)
        self.loop.now = entry.at
        if command.compensation is not None:
            self._compensations.push(command, command.value_in(entry))
        if not command.future.done():
            command.resolve(entry)
            if not self.loop.has_waiter:
                self._given_out.may_forget = True
        self.loop.run_ready()
        return None

    def _hand_to_run(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.STOP:
                self._stop(entry)
            case EntryKind.UNDO:
                self._undo(entry)
            case _:  # a patch, which was chosen before anything was handed over
                pass

    def _stop(self, entry: Entry) -> None:
        """
        Bring a stop into the function: CancelledError at its next await.

        Its `finally` blocks still run.
        """
        self.loop.now = entry.at
        self._ending.note_stop(entry.at)
        self._main.cancel()
        self.loop.run_ready()

    def _undo(self, entry: Entry) -> None:
        """Leave the function, should it still run, and undo what its steps have done."""
        self.loop.now = entry.at
        own_end = read_end(entry.data)
        self._output.void_all()
        self.commands.abandon_all()
        undoing = self.loop.start_over(self._clean_up(with_children=bool(entry.name)))
        self._ending.note_undo(own_end, undoing)
        self.loop.run_ready()

    async def _clean_up(self, *, with_children: bool) -> list[ErrorInfo]:
        """Stop the children, then undo what the steps have done; returns the errors of that."""
        if with_children:
            await self.start(StopChildrenCommand(self.create_future()))
        return await self._compensations.undo(self)

    def _is_silent(self) -> bool:
        """Whether the code that runs now only does again what it did in an earlier activation."""
        return not self.is_live and (bool(self._left) or self._is_repeating)

    # the second half: what is new

    async def _live(self) -> Outcome:
        """Carry out what the workflow asks for until it ends, waits, or its time slice is over."""
        self.is_live = True
        self._output.go_live()
        self._time_slice.begin()
        self._writer.go_live()
        self.runtime.on_inbox = self._on_inbox
        self.runtime.under_way = self.commands.under_way
        self.runtime.on_let_go = self._time_slice.end
        unsubscribe = self.runtime.cancel.subscribe(self._wakeup.wake)
        try:
            while True:
                self._wakeup.raise_if_over()
                if self._forgotten is None and self._main.done():
                    self._forgotten = await self._find_forgotten()
                outcome = self._advance()
                if outcome is not None:
                    return outcome
                if self._is_busy():
                    await self._wait()
                    if (
                        self.commands.has_fresh
                        and not self._is_busy()
                        and await self._time_slice.is_over()
                    ):
                        return yield_slot(self.loop)
                elif self._is_waiting():
                    return self._park()
        finally:
            self.runtime.on_inbox = self.runtime.on_let_go = self.runtime.under_way = None
            unsubscribe()
            self.commands.abandon_all()

    async def _find_forgotten(self) -> str:
        """Say in words which calls the function, which has ended, has never awaited."""
        begin, may_forget = self.begin, self._given_out.may_be_forgotten(self.commands.open())
        if begin is None or not may_forget or self._ending.knows_stop:
            return ""
        again = Activation(self.runtime, WatchingLoop())  # type: ignore[abstract]
        try:
            outcome = await again._replay_all(lambda: begin(again))
            is_same = outcome is None and again._main.done()
            return in_words(again._given_out.forgotten(again.loop)) if is_same else ""
        finally:
            again._close()

    def _advance(self) -> Outcome | None:
        """Do for every open command what can be done now; returns the outcome once it ends."""
        if self.runtime.cancel.is_set and self._ending.accept_stop():
            self._remember(EntryKind.STOP)
        if not self._ending.is_stop_pending:
            self.commands.take_fresh()
            self._start(self.commands.open())
        if self._writer.is_busy:
            return None
        match self._ending.decide(self._facts()):
            case Undo(end, with_children):
                name = "children" if with_children else ""
                self._remember(EntryKind.UNDO, end, name=name, cleanup=Cleanup.STARTED)
                return None
            case end:
                return end

    def _start(self, commands: Sequence[Command]) -> None:
        """Do for these what can be done for them now."""
        now = self.runtime.now()
        for command in commands:
            if command.is_wanted and not command.is_busy:
                command.advance(self, now)

    def _written(self, entry: Entry) -> None:
        """Hand over what is durable now; replies come in the order of the writes."""
        command = self.commands.at(entry.place)
        if command is not None:
            command.is_busy = command.is_writing = False
        self._hand_over(entry)
        is_answered = (
            command is not None
            and not command.wakes_on_inbox
            and self.commands.at(entry.place) is not command
        )
        if not (is_answered and self._goes_on_at_once()):
            self._wakeup.wake()

    def _goes_on_at_once(self) -> bool:
        """
        Start what was asked for just now; False when `_live` has to look at everything.

        A chain of steps goes on from callback to callback: waking `_live` for each would double
        what a step costs. What waits is not looked at: of a thousand branches the end of one
        concerns that one.
        """
        if (
            self._main.done()
            or self._wakeup.is_over
            or self.loop.misuse is not None
            or self.runtime.cancel.is_set
        ):
            return False
        if self._outer.time() >= self._time_slice.until and not self._is_busy():
            return False
        fresh = self.commands.take_fresh()
        self._start(fresh)
        return all(command.is_busy for command in fresh) if fresh else self.commands.is_busy()

    async def _wait(self) -> None:
        """Wait for a try, a reply or a wake-up, but no longer than until something is due."""
        due_at = self._due_at()
        timeout_s = None if due_at is None else max(0.0, due_at - self.runtime.now())
        self.runtime.is_waiting = True
        try:
            if timeout_s is None:
                await self._wakeup.wait()
                return
            async with self.runtime.timeout(timeout_s):
                await self._wakeup.wait()
        except TimeoutError:
            return
        finally:
            self.runtime.is_waiting = False

    def _park(self) -> Outcome:
        waits, due_at, knows_stop = self.commands.open(), self._due_at(), self._ending.knows_stop
        inbox = self._writer.inbox
        return park(waits, self.loop, due_at=due_at, inbox=inbox, knows_stop=knows_stop)

    def _facts(self) -> Facts:
        grace_until = self._ending.grace_until
        return Facts(
            main=self._main,
            misuse=self.loop.misuse,
            is_closing=self.loop.is_closing,
            is_stuck=not self._is_busy() and not self.commands.open(),
            is_grace_over=grace_until is not None and self.runtime.now() >= grace_until,
            has_compensations=bool(self._compensations),
            forgotten=self._forgotten or "",
        )

    def _is_busy(self) -> bool:
        return self._writer.is_busy or self.commands.is_busy()

    def _is_waiting(self) -> bool:
        """Whether there is nothing to do until something is due or comes in."""
        due_at = self._due_at()
        return due_at is None or due_at > self.runtime.now()

    def _due_at(self) -> float | None:
        """Say when something is due next."""
        due = [
            command.due_at
            for command in self.commands.open()
            if command.due_at is not None and not command.is_busy
        ]
        if self._ending.grace_until is not None:
            due.append(self._ending.grace_until)
        return min(due) if due else None

    def _on_inbox(self) -> None:
        """Note that something was put into the run's inbox while it runs."""
        self.inbox_version += 1
        self._wakeup.wake()

    def _on_dropped(self, command: Command) -> None:
        """Cancel the try of what the workflow cancelled; its answer will not be handed over."""
        if self.is_live:
            self._outer.call_soon(command.void_output, self)
        self._outer.call_soon(command.abandon)
        self._outer.call_soon(self._wakeup.wake)

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

    # for `ctx` and the handles it gives out: commands.command.WorkflowHost

    def check_caller(self) -> None:
        """Refuse a call that does not come from the workflow's own code."""
        self.loop.branch()

    def next_place(self) -> str:
        """Take the next place of the branch whose code is running."""
        return self.loop.branch().next_place()

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of the workflow's loop."""
        return self.loop.create_future()

    def start(self, command: Command) -> asyncio.Future[Any]:
        """Have *command* answered from the journal, or carried out; returns its future."""
        self.commands.add(command)
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

    def spawn(
        self, work: Coroutine[Any, Any, T], then: Callable[[asyncio.Task[T]], None]
    ) -> asyncio.Task[T]:
        """Do *work* on the worker's loop, then call *then*, whose error ends the activation."""
        task = self._outer.create_task(work)
        task.add_done_callback(self._guarded(then))
        return task

    def was_begun_before(self, command: Writable) -> bool:
        """Whether an earlier activation may have begun with *command*."""
        return self._output.was_begun_before(command.place)

    def write(self, command: Writable, kind: EntryKind, data: bytes = b"") -> None:
        """Write an entry for *command*, unless it is answered or abandoned by now."""
        if self.loop.is_over or self.commands.at(command.place) is not command:
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
            self.runtime.count_attempt(kind, now - began_at)
        entry = Entry(kind, command.place, command.name, now, data, took_ms)
        self._writer.write(entry, Cleanup.NEEDED if is_first_to_undo else None)

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
        found = self._child_ends.read(name)
        found.add_done_callback(self._guarded(lambda done: then(done.result())))

    def note_inbox(self, inbox: int) -> None:
        """Learn how much was ever put into the run's inbox; more wakes all who wait for it."""
        self._writer.note_inbox(inbox)

    def wake(self) -> None:
        """Have every open command advanced once more."""
        self._wakeup.wake()

    def lose_claim(self) -> None:
        """End the activation: the run is another worker's now."""
        self._wakeup.lose_claim()

    def _entry_of(self, command: Writable, kind: EntryKind) -> Entry:
        return Entry(kind, command.place, command.name, self.runtime.now())
