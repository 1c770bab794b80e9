"""The rows of the table of operations that are about budgets."""

from __future__ import annotations

from stepflow.engine.budgets.info import BudgetInfo
from stepflow.errors import BudgetNotFound, InvalidOption
from stepflow.web.budgets import handlers
from stepflow.web.budgets.given import BudgetsQuery, SetBudget
from stepflow.web.models import Nothing
from stepflow.web.operation import Operation
from stepflow.web.problems import Problem

_ONE: tuple[Problem, ...] = (BudgetNotFound,)
_AT = "/budgets/{budget}"

BUDGETS = (
    Operation(
        "GET", "/budgets", handlers.list_budgets, "List budgets", list[BudgetInfo],
        query=BudgetsQuery,
    ),
    Operation("GET", _AT, handlers.show_budget, "Show a budget", BudgetInfo, problems=_ONE),
    Operation(
        "POST", f"{_AT}/set", handlers.set_budget, "Set what a budget has", BudgetInfo,
        right="set-budget", body=SetBudget, problems=(InvalidOption,),
    ),
    Operation(
        "POST", f"{_AT}/reset", handlers.reset_budget, "Set what was spent of a budget to 0",
        BudgetInfo, right="reset-budget", body=Nothing, problems=_ONE,
    ),
)  # fmt: skip
