"""Lifespans: what an app opens when its worker starts and closes when it has left."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Any, Generic, TypeVar

from stepflow.engine.user_code.calls import error_info, passes
from stepflow.engine.user_code.resources.managers import manager_maker, needed_parameter
from stepflow.errors import InvalidOption, LifespanFailed, LifespanNotOpen

log = logging.getLogger("stepflow.worker")

T = TypeVar("T")

#: what `@app.lifespan` may stand above
LifespanFunction = (
    Callable[[], AsyncIterator[T]]
    | Callable[[], Iterator[T]]
    | Callable[[], AbstractAsyncContextManager[T]]
    | Callable[[], AbstractContextManager[T]]
)


class Lifespan(Generic[T]):
    """
    A resource that each worker keeps open while it runs, declared with `@app.lifespan`.

    *value* is what the function yielded. Steps, runners, jobs and hooks use it.
    """

    def __init__(self, function: LifespanFunction[T]) -> None:
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.__doc__ = function.__doc__
        self._make = _maker(self.name, function)
        #: what is open now: one value for each worker of this process, as a rule one
        self._values: list[T] = []
        #: whether it is about to be closed, which may take as long as your code likes
        self.is_closing = False

    def __repr__(self) -> str:
        return f"Lifespan({self.name!r}, {'open' if self._values else 'not open'})"

    @property
    def value(self) -> T:
        """What the function yielded; raises LifespanNotOpen outside of a worker."""
        if not self._values:
            raise LifespanNotOpen(self.name)
        return self._values[-1]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """
        Keep it open for the block; raises LifespanFailed when it cannot be opened.

        When it cannot be closed, that is logged: the work is done.
        """
        manager: Any = None
        try:
            manager = self._make()
            value = await _enter(manager)
        except BaseException as error:
            if passes(error):
                raise
            info = error_info(error)
            raise LifespanFailed(self.name, info.summary, info.traceback) from error
        self._values.append(value)
        try:
            yield
        finally:
            del self._values[next(n for n, open_ in enumerate(self._values) if open_ is value)]
            self.is_closing = True
            try:
                await _leave(manager)
            except BaseException as error:
                if passes(error):
                    raise
                info = error_info(error)
                log.error(
                    "lifespan %r was not closed: %s\n%s", self.name, info.summary,
                    info.traceback.rstrip(),
                )  # fmt: skip
            finally:
                self.is_closing = False


@asynccontextmanager
async def all_opened(lifespans: Sequence[Lifespan[Any]]) -> AsyncIterator[None]:
    """Open all, in the order in which they were declared, and close them the last one first."""
    async with AsyncExitStack() as stack:
        for lifespan in lifespans:
            await stack.enter_async_context(lifespan.opened())
        yield


async def _enter(manager: Any) -> Any:
    if hasattr(manager, "__aenter__"):
        return await manager.__aenter__()
    return manager.__enter__()


async def _leave(manager: Any) -> None:
    if hasattr(manager, "__aexit__"):
        await manager.__aexit__(None, None, None)
    else:
        manager.__exit__(None, None, None)


def _maker(name: str, function: Any) -> Callable[[], Any]:
    """Return what makes the context manager; raises InvalidOption for a function that has none."""
    make = manager_maker("lifespan", name, function)
    needed = needed_parameter(function)
    if needed is not None:
        msg = f"lifespan {name!r} has the parameter {needed!r}; it is called without any"
        raise InvalidOption(msg)
    return make
