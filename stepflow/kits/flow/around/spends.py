"""What a step asks of the budgets that its calls spend of."""

from __future__ import annotations

from typing import Any, Protocol

from stepflow.kits.flow.runtime import FlowRuntime, Settling


class Spends(Protocol):
    """What a step spends of budgets, and how that is settled."""

    @property
    def has_news(self) -> bool:
        """Whether people have answered since the last try began."""

    def settling(self, came_to: Any) -> Settling | None:
        """Say what the entry settles that remembers *came_to*, a value or an exception."""

    def price(self, error: BaseException, value: Any) -> None:
        """Have *error* say what the *value* has cost that cannot be remembered."""

    def leave(self, runtime: FlowRuntime, came_to: Any) -> None:
        """Settle an attempt of which nothing is remembered."""
