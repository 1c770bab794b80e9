"""The functions of a machine as steps call them: each attempt gets data of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.hints import hints_of, own_signature
from stepflow.engine.user_code.resources.resource import is_injected
from stepflow.engine.user_code.resources.supply import supplied
from stepflow.kits.flow.step_options import DeclaredStep, declare
from stepflow.kits.machine.context import StateContext
from stepflow.kits.machine.shape import Shape
from stepflow.store.values.codec import pack

_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


@dataclass(frozen=True, slots=True)
class Undo:
    """What undoes a state, called with the data as they were when it was left."""

    function: Callable[..., Any]
    retry: RetryPolicy | None
    #: seconds, of one attempt
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Options:
    """How the steps of a state are tried; *timeout_s* (seconds) is of one attempt."""

    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    undo: Undo | None = None


def places(function: Callable[..., Any]) -> tuple[int, int]:
    """Count what *function* takes by position: how many at least, and at most."""
    parameters = own_signature(function).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 0, 99
    mine = [each for each in parameters if each.kind in _BY_POSITION and not is_injected(each)]
    return sum(each.default is each.empty for each in mine), len(mine)


def caller(
    shape: Shape,
    name: str,
    function: Callable[..., Any],
    options: Options,
    then: Callable[[Any, Any], Any] | None = None,
    *,
    extra: int = 0,
) -> Callable[..., Any]:
    """
    Make the function that `ctx.step` calls with packed data, a StateContext and *extra* more.

    It calls *function* with fresh data, so what a failed attempt has changed is gone, and gives
    what *then* makes of its value and the data; without *then*, the value itself.
    """
    call, has_context = supplied(function), places(function)[1] > 1 + extra

    def given(packed: bytes, own: StateContext, rest: tuple[Any, ...]) -> tuple[Any, ...]:
        data = shape.data.fresh(packed)
        return (data, *rest, own) if has_context else (data, *rest)

    if is_async(function):

        async def work(packed: bytes, own: StateContext, *rest: Any) -> Any:
            args = given(packed, own, rest)
            value = await call(*args)
            return value if then is None else then(value, args[0])

    else:

        def work(packed: bytes, own: StateContext, *rest: Any) -> Any:  # type: ignore[misc]  # one of two
            args = given(packed, own, rest)
            value = call(*args)
            return value if then is None else then(value, args[0])

    returned = hints_of(function).get("return", Any) if then is None else Any
    work.__name__, work.__annotations__ = name, {"return": returned}
    undo = None if options.undo is None else _undo(shape, options.undo)
    declare(work, DeclaredStep(name, options.retry, options.timeout_s, undo))
    return work


def _undo(shape: Shape, undo: Undo) -> Callable[..., Any]:
    call = supplied(undo.function)

    def data_in(step: list[Any]) -> Any:
        return shape.data.fresh(pack(step[1], in_clear=True))

    if is_async(undo.function):

        async def work(step: list[Any]) -> None:
            await call(data_in(step))

    else:

        def work(step: list[Any]) -> None:  # type: ignore[misc]  # one of two
            call(data_in(step))

    declare(work, DeclaredStep(None, undo.retry, undo.timeout_s))
    return work
