"""A step on another queue: a child run of one step, whose end is the step's value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepflow.errors import ChildFailed, StepFailed
from stepflow.kits.flow.commands.child import Child, spawn

if TYPE_CHECKING:
    from stepflow.engine.spec import RunSpec
    from stepflow.kits.flow.replay.activation import Activation
    from stepflow.kits.flow.replay.compensations import Compensation


def step_elsewhere(
    activation: Activation,
    place: str,
    name: str,
    spec: RunSpec,
    *,
    read: Callable[[Any], Any],
    compensation: Compensation | None,
) -> asyncio.Future[Any]:
    """
    Have the step at *place* done by the child of *spec*, whose id is set.

    Gives the future of its value.

    Two entries: that it was begun, how it ended. Callbacks rather than a task join them: a keyed
    step must take no place in its branch.
    """
    loop = activation.loop
    answer: asyncio.Future[Any] = loop.create_future()

    def begun(done: asyncio.Future[Child]) -> None:
        if answer.done() or not _came(done, answer, name):
            return
        command = done.result().end_at(f"{place}.end", name)
        command.read, command.compensation = read, compensation
        activation.start(command).add_done_callback(ended)

    def ended(done: asyncio.Future[Any]) -> None:
        if not answer.done() and _came(done, answer, name):
            answer.set_result(done.result())

    spawn(activation, place, spec, abandon=False).add_done_callback(begun)
    return answer


def _came(done: asyncio.Future[Any], answer: asyncio.Future[Any], name: str) -> bool:
    """Whether *done* has a result; what it has instead is handed on."""
    if done.cancelled():
        answer.cancel()
        return False
    error = done.exception()
    if isinstance(error, ChildFailed):
        answer.set_exception(StepFailed(name, error.error_type, error.error_message))
    elif error is not None:
        answer.set_exception(error)
    return error is None
