"""`ctx.pages` and `ctx.cursor` of a plain workflow: as `Context`'s, but they block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack, overload

from stepflow.kits.flow.calls.blocking import Blocking
from stepflow.kits.flow.calls.pages import PageOptions

#: the items of a page
S = TypeVar("S")


class SyncCursor(Blocking):
    """Where a loop of yours stands; see `Cursor`."""

    def get(self, default: Any = None) -> Any:
        """Return what was set last, or *default*."""
        return self._wait(self._of.get, default)

    def set(self, value: Any) -> None:
        """Remember where the loop stands."""
        self._wait(self._of.set, value)

    def clear(self) -> None:
        """Forget it: the next visit begins at the start."""
        self._wait(self._of.clear)


class SyncPageCalls(Blocking):
    """Pages."""

    def cursor(self, name: str) -> SyncCursor:
        """Return where a loop of yours stands; see `Context.cursor`."""
        return SyncCursor(self._of.cursor(name), self._loop)

    @overload
    def pages(
        self, fetch: Callable[[Any], tuple[S, Any]], /, **options: Unpack[PageOptions]
    ) -> Iterator[S]: ...
    @overload
    def pages(
        self, name: str, fetch: Callable[[Any], tuple[S, Any]], /, **options: Unpack[PageOptions]
    ) -> Iterator[S]: ...
    def pages(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Go through pages: `for users in ctx.pages("list users", fetch)`; see `Context.pages`."""
        found = self._of.pages(*args, **options)
        return self._go_through(found)

    def _go_through(self, found: Any) -> Iterator[Any]:
        while True:
            try:
                page = self._wait(found.__anext__)
            except StopAsyncIteration:
                return
            yield page
