"""
A definition's run: every step begins as soon as those it depends on have ended.

Each step is a branch of the workflow, begun at once in the order of the definition, and waits for
its dependencies there; so its place in the journal does not depend on who ends first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum, auto
from functools import partial
from typing import Any

from stepflow.core.graphs.definitions import SKIPPED
from stepflow.errors import ChildFailed, DefinitionFailed, InvalidOption, StepFailed
from stepflow.kits.definition.kinds.base import At, Flow, Kind, Work, read_input
from stepflow.kits.definition.kinds.condition import Condition
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.model import Definition, StepSpec, Undo, below, cycle_in
from stepflow.kits.definition.remote import Remote
from stepflow.kits.definition.values.expressions import evaluate
from stepflow.kits.definition.values.templates import Filled, fill
from stepflow.kits.definition.work import work_of
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.step_options import DeclaredStep, declare


class End(Enum):
    """How a step has ended for those that depend on it."""

    DONE = auto()
    SKIPPED = auto()
    #: skipped, with all that can only be reached through it
    NOT_CHOSEN = auto()
    FAILED = auto()
    #: never begun, for a step that it needs has failed
    BLOCKED = auto()


class Carrying:
    """One activation of a definition's run; `kinds.base.Driver` for its kinds."""

    def __init__(
        self, ctx: Context, known: Known, remote: Remote, given: Mapping[str, Any]
    ) -> None:
        self.known, self.skipped = known, set[str]()
        self._ctx, self._remote = ctx, remote
        self._definition = Definition.model_validate(given["definition"])
        self._steps = {step.id: step for step in self._definition.steps}
        self._values: dict[str, Any] = {}
        self.scope: dict[str, Any] = {"input": given.get("input"), "steps": self._values}
        self._ends: dict[str, End] = {}
        self._over = {step.id: asyncio.Event() for step in self._definition.steps}
        self._errors: dict[str, str] = {}
        self._reached, self._preset = self._begin_at(given.get("entry_point"))

    def _begin_at(self, name: str | None) -> tuple[set[str], dict[str, Any]]:
        """Give the steps that are to run, and the values that stand for others."""
        definition = self._definition
        if name is None:
            return set(self._over), {}
        point = definition.entry_points[name]
        preset = fill(point.results, {"input": self.scope["input"]}).value
        return below(definition.steps, point.start) - preset.keys(), preset

    async def carry(self) -> Any:
        """Go through all steps; returns the output, or raises DefinitionFailed."""
        self._check_ways()
        await asyncio.gather(*[
            asyncio.create_task(self._carry_step(step)) for step in self._definition.steps
        ])  # fmt: skip
        if self._errors:
            blocked = [step for step, end in self._ends.items() if end is End.BLOCKED]
            raise DefinitionFailed(self._definition.name, self._errors, blocked)
        return self._output()

    def _check_ways(self) -> None:
        """Refuse what would wait for itself, or for what there is not."""
        needs = {step.id: step.depends_on for step in self._definition.steps}
        cycle = cycle_in(needs)
        pairs = [(step, each) for step, every in needs.items() for each in every]
        lost = [f"{step} -> {each}" for step, each in pairs if each not in needs]
        if cycle is not None or lost:
            what = " -> ".join(cycle) if cycle else ", ".join(lost)
            raise InvalidOption(
                f"definition {self._definition.name!r} can never end: {what}; correct depends_on"
            )

    async def _carry_step(self, step: StepSpec) -> None:
        self._ends[step.id] = await self._end_of(step)
        self._over[step.id].set()

    async def _end_of(self, step: StepSpec) -> End:
        if step.id in self._preset:
            self._values[step.id] = self._preset[step.id]
            return End.DONE
        if step.id not in self._reached:
            return self._skip(step, End.SKIPPED)
        for each in step.depends_on:
            await self._over[each].wait()
        before = {self._ends[each] for each in step.depends_on}
        if before & {End.FAILED, End.BLOCKED}:
            return End.BLOCKED
        if before == {End.NOT_CHOSEN} or not self._is_chosen(step):
            return self._skip(step, End.NOT_CHOSEN)
        try:
            if step.skip_if is not None and evaluate(step.skip_if, self.scope):
                name = SKIPPED.format(step.id)
                await self._ctx.step(name, _give, None, key=name)
                return self._skip(step, End.SKIPPED)
            self._values[step.id] = await self._value_of(step)
        except Exception as error:  # noqa: BLE001  the others go on; the run says it at its end
            self._errors[step.id] = _in_words(error)
            return End.FAILED
        return End.DONE

    def _skip(self, step: StepSpec, end: End) -> End:
        self._values[step.id] = None
        self.skipped.add(step.id)
        return end

    def _is_chosen(self, step: StepSpec) -> bool:
        """Whether the conditions that could have left the step out have not."""
        for each in step.depends_on:
            before = self._steps[each]
            kind = self.known.kinds.get(before.kind)
            chosen = self._values.get(each)
            if isinstance(kind, Condition) and isinstance(chosen, Mapping):
                given = read_input(kind, before.input)
                if step.id in given.targets() and step.id not in chosen.get("chosen", ()):
                    return False
        return True

    async def _value_of(self, step: StepSpec) -> Any:
        kind = self.known.kinds.get(step.kind)
        if isinstance(kind, Work):
            return await self._work(step, fill(step.input, self.scope, self.skipped))
        if not isinstance(kind, Flow):
            msg = f"this worker has no kind {step.kind!r}; start one that has, and retry the run"
            raise InvalidOption(msg)
        given = read_input(kind, self._filled(kind, step))
        value = await kind.carry(given, At(self._ctx, step, self))
        return await self._ctx.step(step.id, _give, value, key=step.id, compensate=self._undo(step))

    def _filled(self, kind: Kind, step: StepSpec) -> dict[str, Any]:
        now = {key: each for key, each in step.input.items() if key not in kind.deferred}
        later = {key: each for key, each in step.input.items() if key in kind.deferred}
        filled: dict[str, Any] = fill(now, self.scope, self.skipped).value
        return filled | later

    async def _work(self, step: StepSpec, filled: Filled) -> Any:
        retry = None if step.retry is None else step.retry.policy()
        if step.queue is not None or step.requires is not None:
            return await self._ctx.step(
                step.id, self._remote.function(step.requires), step.kind, filled.value,
                filled.holes, step.timeout, key=step.id, retry=retry,
                compensate=self._undo(step), queue=step.queue or self._ctx._activation.run.queue,  # noqa: SLF001  the kit's own call
            )  # fmt: skip
        return await self._ctx.step(
            step.id, work_of, self.known, step.kind, filled, key=step.id, retry=retry,
            timeout=step.timeout, compensate=self._undo(step),
        )  # fmt: skip

    def _undo(self, step: StepSpec) -> Any:
        if step.compensate is None:
            return None
        undo = partial(self._undone, step.compensate)

        async def work(result: Any) -> Any:
            return await undo(result)

        declare(work, DeclaredStep(None, None, step.compensate.timeout))
        return work

    async def _undone(self, undo: Undo, result: Any) -> Any:
        filled = fill(undo.input, {**self.scope, "result": result}, self.skipped)
        return await work_of(self.known, undo.kind, filled)

    def _output(self) -> Any:
        definition = self._definition
        if definition.output is not None:
            return fill(definition.output, self.scope, self.skipped).value
        needed = {each for step in definition.steps for each in step.depends_on}
        last = [step.id for step in definition.steps if step.id not in needed]
        return {step: self._values[step] for step in last if step not in self.skipped}


async def _give(value: Any) -> Any:
    return value


def _in_words(error: Exception) -> str:
    match error:
        case StepFailed() | ChildFailed():
            return f"{error.error_type}: {error.error_message}"
    return f"{type(error).__name__}: {error}"
