"""What a step has of its limits while its function, or its runner, is called."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar

from stepflow.core.limits.use import LimitUse


class StepSlot:
    """
    The slots of one attempt of *step*, and what it has used of their rates.

    *number* is that of the ask which got them, among those of its claim.
    """

    __slots__ = ("_settled", "is_over", "number", "step", "uses")

    def __init__(self, step: str, number: int, uses: Sequence[LimitUse]) -> None:
        self.step = step
        self.number = number
        self.uses = uses
        #: the attempt has ended: what is said of it from here on does not count
        self.is_over = False
        self._settled: dict[str, int] = {}

    def settle(self, name: str, units: int) -> bool:
        """Note how many units of a limit were used; False when the step does not have it."""
        if self.is_over or all(use.name != name for use in self.uses):
            return False
        self._settled[name] = units
        return True

    @property
    def is_settled(self) -> bool:
        """Whether anything was said of what was used."""
        return bool(self._settled)

    def void(self) -> None:
        """Note that nothing was used: the step did not come as far."""
        self._settled = {use.name: 0 for use in self.uses}

    def written(self) -> tuple[str, int, str]:
        """Write step, number, and what it has used, as scripts take them."""
        settled = (f"{name}={units}" for name, units in self._settled.items())
        return self.step, self.number, "\n".join(settled)


#: those of the step whose function, or whose runner, runs in this context
present_slot: ContextVar[StepSlot | None] = ContextVar("stepflow_slot", default=None)
