"""A limit: how many runs may be at work at once, and how many may begin per time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from stepflow.core.limits.slot import present_slot
from stepflow.core.limits.use import (
    MOST_USES,
    LimitUse,
    check_key,
    check_limit_name,
    check_units,
)
from stepflow.core.limits.values import NONE, LimitValues
from stepflow.errors import InvalidOption, shown
from stepflow.times import seconds

Scope = Literal["claim", "run"]

#: runs that may wait in line for one key of a limit
MOST_IN_LINE = 100_000
#: more of anything cannot be meant
_MOST = 1_000_000_000
_HEADER = "header."
_RATE = re.compile(r"(?P<count>\d+(?:\.\d+)?) *(?:/|per) *(?P<number>\d+)? *(?P<unit>[a-z]+)")
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


@dataclass(frozen=True, slots=True)
class Limit:
    """
    How much of something may go on, for all runners that name the limit together.

    *concurrency* is how many runs may be at work at once, *rate* how many may begin per time, like
    "100/min" or "5/s", up to *burst* of them at once where none has begun for a while. With *key*
    each value of a header, `key="header.tenant"`, has a limit of its own. A run is at work while a
    worker holds it; with scope="run" it keeps its slot from its first start to its end, asleep or
    not. A submit raises LimitFull once *max_line* runs wait for one key; a run that has waited for
    *max_wait* (seconds or timedelta) fails with LimitTimeout. Raises InvalidName and InvalidOption.
    """

    name: str
    key: str | None = None
    concurrency: int | None = None
    rate: str | None = None
    burst: int = 1
    scope: Scope = "claim"
    max_line: int = MOST_IN_LINE
    max_wait: float | timedelta | None = None

    def __post_init__(self) -> None:
        check_limit_name(self.name)
        if self.key is not None and not (
            isinstance(self.key, str) and self.key.startswith(_HEADER) and self.key != _HEADER
        ):
            msg = (
                f"key of limit {self.name!r} is {shown(self.key)}; write it as 'header.tenant', or "
                "give the key at submit: limits={...}"
            )
            raise InvalidOption(msg)
        if self.concurrency is None and self.rate is None:
            msg = f"limit {self.name!r} limits nothing; give it concurrency=, rate= or both"
            raise InvalidOption(msg)
        values_of(self).check(self.name)

    def of(self, key: str | None = None, *, units: int = 1) -> LimitRequest:
        """
        Say for which *key* a step asks, and for how many *units* of the rate.

        `ctx.step(ask, question, limit=tokens.of("acme", units=2000))`. Without *key* it is what the
        limit's own `key=` gives. Raises InvalidOption.
        """
        return LimitRequest(self, None if key is None else check_key(key), check_units(units))

    def settle(self, units: int) -> None:
        """
        Say how many units of the rate the present step has really used.

        Call it in the function of a `ctx.step` that has the limit: it counts when the step's value,
        or the failure of its attempt, is recorded, in the same write. Or call it in a runner or a
        job whose run has the limit: it counts when the step ends. Each counts once, whatever
        crashes, and what you say last counts. Raises InvalidOption elsewhere.
        """
        slot = present_slot.get()
        if isinstance(units, bool) or not isinstance(units, int) or not 0 <= units <= _MOST:
            msg = f"limit {self.name!r} was settled with {shown(units)}; it is a whole number >= 0"
            raise InvalidOption(msg)
        if slot is None or not slot.settle(self.name, units):
            msg = (
                f"limit {self.name!r} is settled outside of a step that has it; call settle in the "
                "function of a ctx.step with limit=, or in a runner or a job with limits=, before "
                "it returns"
            )
            raise InvalidOption(msg)


@dataclass(frozen=True, slots=True)
class LimitRequest:
    """What a step asks of a limit: made by `Limit.of`. A *key* of None is the limit's own."""

    limit: Limit
    key: str | None = None
    units: int = 1


#: what `limit=` of a step takes
StepLimit = Limit | LimitRequest | Sequence[Limit | LimitRequest]


def requests_of(limit: StepLimit, what: str) -> tuple[LimitRequest, ...]:
    """Read what was given as the limit of *what*; raises InvalidOption."""
    given = limit if isinstance(limit, list | tuple) else (limit,)
    found = [LimitRequest(each) if isinstance(each, Limit) else each for each in given]
    for each in found:
        if not isinstance(each, LimitRequest):
            msg = f"limit of {what} is {shown(each)}; write limit=Limit(...), or one's .of(key)"
            raise InvalidOption(msg)
    if not 1 <= len({each.limit.name for each in found}) == len(found) <= MOST_USES:
        msg = f"{what} names a limit twice, more than {MOST_USES} limits, or none"
        raise InvalidOption(msg)
    return tuple(found)


def values_of(limit: Limit) -> LimitValues:
    """Give what a limit says, without its name and where its keys come from."""
    wait_s = None
    if limit.max_wait is not None:
        wait_s = seconds(limit.max_wait, f"max_wait of limit {limit.name!r}")
    return LimitValues(
        limit.concurrency,
        None if limit.rate is None else interval_of(limit.rate, limit.name),
        limit.burst if limit.rate is not None else None,
        limit.scope,
        limit.max_line,
        wait_s,
    )


def use_of(limit: Limit, headers: Mapping[str, str]) -> LimitUse:
    """Say for which key a limit counts a run with *headers*."""
    key = "" if limit.key is None else headers.get(limit.key.removeprefix(_HEADER), "")
    return LimitUse(limit.name, check_key(key))


def use_asked(request: LimitRequest, headers: Mapping[str, str]) -> LimitUse:
    """Say for which key, and how many units, *request* counts in a run with *headers*."""
    key = use_of(request.limit, headers).key if request.key is None else request.key
    return LimitUse(request.limit.name, key, request.units)


def interval_of(rate: object, name: str) -> float:
    """Give the seconds between two begins at a *rate* like "100/min"; raises InvalidOption."""
    found = _RATE.fullmatch(rate.strip().lower()) if isinstance(rate, str) else None
    if found is not None and found["unit"] in _UNITS:
        count, period = float(found["count"]), int(found["number"] or 1) * _UNITS[found["unit"]]
        if 0 < count <= _MOST and 0 < period <= _MOST:
            return period / count
    msg = f"rate of limit {name!r} is {shown(rate)}; write it like '100/min', '5/s' or '20/10s'"
    raise InvalidOption(msg)


def rate_text(interval: float) -> str:
    """Write the seconds between two begins as a rate."""
    for unit, length in (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("day", 86400.0)):
        count = length / interval
        if count >= 1 and (unit == "day" or abs(count - round(count)) < 1e-6):  # noqa: PLR2004
            return f"{count:.6g}/{unit}"
    return f"1/{interval:.6g}s"


def as_values(fields: Mapping[str, Any], name: str) -> LimitValues:
    """
    Read what somebody sets of limit *name*: concurrency, rate, burst, max_line, max_wait.

    "none" takes a bound away. Raises InvalidOption.
    """
    rate, wait = fields.get("rate"), fields.get("max_wait")
    values = LimitValues(
        concurrency=fields.get("concurrency"),
        interval=rate if rate in (None, NONE) else interval_of(rate, name),
        burst=fields.get("burst"),
        max_line=fields.get("max_line"),
        max_wait=wait if wait in (None, NONE) else seconds(wait, f"max_wait of limit {name!r}"),
    )
    values.check(name)
    return values
