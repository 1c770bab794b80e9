"""
The keys of budgets.

    <ns>:budgets                     zset     account -> its record expires
    <ns>:budget:record:<account>     hash     what the code says it has, what operators have set
    <ns>:budget:waiting:<account>    zset     run:<id> -> since when it waits for room
    <ns>:budget:sheet:<sheet>        hash     what was spent in one window, reserved, lost
    <ns>:budget:open:<sheet>         hash     what makes a call -> what is reserved for it

An account is a name, with `@<run id>.<generation>` for a budget of a run and its children. A sheet
is an account with `#<window>`, or the account alone. All expire, in `spending.kept_s`.
"""

from __future__ import annotations

from stepflow.store.keys import Keys


def budgets_key(keys: Keys) -> str:
    """Name the index of all budgets."""
    return f"{keys.namespace}:budgets"


def budget_key(keys: Keys, kind: str, name: str) -> str:
    """Name what is kept of an account (`record`, `waiting`) or of a sheet (`sheet`, `open`)."""
    return f"{keys.namespace}:budget:{kind}:{name}"
