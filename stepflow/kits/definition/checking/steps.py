"""What is wrong with one step of a definition, whose form is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepflow.errors import did_you_mean
from stepflow.kits.definition.checking.reach import Found, Reach
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import Kind, Work, form_faults
from stepflow.kits.definition.model import StepSpec


def step_faults(step: StepSpec, reach: Reach) -> Found:
    """Say what is wrong with *step*, each with the way to it from the step on."""
    before = reach.above(step)
    if step.skip_if is not None:
        yield from reach.expression(step.skip_if, ("skip_if",), before)
    kind = reach.known.kinds.get(step.kind)
    if kind is None:
        hint = did_you_mean(step.kind, list(reach.known.kinds))
        named = hint or f"; there are {', '.join(reach.known.kinds)}"
        yield ("kind",), f"there is no kind {step.kind!r}{named}"
        return
    yield from _options(step, kind)
    yield from _input(kind, step.input, reach, before)
    if step.compensate is not None:
        for way, problem in _undo(step, reach, before):
            yield ("compensate", *way), problem


def _options(step: StepSpec, kind: Kind) -> Found:
    for option in ("retry", "timeout", "queue", "requires", "compensate"):
        if getattr(step, option) is not None and option not in kind.options:
            yield (option,), f"a step of kind {kind.name!r} takes no {option}"


def _input(
    kind: Kind,
    given: dict[str, Any],
    reach: Reach,
    before: frozenset[str],
    more: tuple[str, ...] = (),
) -> Found:
    for way, problem in (*form_faults(kind.Input, given), *kind.faults(given, reach.known)):
        yield ("input", *way), problem
    for name, value in given.items():
        here = ("input", name)
        extra = (*more, "item", "index") if kind.name == "map" and name == "input" else more
        yield from reach.references(value, here, before, more=extra, env=kind.has_env)
        for way, expression in _expressions(kind, value, here):
            yield from reach.expression(expression, way, before, more)


def _expressions(kind: Kind, value: Any, way: Way) -> Iterator[tuple[Way, Any]]:
    """Find the fields of an input that are expressions."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in kind.expressions:
                yield (*way, name), each
            else:
                yield from _expressions(kind, each, (*way, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _expressions(kind, each, (*way, number))


def _undo(step: StepSpec, reach: Reach, before: frozenset[str]) -> Found:
    undo = step.compensate
    assert undo is not None
    kind = reach.known.kinds.get(undo.kind)
    if not isinstance(kind, Work):
        named = ", ".join(n for n, each in reach.known.kinds.items() if isinstance(each, Work))
        yield ("kind",), f"{undo.kind!r} cannot undo a step; that is work: {named}"
        return
    yield from _input(kind, undo.input, reach, before | {step.id}, more=("result",))
