"""`ctx.pages` and `ctx.cursor`: loops over pages that go on where they stood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, Unpack, overload

from stepflow.core.backoff import RetryPolicy
from stepflow.core.outcomes import ContinueAsNew
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.calls.base import checked_name
from stepflow.kits.flow.calls.functions import named
from stepflow.kits.flow.calls.steps import StepCalls
from stepflow.kits.flow.commands.variable import Variables
from stepflow.kits.flow.replay.ending import StartedOver

#: the items of a page
S = TypeVar("S")

#: how the variable is called that keeps a cursor
_VARIABLE = "cursor:"
_NOTHING = object()


class PageOptions(TypedDict, total=False):
    """The options of `ctx.pages`; `retry` and `timeout` are those of the step of each page."""

    cursor: Any
    restart_after: int | None
    retry: RetryPolicy | None
    timeout: float | timedelta | None


class Cursor:
    """
    Where a loop of yours stands: it survives crashes and `continue_as_new`.

    Await each call.
    """

    def __init__(self, variables: Variables, name: str) -> None:
        self._variables = variables
        self._name = _VARIABLE + name

    async def get(self, default: Any = None) -> Any:
        """Return what was set last, or *default*."""
        kept = await self._variables.get(self._name)
        return default if kept is None else kept[0]

    def set(self, value: Any) -> asyncio.Future[None]:
        """Remember where the loop stands."""
        return self._variables.set(self._name, [value])

    def clear(self) -> asyncio.Future[None]:
        """Forget it: the next visit begins at the start."""
        return self._variables.set(self._name, None)


class PageCalls(StepCalls):
    """Pages."""

    def cursor(self, name: str) -> Cursor:
        """
        Return where a loop of yours stands: `await ctx.cursor("orders").get()`.

        It is kept as a variable of the run, so `continue_as_new` keeps it. `ctx.pages` needs none.
        """
        self._activation.check_caller()
        return Cursor(Variables(self._activation, readers=self._readers), checked_name(name))

    @overload
    def pages(
        self,
        fetch: Callable[[Any], Awaitable[tuple[S, Any]]],
        /,
        **options: Unpack[PageOptions],
    ) -> AsyncIterator[S]: ...
    @overload
    def pages(
        self, fetch: Callable[[Any], tuple[S, Any]], /, **options: Unpack[PageOptions]
    ) -> AsyncIterator[S]: ...
    @overload
    def pages(
        self,
        name: str,
        fetch: Callable[[Any], Awaitable[tuple[S, Any]]],
        /,
        **options: Unpack[PageOptions],
    ) -> AsyncIterator[S]: ...
    @overload
    def pages(
        self, name: str, fetch: Callable[[Any], tuple[S, Any]], /, **options: Unpack[PageOptions]
    ) -> AsyncIterator[S]: ...
    def pages(
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        cursor: Any = None,
        restart_after: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
    ) -> AsyncIterator[Any]:
        """
        Go through pages: `async for users in ctx.pages("list users", fetch): ...`.

        *fetch* is called as a step with a cursor, first with *cursor*, and returns `(items, next
        cursor)`, with None after the last page. A crash goes on with the page that was not
        recorded.

        With *restart_after* the run continues as new after so many pages, with the input that it
        has now, and this loop goes on with the next page: your function begins again from the top,
        and steps before the loop run again. That happens in the workflow function itself, not in
        its branches, and not while completed steps have compensations.
        """
        name, fetch, rest = named(name, args, "ctx.pages")
        if rest:
            msg = f"ctx.pages({shown(name)}) takes a function of the cursor alone"
            raise InvalidOption(msg)
        if restart_after is not None and (
            isinstance(restart_after, bool)
            or not isinstance(restart_after, int)
            or restart_after < 1
        ):
            msg = f"restart_after of ctx.pages is {shown(restart_after)}; it is at least 1, or None"
            raise InvalidOption(msg)

        def page(at: Any) -> asyncio.Future[Any]:
            found: asyncio.Future[Any] = self.step(name, fetch, at, retry=retry, timeout=timeout)
            return found

        return self._go_through(name, page, cursor, restart_after)

    async def _go_through(
        self,
        name: str,
        page: Callable[[Any], asyncio.Future[Any]],
        at: Any,
        restart_after: int | None,
    ) -> AsyncIterator[Any]:
        kept = self.cursor(name)
        if restart_after is not None and self._activation.restarts:
            found = await kept.get(_NOTHING)
            if found is not _NOTHING:
                at = found
                await kept.clear()
        count = 0
        while True:
            items, at = _parts(name, await page(at))
            yield items
            if at is None:
                return
            count += 1
            if restart_after is not None and count >= restart_after and self._may_restart():
                await kept.set(at)
                raise StartedOver(self._started_over())

    def _may_restart(self) -> bool:
        """Whether the run may continue as new here, with nothing lost that was to be undone."""
        activation = self._activation
        return not activation.has_compensations and activation.is_in_main_branch

    def _started_over(self) -> ContinueAsNew:
        return self._activation.continue_as_new(self._payload)


def _parts(name: str, value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple | list) and len(value) == 2:  # noqa: PLR2004  items and cursor
        return value[0], value[1]
    msg = f"{name!r} gave {shown(value)}; ctx.pages needs (items, next cursor or None)"
    raise InvalidOption(msg)
