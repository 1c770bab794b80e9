"""The operations on budgets, carried out."""

from __future__ import annotations

from typing import Any

from stepflow.hooks.body import json_value
from stepflow.web.operation import Call


async def list_budgets(call: Call) -> Any:
    """List the budgets that steps have spent of."""
    query = call.query
    found = await call.client.budgets.list(limit=query.limit, offset=query.offset)
    return json_value(list(found))


async def show_budget(call: Call) -> Any:
    """Show a budget: what it has, what was spent of it, and how many runs wait."""
    return json_value(await call.client.budgets.get(call.path["budget"]))


async def set_budget(call: Call) -> Any:
    """Set what a budget has, over what the code says; the runs that wait look again."""
    given = call.body
    tokens = int(given.tokens) if str(given.tokens).isdigit() else given.tokens
    seen = await call.client.budgets.set(
        call.path["budget"], usd=given.usd, tokens=tokens, note=given.note, by=call.by
    )
    return json_value(seen)


async def reset_budget(call: Call) -> Any:
    """Set what was spent of a budget to 0."""
    return json_value(await call.client.budgets.reset(call.path["budget"], by=call.by))
