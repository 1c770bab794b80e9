"""
The timers of one activation.

What a timer is counted from is the workflow's own time, that of the last remembered entry. So on
replay it is due when it was due, and nothing has to be written for it before it fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepflow.core.journal import Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.timer import TimerCommand
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.pending import PendingCommands
from stepflow.kits.flow.replay.timing.timer import WorkflowTimer


class Timers:
    """The timers that the code on *loop* has set and not cancelled, among its *commands*."""

    def __init__(self, loop: WorkflowLoop, commands: PendingCommands) -> None:
        self._loop = loop
        self._commands = commands
        #: the places of those that are remembered to have fired, not handed over yet
        self._remembered: set[str] = set()
        #: whether the workflow has ever set one
        self._is_used = False

    def remember(self, entries: Iterable[Entry]) -> None:
        """Learn what the journal holds of timers, perhaps among other entries."""
        self._remembered = {entry.place for entry in entries if entry.kind is EntryKind.TIMER}

    def start(self, timer: WorkflowTimer) -> None:
        """Begin to wait for *timer*."""
        self._is_used = True
        self._commands.add_timer(TimerCommand(timer.place, self._loop.create_future(), timer))

    def drop(self, timer: WorkflowTimer) -> None:
        """
        Wait no more for *timer*, which was cancelled.

        One whose entry is on its way stays until that comes, on replay as it did live.
        """
        command = self._commands.get(timer.place)
        if (
            isinstance(command, TimerCommand)
            and command.handle is timer
            and not command.is_writing
            and timer.place not in self._remembered
        ):
            del self._commands[timer.place]

    def fire(self, entry: Entry, *, has_ended: bool) -> str:
        """Call what a remembered timer calls; says in words why it does not fit."""
        command, problem = self._commands.find_for(entry, has_ended=has_ended)
        if not isinstance(command, TimerCommand):
            return problem
        problem = problem or command.misfit(entry)
        if problem:
            return problem
        self._remembered.discard(entry.place)
        del self._commands[entry.place]
        self._loop.now = entry.at
        if command.is_wanted:
            self._loop.make_ready(command.handle)
        self._loop.run_ready()
        return ""

    def in_order(self, commands: Sequence[Command]) -> Sequence[Command]:
        """Put timers into the order in which they are due, behind all else."""
        return sorted(commands, key=_due) if self._is_used else commands


def _due(command: Command) -> float:
    return command.due_at or 0.0 if isinstance(command, TimerCommand) else 0.0
