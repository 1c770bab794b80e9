"""`ctx.batch`: a step for each item, at most so many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.fanout.join import Failed
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.calls.around import around_call
from stepflow.kits.flow.calls.base import ContextBase
from stepflow.kits.flow.calls.functions import check_arguments, check_call, named
from stepflow.kits.flow.commands.batch import BatchCommand
from stepflow.kits.flow.commands.batch_item import ItemFunction
from stepflow.kits.flow.step_options import options_of
from stepflow.times import seconds

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  an item


class BatchOptions(TypedDict, total=False):
    """The options of `ctx.batch`, but for `errors`."""

    limit: int
    retry: RetryPolicy | None
    timeout: float | timedelta | None


class BatchCalls(ContextBase):
    """Batches."""

    @overload
    def batch(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        /,
        *,
        errors: Literal["raise"] = "raise",
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T]]: ...
    @overload
    def batch(
        self,
        function: Callable[[I], T],
        items: Iterable[I],
        /,
        *,
        errors: Literal["raise"] = "raise",
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T]]: ...
    @overload
    def batch(
        self,
        name: str,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        /,
        *,
        errors: Literal["raise"] = "raise",
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T]]: ...
    @overload
    def batch(
        self,
        name: str,
        function: Callable[[I], T],
        items: Iterable[I],
        /,
        *,
        errors: Literal["raise"] = "raise",
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T]]: ...
    @overload
    def batch(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        /,
        *,
        errors: Literal["slot"],
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T | Failed]]: ...
    @overload
    def batch(
        self,
        function: Callable[[I], T],
        items: Iterable[I],
        /,
        *,
        errors: Literal["slot"],
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T | Failed]]: ...
    @overload
    def batch(
        self,
        name: str,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        /,
        *,
        errors: Literal["slot"],
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T | Failed]]: ...
    @overload
    def batch(
        self,
        name: str,
        function: Callable[[I], T],
        items: Iterable[I],
        /,
        *,
        errors: Literal["slot"],
        **options: Unpack[BatchOptions],
    ) -> asyncio.Future[list[T | Failed]]: ...
    def batch(
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        limit: int = 10,
        errors: Literal["raise", "slot"] = "raise",
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
    ) -> asyncio.Future[list[Any]]:
        """
        Call a function once for each item: `await ctx.batch("resize", resize, photos, limit=10)`.

        Returns the values in the order of the items. Each is recorded as the value of a step is,
        those that come together in one entry: a crash calls the function again only for items whose
        value was not recorded, at most *limit* of them. At most *limit* calls are in progress.

        *retry* and *timeout* are as in `ctx.step`, for each item. With `errors="slot"` a Failed
        stands in the place of an item that failed for good. Otherwise the first such item ends the
        batch with StepFailed, whose message begins with the item's index: `[7] ...`.
        """
        name, function, rest = named(name, args, "ctx.batch")
        items = _items_of(name, rest)
        _check_options(name, limit, errors)
        if items:
            check_call(name, function, (items[0],), {})
        check_arguments(name, items, {})
        work = self._work(name, function, retry, timeout)
        command = BatchCommand(
            self._activation.next_place(), self._activation.create_future(), items, work,
            limit=limit, raises=errors == "raise",
        )  # fmt: skip
        if not items:
            command.future.set_result([])
            return command.future
        return self._activation.start(command)

    def _work(
        self,
        name: str,
        function: Callable[..., Any],
        retry: RetryPolicy | None,
        timeout: float | timedelta | None,
    ) -> ItemFunction:
        """Say how each item is done; raises InvalidOption for what a batch cannot do."""
        own = options_of(function)
        if own.queue is not None or own.compensate is not None or own.cache is not None:
            what = "runs on another queue" if own.queue is not None else "has a compensation"
            what = "shares its values" if own.cache is not None else what
            msg = (
                f"batch {name!r} cannot do that: its function {what}; use ctx.gather with ctx.step"
            )
            raise InvalidOption(msg)
        if retry is not None:
            check_policy(retry, f"batch {name!r}")
        timeout_s = (
            own.timeout_s if timeout is None else seconds(timeout, f"timeout of batch {name!r}")
        )
        policy, read = retry or own.retry or self._policy, self._readers.of(function).read
        around = around_call(own.breaker, own.limits, name, self)
        return ItemFunction(name, function, policy, timeout_s, read, around)


def _items_of(name: str, rest: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(rest) == 1 and isinstance(rest[0], Iterable) and not isinstance(rest[0], str | bytes):
        return tuple(rest[0])
    msg = f"batch {name!r} needs one list of items: ctx.batch({name!r}, function, items)"
    raise InvalidOption(msg)


def _check_options(name: str, limit: int, errors: str) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        msg = f"limit of batch {name!r} is {shown(limit)}; it is a whole number from 1"
        raise InvalidOption(msg)
    if errors not in {"raise", "slot"}:
        msg = f"errors of batch {name!r} is {shown(errors)}; it is 'raise' or 'slot'"
        raise InvalidOption(msg)
