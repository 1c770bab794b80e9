"""What a definition may say: the source of its JSON Schema, and of how it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stepflow.core.backoff import RetryPolicy
from stepflow.kits.definition.durations import Duration
from stepflow.kits.definition.triggers.model import Trigger

#: what templates and expressions speak of: no step may be called so
ROOTS = ("input", "steps", "env", "item", "index", "result")
#: other words that expressions have a meaning for
RESERVED = frozenset({
    *ROOTS, "and", "or", "not", "in", "is", "if", "else", "true", "false", "null", "lambda", "for",
})  # fmt: skip

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Part(BaseModel):
    """A part of a definition; a field that it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Retry(Part):
    """How often a step is tried, and how long it waits in between."""

    attempts: int = Field(default=3, ge=1, le=1_000_000)
    """Attempts in all, the first one among them."""
    delay: Duration = 1.0
    """The wait before the second attempt."""
    factor: float = Field(default=2.0, ge=1, le=1_000_000)
    """How much longer each wait is than the one before."""
    max_delay: Duration = 300.0
    """No wait is longer."""

    def policy(self) -> RetryPolicy:
        """Give it as the runtime knows it."""
        return RetryPolicy(self.attempts, self.delay, self.factor, self.max_delay)


class Undo(Part):
    """What undoes a step if the run fails or is cancelled later; `{result}` is the step's value."""

    kind: str
    """The kind of work: http, script, tool, or one of yours."""
    input: dict[str, Any] = Field(default={})
    """As for a step of that kind."""
    timeout: Duration | None = None
    """The limit of one attempt."""


class StepSpec(Part):
    """One step."""

    id: Id
    """By this name templates and expressions find its value."""
    kind: str
    """What it does: http, script, tool, run, condition, wait, sleep, ..."""
    depends_on: list[str] = Field(default=[])
    """The steps that have to end before it begins; a skipped one counts as ended."""
    input: dict[str, Any] = Field(default={})
    """What its kind takes; may hold references such as `{input.name}`."""
    skip_if: str | None = None
    """An expression; where it is true, the step is skipped."""
    retry: Retry | None = None
    """How often it is tried; 3 times without."""
    timeout: Duration | None = None
    """The limit of one attempt."""
    queue: str | None = None
    """The queue whose workers do it."""
    requires: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """A capability that the worker which does it must declare."""
    compensate: Undo | None = None
    """What undoes it."""


class EntryPoint(Part):
    """Another place to begin at."""

    start: list[str] = Field(min_length=1)
    """The steps to begin at. They run, and all that depends on them."""
    results: dict[str, Any] = Field(default={})
    """Values that stand for steps before these; may refer to the input."""


class Definition(Part):
    """A workflow as data."""

    name: Name
    version: int = Field(default=1, ge=1)
    description: str = ""
    input: dict[str, Any] | None = None
    """The JSON Schema of its input; without one it takes anything."""
    env: list[Variable] = Field(default=[])
    """The environment variables that its steps may refer to."""
    steps: list[StepSpec] = Field(min_length=1, max_length=1000)
    entry_points: dict[Name, EntryPoint] = Field(default={})
    triggers: list[Trigger] = Field(default=[])
    """What begins a run besides a submit."""
    output: Any = None
    """The result of a run; without one, the values of the steps that no other depends on."""


def below(steps: Iterable[StepSpec], start: Iterable[str]) -> set[str]:
    """Give the ids of the steps of *start*, and of all that depend on them."""
    found, size = set(start), -1
    while size != len(found):
        size = len(found)
        found |= {step.id for step in steps if found.intersection(step.depends_on)}
    return found


def above(steps: Iterable[StepSpec], step_id: str) -> set[str]:
    """Give the ids of the steps that *step_id* depends on, in one step or several."""
    needs = {step.id: step.depends_on for step in steps}
    found: set[str] = set()
    left = list(needs.get(step_id, ()))
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += needs.get(each, ())
    return found


def cycle_in(needs: dict[str, list[str]]) -> list[str] | None:
    """Find a way round among steps, each with the steps it needs; None where there is none."""
    done: set[str] = set()
    for start in needs:
        way = _way_round(start, needs, done)
        if way is not None:
            return way
    return None


def _way_round(start: str, needs: dict[str, list[str]], done: set[str]) -> list[str] | None:
    way: list[str] = []
    ahead: list[Iterator[str]] = [iter([start])]
    while ahead:
        step = next(ahead[-1], None)
        if step is None:
            ahead.pop()
            if way:
                done.add(way.pop())
        elif step in way:
            return [*way[way.index(step) :], step]
        elif step not in done and step in needs:
            way.append(step)
            ahead.append(iter(needs[step]))
    return None
