"""What is wrong with a machine, all of it at once, before anything runs."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Protocol

from stepflow.core.ids import check_text
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.hints import hints_of, without_extras
from stepflow.engine.user_code.readable import awaited
from stepflow.errors import InvalidOption, shown
from stepflow.kits.machine.calls import places
from stepflow.kits.machine.forms import Batch, Form, Router, Split
from stepflow.store.values.annotations import is_record


class Graph(Protocol):
    """What is checked of a machine."""

    data: Any
    labels: list[str]
    label_of_start: str
    end_labels: frozenset[str]
    forms: dict[str, Form]
    #: what was wrong where it was declared
    faults: list[str]

    @property
    def states(self) -> type[Enum]:
        """Its states."""


def faults_of(machine: Graph) -> list[str]:
    """List what is wrong with *machine*, a sentence each."""
    faults = list(_of_states(machine.states))
    if faults:  # nothing can be said of what goes from where to where
        return faults
    faults += machine.faults
    if not (isinstance(machine.data, type) and is_record(machine.data)):
        faults.append(f"data is {shown(machine.data)}; it is a dataclass or a pydantic model")
    faults += _of_graph(machine)
    for form in machine.forms.values():
        for fault in _of_form(form, machine):
            faults.append(f"state {form.label!r}: {fault}")
    return faults


def _of_states(states: Any) -> Iterator[str]:
    if not (isinstance(states, type) and issubclass(states, Enum) and len(states)):
        yield f"its states are {shown(states)}; they are an Enum with a text for each state"
        return
    for name, member in states.__members__.items():
        if name != member.name:
            yield f"states {member.name} and {name} have the same value, {member.value!r}"
        try:
            check_text("the value", member.value, without="|")
        except InvalidOption as error:
            yield f"state {member.name} has no value that can name it: {error}"


def _of_graph(machine: Graph) -> Iterator[str]:
    handled = set(machine.forms) | machine.end_labels
    for label in machine.labels:
        if label not in handled:
            yield f"state {label!r} has no function and is no end"
    for form in machine.forms.values():
        if not form.to:
            yield f"state {form.label!r} has no states to go to: name them in to="
    if machine.label_of_start:
        reached = _reached(machine)
        for label in machine.labels:
            if label not in reached:
                yield f"state {label!r} cannot be reached from {machine.label_of_start!r}"


def _reached(machine: Graph) -> set[str]:
    reached: set[str] = set()
    left = [machine.label_of_start]
    while left:
        label = left.pop()
        if label in reached:
            continue
        reached.add(label)
        if label in machine.forms and label not in machine.end_labels:
            left += machine.forms[label].to
    return reached


def _of_form(form: Form, machine: Graph) -> Iterator[str]:
    for function, extra in form.functions:
        yield from _of_function(function, 1 + extra)
    for function in form.choosers:
        yield from _of_choice(function, form, machine)
    if isinstance(form, Router) and callable(form.function) and is_async(form.function):
        yield "a router is a plain def: it may wait for nothing"
    if isinstance(form, Batch) and not _is_count(form.limit):
        yield f"limit is {shown(form.limit)}; it is a whole number from 1"
    if isinstance(form, Split):
        yield from _of_split(form)


def _of_function(function: Any, needs: int) -> Iterator[str]:
    if not callable(function):
        yield f"{shown(function)} is no function"
        return
    try:
        least, most = places(function)
    except (TypeError, ValueError):  # it does not say what it takes
        return
    if most < needs or least > needs + 1:
        name = getattr(function, "__name__", type(function).__name__)
        yield f"{name} is called with {needs} values, or {needs + 1} with the context as the last"


def _of_choice(function: Any, form: Form, machine: Graph) -> Iterator[str]:
    if not callable(function):
        return
    for chosen in _chosen(hints_of(function).get("return", Any)):
        if chosen in form.also or chosen is Any or chosen is machine.states:
            continue
        if not isinstance(chosen, machine.states):
            yield f"its function returns {_in_words(chosen)}, which is no state of the machine"
        elif chosen.value not in form.to:
            yield f"its function returns {chosen.value!r}, which is not in its to="


def _chosen(hint: Any) -> Iterator[Any]:
    """Go through what a return annotation names: classes, and the members in a Literal."""
    hint = without_extras(awaited(hint))
    origin = typing.get_origin(hint)
    if origin in {typing.Union, UnionType}:
        for each in typing.get_args(hint):
            yield from _chosen(each)
    elif origin is typing.Literal:
        yield from typing.get_args(hint)
    elif isinstance(hint, typing.TypeVar | str):  # it says nothing here
        yield Any
    else:
        yield None if hint is NoneType else hint


def _in_words(chosen: Any) -> str:
    return chosen.__name__ if isinstance(chosen, type) else shown(chosen)


def _of_split(form: Split) -> Iterator[str]:
    if not form.each:
        yield "a split needs branches"
    if len(form.to) > 1:
        yield "a split goes to one state; put a router there"
    if form.limit is not None and not _is_count(form.limit):
        yield f"limit is {shown(form.limit)}; it is a whole number from 1, or None"
    join, total = form.join, len(form.each)
    if join.kind == "percentage" and not 0 < join.amount <= 1:
        yield f"percentage is {shown(join.amount)}; it is above 0 and at most 1"
    elif join.kind != "percentage" and total and join.amount > total:
        yield f"join {join} can never be met by {total} branches"


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1
