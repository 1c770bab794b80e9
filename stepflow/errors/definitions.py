"""What may be wrong with workflows that are data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepflow.errors.base import StepflowError
from stepflow.errors.usage import InvalidOption
from stepflow.errors.user_code import PermanentError

#: characters of an expression, or of an error, that a sentence has
_LONG = 500


class InvalidDefinition(InvalidOption):
    """A definition cannot run; *faults* has all that is wrong, each with its line and place."""

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        self.definition, self.faults = name, tuple(faults)
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"definition {name!r} cannot run; correct this:{lines}")


class DefinitionFailed(StepflowError):
    """
    Steps of a definition failed for good; those that did not need them have ended.

    *failed* has the error of each, *blocked* the steps that were never begun for it.
    """

    def __init__(self, name: str, failed: Mapping[str, str], blocked: Sequence[str]) -> None:
        self.definition, self.failed, self.blocked = name, dict(failed), tuple(blocked)
        said = "; ".join(f"step {step!r}: {error[:_LONG]}" for step, error in failed.items())
        never = f"; never begun: {', '.join(blocked)}" if blocked else ""
        super().__init__(f"definition {name!r} failed: {said}{never}")


class NoSuchValue(PermanentError):
    """A reference of a definition leads nowhere: the input, or a step's value, is another."""


class InvalidExpression(PermanentError):
    """An expression of a definition cannot be read, or not be worked out with these values."""

    def __init__(self, expression: str, problem: str) -> None:
        super().__init__(f"expression {expression[:_LONG]!r}: {problem}")
