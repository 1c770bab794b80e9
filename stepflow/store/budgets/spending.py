"""Calls by which a step reserves what it may cost, and settles what it has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stepflow.core.budgets.budget import Budget
from stepflow.core.budgets.cost import Cost, micros
from stepflow.core.budgets.window import window_at
from stepflow.core.ids import run_member
from stepflow.core.run import Cleanup, Run, RunState
from stepflow.store import scripts
from stepflow.store.budgets.keys import budget_key, budgets_key
from stepflow.store.calls import Call, Part, raw
from stepflow.store.keys import Keys
from stepflow.store.run_hash import rq_time

_DAY_S = 86_400
#: seconds that what was spent is kept after the last use: of a window, of one family of runs, and
#: of a budget that is for all time
WINDOW_KEPT_S, FAMILY_KEPT_S, KEPT_S = 35 * _DAY_S, 90 * _DAY_S, 400 * _DAY_S
#: seconds after which those that wait look for themselves, should nobody have woken them
GRACE_S = 30.0
#: what the script says of a claim that is over
_CLAIM_OVER = -1


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call has reserved: of which sheets, as what, under which attempt."""

    accounts: tuple[str, ...]
    #: the names of the sheets, one for each account
    sheets: tuple[str, ...]
    slot: str
    attempt: str


class NoRoom(NamedTuple):
    """A budget has no room now: when (unix seconds) to ask again, and why."""

    budget: Budget
    window: str
    #: whether it is spent for good; else calls under way have reserved what is left
    is_spent: bool
    again_at: float
    #: how much was ever put into the run's inbox
    inbox: int
    #: how often people have granted the amount once more
    granted: int
    #: `usd`, in micro-dollars, or `tokens`
    unit: str
    spent: int
    limit: int


def waits_for(account: str) -> str:
    """Say in a run's record that it waits for a budget."""
    return f"budget {account}"


def sheet_name(account: str, window: str) -> str:
    """Name the sheet of a window."""
    return f"{account}#{window}" if window else account


def kept_s(account: str, window: str) -> tuple[int, int]:
    """Say how many seconds a sheet and its record are kept after their last use."""
    if "@" in account:
        return FAMILY_KEPT_S, FAMILY_KEPT_S
    return (WINDOW_KEPT_S if window else KEPT_S), KEPT_S


def waking(keys: Keys, now: float) -> dict[str, Part]:
    """Give what a script needs to know to wake those that wait."""
    return {
        "ns": keys.namespace, "rq_time": rq_time(now), "pending": RunState.PENDING,
        "channels": keys.tell_channel(""),
    }  # fmt: skip


def reserve_budget(
    keys: Keys,
    budgets: Sequence[Budget],
    most: Cost,
    run: Run,
    token: str,
    slot: str,
    attempt: str,
    *,
    granted: Mapping[str, int],
    given: str,
    now: float,
) -> Call[Reservation | NoRoom | None]:
    """
    Reserve *most* in all *budgets* or in none; None when the claim is over.

    *granted* says by sheet how often people have granted its amount once more.
    """
    accounts = [each.account for each in budgets]
    windows = [window_at(each.per, now) for each in budgets]
    sheets = [sheet_name(*both) for both in zip(accounts, (w.name for w in windows), strict=True)]

    def read(reply: Any) -> Reservation | NoRoom | None:
        if reply[0] == _CLAIM_OVER:
            return None
        if reply[0]:
            return Reservation(tuple(accounts), tuple(sheets), slot, attempt)
        _, number, is_spent, again, inbox, times, unit, spent, limit = reply
        return NoRoom(
            budgets[number - 1], windows[number - 1].name, bool(is_spent), float(again), int(inbox),
            int(times), unit.decode(), int(spent), int(limit),
        )  # fmt: skip

    facts: list[Part] = []
    for each, window, sheet in zip(budgets, windows, sheets, strict=True):
        facts += (
            each.account, window.name, window.until, *limits_of(each), granted.get(sheet, 0),
            each.per or "", each.on_exceeded, *kept_s(each.account, window.name),
        )  # fmt: skip
    return scripts.RESERVE_BUDGET.call(
        read,
        keys={"run": keys.run(run.id), "budgets": budgets_key(keys), "due": keys.due},
        args={
            **waking(keys, now), "given": given, "slot": slot, "attempt": attempt,
            "member": run_member(run.id), "token": token, "usd": most.micros or 0,
            "tokens": most.tokens, "grace_s": GRACE_S,
        },
        lists={"facts": facts},
        key_lists={
            "sheet": [budget_key(keys, "sheet", each) for each in sheets],
            "open": [budget_key(keys, "open", each) for each in sheets],
            "record": [budget_key(keys, "record", each) for each in accounts],
            "waiting": [budget_key(keys, "waiting", each) for each in accounts],
        },
    )  # fmt: skip


def settle_budget(
    keys: Keys,
    run_id: str,
    token: str,
    reserved: Reservation,
    used: Cost | None,
    *,
    index: int | None = None,
    entry: bytes = b"",
    cleanup: Cleanup | None = None,
    given: str,
    now: float,
) -> Call[int]:
    """
    Settle a call by what it has *used*, None for unknown, and add journal entry *index* with that.

    Gives 0 where the entry is refused, as `add_entry` does.
    """
    cost = Cost() if used is None else used
    return scripts.SETTLE_BUDGET.call(
        raw,
        keys={"run": keys.run(run_id), "journal": f"{keys.run(run_id)}:journal", "due": keys.due},
        args={
            **waking(keys, now), "given": given, "token": token,
            "index": "" if index is None else index, "entry": entry,
            "cleanup": "" if cleanup is None else int(cleanup), "slot": reserved.slot,
            "attempt": reserved.attempt, "usd": "" if cost.micros is None else cost.micros,
            "tokens": "" if used is None else cost.tokens, "least": int(cost.is_least),
        },
        lists={"accounts": reserved.accounts},
        key_lists={
            "sheet": [budget_key(keys, "sheet", each) for each in reserved.sheets],
            "open": [budget_key(keys, "open", each) for each in reserved.sheets],
            "waiting": [budget_key(keys, "waiting", each) for each in reserved.accounts],
        },
    )  # fmt: skip


def limits_of(budget: Budget) -> tuple[Part, Part]:
    """Write what code says a budget has: micro-dollars and tokens, empty for no limit."""
    usd = "" if budget.usd is None else micros(budget.usd, budget.name)
    return usd, "" if budget.tokens is None else budget.tokens
