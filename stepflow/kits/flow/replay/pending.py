"""What a workflow has asked for and has no answer to yet, by place; keyed steps by their key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stepflow.core.journal import KEYED, Entry
from stepflow.core.under_way import UnderWay
from stepflow.kits.flow.answer import Answer
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.replay.compensations import CompensationStack
from stepflow.kits.flow.replay.keyed import Keyed


class PendingCommands(dict[str, Command]):
    """
    The commands of one activation, by place.

    *on_dropped* is called with each that the workflow cancels.
    """

    def __init__(
        self, compensations: CompensationStack, on_dropped: Callable[[Command], None]
    ) -> None:
        super().__init__()
        self._fresh: list[Command] = []
        self._compensations = compensations
        self._on_dropped = on_dropped
        self._keyed: Keyed | None = None

    @property
    def keyed(self) -> Keyed:
        """What is remembered of keyed steps; most workflows have none."""
        if self._keyed is None:
            self._keyed = Keyed()
        return self._keyed

    def add(self, command: Command) -> None:
        """Take in what the workflow asks for; a keyed command may be answered at once."""
        if command.place.startswith(KEYED) and self._is_known(command):
            return
        self[command.place] = command
        self._fresh.append(command)
        answer = command.future
        if isinstance(answer, Answer):
            answer.on_cancelled, answer.place = self._on_cancelled, command.place

    def _on_cancelled(self, place: str) -> None:
        command = self.get(place)
        if command is not None:
            self._on_dropped(command)

    def add_timer(self, command: Command) -> None:
        """Take in a timer of the workflow's code, which is no call of `ctx`."""
        self[command.place] = command
        self._fresh.append(command)

    def _is_known(self, command: Command) -> bool:
        """
        Answer a keyed command by what is remembered; False when it has to be carried out.

        One whose key is being asked for already is added again when that is done.
        """
        first = self.get(command.place)
        if first is not None and first.is_wanted:
            first.future.add_done_callback(
                lambda _: None if command.future.done() else self.add(command)
            )
            return True
        if first is not None:  # cancelled; its entry, on the way already, is for this one
            command.is_busy = command.is_writing = first.is_writing
        return self.keyed.resolve(command, self._compensations)

    def find_for(self, entry: Entry, *, has_ended: bool) -> tuple[Command | None, str]:
        """
        Return the command that a remembered fact belongs to, or say in words what is there instead.

        A fact about a keyed step that nobody asks for yet is kept until somebody does: no command,
        and no words.
        """
        command = self.get(entry.place)
        if entry.place.startswith(KEYED):
            self.keyed.keep(entry, is_asked_for=command is not None)
            return command, ""
        if command is None:
            now = "the function ends before it" if has_ended else "nothing is asked for there"
            return None, f"remembered {entry.kind} {entry.name!r} at place {entry.place}, now {now}"
        if entry.name != command.name or entry.kind not in command.entry_kinds:
            now = f"{command.what} {command.name!r}"
            return None, f"at place {entry.place} remembered {entry.kind} {entry.name!r}, now {now}"
        return command, ""

    def open(self) -> list[Command]:
        """Return those that the workflow still waits for."""
        return [command for command in self.values() if command.is_wanted]

    def take_fresh(self) -> list[Command]:
        """Return those added since this was called last: nothing was done for them yet."""
        fresh, self._fresh = self._fresh, []
        return fresh

    @property
    def may_be_left(self) -> bool:
        """Whether something was asked for that nothing was done for yet, or has made room."""
        return bool(self._fresh) or any(command.is_drained for command in self.values())

    def is_busy(self) -> bool:
        """Whether a try or a write for one of them is under way."""
        return any(command.is_busy for command in self.values())

    def under_way(self) -> list[UnderWay]:
        """List the attempts in progress; another thread may ask."""
        return [each for command in list(self.values()) for each in command.under_way()]

    def task_of(self, place: str) -> asyncio.Task[Any] | None:
        """Return the task that carries out the attempt at *place*; another thread may ask."""
        command = self.get(place) or self.get(place.rpartition(".")[0])
        return None if command is None else command.task_at(place)

    def abandon_all(self) -> None:
        """Abandon and forget them all."""
        for command in self.values():
            command.abandon()
        self.clear()

    def forget_host(self) -> None:
        """Forget them all, and whom to tell of those that are cancelled: the activation is over."""
        self.clear()
        self._on_dropped = _tell_nobody


def _tell_nobody(command: Command) -> None:
    """Stand for whom to tell, once the activation is over."""
