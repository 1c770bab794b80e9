"""Functions that open something, yield it once and close it, as context managers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from stepflow.engine.user_code.hints import own_signature
from stepflow.errors import InvalidOption, shown


def manager_maker(kind: str, name: str, function: Any) -> Callable[..., Any]:
    """
    Give what makes the context manager of *function*, a *kind* ("lifespan") called *name*.

    Raises InvalidOption for a function that makes none.
    """
    if not callable(function) or inspect.iscoroutinefunction(function):
        msg = (
            f"@app.{kind} is used on {shown(function)}; write a function that yields once: "
            "async def pool(): ... yield pool ..."
        )
        raise InvalidOption(msg)
    if inspect.isasyncgenfunction(function):
        return asynccontextmanager(function)
    if inspect.isgeneratorfunction(function):
        return contextmanager(function)

    def make(**given: Any) -> Any:
        manager = function(**given)
        if hasattr(manager, "__aenter__") or hasattr(manager, "__enter__"):
            return manager
        msg = f"{kind} {name!r} returned {shown(manager)}, which is not a context manager"
        raise InvalidOption(msg)

    return make


def needed_parameter(function: Callable[..., Any]) -> str | None:
    """Name the first parameter without a default; None when *function* is callable without any."""
    return next(
        (
            parameter.name
            for parameter in own_signature(function).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        ),
        None,
    )
