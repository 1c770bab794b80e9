"""Functions that are called with the resources that they ask for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
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


def supplied(function: F, *, is_whole: bool = False) -> F:
    """
    Give *function* itself, or what calls it with the resources that it asks for.

    With *is_whole* a call of it is all of an activation: what it raises is thrown in where the
    resources of the activation yield.
    """
    needs = injections(function)
    if not needs:
        return function
    supply = _Supply(function, list(needs.values()), is_whole=is_whole)
    made: Any = supply.made_async() if is_async(function) else supply.made_plain()
    return made  # type: ignore[no-any-return]  # it takes and gives the same


class _Supply:
    """One function with what it asks for."""

    def __init__(
        self, function: Callable[..., Any], needs: list[Resource[Any]], *, is_whole: bool
    ) -> None:
        self._function = function
        self._signature = own_signature(function)
        self._first = needs[0]
        self._wants_activation = any(need.scope == "run" for need in needs)
        self._is_whole = is_whole

    def made_async(self) -> Callable[..., Any]:
        """Make the `async def` that gets the resources on the loop."""

        @functools.wraps(self._function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            bound = self._bind(args, kwargs)
            supplier, own = self._supplier()
            try:
                for name, wanted in _missing(bound):
                    bound.arguments[name] = await supplier.value(wanted)
                return await self._function(*bound.args, **bound.kwargs)
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
            bound = self._bind(args, kwargs)
            supplier, own = self._supplier()
            try:
                for name, wanted in _missing(bound):
                    bound.arguments[name] = supplier.value_from_thread(wanted)
                return self._function(*bound.args, **bound.kwargs)
            except BaseException as error:
                self._note(supplier, own, error)
                raise
            finally:
                if own is not None:
                    own.close_from_thread()

        return run

    def _bind(self, args: Any, kwargs: Any) -> inspect.BoundArguments:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound

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


def _missing(bound: inspect.BoundArguments) -> list[tuple[str, Resource[Any]]]:
    """List the arguments that nobody has passed, and what they ask for."""
    return [
        (name, value.resource)
        for name, value in bound.arguments.items()
        if type(value) is Injection
    ]
