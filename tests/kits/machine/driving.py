"""A machine on the runtime in memory: to its end, or crashed at a write."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow.core.journal import ENTERED, Entry
from stepflow.core.outcomes import ContinueAsNew, Park
from stepflow.errors import ClaimLost
from stepflow.kits.machine.machine import Machine
from stepflow.kits.machine.register import workflow_of
from tests.kits.memory import MemoryRuntime, activate


class Driven:
    """A run of *machine*, which may die and be carried on."""

    def __init__(self, machine: Machine[Any, Any], data: Any) -> None:
        machine.bind()
        self.runtime = MemoryRuntime()
        self.function, self.given = workflow_of(machine), data
        self.restarts = 0

    async def go(self, **options: Any) -> Any:
        """Carry it on until it ends or can only wait, moving the clock over every wait."""
        runtime = self.runtime
        while True:
            outcome = await activate(runtime, lambda ctx: self.function(ctx, self.given), **options)
            if isinstance(outcome, ContinueAsNew):
                self.restarts += 1
                self.given = outcome.payload
                runtime.restart(outcome)
                continue
            if not isinstance(outcome, Park):
                return outcome
            if outcome.due_at is not None:
                runtime.clock = max(runtime.clock, outcome.due_at)
            elif outcome.inbox == runtime.inbox:
                return outcome

    async def die_at(self, write: int, **options: Any) -> None:
        """Lose the worker with write number *write*, from 1."""
        self.runtime.crash_after = write
        with pytest.raises(ClaimLost):
            await self.go(**options)
        self.runtime.crash_after = None

    @property
    def entries(self) -> list[Entry]:
        return [Entry.read(each) for each in self.runtime.journal]

    @property
    def way(self) -> list[str]:
        """The states that it has entered, in order."""
        return [entry.name for entry in self.entries if entry.place.endswith(ENTERED)]
