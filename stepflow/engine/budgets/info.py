"""How a budget stands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from stepflow.core.budgets.cost import dollars
from stepflow.core.budgets.window import Per, window_at
from stepflow.store.budgets.record import BudgetRecord, OpenCall, Sheet


@dataclass(frozen=True, slots=True)
class Spent:
    """
    What calls have cost: dollars and tokens.

    *settled_* is what is known. *lost_* is the most that calls may have cost of which nobody knows,
    because their worker died or they were cut off, *least_* the least. *reserved_* is the most that
    calls under way may cost. *calls* counts all of them, *lost* those with an unknown cost.
    """

    settled_usd: Decimal = Decimal(0)
    settled_tokens: int = 0
    lost_usd: Decimal = Decimal(0)
    lost_tokens: int = 0
    least_usd: Decimal = Decimal(0)
    least_tokens: int = 0
    reserved_usd: Decimal = Decimal(0)
    reserved_tokens: int = 0
    calls: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class BudgetInfo:
    """
    A budget: how much it has, what was spent of it, and the runs that wait for it.

    *usd* and *tokens* are its limits now, with what operators have set and people have *granted*;
    None for no limit. *spent* is what was spent in *window*, empty for a budget that is for all
    time. *by* and *note* are of who set it last.
    """

    name: str
    usd: Decimal | None = None
    tokens: int | None = None
    per: str = ""
    window: str = ""
    on_exceeded: str = ""
    spent: Spent = Spent()
    #: calls under way, and runs that wait
    under_way: int = 0
    waiting: int = 0
    granted: int = 0
    #: whether operators have set a limit over that of the code
    is_set: bool = False
    by: str = ""
    note: str = ""


def window_of(record: BudgetRecord, now: float) -> str:
    """Name the window in which a budget is at unix time *now*."""
    if record.per in {"hour", "day", "week", "month"}:
        return window_at(cast("Per", record.per), now).name
    return record.window


def info_of(
    record: BudgetRecord,
    window: str,
    sheet: Sheet,
    under_way: Sequence[OpenCall],
    live: Collection[tuple[str, str]],
    waiting: int,
) -> BudgetInfo:
    """Say how a budget stands; *live* has members and tokens of the claims that stand."""
    dead = [each for each in under_way if (each.member, each.token) not in live]
    times = 1 + sheet.granted
    usd = record.usd if record.set_usd is None else record.set_usd
    tokens = record.tokens if record.set_tokens is None else record.set_tokens
    return BudgetInfo(
        record.account, usd=None if usd is None else dollars(usd * times),
        tokens=None if tokens is None else tokens * times, per=record.per, window=window,
        on_exceeded=record.on_exceeded, spent=_spent(sheet, dead),
        under_way=len(under_way) - len(dead), waiting=waiting, granted=sheet.granted,
        is_set=record.set_usd is not None or record.set_tokens is not None, by=record.by,
        note=record.note,
    )  # fmt: skip


def _spent(sheet: Sheet, dead: Sequence[OpenCall]) -> Spent:
    """Add up what a sheet has; calls whose claim is over are lost, whoever writes that down."""
    gone_usd, gone_tokens = sum(each.usd for each in dead), sum(each.tokens for each in dead)
    return Spent(
        dollars(sheet.settled_usd), sheet.settled_tokens, dollars(sheet.lost_usd + gone_usd),
        sheet.lost_tokens + gone_tokens, dollars(sheet.least_usd), sheet.least_tokens,
        dollars(max(0, sheet.reserved_usd - gone_usd)), max(0, sheet.reserved_tokens - gone_tokens),
        sheet.calls, sheet.lost + len(dead),
    )  # fmt: skip
