"""
What you give for a function, checked where you give it.

A coroutine in its place is closed, so that Python does not add that it was never awaited.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from types import CodeType, CoroutineType, FunctionType, MethodType
from typing import Any

from stepflow.errors import InvalidOption, shown

_VARARGS, _VARKEYWORDS = inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def is_generator(function: Any) -> bool:
    """Whether a call of *function*, a `def`, gives a generator."""
    return type(function) is FunctionType and bool(function.__code__.co_flags & _GENERATORS)


def check_callable(given: object, place: str, advice: str) -> None:
    """
    Raise InvalidOption unless *given* can be called and gives a value.

    *place* is where you gave it, like `ctx.step`, and *advice* how to write that, with `{}` for
    the name of the function.
    """
    name = getattr(given, "__name__", "function")
    if isinstance(given, CoroutineType) or inspect.isawaitable(given):
        called = f"you called {name}()"
        if isinstance(given, CoroutineType):
            given.close()
        elif not hasattr(given, "__name__"):
            called, name = f"{place} was given {shown(given)}", "function"
        raise InvalidOption(f"{called}; give the function itself: write {advice.format(name)}")
    if not callable(given):
        raise InvalidOption(
            f"{place} was given {shown(given)}, which is not a function; "
            f"write {advice.format(name)}"
        )
    if is_generator(plain_function(given)):
        raise InvalidOption(
            f"{place} was given {name}(), a generator function, whose values nobody would take; "
            "let it return a list"
        )


def plain_function(given: Any) -> FunctionType | None:
    """Find the `def` that a call of *given* runs: through partials, methods and objects."""
    while isinstance(given, functools.partial):
        given = given.func
    if isinstance(given, MethodType):
        given = given.__func__
    elif not isinstance(given, FunctionType | type):
        given = getattr(type(given), "__call__", None)  # noqa: B004
    return given if isinstance(given, FunctionType) else None


def arguments_problem(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """
    Say in words why *function* does not take these arguments; None when it does.

    Goes by the code of the `def` itself, not by a signature that a decorator shows. What is no
    `def`, such as a class or a builtin, is left to the call.
    """
    if type(function) is FunctionType and not kwargs:
        code, defaults = function.__code__, function.__defaults__
        most = code.co_argcount
        least = most - len(defaults) if defaults else most
        if least <= len(args) <= most and not code.co_kwonlyargcount:
            return None
    return _problem(function, args, kwargs)


def _problem(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    given: list[Any] = [*args]
    named = {**kwargs}
    while isinstance(function, functools.partial):
        if any(type(one).__name__ == "_PlaceholderType" for one in function.args):
            return None
        given[:0] = function.args
        named = {**function.keywords, **named}
        function = function.func
    plain = plain_function(function)
    if plain is None or not isinstance(plain.__code__, CodeType):
        return None
    if plain is not function and not _is_static(function):
        owner = function.__self__ if isinstance(function, MethodType) else function
        given.insert(0, owner)
    if _fits(plain, given, named):
        return None
    # without what a decorator may have put on it, which `inspect` would go by
    bare = FunctionType(plain.__code__, {}, plain.__name__, plain.__defaults__, plain.__closure__)
    bare.__kwdefaults__ = plain.__kwdefaults__
    signature = inspect.signature(bare)
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        return f"{error}; it is {plain.__name__}{signature}"
    return None


def _is_static(given: Any) -> bool:
    """Whether *given* is an object whose `__call__` is not given the object."""
    found = inspect.getattr_static(type(given), "__call__", None)
    return isinstance(found, staticmethod)


def _fits(function: FunctionType, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call goes through, by what the code object says."""
    code, count = function.__code__, len(args)
    most, flags = code.co_argcount, code.co_flags
    names = code.co_varnames[: most + code.co_kwonlyargcount]
    if count > most and not flags & _VARARGS:
        return False
    for name in kwargs:
        if name not in names:
            if not flags & _VARKEYWORDS:
                return False
        elif names.index(name) < max(min(count, most), code.co_posonlyargcount):
            return False  # given twice, or by position only: `inspect` finds the words
    least = most - len(function.__defaults__ or ())
    kwdefaults = function.__kwdefaults__ or {}
    return all(name in kwargs for name in names[count:least]) and all(
        name in kwargs or name in kwdefaults for name in names[most:]
    )
