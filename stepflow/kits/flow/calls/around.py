"""What the options of a step put around the call of its function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stepflow.kits.flow.calls.base import ContextBase
from stepflow.kits.flow.commands.step import Around
from stepflow.kits.flow.step_options import Cache, check_breaker
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.limits.limit import LimitRequest, StepLimit


def around_call(
    breaker: Breaker | None, requests: Sequence[LimitRequest], name: str, ctx: ContextBase
) -> Around | None:
    """
    Say what stands around the call itself: limits, and around these a breaker.

    Raises InvalidOption for a limit that the run of *ctx* has itself.
    """
    inner = None
    if requests:
        from stepflow.kits.flow.around.limit import uses_of, within  # noqa: PLC0415  wanted by few

        inner = within(requests, uses_of(requests, ctx._activation.run, ctx.headers, name))  # noqa: SLF001  one house
    if breaker is None:
        return inner
    from stepflow.kits.flow.around.breaker import through  # noqa: PLC0415  wanted by few

    check_breaker(breaker, f"step {name!r}")
    return through(breaker, inner)


def around_value(
    own: Cache | None,
    lasts: float | timedelta | None,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    key: Any,
    read: Callable[[Any], Any],
    inner: Around | None,
) -> Around | None:
    """Say what stands around a call that has *inner* around it: the value that runs share."""
    if lasts is not None:
        own = Cache(seconds(lasts, f"cache of step {name!r}"), 1 if own is None else own.version)
    if own is None:
        return inner
    from stepflow.kits.flow.around.cache import shared  # noqa: PLC0415  wanted by few

    return shared(own, name, function, args, kwargs, key, read, inner)


def is_limit(given: object) -> bool:
    """Say whether a `limit=` is a limit, or several, and not an argument of the step's function."""
    limits = sys.modules.get("stepflow.core.limits.limit")  # not there: nobody has made any
    each = given if isinstance(given, list | tuple) else [given]
    kinds = () if limits is None else (limits.Limit, limits.LimitRequest)
    return bool(each) and all(isinstance(one, kinds) for one in each)


def requests_in(limit: StepLimit, name: str) -> Sequence[LimitRequest]:
    """Read the `limit=` of a step; raises InvalidOption."""
    from stepflow.core.limits.limit import requests_of  # noqa: PLC0415  wanted by few

    return requests_of(limit, f"step {name!r}")


def limits_of_run(requests: Sequence[LimitRequest]) -> dict[str, Any]:
    """Say for which keys a run of its own counts that carries out a step, and for how much."""
    return {
        "limits": {each.limit.name: each.key for each in requests if each.key is not None},
        "units": {each.limit.name: each.units for each in requests if each.units != 1},
    }
