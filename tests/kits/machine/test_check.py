"""[M2] What is wrong with a machine is said at its registration, all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, auto
from typing import Any, Literal

import pytest

from stepflow import InvalidMachine, InvalidOption, Join, Machine, More, Pending, Stepflow


class State(StrEnum):
    NEW = auto()
    WORK = auto()
    DONE = auto()


@dataclass
class Data:
    n: int = 0


def to_work(data: Data) -> State:
    return State.WORK


def to_done(data: Data) -> Literal[State.DONE]:
    return State.DONE


def branch(data: Data) -> int:
    return data.n


async def waits(data: Data) -> State:
    return State.DONE


def gives_text(data: Data) -> str:
    return "done"


def gives_nothing(data: Data) -> None:
    return None


def takes_nothing() -> State:
    return State.DONE


def takes_three(data: Data, more: int, other: int) -> State:
    return State.DONE


def polled(data: Data) -> State | Pending | None:
    return State.DONE


def paged(data: Data, cursor: int | None) -> State | More:
    return State.DONE


def machine(work: Callable[[Any], Any] | None = None, **options: Any) -> Any:
    """A machine that is right, but for *options* and what *work* does about the state WORK."""
    given: dict[str, Any] = {"start": State.NEW, "ends": {State.DONE}, "data": Data, **options}
    made: Any = Machine("m", options.pop("states", State), **{
        name: value for name, value in given.items() if name != "states"
    })  # fmt: skip
    made.state(State.NEW, to=State.WORK)(to_work)
    (work or (lambda made: made.state(State.WORK, to=State.DONE)(to_done)))(made)
    return made


def state(function: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda made: made.state(State.WORK, **{"to": State.DONE, **options})(function)


def split(*branches: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda made: made.split(State.WORK, branches, **{"to": State.DONE, **options})


FAULTS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda made: None, "state 'work' has no function and is no end"),
    (lambda made: None, "state 'done' cannot be reached from 'new'"),
    (state(to_done, to=State.WORK), "state 'done' cannot be reached from 'new'"),
    (state(to_done, to=State.WORK), "state 'work': its function returns 'done', which is not in"),
    (state(to_done, to=()), "state 'work' has no states to go to: name them in to="),
    (state(to_done, to="done"), "to= of state 'work': 'done' is no state of the machine"),
    (state(gives_text), "its function returns str, which is no state of the machine"),
    (state(gives_nothing), "its function returns None, which is no state of the machine"),
    (state(polled), "its function returns Pending, which is no state of the machine"),
    (state(takes_nothing), "takes_nothing is called with 1 values, or 2 with the context"),
    (state(takes_three), "takes_three is called with 1 values, or 2 with the context"),
    (state(7), "state 'work': 7 is no function"),
    (state(to_done, retry=3), "state 'work': retry of its steps is 3"),
    (state(to_done, timeout=-1), "state 'work': timeout is -1"),
    (state(to_done, compensate=3), "state 'work': compensate"),
    (lambda made: made.router(State.WORK, to=State.DONE)(waits), "a router is a plain def"),
    (lambda made: made.poll(State.WORK, to=State.DONE, every=-1)(polled), "every of ctx.poll"),
    (lambda made: made.timer(State.WORK, "soon", to=State.DONE), "state 'work': after is 'soon'"),
    (
        lambda made: made.batch(State.WORK, branch, branch, to=State.DONE, limit=0)(paged),
        "state 'work': limit is 0; it is a whole number from 1",
    ),
    (split(), "state 'work': a split needs branches"),
    (split(branch, to=None), "state 'work' has no states to go to"),
    (split(branch, limit=0), "state 'work': limit is 0; it is a whole number from 1"),
    (split(branch, join="most"), "state 'work': split was given join 'most'"),
    (split(branch, join=Join.quorum(2)), "join quorum(2) can never be met by 1 branches"),
    (split(branch, join=Join("percentage", 1.5)), "percentage is 1.5; it is above 0"),
]


@pytest.mark.parametrize(("work", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_each_fault_is_said(work: Callable[[Any], Any], said: str) -> None:
    """[M2]"""
    with pytest.raises(InvalidMachine) as caught:
        Stepflow("redis://localhost:1").machine(machine(work))
    assert any(said in fault for fault in caught.value.faults), caught.value.faults


def test_all_that_is_wrong_is_said_at_once() -> None:
    """[M2]"""
    with pytest.raises(InvalidMachine) as caught:
        machine(state(gives_text, to=State.WORK, timeout=-1), data=dict).validate()
    assert len(caught.value.faults) == 4
    assert str(caught.value).startswith("machine 'm' cannot run; correct this:\n  - ")
    assert isinstance(caught.value, InvalidOption)


class Twice(Enum):
    A = "a"
    B = "a"  # noqa: PIE796  that is the fault


class Numbers(IntEnum):
    A = 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": "new"}, "start: 'new' is no state of the machine"),
        ({"ends": {State.DONE, 3}}, "ends: 3 is no state of the machine"),
        ({"data": dict}, "it is a dataclass or a pydantic model"),
        ({"states": Twice}, "states A and B have the same value, 'a'"),
        ({"states": Numbers}, "state A has no value that can name it"),
        ({"states": int}, "they are an Enum with a text for each state"),
        ({"restart_after": 0}, "restart_after is 0; it is at least 1"),
    ],
)
def test_what_the_machine_itself_is_given_is_checked(options: Any, said: str) -> None:
    """[M2]"""
    with pytest.raises(InvalidMachine) as caught:
        machine(**options).validate()
    assert any(said in fault for fault in caught.value.faults), caught.value.faults


def test_a_state_is_declared_once() -> None:
    """[M2]"""
    made = machine()
    made.state(State.WORK, to=State.DONE)(to_done)
    with pytest.raises(InvalidMachine, match="state 'work' is declared twice"):
        made.validate()


def test_cycles_loops_and_an_end_with_a_function_are_fine() -> None:
    """[M2]"""
    made = machine(state(to_work, to={State.WORK, State.NEW, State.DONE}))
    made.state(State.DONE, to=State.NEW)(to_work)
    made.validate()
    assert [form.label for form in made.forms.values()] == ["new", "work", "done"]


def test_functions_may_return_what_their_form_allows() -> None:
    """[M2]"""
    machine(lambda made: made.poll(State.WORK, to=State.DONE, every=1)(polled)).validate()
    machine(lambda made: made.stepped(State.WORK, to=State.DONE)(paged)).validate()
