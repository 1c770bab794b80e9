"""Functions that are called with the resources that they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeVar

from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.hints import own_signature
from stepflow.engine.user_code.resources.resource import (
    Injection,
    Resource,
    Supplier,
    injections,
    supplier_of,
)
from stepflow.engine.user_code.resources.scope import Scope, current_activation

F = TypeVar("F", bound=Callable[..., Any])

#: where a function keeps what `supplied_step` made of it
_KEPT = "__stepflow_supplied__"


def supplied(function: F, *, is_whole: bool = False) -> F:
    """
    Give *function* itself, or what calls it with the resources that it asks for.

    With *is_whole* a call of it is all of an activation: what it raises is thrown in where the
    resources of the activation yield.
    """
    needs = injections(function)
    if not needs:
        return function
    supply = _Supply(function, needs, is_whole=is_whole)
    made: Any = supply.made_async() if is_async(function) else supply.made_plain()
    return made  # type: ignore[no-any-return]  # it takes and gives the same


def supplied_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the same for the function of a step; it is made once, for a step is called often."""
    if type(function) is not FunctionType:
        return supplied(function)
    kept = function.__dict__.get(_KEPT)
    if kept is not None and kept.__wrapped__ is function:  # a decorator may have copied it
        return kept  # type: ignore[no-any-return]
    made = supplied(function)
    if made is not function:
        function.__dict__[_KEPT] = made
    return made


class _Supply:
    """One function with what it asks for."""

    def __init__(
        self,
        function: Callable[..., Any],
        needs: Mapping[str, Resource[Any]],
        *,
        is_whole: bool,
    ) -> None:
        self._function = function
        names = list(own_signature(function).parameters)
        #: (place among the parameters, name, resource)
        self._needs = [(names.index(name), name, need) for name, need in needs.items()]
        self._first = next(iter(needs.values()))
        self._wants_activation = any(need.scope == "run" for need in needs.values())
        self._is_whole = is_whole

    def made_async(self) -> Callable[..., Any]:
        """Make the `async def` that gets the resources on the loop."""

        @functools.wraps(self._function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            supplier, own = self._supplier()
            try:
                given = [
                    (place, name, await supplier.value(need))
                    for place, name, need in self._missing(args, kwargs)
                ]
                return await self._function(*_filled(args, given), **kwargs | _named(args, given))
            except BaseException as error:
                self._note(supplier, own, error)
                raise
            finally:
                if own is not None:
                    await own.close()

        return run

    def made_plain(self) -> Callable[..., Any]:
        """Make the `def` that gets the resources from its thread."""

        @functools.wraps(self._function)
        def run(*args: Any, **kwargs: Any) -> Any:
            supplier, own = self._supplier()
            try:
                given = [
                    (place, name, supplier.value_from_thread(need))
                    for place, name, need in self._missing(args, kwargs)
                ]
                return self._function(*_filled(args, given), **kwargs | _named(args, given))
            except BaseException as error:
                self._note(supplier, own, error)
                raise
            finally:
                if own is not None:
                    own.close_from_thread()

        return run

    def _missing(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> list[tuple[int, str, Resource[Any]]]:
        """List what nobody has passed: it is left out, or its default was filled in."""
        return [
            (place, name, need)
            for place, name, need in self._needs
            if (type(args[place]) is Injection if place < len(args) else _lacks(kwargs, name))
        ]

    def _supplier(self) -> tuple[Supplier, Scope | None]:
        """Give what has the resources; it is the function's own where there is no activation."""
        if not self._wants_activation:
            return supplier_of(self._first), None
        shared = current_activation()
        if shared is not None:
            return shared, None
        own = Scope("run", supplier_of(self._first))
        return own, own

    def _note(self, supplier: Supplier, own: Scope | None, error: BaseException) -> None:
        is_all = self._wants_activation and (own is not None or self._is_whole)
        if is_all and isinstance(supplier, Scope):
            supplier.error = error


def _lacks(kwargs: Mapping[str, Any], name: str) -> bool:
    return name not in kwargs or type(kwargs[name]) is Injection


def _filled(args: Sequence[Any], given: Sequence[tuple[int, str, Any]]) -> Sequence[Any]:
    """Give the arguments by position, with the resources that stand among them."""
    filled = list(args)
    for place, _, value in given:
        if place < len(args):
            filled[place] = value
    return filled


def _named(args: Sequence[Any], given: Sequence[tuple[int, str, Any]]) -> dict[str, Any]:
    """Give the resources that are passed by name."""
    return {name: value for place, name, value in given if place >= len(args)}
