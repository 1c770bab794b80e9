"""Annotations as pydantic can read them: of some it asks what says the same in other words."""

from __future__ import annotations

import operator
import sys
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from functools import reduce
from typing import Annotated, Any

if sys.version_info < (3, 12):  # pydantic reads the one of `typing` from there on
    from typing_extensions import TypedDict
else:
    from typing import TypedDict

#: what is read into a list, for what is stored of it is one
_LISTS = frozenset({Iterable, Iterator, Generator, Collection})
#: what gives another value when it is awaited; that is its last argument
_AWAITED = frozenset({Awaitable, Coroutine})
#: what says nothing that could be checked
_UNCHECKED = frozenset({
    typing.NoReturn, typing.Never, typing.Self, AsyncGenerator, AsyncIterable, AsyncIterator,
})  # fmt: skip


def awaited(hint: Any) -> Any:
    """Give what a function gives in the end that is annotated to return *hint*."""
    if typing.get_origin(hint) in _AWAITED:
        return typing.get_args(hint)[-1]
    return hint


def readable(hint: Any) -> Any:
    """Give *hint*, or what pydantic reads in its stead, whatever it is nested in."""
    return _readable(hint, {})


def _readable(hint: Any, made: dict[Any, Any]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _plain(hint, made)
    if origin in _UNCHECKED:
        return Any
    if origin in _LISTS and args:
        return list[_readable(args[0], made)]  # type: ignore[misc]  # made at run time
    if origin is typing.Literal or not args:
        return hint
    if origin is Annotated:
        inner = _readable(args[0], made)
        return hint if inner is args[0] else Annotated[(inner, *hint.__metadata__)]
    new = tuple(each if isinstance(each, list) else _readable(each, made) for each in args)
    if all(one is other for one, other in zip(new, args, strict=True)):
        return hint
    return _with_arguments(hint, origin, new)


def _with_arguments(hint: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    if origin in {typing.Union, types.UnionType}:
        return reduce(operator.or_, args) if Any not in args else Any
    try:
        return origin[args]
    except TypeError:  # it takes no arguments that way: pydantic says what it thinks of it
        return hint


def _plain(hint: Any, made: dict[Any, Any]) -> Any:
    if hint is typing.LiteralString:
        return str
    if not isinstance(hint, type):
        return Any if hint in _UNCHECKED else hint
    if hint in _UNCHECKED or getattr(hint, "_is_protocol", False):
        return Any
    if _is_unreadable_typed_dict(hint):
        return made[hint] if hint in made else _typed_dict(hint, made)
    return hint


def _is_unreadable_typed_dict(hint: type) -> bool:
    return typing.is_typeddict(hint) and type(hint).__module__ == "typing" != TypedDict.__module__


def _typed_dict(hint: Any, made: dict[Any, Any]) -> Any:
    """Make the TypedDict of typing_extensions that says the same as *hint*."""
    made[hint] = dict[str, Any]  # where it names itself
    try:
        hints = typing.get_type_hints(hint, include_extras=True)
    except Exception:  # noqa: BLE001  an annotation is user code: it may raise anything
        return made[hint]
    fields = {}
    for name, each in hints.items():
        marker, inner = typing.get_origin(each), each
        if marker in {typing.Required, typing.NotRequired}:
            inner = typing.get_args(each)[0]
        elif name in hint.__required_keys__:
            marker = typing.Required
        else:
            marker = typing.NotRequired
        fields[name] = marker[_readable(inner, made)]
    made[hint] = TypedDict(hint.__name__, fields)  # type: ignore[operator]
    return made[hint]
