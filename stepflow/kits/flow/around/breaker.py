"""What stands around the call of a step's function: a circuit breaker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from stepflow.core.breakers.breaker import Breaker
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.commands.step import Around, StepCommand
from stepflow.kits.flow.current_step import present_attempt
from stepflow.kits.flow.runtime import FlowRuntime


def through(breaker: Breaker) -> Around:
    """Have the function called with a permit of *breaker* only."""
    return partial(_through, breaker)


async def _through(
    breaker: Breaker, runtime: FlowRuntime, call: Callable[[], Awaitable[Any]]
) -> Any:
    permits = runtime.permits
    command, _, _ = cast("tuple[StepCommand, CommandHost, int]", present_attempt())
    permit = await permits.take(breaker, command.place)
    try:
        value = await call()
    except BaseException as error:
        permits.settle(permit, breaker, error)
        raise
    permits.settle(permit, breaker, None)
    return value
