"""`ctx.gather`: branches of one workflow, until their join is settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeVar, overload

from stepflow.core.fanout.join import Failed, JoinAll, JoinFirst, JoinLike, JoinSlots, as_join
from stepflow.kits.flow.calls.base import ContextBase
from stepflow.kits.flow.commands.gather import carry_gather, check_branches

T = TypeVar("T")


class GatherCalls(ContextBase):
    """Branches."""

    @overload
    def gather(
        self,
        *branches: Awaitable[T] | Callable[[], Awaitable[T]],
        join: JoinAll | Literal["all"] = "all",
        limit: int | None = None,
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def gather(
        self,
        *branches: Awaitable[T] | Callable[[], Awaitable[T]],
        join: JoinSlots | Literal["settled"],
        limit: int | None = None,
    ) -> Coroutine[Any, Any, list[T | Failed]]: ...
    @overload
    def gather(
        self,
        *branches: Awaitable[T] | Callable[[], Awaitable[T]],
        join: JoinFirst | int,
        limit: int | None = None,
    ) -> Coroutine[Any, Any, list[tuple[int, T]]]: ...
    def gather(
        self,
        *branches: Awaitable[Any] | Callable[[], Awaitable[Any]],
        join: JoinLike = "all",
        limit: int | None = None,
    ) -> Coroutine[Any, Any, list[Any]]:
        """
        Run branches side by side until *join* is met: `await ctx.gather(price(a), price(b))`.

        A branch is a coroutine of yours with any number of `ctx` calls, one call such as
        `ctx.step(...)`, or a function that returns either. At most *limit* are under way; then each
        has to be a coroutine or a function, because a call has begun as soon as you make it.

        *join* is a Join, or short for one. "all" returns the results in the order of the branches.
        "settled" returns a result or a Failed for each. A number n returns (index, result) of the
        first n that succeed. What has not ended then is cancelled, and has ended when this returns.

        Raises JoinNotMet, at once when the join can no longer be met.
        """
        check_branches(branches, limit)
        given = carry_gather(
            self._activation,
            self._activation.next_place(),
            branches,
            join=as_join(join, "ctx.gather"),
            limit=limit,
        )
        self._activation.give_out(given)
        return given
