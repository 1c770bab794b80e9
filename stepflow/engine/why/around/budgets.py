"""Runs that wait until a budget has room."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from stepflow.core.run import Run
from stepflow.engine.why.facts import Facts
from stepflow.engine.why.look import Calls, Look
from stepflow.engine.why.make import cancelling, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.words import moment
from stepflow.shell import to_type
from stepflow.store.keys import Keys

if TYPE_CHECKING:
    from stepflow.store.budgets.record import BudgetRecord

#: how a record begins to say that its run waits for a budget
BUDGET = "budget "


def read_budgets(look: Look, run: Run, keys: Keys) -> Calls:
    """Read the budgets that a run waits for; most wait for none."""
    names = {command.awaited_id for command in look.commands} | {run.waits_for}
    found = [name for name in names if name.startswith(BUDGET)]
    if not found:
        return {}
    from stepflow.store.budgets.record import load_budget  # noqa: PLC0415  wanted by few

    return {name: load_budget(keys, name.removeprefix(BUDGET)) for name in found}


def tell_budget(facts: Facts, waits_for: str, due_at: float) -> str:
    """Say that the budget has no room: `budget acme, 20 usd per day, has no room for its step`."""
    record = facts.budgets.get(waits_for)
    until = f"; it looks again at {moment(due_at, facts.world.now)}" if due_at else ""
    return f"{waits_for}{_amounts(record)} has no room for its step{until}"


def held_by_budget(facts: Facts, run: Run, waits_for: str, due_at: float) -> Why:
    """Explain a run that waits for a budget, and for nothing else."""
    name = waits_for.removeprefix(BUDGET)
    return make(
        facts, "held.budget", tell_budget(facts, waits_for, due_at), since=run.updated_at,
        until=due_at, moved_by="calls that are settled, the next day or month of the budget, or "
        "somebody who raises it",
        commands=[to_type("budgets show", name), cancelling(facts)],
        evidence={"budget": name, "due": due_at or None},
    )  # fmt: skip


def _amounts(record: BudgetRecord | None) -> str:
    if record is None:
        return ""
    usd = record.usd if record.set_usd is None else record.set_usd
    tokens = record.tokens if record.set_tokens is None else record.set_tokens
    parts = [] if usd is None else [f"{Decimal(usd).scaleb(-6).normalize():f} usd"]
    parts += [] if tokens is None else [f"{tokens:,} tokens"]
    per = f" per {record.per}" if record.per else ""
    return f", {' and '.join(parts)}{per}," if parts else ""
