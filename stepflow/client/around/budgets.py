"""What both clients do with budgets; loaded when you first ask for `client.budgets`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from stepflow.engine.budgets import verbs
from stepflow.engine.budgets.info import BudgetInfo
from stepflow.engine.steering.audit import name_of, noted
from stepflow.store.calls import Plan

if TYPE_CHECKING:
    from stepflow.client.base import BaseClient
    from stepflow.client.doing import AsyncDoing, Doing


class _Plans:
    """The verbs as plans, for both clients."""

    def __init__(self, client: BaseClient) -> None:
        self._of = client

    def _set(
        self,
        name: str,
        usd: Decimal | int | str | None,
        tokens: int | Literal["code"] | None,
        note: str,
        by: str | None,
    ) -> Plan[BudgetInfo]:
        who = name_of(by)
        plan = verbs.set_limits(name, self._of.env, usd=usd, tokens=tokens, by=who, note=note)
        return noted(plan, "set-budget", name, who, note)

    def _reset(self, name: str, by: str | None) -> Plan[BudgetInfo]:
        who = name_of(by)
        return noted(verbs.reset(name, self._of.env, by=who), "reset-budget", name, who)


class Budgets(_Plans):
    """Budgets, for `Client`: `client.budgets.get("tenant:acme").spent`."""

    def __init__(self, client: BaseClient, doing: Doing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    def list(self, *, limit: int = 100, offset: int = 0) -> Sequence[BudgetInfo]:
        """Read the budgets that steps have spent of, those that were used last, by name."""
        return self._do(verbs.budgets(self._of.env, limit=limit, offset=offset))

    def get(self, name: str) -> BudgetInfo:
        """Read a budget as it stands in its present window; raises BudgetNotFound."""
        return self._do(verbs.get(name, self._of.env))

    def set(
        self,
        name: str,
        *,
        usd: Decimal | int | str | None = None,
        tokens: int | Literal["code"] | None = None,
        note: str = "",
        by: str | None = None,
    ) -> BudgetInfo:
        """
        Set how much a budget has, over what the code says; the runs that wait look again.

        A limit that you leave out stays; "code" takes back what was set, so that the code decides.
        """
        return self._do(self._set(name, usd, tokens, note, by))

    def reset(self, name: str, *, by: str | None = None) -> BudgetInfo:
        """Set what was spent of the budget to 0; raises BudgetNotFound."""
        return self._do(self._reset(name, by))


class AsyncBudgets(_Plans):
    """Budgets, for `AsyncClient`; see `Budgets`."""

    def __init__(self, client: BaseClient, doing: AsyncDoing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    async def list(self, *, limit: int = 100, offset: int = 0) -> Sequence[BudgetInfo]:
        """See Budgets.list."""
        return await self._do(verbs.budgets(self._of.env, limit=limit, offset=offset))

    async def get(self, name: str) -> BudgetInfo:
        """See Budgets.get."""
        return await self._do(verbs.get(name, self._of.env))

    async def set(
        self,
        name: str,
        *,
        usd: Decimal | int | str | None = None,
        tokens: int | Literal["code"] | None = None,
        note: str = "",
        by: str | None = None,
    ) -> BudgetInfo:
        """See Budgets.set."""
        return await self._do(self._set(name, usd, tokens, note, by))

    async def reset(self, name: str, *, by: str | None = None) -> BudgetInfo:
        """See Budgets.reset."""
        return await self._do(self._reset(name, by))
