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
from collections.abc import Callable, Container, Coroutine, Sequence
from time import perf_counter
from typing import Any, TypeVar

from stepflow.core.journal import MISREAD, Entry, EntryKind, first_step, misread
from stepflow.core.outcomes import CleanedUp, ErrorInfo, Outcome, Park, Pause, TryElsewhere, Yield
from stepflow.core.run import Cleanup
from stepflow.engine.gate import pause_for
from stepflow.errors import DataError
from stepflow.kits.flow.commands.child import StopChildrenCommand
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.map import recall
from stepflow.kits.flow.replay.blocking import watch_blocking
from stepflow.kits.flow.replay.ending import Facts, Undo, read_end
from stepflow.kits.flow.replay.forgotten import WatchingLoop, in_words
from stepflow.kits.flow.replay.host import ActivationHost
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.misfit import misfit, misread_end
from stepflow.kits.flow.replay.patches import Patches
from stepflow.kits.flow.replay.suspend import park, was_here, yield_slot
from stepflow.kits.flow.replay.timing.stretches import Stretches
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.logs import StepFacts, StepLog

log = logging.getLogger("stepflow.flow")

T = TypeVar("T")
#: begins the workflow's function
Begin = Callable[[], Coroutine[Any, Any, Any]]

#: outcomes after which the same commands are asked for again
_GOES_ON = (Park, Yield, Pause, TryElsewhere)

#: the kinds of entries that concern the run itself, and no call of `ctx`
_OF_THE_RUN = (
    EntryKind.PATCH, EntryKind.STOP, EntryKind.UNDO, EntryKind.TIMER, EntryKind.TIME,
)  # fmt: skip


class Activation(ActivationHost):
    """
    The machinery of one activation: the host of its commands, and what `ctx` speaks to.

    *loop* is the workflow's own; steps run on the worker's.
    """

    def __init__(self, runtime: FlowRuntime, loop: WorkflowLoop | None = None) -> None:
        super().__init__(runtime, loop)
        self._main: asyncio.Task[Any]  # of the workflow's function
        self._is_repeating = True
        #: begins the workflow's function in another activation, to look at it once more
        self.begin: Callable[[Activation], Coroutine[Any, Any, Any]] | None = None
        #: what was forgotten, in words; None before that was looked at
        self._forgotten: str | None = None

    @property
    def log(self) -> StepLog:
        """Logs what the workflow's code says; silent where that is replayed."""
        facts = StepFacts(self.run.id, self.run.runner)
        return StepLog(lambda: facts, self._is_silent)

    async def carry(self, workflow: Begin) -> Outcome:
        """
        Run the workflow's function until it ends or waits.

        Or until it turns out not to be the one that the journal remembers, which pauses the run.
        """
        try:
            outcome = await self._carry(workflow)
            if not isinstance(outcome, _GOES_ON):
                self._output.void_all(self)
            return outcome
        except DataError as error:  # what is read here; the workflow's own errors are in its task
            return pause_for(error)
        finally:
            self._close()

    def _close(self) -> None:
        self._given_out.close()
        self._writer.close()
        self.loop.evict()
        self.begin = None
        self._take_apart()

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
        if journal:
            self.recalled |= await recall(journal, self.runtime)
        return await self._replay(workflow, journal)

    async def _replay(self, workflow: Begin, journal: Sequence[bytes]) -> Outcome | None:
        """Hand over all that *journal* remembers; returns the outcome where that does not fit."""
        self._time_slice.begin_replay()
        stretches = Stretches(self._time_slice)
        entries = await stretches.read(journal, self.run.id)
        self._writer.index = len(journal)
        began_with = 0
        if entries and entries[0].kind is EntryKind.START:
            start = entries.pop(0)
            self.restarts = int(start.name) if start.name.isdecimal() else 0
            self.loop.now = start.at
            began_with = first_step(start)
        self._is_repeating = was_here(self.run, began_with)
        self._patches, self._left = Patches(entries), len(entries)
        stops = self._begin_time(entries)
        self._marks.reach(0)
        self._main = self.loop.create_task(workflow())
        self.loop.run_ready()
        for count, entry in enumerate(entries, 1):
            self._left -= 1
            if perf_counter() > stretches.until:
                await stretches.let_turn()
            if count in stops:
                self._marks.reach(count)
            try:
                problem = self._hand_over(entry)
            except MISREAD as error:
                index = len(journal) - 1 - self._left
                raise misread(self.run.id, index, entry.write(), error) from error
            if problem is not None:
                index = len(journal) - 1 - self._left
                return (
                    self._ending.another_try(self._main)
                    or misread_end(self._main, journal, index)
                    or misfit(problem, journal, index)
                )
        return misread_end(self._main, journal)

    def _begin_time(self, entries: Sequence[Entry]) -> Container[int]:
        """Take in what is remembered of timers; returns before which entries to `reach` a mark."""
        of_time = [
            index
            for index, entry in enumerate(entries)
            if entry.kind is EntryKind.TIMER or entry.kind is EntryKind.TIME
        ]
        self._timers.remember(entries[index] for index in of_time)
        return self._marks.begin(self.run, entries, of_time, is_repeating=self._is_repeating)

    def _hand_over(self, entry: Entry) -> str | None:
        """Give a remembered fact to the command at its place; says in words why it does not fit."""
        # most are values, and each `in` compares texts
        if entry.kind is not EntryKind.VALUE and entry.kind in _OF_THE_RUN:
            return self._hand_to_run(entry)
        command, problem = self.commands.find_for(entry, has_ended=self._main.done())
        if problem:
            return problem
        if command is None:
            self.loop.now = entry.at
            return None
        is_resolved = command.is_resolved_by(entry)
        if self.observers is not None and entry.kind is not EntryKind.MEMO:
            self._observe(command, entry)
        if not is_resolved:
            return None
        del self.commands[entry.place]
        self.loop.now = entry.at
        if command.compensation is not None:
            self._compensations.push(command, command.value_in(entry))
        if not command.future.done():
            command.resolve(entry)
            if not self.loop.ready:  # nobody waits for it
                self._given_out.may_forget = True
        self.loop.run_ready()
        return None

    def _hand_to_run(self, entry: Entry) -> str | None:
        match entry.kind:
            case EntryKind.TIMER:
                return self._timers.fire(entry, has_ended=self._main.done()) or None
            case EntryKind.STOP:
                self._stop(entry)
            case EntryKind.UNDO:
                self._undo(entry)
            case _:  # a patch or a mark, which were taken in before anything was handed over
                pass
        return None

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
        self._output.void_all(self)
        for command in self.commands.open():
            command.withdraw(self)
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
        self._go_live()
        self._time_slice.begin()
        self._writer.go_live()
        watch = self._watch
        watch.on_inbox, watch.attempts = self._on_inbox, self.commands
        watch.on_let_go = self._time_slice.end
        unsubscribe = self.runtime.cancel.subscribe(self._wakeup.wake)
        try:
            while True:
                self._wakeup.raise_if_over()
                if self._forgotten is None and self._main.done():
                    self._forgotten = await self._find_forgotten()
                outcome = self._advance()
                if outcome is not None:
                    return outcome
                # a step may come to its end, and wake this, within `_advance` (Python 3.12)
                if self._is_busy() or self._wakeup.has_news:
                    await self._wait()
                    if (
                        self.commands.may_be_left
                        and not self._is_busy()
                        and await self._time_slice.is_over()
                    ):
                        return yield_slot(self.loop)
                elif self._withdrawn is not None and self._withdrawn.is_busy:
                    await self._wait()
                elif self._is_waiting():
                    return self._park()
        finally:
            watch.on_inbox = watch.on_let_go = watch.attempts = None
            unsubscribe()
            self.commands.abandon_all()

    async def _find_forgotten(self) -> str:
        """Say in words which calls the function, which has ended, has never awaited."""
        begin, may_forget = self.begin, self._given_out.may_be_forgotten(self.commands.open())
        if begin is None or not may_forget or self._ending.knows_stop:
            return ""
        again = Activation(self.runtime, WatchingLoop())  # type: ignore[abstract]
        again.observers = None
        try:
            outcome = await again._replay_all(lambda: begin(again))
            is_same = outcome is None and again._main.done()
            return in_words(again._given_out.forgotten(again.loop)) if is_same else ""
        finally:
            again._close()

    def _advance(self) -> Outcome | None:
        """Do for every open command what can be done now; returns the outcome once it ends."""
        if self.runtime.cancel.is_set and self.run.is_timed_out_for_good:
            return CleanedUp()
        if self.runtime.cancel.is_set and self._ending.accept_stop():
            self._remember(EntryKind.STOP)
        if not self._ending.is_stop_pending:
            self.commands.take_fresh()
            self._start(self._timers.in_order(self.commands.open()))
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
            is_free = not command.is_busy or command.has_waiting_parts
            if is_free and not command.future.cancelled():
                command.advance(self, now)

    def _written(self, entry: Entry) -> None:
        """Hand over what is durable now; replies come in the order of the writes."""
        command = self.commands.get(entry.place)
        if command is not None and entry.kind is not EntryKind.MEMO:
            command.is_busy = command.is_writing = False
        self._hand_over(entry)
        is_answered = (
            command is not None
            and not command.wakes_on_inbox
            and self.commands.get(entry.place) is not command
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
            or self._cancel.is_set
        ):
            return False
        if self._outer.time() >= self._time_slice.until and not self._is_busy():
            return False
        fresh = self.commands.take_fresh()
        if not fresh:
            return self.commands.is_busy()
        self._start(fresh)
        return all(command.is_busy for command in fresh)

    async def _wait(self) -> None:
        """Wait for a try, a reply or a wake-up, but no longer than until something is due."""
        due_at = self._due_at()
        timeout_s = None if due_at is None else max(0.0, due_at - self.runtime.now())
        self._watch.is_waiting = True
        try:
            if timeout_s is None:
                await self._wakeup.wait()
                return
            async with self.runtime.timeout(timeout_s):
                await self._wakeup.wait()
        except TimeoutError:
            return
        finally:
            self._watch.is_waiting = False

    def _park(self) -> Outcome:
        waits, due_at = self._timers.in_order(self.commands.open()), self._due_at()
        knows_stop, inbox = self._ending.knows_stop, self._writer.inbox
        return park(waits, self.loop, due_at=due_at, inbox=inbox, knows_stop=knows_stop)

    def _facts(self) -> Facts:
        grace_until = self._ending.grace_until
        return Facts(
            main=self._main,
            misuse=self.loop.misuse,
            refused=self.loop.refused,
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
