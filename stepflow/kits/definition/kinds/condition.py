"""`condition`: which of the steps after it are taken."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from stepflow.kits.definition.kinds.base import At, Flow, KindInput
from stepflow.kits.definition.values.expressions import evaluate


class Case(KindInput):
    """One way."""

    when: str
    """An expression; the first that is true counts."""
    then: str | list[str]
    """The step to go on with, or several."""


class ConditionInput(KindInput):
    """The ways, in order."""

    cases: list[Case] = Field(min_length=1)
    otherwise: str | list[str] = Field(default=[], alias="else")
    """Where to go on when no case is true."""

    def targets(self) -> set[str]:
        """Give all steps that it may choose."""
        return {step for each in [*(case.then for case in self.cases), self.otherwise]
                for step in as_list(each)}  # fmt: skip


class Condition(Flow):
    """
    A choice among steps that depend on it; its value is `{chosen}`, their ids.

    Those that it does not choose are skipped, and so is what can only be reached through them.
    """

    name = "condition"
    Input = ConditionInput
    deferred = frozenset({"cases", "else"})
    expressions = frozenset({"when"})

    async def carry(self, given: ConditionInput, at: At) -> Any:
        for case in given.cases:
            if evaluate(case.when, at.driver.scope):
                return {"chosen": as_list(case.then)}
        return {"chosen": as_list(given.otherwise)}


def as_list(given: str | list[str]) -> list[str]:
    """Give a step, or several, as a list."""
    return [given] if isinstance(given, str) else list(given)
