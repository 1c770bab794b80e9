"""What the annotations of a function say, as far as they can be resolved."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any, Never, NoReturn, TypeVar

from stepflow.core.outcomes import Outcome
from stepflow.engine.user_code.readable import awaited


def hints_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """
    Give the annotations of *fn* that can be resolved.

    One that cannot does not take the others with it.
    """
    function = _function(fn)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  an annotation is user code: it may raise anything
        return _hints_one_by_one(function)


def own_signature(function: Callable[..., Any]) -> inspect.Signature:
    """
    Give what a call of *function* itself takes.

    A decorator that passes on whatever it is given takes what the function below it takes; one that
    names its parameters takes these, although `functools.wraps` shows others. Raises TypeError or
    ValueError for what does not say.
    """
    own = inspect.signature(function, follow_wrapped=False)
    passes_on = any(each.kind is each.VAR_POSITIONAL for each in own.parameters.values())
    return inspect.signature(function) if passes_on else own


def _hints_one_by_one(function: Any) -> dict[str, Any]:
    names = getattr(inspect.unwrap(function), "__globals__", {})
    found: dict[str, Any] = {}
    for name, hint in _annotations(function).items():
        try:
            one = SimpleNamespace(__annotations__={name: hint})
            found |= typing.get_type_hints(one, globalns=names, include_extras=True)
        except Exception:  # noqa: BLE001, S112  as above; without it the value comes as it is
            continue
    return found


def _annotations(function: Any) -> dict[str, Any]:
    try:
        return dict(function.__annotations__)
    except Exception:  # noqa: BLE001  an annotation is user code: it may raise anything
        return {}


def _function(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) else type(fn).__call__


def without_extras(hint: Any) -> Any:
    """Give an annotation without what `Annotated` adds to it."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def returned_hint(fn: Callable[..., Any]) -> Any:
    """
    Give the return annotation of *fn*.

    None when it says nothing, or when an Outcome may be returned.
    """
    wanted = awaited(hints_of(fn).get("return", Any))
    return None if says_nothing(wanted) or holds_outcome(wanted) else wanted


def says_nothing(hint: Any) -> bool:
    """Whether an annotation admits anything."""
    return (
        hint is None or hint is Any or hint is object or isinstance(hint, TypeVar)
        or hint is NoReturn or hint is Never
    )  # fmt: skip


def holds_outcome(hint: Any) -> bool:
    """Whether an annotation admits an Outcome."""
    bare = without_extras(hint)
    if isinstance(bare, type) and typing.get_origin(bare) is None:
        return issubclass(bare, Outcome)
    return any(holds_outcome(part) for part in typing.get_args(bare) if part is not Ellipsis)
