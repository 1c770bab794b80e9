"""Tools: functions of an app that definitions may call by name (`@app.tool`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stepflow.engine.user_code.arguments import CallReader, bind, call_reader
from stepflow.engine.user_code.callables import arguments_problem
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.resources.supply import supplied


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that definitions call as *name*."""

    name: str
    function: Callable[..., Any]
    read: CallReader

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Tool:
        """Make a tool of *function*."""
        return cls(name, function, call_reader(function, name))

    def problem(self, given: Mapping[str, Any]) -> str | None:
        """Say why the function does not take arguments of these names; None when it does."""
        return arguments_problem(self.function, (), given)

    async def call(self, given: Mapping[str, Any]) -> Any:
        """Call the function, a plain one in a thread, with arguments of the types it declares."""
        args, kwargs = self.read(bind(self.function, (), dict(given)))
        function = supplied(self.function)
        if is_async(function):
            return await function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)
