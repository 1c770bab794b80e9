"""A step on another queue: a child run of one step, whose end is the step's value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stepflow.engine.spec import RunSpec
from stepflow.errors import ChildFailed, StepFailed
from stepflow.kits.flow.commands.child import Child, end_of, spawn
from stepflow.kits.flow.commands.command import WorkflowHost
from stepflow.kits.flow.step_options import Compensation


def step_remotely(
    host: WorkflowHost,
    place: str,
    name: str,
    spec: RunSpec,
    *,
    read: Callable[[Any], Any],
    compensation: Compensation | None,
) -> asyncio.Future[Any]:
    """
    Have the step at *place* done by the child of *spec*, whose id is set; returns its value.

    It leaves two entries: that the child was begun, and how it ended. Callbacks rather than a task
    join them, because a keyed step must take no place in its branch.
    """
    answer = host.create_future()
    host.give_out(answer)

    def begun(done: asyncio.Future[Child[Any]]) -> None:
        if answer.done() or not _has_result(done, answer, name):
            return
        command = end_of(done.result(), f"{place}.end", name)
        command.read, command.compensation = read, compensation
        host.start(command).add_done_callback(ended)

    def ended(done: asyncio.Future[Any]) -> None:
        if not answer.done() and _has_result(done, answer, name):
            answer.set_result(done.result())

    spawn(host, place, spec, abandon=False).add_done_callback(begun)
    return answer


def _has_result(done: asyncio.Future[Any], answer: asyncio.Future[Any], name: str) -> bool:
    """Whether *done* has a result; what it has instead is handed on to *answer*."""
    if done.cancelled():
        answer.cancel()
        return False
    error = done.exception()
    if isinstance(error, ChildFailed):
        failed = StepFailed(name, error.error_type, error.error_message)
        failed.__cause__ = error
        answer.set_exception(failed)
    elif error is not None:
        answer.set_exception(error)
    return error is None
