"""Budgets as they are looked at, and what operators write into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepflow.store import scripts
from stepflow.store.budgets.keys import budget_key, budgets_key
from stepflow.store.budgets.spending import kept_s, sheet_name, waking
from stepflow.store.calls import Call, Part, command, load_hash
from stepflow.store.keys import Keys
from stepflow.store.run_hash import Fields


@dataclass(frozen=True, slots=True)
class BudgetRecord:
    """What is known of a budget, whatever the window; micro-dollars, None for no limit."""

    account: str
    usd: int | None = None
    tokens: int | None = None
    #: what operators have set, over what code says
    set_usd: int | None = None
    set_tokens: int | None = None
    per: str = ""
    on_exceeded: str = ""
    #: the last window in which something was spent
    window: str = ""
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What was spent in one window; micro-dollars."""

    settled_usd: int = 0
    settled_tokens: int = 0
    reserved_usd: int = 0
    reserved_tokens: int = 0
    lost_usd: int = 0
    lost_tokens: int = 0
    least_usd: int = 0
    least_tokens: int = 0
    calls: int = 0
    lost: int = 0
    granted: int = 0


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call under way: what it has reserved, since when, and of which claim."""

    token: str
    member: str
    usd: int
    tokens: int
    at: float


#: calls under way that are looked at for one budget at most
MOST_OPEN = 1000


def budget_names(keys: Keys, first: int, count: int) -> Call[list[str]]:
    """Read the accounts of some budgets, the one that was used last first."""
    return command(
        "ZRANGE", budgets_key(keys), first, first + count - 1, "REV",
        read=lambda reply: [item.decode("utf-8", "backslashreplace") for item in reply],
        misfit=list,
    )  # fmt: skip


def load_budget(keys: Keys, account: str) -> Call[BudgetRecord | None]:
    """Read a budget; None when there is none. What cannot be read takes its default."""
    call = load_hash(budget_key(keys, "record", account))
    return Call(
        call.script, call.parts,
        lambda reply: _record(account, row) if b"window" in (row := call.read(reply)) else None,
        resend=call.resend, misfit=lambda: None,
    )  # fmt: skip


def load_sheet(keys: Keys, account: str, window: str) -> Call[Sheet]:
    """Read what was spent in a window."""
    call = load_hash(budget_key(keys, "sheet", sheet_name(account, window)))
    return Call(
        call.script, call.parts, lambda reply: _sheet(call.read(reply)), resend=call.resend,
        misfit=Sheet,
    )  # fmt: skip


def load_open(keys: Keys, account: str, window: str) -> Call[list[OpenCall]]:
    """Read the calls under way in a window."""
    call = load_hash(budget_key(keys, "open", sheet_name(account, window)))

    def read(reply: Any) -> list[OpenCall]:
        rows = list(call.read(reply).values())[:MOST_OPEN]
        return [each for row in rows if (each := _open(row)) is not None]

    return Call(call.script, call.parts, read, resend=call.resend, misfit=list)


def count_waiting(keys: Keys, account: str) -> Call[int]:
    """Count the runs that wait for a budget."""
    return command("ZCARD", budget_key(keys, "waiting", account), read=int, misfit=int)


def set_budget(
    keys: Keys,
    account: str,
    verb: str,
    *,
    window: str,
    usd: Part = "-",
    tokens: Part = "-",
    by: str,
    note: str = "",
    request: str,
    given: str,
    now: float,
) -> Call[bool]:
    """Have a budget `set` or `reset`; False when there is none, which can be set."""
    sheet_ttl, ttl = kept_s(account, window)
    sheet = sheet_name(account, window)
    return scripts.SET_BUDGET.call(
        bool,
        keys={
            "record": budget_key(keys, "record", account),
            "sheet": budget_key(keys, "sheet", sheet),
            "open": budget_key(keys, "open", sheet), "budgets": budgets_key(keys),
            "waiting": budget_key(keys, "waiting", account), "due": keys.due,
        },
        args={
            **waking(keys, now), "given": given, "account": account, "verb": verb, "usd": usd,
            "tokens": tokens, "by": by, "note": note, "request": request, "sheet_ttl": sheet_ttl,
            "ttl": ttl,
        },
    )  # fmt: skip


def _record(account: str, row: dict[bytes, bytes]) -> BudgetRecord:
    text = Fields(row).text
    return BudgetRecord(
        account, usd=_limit(row, b"usd"), tokens=_limit(row, b"tokens"),
        set_usd=_limit(row, b"set_usd"), set_tokens=_limit(row, b"set_tokens"), per=text(b"per"),
        on_exceeded=text(b"action"), window=text(b"window"), by=text(b"by"), note=text(b"note"),
    )  # fmt: skip


def _limit(row: dict[bytes, bytes], field: bytes) -> int | None:
    held = row.get(field, b"")
    return int(held) if held.isdigit() else None


def _sheet(row: dict[bytes, bytes]) -> Sheet:
    count = Fields(row).count
    return Sheet(*(count(name.encode()) for name in Sheet.__slots__))


def _open(row: bytes) -> OpenCall | None:
    try:
        _, token, member, usd, tokens, at = row.decode().split("|")
        return OpenCall(token, member, int(usd), int(tokens), float(at))
    except ValueError:
        return None
