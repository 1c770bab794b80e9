"""`ctx.spawn` and `ctx.map`: child runs that a workflow starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from stepflow.core.fanout.join import JoinAll, JoinFirst, JoinLike, JoinSlots, as_join
from stepflow.core.ids import check_name, key_name
from stepflow.core.runner import WorkflowContext
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.arguments import Reader
from stepflow.engine.user_code.registered import registration_of
from stepflow.errors import ChildFailed
from stepflow.kits.flow.calls.base import ContextBase
from stepflow.kits.flow.commands.child import Child, id_at, spawn
from stepflow.kits.flow.commands.map import carry_map
from stepflow.times import seconds

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  the input of a workflow
C = TypeVar("C", bound=WorkflowContext)


def as_it_is(value: Any) -> Any:
    """Leave a result as it was unpacked."""
    return value


class MapOptions(TypedDict, total=False):
    """The options of `ctx.map`, but for `join`."""

    limit: int | None
    queue: str | None
    priority: str | int | None
    headers: Mapping[str, str] | None
    tags: Mapping[str, str] | None
    timeout: float | timedelta | None
    on_timeout: Literal["undo", "end"]
    version: int | None


class SpawnOptions(TypedDict, total=False):
    """The options of `ctx.spawn`."""

    key: str | None
    queue: str | None
    priority: str | int | None
    headers: Mapping[str, str] | None
    tags: Mapping[str, str] | None
    timeout: float | timedelta | None
    on_timeout: Literal["undo", "end"]
    version: int | None
    abandon: bool


class ChildCalls(ContextBase):
    """Children."""

    @overload
    def spawn(
        self, workflow: Callable[[C, I], Awaitable[T]], payload: I, **options: Unpack[SpawnOptions]
    ) -> asyncio.Future[Child[T]]: ...
    @overload
    def spawn(
        self, workflow: Callable[[C], Awaitable[T]], **options: Unpack[SpawnOptions]
    ) -> asyncio.Future[Child[T]]: ...
    @overload
    def spawn(
        self, workflow: Callable[[C, I], T], payload: I, **options: Unpack[SpawnOptions]
    ) -> asyncio.Future[Child[T]]: ...
    @overload
    def spawn(
        self, workflow: Callable[[C], T], **options: Unpack[SpawnOptions]
    ) -> asyncio.Future[Child[T]]: ...
    @overload
    def spawn(
        self, workflow: str, payload: Any = None, **options: Unpack[SpawnOptions]
    ) -> asyncio.Future[Child[Any]]: ...
    def spawn(
        self,
        workflow: str | Callable[..., Any],
        payload: Any = None,
        *,
        key: str | None = None,
        queue: str | None = None,
        priority: str | int | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        on_timeout: Literal["undo", "end"] = "undo",
        version: int | None = None,
        abandon: bool = False,
    ) -> asyncio.Future[Child[Any]]:
        """
        Start a child run, exactly once: `child = await ctx.spawn(publish, page)`.

        `await child.result()` waits for its end. *workflow* is the function, which gives the result
        its type, or its name.

        *queue* and *priority* default to those of this run, *version* to the newest that this
        worker knows. *timeout* (seconds or timedelta) limits the whole child run; with *on_timeout*
        "end" it then ends as it stands, with nothing undone. A child with a
        *key* is found by that key, wherever it is called. A child that is still running when this
        run ends is cancelled, unless you *abandon* it.
        """
        place = self._activation.next_place() if key is None else f"key:spawn:{key_name(key)}"
        spec, read = self._child("ctx.spawn", workflow, queue, priority, headers, timeout, version)
        run_id = id_at(self._activation, place)
        spec = replace(spec, payload=payload, run_id=run_id, tags=tags or {}, on_timeout=on_timeout)
        return spawn(self._activation, place, spec, abandon=abandon, read=read)

    @overload
    def map(
        self,
        workflow: Callable[[C, I], Awaitable[T]],
        items: Iterable[I],
        *,
        join: JoinAll | Literal["all"] = "all",
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], T],
        items: Iterable[I],
        *,
        join: JoinAll | Literal["all"] = "all",
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], Awaitable[T]],
        items: Iterable[I],
        *,
        join: JoinSlots | Literal["settled"],
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[T | ChildFailed]]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], T],
        items: Iterable[I],
        *,
        join: JoinSlots | Literal["settled"],
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[T | ChildFailed]]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], Awaitable[T]],
        items: Iterable[I],
        *,
        join: JoinFirst | int,
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[tuple[int, T]]]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], T],
        items: Iterable[I],
        *,
        join: JoinFirst | int,
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[tuple[int, T]]]: ...
    @overload
    def map(
        self,
        workflow: str,
        items: Iterable[Any],
        *,
        join: JoinLike = "all",
        **options: Unpack[MapOptions],
    ) -> Coroutine[Any, Any, list[Any]]: ...
    def map(
        self,
        workflow: str | Callable[..., Any],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        join: JoinLike = "all",
        policy: JoinLike | None = None,
        queue: str | None = None,
        priority: str | int | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        on_timeout: Literal["undo", "end"] = "undo",
        version: int | None = None,
    ) -> Coroutine[Any, Any, list[Any]]:
        """
        Start a child run for each item, at most *limit* at once, and wait until *join* is met.

        *workflow* is the function, which gives the results their type, or its name.

        *join* is a Join, or short for one. "all" returns the results in the order of the items.
        "settled" returns a result or a ChildFailed for each item. A number n returns (index,
        result) of the first n that succeed. What has not ended then is cancelled, and has ended
        when this returns. *timeout* (seconds or timedelta) is of each child; it counts from the
        start of the map, also for children that wait for their turn. *policy* is the name that
        *join* had before.

        Raises JoinNotMet, at once when the join can no longer be met.
        """
        spec, read = self._child("ctx.map", workflow, queue, priority, headers, timeout, version)
        given = carry_map(
            self._activation,
            self._activation.next_place(),
            replace(spec, tags=tags or {}, on_timeout=on_timeout),
            list(items),
            limit=limit,
            join=as_join(join if policy is None else policy, "ctx.map"),
            read=read or as_it_is,
        )
        self._activation.give_out(given)
        return given

    def _child(
        self,
        verb: str,
        workflow: str | Callable[..., Any],
        queue: str | None,
        priority: str | int | None,
        headers: Mapping[str, str] | None,
        timeout: float | timedelta | None,
        version: int | None,
    ) -> tuple[RunSpec, Reader | None]:
        run, read = self._activation.run, None
        if not isinstance(workflow, str):
            found = registration_of(workflow, self._registry, version, verb)
            workflow, read = found.name, found.read
            version = found.version if version is None else version
        spec = RunSpec(
            check_name("runner", workflow), headers=headers or {}, queue=queue or run.queue,
            timeout=None if timeout is None else seconds(timeout, f"timeout of child {workflow!r}"),
            priority=run.priority if priority is None else priority, version=version,
        )  # fmt: skip
        return spec, read
