"""What the operations on budgets take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stepflow.web.models import Given, Rows, integer, whole

#: what the name of a budget looks like, with the family of runs that it is of
BUDGET = r"^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,259}$"


class BudgetsQuery(Given):
    """Which budgets are listed: so many, after so many."""

    limit: Rows = 100
    offset: Annotated[int, Field(ge=0, le=10**8), BeforeValidator(whole)] = 0


class SetBudget(Given):
    """What a budget has, dollars as text; "code" for what the code says. What is left out stays."""

    usd: Annotated[str, Field(pattern=r"^([0-9]{1,9}(\.[0-9]{1,6})?|code)$")] | None = None
    tokens: (
        Annotated[str, Field(pattern=r"^([0-9]{1,14}|code)$")]
        | Annotated[int, Field(ge=0, le=10**14), BeforeValidator(integer)]
        | None
    ) = None
    note: Annotated[str, Field(max_length=500)] = ""
