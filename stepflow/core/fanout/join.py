"""
When a fan-out is settled: one rule for the children of `ctx.map` and the branches of `ctx.gather`.

    join              settled by                    it gives
    ---------------   ---------------------------   ----------------------------------------
    all()             every success                 the results, in order
    any()             the first success             (index, result) of that one
    quorum(n)         n successes                   (index, result) of those
    percentage(p)     ceil(p * total) successes     (index, result) of those
    partial(n)        n successes                   a slot for each
    settled(...)      every end                     a slot for each

Each is settled as well by the end after which it can no longer be met, and by its timeout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from fractions import Fraction
from typing import Any, Literal

from stepflow.errors import InvalidOption, shown
from stepflow.times import seconds

#: more than so many of anything cannot be meant
MOST = 1_000_000_000
#: the kinds of joins, as they are called
JoinKind = Literal["all", "any", "quorum", "percentage", "partial", "settled"]


class Verdict(Enum):
    """How a fan-out was settled."""

    MET = auto()
    NOT_MET = auto()


@dataclass(frozen=True, slots=True)
class Goal:
    """
    What settles a fan-out of *total*, in numbers.

    *need* successes meet it, more than *max_failed* failures end it. Where neither comes, *least*
    successes are enough once all have ended or the time is up.
    """

    total: int
    need: int
    max_failed: int
    least: int

    def verdict(self, succeeded: int, failed: int, *, is_time_up: bool = False) -> Verdict | None:
        """Say how so many ends settle the fan-out; None while they do not."""
        if failed > self.max_failed:
            return Verdict.NOT_MET
        if succeeded >= self.need:
            return Verdict.MET
        if is_time_up or succeeded + failed >= self.total:
            return Verdict.MET if succeeded >= self.least else Verdict.NOT_MET
        return None


@dataclass(frozen=True, slots=True)
class Join:
    """
    When `ctx.map` and `ctx.gather` go on, and with what: `Join.quorum(2, timeout=30)`.

    *timeout* (seconds or timedelta) settles the join with what has ended by then. The rest is
    cancelled, and has ended when your code goes on. A join that is not met raises JoinNotMet, at
    once when it can no longer be met. Without branches or children every join is met.
    """

    kind: JoinKind
    #: how many, or which part of them, have to succeed; for `settled` at least
    amount: float = 0
    timeout_s: float | None = None

    @staticmethod
    def all(*, timeout: float | timedelta | None = None) -> JoinAll:
        """Wait until all have succeeded; gives the results, in order."""
        return JoinAll("all", timeout_s=_timeout(timeout))

    @staticmethod
    def any(*, timeout: float | timedelta | None = None) -> JoinFirst:
        """Wait until one has succeeded; gives a list with its (index, result)."""
        return JoinFirst("any", 1, _timeout(timeout))

    @staticmethod
    def quorum(n: int, *, timeout: float | timedelta | None = None) -> JoinFirst:
        """Wait until *n* have succeeded; gives the (index, result) of these, in order."""
        return JoinFirst("quorum", _count(n, "Join.quorum"), _timeout(timeout))

    @staticmethod
    def percentage(p: float, *, timeout: float | timedelta | None = None) -> JoinFirst:
        """Wait until the part *p* of them (0 < p <= 1) has succeeded, rounded up; as `quorum`."""
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 < p <= 1:
            msg = f"Join.percentage was given {shown(p)}; it is above 0 and at most 1"
            raise InvalidOption(msg)
        return JoinFirst("percentage", p, _timeout(timeout))

    @staticmethod
    def partial(at_least: int, *, timeout: float | timedelta | None = None) -> JoinSlots:
        """
        Wait until *at_least* have succeeded; gives a slot for each.

        A slot holds a result, or the error of what failed or had not ended by then.
        """
        return JoinSlots("partial", _count(at_least, "Join.partial"), _timeout(timeout))

    @staticmethod
    def settled(*, at_least: int = 0, timeout: float | timedelta | None = None) -> JoinSlots:
        """
        Wait until all have ended; gives a slot for each, as `partial`.

        JoinNotMet is raised when fewer than *at_least* have succeeded.
        """
        return JoinSlots("settled", _count(at_least, "Join.settled"), _timeout(timeout))

    def __str__(self) -> str:
        """Write it as it is called."""
        limits = [] if self.timeout_s is None else [f"timeout={self.timeout_s:g}"]
        if self.kind == "settled" and self.amount:
            limits.insert(0, f"at_least={self.amount:g}")
        elif self.kind in {"quorum", "percentage", "partial"}:
            limits.insert(0, f"{self.amount:g}")
        return f"{self.kind}({', '.join(limits)})"


class JoinAll(Join):
    """A join that gives all results."""

    __slots__ = ()


class JoinFirst(Join):
    """A join that gives (index, result) of those that met it."""

    __slots__ = ()


class JoinSlots(Join):
    """A join that gives a slot for each: a result, or an error."""

    __slots__ = ()


def goal_of(join: Join, total: int) -> Goal:
    """Say in numbers what settles a fan-out of *total*."""
    if not total:
        return Goal(0, 0, 0, 0)
    least = _least(join, total)
    return Goal(total, total + 1 if join.kind == "settled" else least, total - least, least)


def _least(join: Join, total: int) -> int:
    """Say how many have to succeed."""
    match join.kind:
        case "all":
            return total
        case "percentage":  # 0.1 of 30 is 3, whatever floats say
            return math.ceil(Fraction(repr(join.amount)) * total)
    return int(join.amount)


@dataclass(frozen=True, slots=True)
class Failed:
    """Stands in a slot for what failed for good, or had not ended: which one, and its error."""

    index: int
    error: Exception


def results(
    join: Join, total: int, won: Mapping[int, Any], slot: Callable[[int], Any]
) -> list[Any]:
    """Return what a join that is met gives; *slot* makes what stands for one that has not won."""
    if isinstance(join, JoinFirst):
        return sorted(won.items(), key=lambda pair: pair[0])
    if isinstance(join, JoinAll):
        return [won[index] for index in range(total)]
    return [won[index] if index in won else slot(index) for index in range(total)]


#: what stands for a join where one is asked for: a number is a quorum of so many
JoinLike = Join | Literal["all", "settled"] | int


def as_join(given: JoinLike, verb: str) -> Join:
    """Return the join that *given* stands for; raises InvalidOption, which names *verb*."""
    if isinstance(given, Join):
        return given
    if given == "all":
        return Join.all()
    if given == "settled":
        return Join.settled()
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MOST:
        return Join.quorum(given)
    msg = (
        f"{verb} was given join {shown(given)}; it is a Join, 'all', 'settled', "
        "or how many must succeed"
    )
    raise InvalidOption(msg)


def _count(number: int, what: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST:
        msg = f"{what} was given {shown(number)}; it is a whole number from 0 to {MOST:,}"
        raise InvalidOption(msg)
    return number


def _timeout(timeout: float | timedelta | None) -> float | None:
    return None if timeout is None else seconds(timeout, "timeout of a join")
