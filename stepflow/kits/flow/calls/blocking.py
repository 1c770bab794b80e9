"""Objects of `ctx` as plain workflow code has them: what you would await blocks instead."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepflow.kits.flow.replay.fiber import current_fiber
from stepflow.kits.flow.replay.loop import WorkflowLoop

#: where the objects come from whose methods are to block as well
_OURS = "stepflow.kits."


class Blocking:
    """
    Stands for an object of ours in plain code.

    What is awaited of it blocks, whatever methods it has. Those that a subclass declares have their
    types.
    """

    def __init__(self, of: Any, loop: WorkflowLoop) -> None:
        self._of = of
        self._loop = loop

    def _wait(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the object behind and block until its answer is there."""
        fiber = current_fiber(self._loop)
        return fiber.wait(method(*args, **kwargs))

    if not TYPE_CHECKING:  # a checker is to see what a subclass declares, and nothing else

        def __getattr__(self, name: str) -> Any:
            value = getattr(self._of, name)
            if not inspect.isroutine(value):
                return self._plain(value)

            @functools.wraps(value)
            def call(*args: Any, **kwargs: Any) -> Any:
                current_fiber(self._loop)
                return self._plain(value(*args, **kwargs))

            return call

    def _plain(self, value: Any) -> Any:
        """Return what plain code can use: the result of an awaitable, objects that block."""
        if inspect.isawaitable(value):
            value = current_fiber(self._loop).wait(value)
        return Blocking(value, self._loop) if type(value).__module__.startswith(_OURS) else value
