"""`ctx.batch` of a plain workflow: `Context.batch`, but it blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeVar, Unpack, overload

from stepflow.core.fanout.join import Failed
from stepflow.kits.flow.calls.batch import BatchOptions
from stepflow.kits.flow.calls.blocking import Blocking

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  an item


class SyncBatchCalls(Blocking):
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
    ) -> list[T]: ...
    @overload
    def batch(
        self,
        function: Callable[[I], T],
        items: Iterable[I],
        /,
        *,
        errors: Literal["raise"] = "raise",
        **options: Unpack[BatchOptions],
    ) -> list[T]: ...
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
    ) -> list[T]: ...
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
    ) -> list[T]: ...
    @overload
    def batch(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        /,
        *,
        errors: Literal["slot"],
        **options: Unpack[BatchOptions],
    ) -> list[T | Failed]: ...
    @overload
    def batch(
        self,
        function: Callable[[I], T],
        items: Iterable[I],
        /,
        *,
        errors: Literal["slot"],
        **options: Unpack[BatchOptions],
    ) -> list[T | Failed]: ...
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
    ) -> list[T | Failed]: ...
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
    ) -> list[T | Failed]: ...
    def batch(self, *args: Any, **options: Any) -> Any:
        """Call a function once for each item; see `Context.batch`."""
        return self._wait(self._of.batch, *args, **options)
