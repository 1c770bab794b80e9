"""What operators and programs do with budgets."""

from __future__ import annotations

from stepflow.core.budgets.cost import Money, micros, whole
from stepflow.core.ids import check_text, page_of
from stepflow.core.outcomes import readable
from stepflow.engine.budgets.info import BudgetInfo, info_of, window_of
from stepflow.engine.env import Env
from stepflow.errors import BudgetNotFound
from stepflow.store.budgets.record import (
    BudgetRecord,
    budget_names,
    count_waiting,
    load_budget,
    load_open,
    load_sheet,
    set_budget,
)
from stepflow.store.calls import Call, Part, batch, batch_of, command
from stepflow.store.keys import Keys

#: characters of a note, and of the name of who set a budget, that are kept
_LONGEST_NOTE, _LONGEST_NAME = 500, 100
#: characters that the name of a budget has at most, with the family that it is of
_LONGEST_ACCOUNT = 260


#: has a limit that an operator has set be what the code says again
CODE = "code"


def check_account(account: str) -> str:
    """Return *account* if a budget can have that name; raises InvalidOption."""
    return check_text("the name of a budget", account, most=_LONGEST_ACCOUNT, without="|")


async def get(account: str, env: Env) -> BudgetInfo:
    """Read a budget in its present window; raises BudgetNotFound."""
    record = await load_budget(env.keys, check_account(account))
    if record is None:
        raise BudgetNotFound(account)
    return await _told(record, env)


async def budgets(env: Env, *, limit: int, offset: int = 0) -> list[BudgetInfo]:
    """Read some budgets, by name, those that were used last."""
    names = sorted(await budget_names(env.keys, *page_of(limit, offset)))
    records = await batch_of([load_budget(env.keys, each) for each in names])
    return [await _told(record, env) for record in records if record is not None]


async def _told(record: BudgetRecord, env: Env) -> BudgetInfo:
    keys, window = env.keys, window_of(record, env.clock.now())
    sheet, under_way, waiting = await batch(
        load_sheet(keys, record.account, window), load_open(keys, record.account, window),
        count_waiting(keys, record.account),
    )  # fmt: skip
    members = {each.member for each in under_way}
    tokens = await batch_of([_token_of(keys, member) for member in members])
    live = set(zip(members, tokens, strict=True))
    return info_of(record, window, sheet, under_way, live, waiting)


def _token_of(keys: Keys, member: str) -> Call[str]:
    return command(
        "HGET", keys.record(member), "token",
        read=lambda reply: (reply or b"").decode("utf-8", "backslashreplace"), misfit=str,
    )  # fmt: skip


async def set_limits(
    account: str,
    env: Env,
    *,
    usd: Money | None = None,
    tokens: int | str | None = None,
    by: str,
    note: str = "",
) -> BudgetInfo:
    """
    Set what a budget has, over what the code says; None leaves a limit as it is.

    "code" takes an operator's limit back. Those that wait look again.
    """
    await _set(
        account, "set", env, usd=_written(usd), tokens=_written(tokens, is_money=False), by=by,
        note=note,
    )  # fmt: skip
    return await get(account, env)


async def reset(account: str, env: Env, *, by: str) -> BudgetInfo:
    """
    Set what was spent of a budget in its present window to 0; raises BudgetNotFound.

    Calls under way stay reserved. Those that wait look again.
    """
    if not await _set(account, "reset", env, by=by):
        raise BudgetNotFound(account)
    return await get(account, env)


async def _set(
    account: str,
    verb: str,
    env: Env,
    *,
    usd: Part = "-",
    tokens: Part = "-",
    by: str,
    note: str = "",
) -> bool:
    record = await load_budget(env.keys, check_account(account))
    now = env.clock.now()
    return await set_budget(
        env.keys, account, verb, window="" if record is None else window_of(record, now), usd=usd,
        tokens=tokens, by=readable(by)[:_LONGEST_NAME], note=readable(note)[:_LONGEST_NOTE],
        request=env.request_id(), given=env.clock.given, now=now,
    )  # fmt: skip


def _written(given: Money | None, *, is_money: bool = True) -> Part:
    if given is None:
        return "-"
    if given == CODE:
        return ""
    return micros(given, "the budget") if is_money else whole(given, "the budget")
