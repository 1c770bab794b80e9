"""What stands around the call of a step's function: limits of concurrency and rate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from stepflow.core.limits.limit import LimitRequest, use_asked, values_of
from stepflow.core.limits.slot import present_slot
from stepflow.core.limits.use import LimitUse, read_uses
from stepflow.core.run import Run
from stepflow.engine.user_code.calls import postponed
from stepflow.errors import BudgetExceeded, InvalidOption
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.commands.step import Around, StepCommand
from stepflow.kits.flow.current_step import present_attempt
from stepflow.kits.flow.runtime import FlowRuntime


def uses_of(
    requests: Sequence[LimitRequest], run: Run, headers: Mapping[str, str], name: str
) -> tuple[LimitUse, ...]:
    """
    Say what step *name* asks for; raises InvalidOption for a limit that its run has itself.

    Such a step could wait for the slot of its own run.
    """
    mine = {use.name for use in read_uses(run.limits)}
    for request in requests:
        if request.limit.name in mine:
            msg = (
                f"step {name!r} asks for limit {request.limit.name!r}, which its run "
                f"{run.id!r} has for as long as a worker has the run; leave limit= out of the "
                "step, or the limit out of the run"
            )
            raise InvalidOption(msg)
    return tuple(use_asked(request, headers) for request in requests)


def within(requests: Sequence[LimitRequest], uses: Sequence[LimitUse]) -> Around:
    """Have the function called with a slot of each limit only."""
    said = {each.limit.name: values_of(each.limit).write() for each in requests}
    return partial(_within, uses, said)


async def _within(
    uses: Sequence[LimitUse],
    said: Mapping[str, str],
    runtime: FlowRuntime,
    call: Callable[[], Awaitable[Any]],
) -> Any:
    limits = runtime.limits
    command, host, _ = cast("tuple[StepCommand, CommandHost, int]", present_attempt())
    slot = await limits.take(
        f"{host.restarts}/{command.occurrence}", command.name, uses, said,
        is_first=command.was_refused, wake=host.wake,
    )  # fmt: skip
    present_slot.set(slot)
    try:
        value = await call()
    except asyncio.CancelledError:
        limits.give_back(slot)
        raise
    except BaseException as error:
        is_postponed = postponed(error) is not None
        if is_postponed or isinstance(error, BudgetExceeded):
            slot.void()  # its call was not made, or is begun again from its top
        (limits.give_back if is_postponed else limits.over)(slot)
        raise
    limits.over(slot)
    return value
