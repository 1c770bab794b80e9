"""What an activation knows of the output of its steps: which of it is void, and when to say so."""

from __future__ import annotations

from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.replay.pending import PendingCommands


class StepOutput:
    """
    Says what counts no more of what the steps of an activation have emitted.

    A replay says nothing: the activation that it repeats has said it, or has died before.
    """

    def __init__(self, commands: PendingCommands) -> None:
        self._commands = commands
        #: places of what was open where the journal ended
        self._frontier: frozenset[str] = frozenset()
        #: what the replay has given up as undoing began
        self._given_up: list[Command] = []

    def go_live(self, host: CommandHost) -> None:
        """
        Learn what an earlier activation may have emitted that does not count.

        What is open begins again, which says so. What it has given up may lack that: its worker may
        have died before it could say it.
        """
        run = host.run
        if not run.has_output:
            return
        self._frontier = frozenset(command.place for command in self._commands.values())
        if run.handoff:
            dropped = [command for command in self._commands.values() if not command.is_wanted]
            for command in (*self._given_up, *dropped):
                command.void_output(host, was_begun=True)

    def was_begun_before(self, place: str) -> bool:
        """Whether an earlier activation may have begun with the step at *place*."""
        return place in self._frontier

    def void_all(self, host: CommandHost) -> None:
        """Declare void what those have emitted that will not be answered any more."""
        if host.is_live:
            for command in self._commands.values():
                command.void_output(host)
        elif host.run.has_output:
            self._given_up += self._commands.values()
