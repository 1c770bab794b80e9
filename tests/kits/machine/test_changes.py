"""[M3] A machine that was changed while its runs are in flight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from stepflow import Machine, StateContext, Succeed
from stepflow.core.outcomes import Pause
from tests.kits.machine.driving import Driven


@dataclass
class Order:
    n: int = 0


def machine(states: Any, first: str, second: str, *, data: Any = Order) -> Any:
    """A machine of two states, whatever their members are called."""
    made: Any = Machine("order", states, start=states(first), ends={states("done")}, data=data)

    @made.state(states(first), to=states(second))
    async def begin(order: Any) -> Any:
        return states(second)

    @made.state(states(second), to=states("done"))
    async def finish(order: Any, ctx: StateContext) -> Any:
        return states("done")

    return made


Old = StrEnum("Old", {"NEW": "new", "PAID": "paid", "DONE": "done"})
Renamed = StrEnum("Renamed", {"FRESH": "new", "SETTLED": "paid", "OVER": "done"})
Gone = StrEnum("Gone", {"NEW": "new", "CHARGED": "charged", "DONE": "done"})


@pytest.mark.parametrize("write", range(1, 5))
async def test_another_name_of_a_member_changes_nothing(write: int) -> None:
    """[M3] The enum's values are what is stored."""
    run = Driven(machine(Old, "new", "paid"), Order())
    await run.die_at(write)
    later = Driven(machine(Renamed, "new", "paid"), Order())
    later.runtime = run.runtime
    assert await later.go() == Succeed({"state": "done", "data": Order()})


@pytest.mark.parametrize("write", range(2, 5))
async def test_a_label_that_the_machine_does_not_know_pauses_the_run(write: int) -> None:
    """[M3] At every write after the transition to it."""
    run = Driven(machine(Old, "new", "paid"), Order())
    await run.die_at(write)
    before = list(run.runtime.journal)
    later = Driven(machine(Gone, "new", "charged"), Order())
    later.runtime = run.runtime
    outcome = await later.go()
    assert isinstance(outcome, Pause)
    assert "goes to state 'paid', which machine 'order' does not have any more" in outcome.reason
    assert "it has 'new', 'charged', 'done'" in outcome.reason
    assert "resume the run, fork it from before, or fail it" in outcome.reason
    assert "> " in outcome.diff
    assert run.runtime.journal == before
    run.runtime.run.step += 1
    run = Driven(machine(Old, "new", "paid"), Order())
    run.runtime = later.runtime
    assert await run.go() == Succeed({"state": "done", "data": Order()})


async def test_another_start_pauses_a_run_that_has_begun() -> None:
    """[M3]"""
    run = Driven(machine(Old, "new", "paid"), Order())
    await run.die_at(1)
    later = Driven(machine(Old, "paid", "new"), Order())
    later.runtime = run.runtime
    outcome = await later.go()
    assert isinstance(outcome, Pause)
    assert "remembered value 'new', now state 'paid'" in outcome.reason


@dataclass
class Other:
    n: int
    needed: str


async def test_data_that_do_not_fit_their_type_any_more_pause_the_run() -> None:
    """[M3] [M4]"""
    run = Driven(machine(Old, "new", "paid"), Order())
    await run.die_at(2)
    later = Driven(machine(Old, "new", "paid", data=Other), Order())
    later.runtime = run.runtime
    outcome = await later.go()
    assert isinstance(outcome, Pause)
    assert "the data of machine 'order' do not fit their type: needed" in outcome.reason
