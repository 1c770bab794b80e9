"""`ctx.gather` of a plain workflow: `Context.gather`, but it blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, overload

from stepflow.core.fanout.join import Failed, JoinAll, JoinFirst, JoinLike, JoinSlots
from stepflow.kits.flow.calls.blocking import Blocking
from stepflow.kits.flow.replay.fiber import run_plain

T = TypeVar("T")


class SyncGatherCalls(Blocking):
    """Branches."""

    @overload
    def gather(
        self,
        *calls: Callable[[], T],
        join: JoinAll | Literal["all"] = "all",
        limit: int | None = None,
    ) -> list[T]: ...
    @overload
    def gather(
        self,
        *calls: Callable[[], T],
        join: JoinSlots | Literal["settled"],
        limit: int | None = None,
    ) -> list[T | Failed]: ...
    @overload
    def gather(
        self, *calls: Callable[[], T], join: JoinFirst | int, limit: int | None = None
    ) -> list[tuple[int, T]]: ...
    def gather(
        self, *calls: Callable[[], Any], join: JoinLike = "all", limit: int | None = None
    ) -> list[Any]:
        """
        Run calls side by side until *join* is met; see `Context.gather`.

        Each is a function without parameters, which may make several `ctx` calls.
        """
        branches = [partial(run_plain, call, self._loop) for call in calls]
        found: list[Any] = self._wait(self._of.gather, *branches, join=join, limit=limit)
        return found
