"""A plain function that runs in a child process, and looks like itself from outside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from stepflow.core.outcomes import Outcome
from stepflow.core.runner import Step
from stepflow.engine.user_code.arguments import bind, result_reader
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.processes.messages import read_answer, write_call
from stepflow.engine.user_code.processes.pool import pool_of
from stepflow.errors import InvalidOption, shown
from stepflow.names import dotted_name, is_importable
from stepflow.value_settings import ProcessSettings


def check_isolation(isolation: object, function: Callable[..., Any], what: str) -> None:
    """Raise InvalidOption for an isolation that there is not, or that *function* cannot have."""
    if isolation != "process":
        msg = f"isolation of {what} is {shown(isolation)}; the one there is is 'process'"
        raise InvalidOption(msg)
    if is_async(function):
        msg = (
            f"{what} is an async def; isolation='process' is for a plain def, "
            "which would run in a thread"
        )
        raise InvalidOption(msg)
    name = dotted_name(function)
    if "<locals>" in name or "<lambda>" in name or not is_importable(name):
        msg = (
            f"{what} is {name}, which a child process cannot import; "
            "define it at the top of a module"
        )
        raise InvalidOption(msg)


def isolated(
    function: Callable[..., Any], isolation: object, what: str, settings: ProcessSettings
) -> Callable[..., Any]:
    """
    Give an `async def` that calls *function* in a child process, with the types that it declares.

    Raises InvalidOption, which names *what* cannot be isolated.
    """
    check_isolation(isolation, function, what)
    module, qualname = _names(function)
    read = result_reader(function)

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        packed = write_call(module, qualname, bind(function, args, kwargs))
        value = read_answer(await pool_of(settings).call(qualname, packed))
        return value if isinstance(value, Outcome) else read(value)

    return call


def isolated_runner(
    function: Callable[..., Any], isolation: object, what: str, settings: ProcessSettings
) -> Callable[..., Any]:
    """Give a runner that calls *function* in a child process with a step; see `isolated`."""
    check_isolation(isolation, function, what)
    module, qualname = _names(function)

    @functools.wraps(function)
    async def run(step: Step[Any]) -> Any:
        packed = write_call(module, qualname, step.payload, step.told())
        return read_answer(await pool_of(settings).call(qualname, packed))

    return run


def _names(function: Callable[..., Any]) -> tuple[str, str]:
    """Give the module and the qualified name of a function."""
    qualname = function.__qualname__
    return dotted_name(function)[: -len(qualname) - 1], qualname
