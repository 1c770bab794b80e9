"""Compensation: a run that fails or is cancelled undoes its completed steps, the last first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepflow.core.outcomes import ErrorInfo
from stepflow.errors import StepFailed, StepflowError
from stepflow.kits.flow.commands.command import Command, WorkflowHost
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.step_options import Compensation
from stepflow.store.values.codec import unpack


class CompensationStack:
    """The completed steps that have a compensation, in the order in which their values came."""

    def __init__(self) -> None:
        self._done: list[tuple[str, Compensation, bytes, Callable[[Any], Any] | None]] = []

    def __len__(self) -> int:
        return len(self._done)

    def push(self, command: Command, value: bytes | None) -> None:
        """Note that *command* has its packed *value*, unless nothing undoes it."""
        if command.compensation is not None and value is not None:
            self._done.append((command.name, command.compensation, value, command.read))

    async def undo(self, host: WorkflowHost) -> list[ErrorInfo]:
        """
        Undo all of it, the last first, each as a durable step; returns the errors of those.

        Runs on the workflow's loop, as the function itself did, so a replay takes the same turns.
        """
        errors: list[ErrorInfo] = []
        for number in reversed(range(len(self._done))):
            name, compensation, value, read = self._done[number]
            try:
                plain = unpack(value)
                await host.start(
                    StepCommand(
                        f"undo.{number}", f"undo {name}", host.create_future(),
                        compensation.function, (plain if read is None else read(plain),),
                        policy=compensation.policy, timeout_s=compensation.timeout_s,
                    )
                )  # fmt: skip
            except StepFailed as error:
                errors.append(ErrorInfo(error.error_type, f"undo {name}: {error.error_message}"))
            except StepflowError as error:  # the value of then is not one of today's type
                errors.append(ErrorInfo(type(error).__name__, f"undo {name}: {error}"))
        return errors
