"""What stands around the call of a step's function: a circuit breaker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from stepflow.core.breakers.breaker import Breaker
from stepflow.kits.flow.commands.step import Around
from stepflow.kits.flow.runtime import FlowRuntime


def through(breaker: Breaker, inner: Around | None) -> Around:
    """Have the function called with a permit of *breaker* only; *inner* stands around the call."""
    return partial(_through, breaker, inner)


async def _through(
    breaker: Breaker,
    inner: Around | None,
    runtime: FlowRuntime,
    call: Callable[[], Awaitable[Any]],
) -> Any:
    permits = runtime.permits
    permit = await permits.take(breaker)
    try:
        value = await (call() if inner is None else inner(runtime, call))
    except BaseException as error:
        permits.settle(permit, breaker, error)
        raise
    permits.settle(permit, breaker, None)
    return value
