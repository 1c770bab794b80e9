"""What stands around the call of a step's function: a breaker, a cache, budgets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stepflow.errors import InvalidOption
from stepflow.kits.flow.commands.step import Around
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.kits.flow.step_options import Cache, DeclaredStep, check_breaker
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.budgets.budget import Spending
    from stepflow.kits.flow.around.budget import StepSpends
    from stepflow.kits.flow.commands.command import WorkflowHost


def around_of(breaker: Breaker | None, name: str) -> Around | None:
    """Say what breaker stands around the call of a step's function, if any."""
    if breaker is None:
        return None
    from stepflow.kits.flow.around.breaker import through  # noqa: PLC0415  wanted by few

    check_breaker(breaker, f"step {name!r}")
    return through(breaker)


def spends_of(spending: Spending, host: WorkflowHost, name: str) -> StepSpends:
    """Say of which budgets the calls of a step's function spend."""
    from stepflow.kits.flow.around.budget import spends  # noqa: PLC0415  wanted by few

    return spends(spending, host, name)


def around_step(
    own: Cache | None,
    lasts: float | timedelta | None,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    key: Any,
    read: Callable[[Any], Any],
    breaker: Breaker | None,
    budgets: Around | None,
) -> Around | None:
    """Say what stands around: budgets, around those a breaker, around that a shared value."""
    inner = _nested(around_of(breaker, name), budgets)
    if lasts is not None:
        own = Cache(seconds(lasts, f"cache of step {name!r}"), 1 if own is None else own.version)
    if own is None:
        return inner
    from stepflow.kits.flow.around.cache import shared  # noqa: PLC0415  wanted by few

    return shared(own, name, function, args, kwargs, key, read, inner)


def _nested(outer: Around | None, inner: Around | None) -> Around | None:
    if outer is None or inner is None:
        return outer or inner

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
    if spends is not None:
        msg = f"{its_own}, and cannot spend of a budget: leave out queue=, or make it a workflow"
        raise InvalidOption(msg)
    if is_cached or own.cache is not None:
        msg = (
            f"{its_own}, and cannot share its value: share that of a step that its function is "
            "called in, or leave out queue="
        )
        raise InvalidOption(msg)
