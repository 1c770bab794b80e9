"""The decorators of a machine as type checkers see them: the data go in, a state comes out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from stepflow.kits.machine.context import StateContext

D = TypeVar("D")
R = TypeVar("R")
P = ParamSpec("P")

#: a function that looks at the data, and at the context if it has a second parameter
Reads = Callable[[D], Any] | Callable[[D, StateContext], Any]


class StateDecorator(Protocol[D, R]):
    """What `@machine.state(...)` and its like give: takes a function of the data, and gives it."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[D, P], Coroutine[Any, Any, R]], /
    ) -> Callable[Concatenate[D, P], Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[D, P], R], /
    ) -> Callable[Concatenate[D, P], R]: ...


class RouterDecorator(Protocol[D, R]):
    """What `@machine.router(...)` gives: takes a plain function of the data, and gives it."""

    def __call__(self, function: Callable[[D], R], /) -> Callable[[D], R]: ...
