"""
One activation of a workflow, from the top to where it ends or waits.

Remembered answers are handed to its function in the order in which they once came; where memory
ends it goes on live.

The same `_hand_over` serves both, so a replay takes the turns that the first run took: an answer is
handed over only when none of the workflow's tasks is ready.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from stepflow.core.journal import MISREAD, Entry, EntryKind, misread, read_journal
from stepflow.core.outcomes import ContinueAsNew, Outcome, Pause
from stepflow.core.run import Cleanup
from stepflow.engine.gate import pause_for
from stepflow.errors import DataError
from stepflow.kits.flow.commands.map import recall
from stepflow.kits.flow.replay.child_ends import ChildEndReader
from stepflow.kits.flow.replay.ending import Ending
from stepflow.kits.flow.replay.journal_writer import JournalWriter, Send
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.patches import Patches
from stepflow.kits.flow.replay.pending import PendingCommands
from stepflow.kits.flow.replay.suspend import park, yield_slot
from stepflow.kits.flow.replay.time_slice import TimeSlice
from stepflow.kits.flow.replay.wakeup import Wakeup
from stepflow.kits.flow.runtime import FlowRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from stepflow.kits.flow.commands.command import Command

log = logging.getLogger("stepflow.flow")


class Activation:
    """
    The machinery of one activation; `Context` is what the workflow sees of it.

    *outer* is the worker's loop, where steps run; *loop* the workflow's own.
    """

    def __init__(self, runtime: FlowRuntime) -> None:
        self.runtime = runtime
        self.run = runtime.run
        self.loop = WorkflowLoop()  # type: ignore[abstract]  # only to the type checker: asyncio leaves what is not there to raise
        self.loop.now = self.run.began_at
        self.outer = asyncio.get_running_loop()
        #: grows with every piece of news: a wish for a signal looks into the mailbox once for each
        self.inbox_version = 1
        #: how often the run was restarted
        self.restarts = 0
        self._patches = Patches()
        #: whether the journal is used up and more may be written
        self.is_live = False
        #: remembered entries not handed over yet; 0 when live
        self._left = 0
        self.wakeup = Wakeup(self.run.id)
        self._writer = JournalWriter(
            runtime,
            self.wakeup.safely(self._landed),
            self.wakeup.lose,
            self._heard,
            self.wakeup.fail,
        )
        self.child_ends = ChildEndReader(runtime, self.hear)
        #: answers of settled maps, by stem: the journal only points to them
        self.recalled: dict[str, list[bytes | None]] = {}
        self.main: asyncio.Task[Any]  # of the workflow's function
        self._ending = Ending(self)
        self._time_slice = TimeSlice(runtime)
        self.commands = PendingCommands(self._ending.compensations, self._dropped)

    async def carry(self, workflow: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
        """
        Run the workflow's function until it ends, waits, or is not the one that the journal
        remembers.
        """
        try:
            return await self._carry(workflow)
        except (
            DataError
        ) as error:  # what the machinery reads; the workflow's own errors are in its task
            return pause_for(error)
        finally:
            self._writer.close()
            self.loop.evict()

    async def _carry(self, workflow: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
        written = await self.runtime.load_journal() if self.run.has_journal else []
        self.recalled |= await recall(written, self.runtime)
        entries = read_journal(written, self.run.id)
        self._writer.index = len(written)
        if entries and entries[0].kind is EntryKind.START:
            start = entries.pop(0)
            self.restarts, self.loop.now = (
                int(start.name) if start.name.isdecimal() else 0,
                start.at,
            )
        self._patches, self._left = Patches(entries), len(entries)
        self._time_slice.begin_replay()
        self.main = self.loop.create_task(workflow())
        self.loop.run_ready()
        for entry in entries:
            self._left -= 1
            try:
                problem = self._hand_over(entry)
            except MISREAD as error:
                raise misread(
                    self.run.id, len(written) - 1 - self._left, entry.write(), error
                ) from error
            if problem is not None:
                return self._ending.another_try() or Pause(f"code changed: {problem}")
        self.runtime.go_live(self._ending.so_far())
        self.is_live = True
        self._time_slice.begin()
        self._writer.go_live()
        self.runtime.on_inbox = self._heard
        forget = self.runtime.cancel.subscribe(self.wakeup.wake)
        try:
            return await self._live()
        finally:
            self.runtime.on_inbox = None
            forget()
            self.commands.leave()

    # for the context and for wishes

    def start(self, command: Command) -> asyncio.Future[Any]:
        """Take in what the workflow asks for, at the place it took when it asked, or by its key."""
        self.commands.add(command)
        return command.future

    def write(self, command: Command, kind: EntryKind, data: bytes = b"") -> None:
        """
        Write an entry; its wish is busy until the reply, which hands it over.

        One that comes too late is dropped.
        """
        if self.loop.is_over or self.commands.at(command.place) is not command:
            self.wakeup.wake()
            return
        command.is_busy = command.is_writing = True
        is_first_to_undo = (
            kind is EntryKind.VALUE and command.compensation is not None and not self.run.cleanup
        )
        entry = Entry(kind, command.place, command.name, self.runtime.now(), data)
        self._writer.write(entry, Cleanup.NEEDED if is_first_to_undo else None)

    def remember(
        self, kind: EntryKind, data: bytes = b"", cleanup: Cleanup | None = None, name: str = ""
    ) -> None:
        """Write an entry about the run itself rather than a wish."""
        self._writer.write(Entry(kind, str(kind), name, self.runtime.now(), data), cleanup)

    def write_computed(self, command: Command, kind: EntryKind, send: Send) -> None:
        """Write an entry whose data is what the server answers to *send*."""
        command.is_busy = command.is_writing = True
        self._writer.write_computed(
            Entry(kind, command.place, command.name, self.runtime.now()), send
        )

    def take_from_inbox(self, command: Command, kind: EntryKind, send: Send) -> bool:
        """
        Have *send* look for what came in; taken, it is an entry like any other.

        False when it cannot look now.
        """
        if self._writer.is_taking:
            return False
        command.is_busy = True
        self._writer.take(
            Entry(kind, command.place, command.name, self.runtime.now()),
            send,
            lambda: self._found_nothing(command),
        )
        return True

    def hear(self, inbox: int) -> None:
        """
        Take note of how much was ever put into the run's inbox.

        When that is new, all who listen look again.
        """
        self._writer.hear(inbox)

    def patched(self, name: str) -> bool:
        """Say whether the run takes the new way at a patch."""
        is_new, is_news = self._patches.choose(name, is_live=not self._left)
        if is_news:
            self._writer.write(Entry(EntryKind.PATCH, f"patch:{name}", name, self.runtime.now()))
        return is_new

    def begin_anew(self, payload: Any) -> ContinueAsNew:
        """Give what the function has to return for its run to be restarted."""
        self._ending.restart = ContinueAsNew(payload, self.restarts + 1)
        return self._ending.restart

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is under way and nothing is waited for."""
        return not self._is_busy() and not self.commands.open()

    # replay and live alike

    def _hand_over(self, entry: Entry) -> str | None:
        """Give one remembered fact to the wish at its place; says in words when it does not fit."""
        if entry.kind in (EntryKind.STOP, EntryKind.UNDO):
            self.loop.now = entry.at
            self._ending.take_in(entry)
            return None
        if entry.kind is EntryKind.PATCH:
            return None
        command, problem = self.commands.wanted_by(entry, has_ended=self.main.done())
        if problem:
            return problem
        if command is None:
            self.loop.now = entry.at
            return None
        if not command.is_answered_by(entry):
            return None
        self.commands.remove(entry.place)
        self.loop.now = entry.at
        self._ending.compensations.note(command, command.value_in(entry))
        if not command.future.done():
            command.answer(entry)
        self.loop.run_ready()
        return None

    # live

    async def _live(self) -> Outcome:
        while True:
            self.wakeup.raise_if_over()
            self._ending.heed_stop()
            if not self._ending.is_being_told:
                self._advance()
            if not self._writer.is_busy:
                outcome = self._ending.outcome()
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
                waits, due_at, knows_stop = (
                    self.commands.open(),
                    self._due_at(),
                    self._ending.knows_stop,
                )
                return park(
                    waits, self.loop, due_at=due_at, inbox=self._writer.inbox, knows_stop=knows_stop
                )

    def _heard(self) -> None:
        """Note that something was put into the run's inbox while it runs."""
        self.inbox_version += 1
        self.wakeup.wake()

    def _is_busy(self) -> bool:
        return self._writer.is_busy or self.commands.is_busy()

    async def _wait(self) -> None:
        """Wait for a try, a reply or news, but no longer than until something is due."""
        due_at = self._due_at()
        timeout_s = None if due_at is None else max(0.0, due_at - self.runtime.now())
        self.runtime.is_waiting = True
        try:
            if timeout_s is None:
                await self.wakeup.wait()
                return
            async with self.runtime.timeout(timeout_s):
                await self.wakeup.wait()
        except TimeoutError:
            return
        finally:
            self.runtime.is_waiting = False

    def _advance(self) -> None:
        """Do for every open wish what can be done for it now."""
        self.commands.fresh()
        self._advance_all(self.commands.open())

    def _advance_all(self, commands: Sequence[Command]) -> None:
        now = self.runtime.now()
        for command in commands:
            if command.is_wanted and not command.is_busy:
                command.advance(self, now)

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

    def _is_waiting(self) -> bool:
        """Whether there is nothing to do until something is due or comes in."""
        due_at = self._due_at()
        return due_at is None or due_at > self.runtime.now()

    def _landed(self, entry: Entry) -> None:
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
        if not (is_answered and self._goes_on()):
            self.wakeup.wake()

    def _goes_on(self) -> bool:
        """
        Begin at once with what was asked for just now; False when `_live` has to look.

        A chain of steps goes on from callback to callback: waking `_live` for each would double
        what a step costs. What waits is not looked at: of a thousand branches the end of one
        concerns that one.
        """
        if (
            self.main.done()
            or self.wakeup.is_over
            or self.loop.misuse is not None
            or self.runtime.cancel.is_set
        ):
            return False
        if self._time_slice.is_up and not self._is_busy():
            return False
        fresh = self.commands.fresh()
        self._advance_all(fresh)
        return all(command.is_busy for command in fresh) if fresh else self.commands.is_busy()

    def _found_nothing(self, command: Command) -> None:
        command.is_busy = False
        self.wakeup.wake()

    # ending

    def _dropped(self, command: Command) -> None:
        """Cancel the try of what the workflow wants no more; its answer will not be handed over."""
        self.outer.call_soon(command.abandon)
        self.outer.call_soon(self.wakeup.wake)
