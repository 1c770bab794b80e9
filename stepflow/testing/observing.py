"""An observer that keeps what it is told, for tests to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepflow.engine.observing.facts import ObservedCall, ObservedRun, ObservedStep
from stepflow.engine.observing.line import ToldAtOnce
from stepflow.engine.observing.observer import METHODS


class RecordingObserver(ToldAtOnce):
    """
    Keeps what it is told, in order: `told` has pairs of a method's name and what it was given.

    Unlike other observers it is told before the runtime goes on, so a test need not wait.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, ObservedRun | ObservedStep | ObservedCall]] = []

    @property
    def names(self) -> list[str]:
        """The names of the methods that were called, in order."""
        return [name for name, _ in self.told]

    def of(self, name: str) -> list[Any]:
        """Give what one method was told, such as `on_step_done`."""
        return [fact for method, fact in self.told if method == name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *METHODS]

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in METHODS:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return lambda fact: self.told.append((name, fact))
