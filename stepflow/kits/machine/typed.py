"""A machine as type checkers see it: the data go in, a state comes out, both at the end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from stepflow.kits.machine.context import StateContext

D = TypeVar("D")
R = TypeVar("R")
S = TypeVar("S", bound=Enum)
P = ParamSpec("P")

#: a function that looks at the data, and at the context if it has a second parameter
Reads = Callable[[D], Any] | Callable[[D, StateContext], Any]


@dataclass(frozen=True, slots=True)
class MachineResult(Generic[S, D]):
    """How a run of a machine has ended: in which state, and its data as they were then."""

    state: S
    data: D


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
