"""What stands around the call of a step's function: a cache, a breaker, limits, budgets."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stepflow.errors import InvalidOption
from stepflow.kits.flow.calls.base import ContextBase
from stepflow.kits.flow.commands.step import Around
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.kits.flow.step_options import Cache, DeclaredStep, check_breaker
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.budgets.budget import Spending
    from stepflow.core.limits.limit import LimitRequest, StepLimit
    from stepflow.kits.flow.around.budget import StepSpends
    from stepflow.kits.flow.commands.command import WorkflowHost


def around_call(
    breaker: Breaker | None,
    requests: Sequence[LimitRequest],
    name: str,
    ctx: ContextBase,
    inner: Around | None = None,
) -> Around | None:
    """
    Say what stands around the call itself: *inner*, around that limits, around these a breaker.

    Raises InvalidOption for a limit that the run of *ctx* has itself.
    """
    if requests:
        from stepflow.kits.flow.around.limit import uses_of, within  # noqa: PLC0415  wanted by few

        uses = uses_of(requests, ctx._activation.run, ctx.headers, name)  # noqa: SLF001  one house
        inner = _nested(within(requests, uses), inner)
    if breaker is None:
        return inner
    from stepflow.kits.flow.around.breaker import through  # noqa: PLC0415  wanted by few

    check_breaker(breaker, f"step {name!r}")
    return _nested(through(breaker), inner)


def spends_of(spending: Spending, host: WorkflowHost, name: str) -> StepSpends:
    """Say of which budgets the calls of a step's function spend."""
    from stepflow.kits.flow.around.budget import spends  # noqa: PLC0415  wanted by few

    return spends(spending, host, name)


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


def _nested(outer: Around, inner: Around | None) -> Around:
    if inner is None:
        return outer

    def both(runtime: FlowRuntime, call: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        return outer(runtime, lambda: inner(runtime, call))

    return both


def check_remote(
    name: str,
    own: DeclaredStep,
    timeout: float | timedelta | None,
    breaker: Breaker | None,
    spends: Spending | None,
    *,
    is_cached: bool,
    is_limited: bool,
) -> None:
    """Refuse what a step on another queue cannot have; raises InvalidOption."""
    if not own.runner:
        msg = (
            f"step {name!r} is to run on another queue, whose workers find it by the app: "
            "put @app.step above its function"
        )
        raise InvalidOption(msg)
    its_own = f"step {name!r} runs on another queue, as its own run"
    if timeout is not None:
        raise InvalidOption(f"{its_own}: give its timeout to @app.step, not to ctx.step")
    if breaker is not None:
        msg = f"{its_own}: enter breaker {breaker.name!r} in its function, by `async with`"
        raise InvalidOption(msg)
    if is_limited:
        raise InvalidOption(f"{its_own}: give its limit to @app.step, not to ctx.step")
    if spends is not None:
        msg = f"{its_own}, and cannot spend of a budget: leave out queue=, or make it a workflow"
        raise InvalidOption(msg)
    if is_cached or own.cache is not None:
        msg = (
            f"{its_own}, and cannot share its value: share that of a step that its function is "
            "called in, or leave out queue="
        )
        raise InvalidOption(msg)


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
