"""The functions that you give to `ctx`: which one it is, what its step is called, what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any

from stepflow.engine.user_code.callables import (
    arguments_problem,
    check_callable,
    is_generator,
    plain_function,
)
from stepflow.engine.user_code.registered import is_workflow
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.answer import Answer
from stepflow.kits.flow.branches import BranchTask
from stepflow.kits.flow.calls.base import checked_name
from stepflow.kits.flow.step_options import step_name

#: what you have to await before a step can use it
AWAITED = frozenset({
    Answer, BranchTask, CoroutineType, asyncio.Future, asyncio.Task,
    vars(asyncio.tasks).get("_GatheringFuture", asyncio.Future),
})  # fmt: skip
#: the names that `ctx.step` takes for itself
_OPTIONS = (
    "key", "retry", "timeout", "compensate", "queue", "breaker", "cache", "cache_key",
    "spends",
)  # fmt: skip


def named(
    name: str | Callable[..., Any], args: tuple[Any, ...], verb: str = "ctx.step"
) -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """Return the name of a step, its function and the arguments of that."""
    if type(name) is str and args and callable(args[0]):
        return checked_name(name), args[0], args[1:]
    if callable(name):
        return checked_name(step_name(name)), name, args
    if type(name) is not str:
        check_callable(name, verb, f"{verb}({{}}, arguments ...)")
    if args:
        check_callable(args[0], f"{verb}({shown(name)})", f"{verb}({shown(name)}, {{}}, ...)")
    msg = (
        f"{verb}({shown(name)}) was given no function; "
        f"write {verb}({shown(name)}, function, arguments ...)"
    )
    raise InvalidOption(msg)


def check_call(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """
    Refuse a step that could only fail, before it takes its place.

    Raises InvalidOption: for a workflow, whatever its arguments, for arguments that the function
    does not take, and for a generator function.
    """
    if is_workflow(function):
        msg = (
            f"step {name!r} is to call {_called(function)}, which is a workflow; write "
            f"child = await ctx.spawn({_called(function)}, payload), then await child.result()"
        )
        raise InvalidOption(msg)
    problem = arguments_problem(function, args, kwargs)
    if problem is not None:
        own = [each for each in _OPTIONS if _names_parameter(function, each)]
        advice = (
            f". {own[0]}= of ctx.step is the step's own option; give the function's by "
            f"ctx.options(...).step({_called(function)}, ...)"
            if own
            else ""
        )
        msg = f"step {name!r} cannot be called with these arguments: {problem}{advice}"
        raise InvalidOption(msg)
    if is_generator(function):
        check_callable(function, f"step {name!r}", "")


def check_arguments(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse an argument that was not awaited; raises InvalidOption."""
    if AWAITED.isdisjoint(map(type, args)) and (
        not kwargs or AWAITED.isdisjoint(map(type, kwargs.values()))
    ):
        return
    for place, value in (*enumerate(args, 1), *kwargs.items()):
        if type(value) in AWAITED:
            for each in (*args, *kwargs.values()):
                if isinstance(each, CoroutineType):
                    each.close()
            msg = (
                f"argument {place!r} of step {name!r} is {shown(value)}, whose value is not there "
                "yet; await it first"
            )
            raise InvalidOption(msg)


def _names_parameter(function: Callable[..., Any], name: str) -> bool:
    inside = plain_function(function)
    if inside is None:
        return False
    code = inside.__code__
    return name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _called(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
