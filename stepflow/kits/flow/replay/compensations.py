"""
Compensation: what completed steps did is undone, in reverse, when the run fails or is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.outcomes import ErrorInfo
from stepflow.errors import StepFailed, StepflowError
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.store.values.codec import unpack

if TYPE_CHECKING:
    from stepflow.kits.flow.commands.command import Command
    from stepflow.kits.flow.replay.activation import Activation


@dataclass(frozen=True, slots=True)
class Compensation:
    """
    What undoes a step: *function* is called with the step's value, by *policy*.

    *timeout_s* is for one attempt.
    """

    function: Callable[[Any], Any]
    policy: RetryPolicy
    timeout_s: float | None = None


class CompensationStack:
    """The completed steps that have a compensation, in the order in which their values came."""

    def __init__(self) -> None:
        self._done: list[tuple[str, Compensation, bytes, Callable[[Any], Any] | None]] = []

    def __len__(self) -> int:
        return len(self._done)

    def note(self, command: Command, value: bytes | None) -> None:
        """Note that *command* has its *value*, packed."""
        if command.compensation is not None and value is not None:
            self._done.append((command.name, command.compensation, value, command.read))

    async def undo(self, activation: Activation) -> list[ErrorInfo]:
        """
        Undo all of it, the last first, each as a durable step of its own.

        Gives the errors of those that failed.

        Runs on the workflow's loop, as the function itself did, so a replay takes the same turns.
        """
        errors: list[ErrorInfo] = []
        for number in reversed(range(len(self._done))):
            name, compensation, value, read = self._done[number]
            try:
                plain = unpack(value)
                await activation.start(
                    StepCommand(
                        f"undo.{number}", f"undo {name}", activation.loop.create_future(),
                        compensation.function, (plain if read is None else read(plain),),
                        policy=compensation.policy, timeout_s=compensation.timeout_s,
                    )
                )  # fmt: skip
            except StepFailed as error:
                errors.append(ErrorInfo(error.error_type, f"undo {name}: {error.error_message}"))
            except StepflowError as error:  # the value of then is not one of today's type
                errors.append(ErrorInfo(type(error).__name__, f"undo {name}: {error}"))
        return errors
