"""The value that your code shares: which budget, and how much it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from stepflow.core.budgets.cost import Cost, Money, micros, whole
from stepflow.core.budgets.window import Per, check_per
from stepflow.errors import InvalidOption, UnknownPrice, shown

#: what may name a budget: it is part of a key, and of what a run is said to wait for
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")
#: says what a call has cost, by its value or the exception that ended it; None for unknown
Used = Callable[[Any], Cost | None]
#: budgets that one call may be charged to
MOST_BUDGETS = 8

_ON_EXCEEDED = ("fail", "wait", "ask")


def cost_of(came_to: Any) -> Cost | None:
    """
    Say what a call has cost by what it came to, a value or an exception.

    That is a Cost itself, or has one as its `stepflow_cost`; None says that it is not known.
    """
    found = came_to if isinstance(came_to, Cost) else getattr(came_to, "stepflow_cost", None)
    return found if isinstance(found, Cost) else None


@dataclass(frozen=True, slots=True)
class Budget:
    """
    An amount of money, of tokens, or of both, that all who name it share.

    *per* gives the amount for each hour, day, week or month (UTC). *on_exceeded* says what becomes
    of a step that does not fit any more: it raises BudgetExceeded ("fail"), waits until there is
    more ("wait"), or waits and asks people whether there may be more ("ask"): each yes adds the
    amount once more. With *unknown_price* "allow", calls whose price nobody knows count no money.

    Make one with `stepflow.budget(...)`, for all runs, or `ctx.budget(...)`, for a run and its
    children.
    """

    name: str
    usd: Money | None = None
    tokens: int | None = None
    per: Per | None = None
    on_exceeded: Literal["fail", "wait", "ask"] = "fail"
    unknown_price: Literal["refuse", "allow"] = "refuse"
    #: set by `ctx.budget`: the family of runs that it is for
    family: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            msg = (
                f"{shown(self.name)} cannot name a budget: use 1 to 100 letters, digits, '_', '.', "
                "':' or '-', not starting with a sign"
            )
            raise InvalidOption(msg)
        what = f"budget {self.name!r}"
        if self.usd is None and self.tokens is None:
            msg = f"{what} has no limit; give it usd=, tokens=, or both"
            raise InvalidOption(msg)
        if self.usd is not None:
            micros(self.usd, what)
        if self.tokens is not None:
            whole(self.tokens, what)
        check_per(self.per, what)
        if self.on_exceeded not in _ON_EXCEEDED:
            msg = f"on_exceeded of {what} is {shown(self.on_exceeded)}; 'fail', 'wait' or 'ask'"
            raise InvalidOption(msg)
        if self.unknown_price not in ("refuse", "allow"):
            msg = f"unknown_price of {what} is {shown(self.unknown_price)}; 'refuse' or 'allow'"
            raise InvalidOption(msg)

    @property
    def account(self) -> str:
        """What it is kept as: its name, and of which family of runs it is."""
        return f"{self.name}@{self.family}" if self.family else self.name

    def of_family(self, family: str) -> Budget:
        """Return the same for one family of runs alone."""
        return replace(self, family=family)

    def spend(self, *, usd: Money | None = None, tokens: int = 0, used: Used = cost_of) -> Spending:
        """
        Say what a call costs at most: `ctx.step(ask, text, spends=budget.spend(tokens=4000))`.

        *used* says what it has cost, by its value or the exception that ended it.
        """
        return Spending(self, most=Cost(usd, tokens), used=used)


@dataclass(frozen=True, slots=True)
class Spending:
    """
    What a step spends: of which budgets, how much at most, and how one learns what it was.

    *budget* is a Budget or several, of which each has to have room. *most* is an upper bound of
    one attempt, reserved before the call; a function that gives one is called when that is made.
    *used* is called with the step's value, with the exception that ended the attempt, or with None
    for one that was cancelled; where it gives None, the call counts as lost: it has cost
    something between nothing and *most*. By default it reads `stepflow_cost` of either.

    Raises UnknownPrice where a budget limits money and *most* has no price.
    """

    budget: Budget | Sequence[Budget]
    most: Cost | Callable[[], Cost]
    used: Used = cost_of

    def __post_init__(self) -> None:
        budgets = self.budgets
        if not 1 <= len(budgets) <= MOST_BUDGETS:
            msg = f"a step spends of 1 to {MOST_BUDGETS} budgets, not of {len(budgets)}"
            raise InvalidOption(msg)
        given: tuple[object, ...] = budgets
        for each in given:
            if not isinstance(each, Budget):
                msg = f"{shown(each)} is no budget; write stepflow.budget('name', usd=...)"
                raise InvalidOption(msg)
        if isinstance(self.most, Cost):
            self._check_price(self.most)

    def upper_bound(self) -> Cost:
        """Say what the call that comes costs at most; raises UnknownPrice."""
        if isinstance(self.most, Cost):
            return self.most
        most = self.most()
        self._check_price(most)
        return most

    def _check_price(self, most: Cost) -> None:
        for each in self.budgets:
            if each.usd is not None and most.usd is None and each.unknown_price != "allow":
                raise UnknownPrice(each.name)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, each once."""
        several = isinstance(self.budget, list | tuple)
        given: Any = self.budget if several else (self.budget,)
        return tuple(each for at, each in enumerate(given) if each not in given[:at])


def budget(
    name: str,
    *,
    usd: Money | None = None,
    tokens: int | None = None,
    per: Per | None = None,
    on_exceeded: Literal["fail", "wait", "ask"] = "fail",
    unknown_price: Literal["refuse", "allow"] = "refuse",
) -> Budget:
    """
    Name a budget that all runs share: `stepflow.budget("tenant:acme", usd=20, per="day")`.

    See Budget. Nothing is written before a step spends of it.
    """
    return Budget(name, usd, tokens, per, on_exceeded, unknown_price)
