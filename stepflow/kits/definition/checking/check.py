"""What is wrong with a definition: all of it at once, each with its place, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from stepflow.engine.user_code.schema import check_schema
from stepflow.errors import InvalidOption, did_you_mean
from stepflow.kits.definition.checking.reach import Reach
from stepflow.kits.definition.checking.source import Fault, Source, Way
from stepflow.kits.definition.checking.steps import step_faults
from stepflow.kits.definition.kinds.base import form_faults
from stepflow.kits.definition.kinds.condition import Condition, ConditionInput
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.model import (
    RESERVED,
    Definition,
    EntryPoint,
    StepSpec,
    below,
    cycle_in,
)
from stepflow.kits.definition.triggers.check import trigger_faults

#: what a checker gives: the way to what is wrong, and what that is
Found = Iterator[tuple[Way, str]]


def faults_of(source: Source, known: Known) -> list[Fault]:
    """List what is wrong with the definition of *source*, in the order of its lines."""
    if not isinstance(source.data, dict):
        return [source.fault("a definition is a mapping with a name and steps")]
    faults = [source.fault(problem, way) for way, problem in _faults(source.data, known)]
    unique = list(dict.fromkeys(faults))
    return sorted(unique, key=lambda fault: (fault.line, str(fault.way)))


def _faults(data: dict[str, Any], known: Known) -> Found:
    yield from form_faults(Definition, data)
    steps = list(_sound_steps(data))
    yield from _names(data)
    yield from _dependencies(data)
    yield from _schema(data.get("input"))
    reach = Reach(data, [step for _, step in steps], known)
    for number, step in steps:
        for way, problem in step_faults(step, reach):
            yield ("steps", number, *way), problem
    yield from _conditions(steps, known)
    yield from _entry_points(data, steps, reach)
    yield from reach.references(data.get("output"), ("output",), reach.every_step)
    triggers = data.get("triggers")
    for number, trigger in enumerate(triggers if isinstance(triggers, list) else ()):
        for way, problem in trigger_faults(trigger, data):
            yield ("triggers", number, *way), problem


def _listed(data: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    steps = data.get("steps")
    return [
        (number, each)
        for number, each in enumerate(steps if isinstance(steps, list) else ())
        if isinstance(each, dict)
    ]


def _sound_steps(data: Mapping[str, Any]) -> Iterator[tuple[int, StepSpec]]:
    """Give the steps whose form is right; of the others their form is all that can be said."""
    for number, each in _listed(data):
        try:
            yield number, StepSpec.model_validate(each)
        except ValidationError:
            continue


def _names(data: Mapping[str, Any]) -> Found:
    seen: dict[str, int] = {}
    for number, each in _listed(data):
        name = each.get("id")
        if not isinstance(name, str):
            continue
        if name.lower() in RESERVED:
            yield ("steps", number, "id"), f"{name!r} is a reserved name; call the step otherwise"
        if name in seen:
            first = seen[name]
            yield ("steps", number, "id"), f"steps[{first}] is called {name!r} as well"
        seen.setdefault(name, number)


def _dependencies(data: Mapping[str, Any]) -> Found:
    needs: dict[str, list[str]] = {}
    for _, each in _listed(data):
        if isinstance(each.get("id"), str):
            needs.setdefault(each["id"], _texts(each.get("depends_on")))
    for number, each in _listed(data):
        for place, name in enumerate(_texts(each.get("depends_on"))):
            if name not in needs:
                hint = did_you_mean(name, list(needs))
                yield ("steps", number, "depends_on", place), f"no step is called {name!r}{hint}"
    cycle = cycle_in(needs)
    if cycle is not None:
        number = next(n for n, each in _listed(data) if each.get("id") == cycle[0])
        way = " -> ".join(cycle)
        yield ("steps", number, "depends_on"), f"these steps wait for one another: {way}"


def _texts(given: Any) -> list[str]:
    return [each for each in given if isinstance(each, str)] if isinstance(given, list) else []


def _schema(given: Any) -> Found:
    if isinstance(given, Mapping):
        try:
            check_schema(given)
        except InvalidOption as error:
            yield ("input",), str(error)


def _conditions(steps: Iterable[tuple[int, StepSpec]], known: Known) -> Found:
    """Find the choices of steps that would not wait for the choice."""
    steps = list(steps)
    needs = {step.id: step.depends_on for _, step in steps}
    for number, step in steps:
        if not isinstance(known.kinds.get(step.kind), Condition):
            continue
        try:
            targets = ConditionInput.model_validate(step.input).targets()
        except ValidationError:
            continue
        for name in sorted(targets):
            if name not in needs:
                hint = did_you_mean(name, list(needs))
                yield ("steps", number, "input"), f"no step is called {name!r}{hint}"
            elif step.id not in needs[name]:
                problem = f"step {name!r} has to have {step.id!r} in its depends_on to be chosen"
                yield ("steps", number, "input"), problem


def _entry_points(
    data: Mapping[str, Any], steps: Iterable[tuple[int, StepSpec]], reach: Reach
) -> Found:
    points = data.get("entry_points")
    for name, given in (points if isinstance(points, dict) else {}).items():
        try:
            point = EntryPoint.model_validate(given)
        except ValidationError:
            continue
        way = ("entry_points", name)
        for place, each in enumerate(point.start):
            if each not in reach.every_step:
                hint = did_you_mean(each, list(reach.every_step))
                yield (*way, "start", place), f"no step is called {each!r}{hint}"
        for each in point.results.keys() - reach.every_step:
            yield (*way, "results", each), f"no step is called {each!r}"
        yield from reach.references(point.results, (*way, "results"), frozenset())
        yield from _missing(point, [step for _, step in steps], reach, way)


def _missing(point: EntryPoint, steps: list[StepSpec], reach: Reach, way: Way) -> Found:
    """Find the references to steps that this entry point leaves out and gives no value for."""
    runs = below(steps, point.start)
    for step in steps:
        if step.id in runs:
            for name in sorted(reach.steps_named_by(step) - runs - point.results.keys()):
                problem = f"step {step.id!r} refers to {name!r}, which has no value from here on"
                yield (*way, "results"), f"{problem}; give it one"
