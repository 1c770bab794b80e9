"""The decorator of an app for resources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from stepflow.engine.user_code.resources.resource import Resource, ResourceScope
from stepflow.errors import InvalidOption
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

T = TypeVar("T")

#: seconds that setting up a resource may take, unless it says otherwise
START_TIMEOUT_S = 60.0


class ResourceDecorator(Protocol):
    """What `@app.resource(...)` with options gives: it makes a Resource of the function below."""

    @overload
    def __call__(self, function: Callable[..., AsyncIterator[T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, function: Callable[..., Iterator[T]], /) -> Resource[T]: ...
    @overload
    def __call__(
        self, function: Callable[..., AbstractAsyncContextManager[T]], /
    ) -> Resource[T]: ...
    @overload
    def __call__(self, function: Callable[..., AbstractContextManager[T]], /) -> Resource[T]: ...


class Supplying:
    """The decorator of an app for what it hands to its functions."""

    registry: Registry

    @overload
    def resource(self, function: Callable[..., AsyncIterator[T]], /) -> Resource[T]: ...

    @overload
    def resource(self, function: Callable[..., Iterator[T]], /) -> Resource[T]: ...

    @overload
    def resource(
        self, function: Callable[..., AbstractAsyncContextManager[T]], /
    ) -> Resource[T]: ...

    @overload
    def resource(self, function: Callable[..., AbstractContextManager[T]], /) -> Resource[T]: ...

    @overload
    def resource(
        self,
        *,
        scope: ResourceScope = "worker",
        start_timeout: float | timedelta = START_TIMEOUT_S,
    ) -> ResourceDecorator: ...

    def resource(
        self,
        function: Any = None,
        *,
        scope: ResourceScope = "worker",
        start_timeout: float | timedelta = START_TIMEOUT_S,
    ) -> Any:
        """
        Set up what the function below yields, and hand it to the functions that ask for it.

        `async def pool() -> AsyncIterator[Pool]: async with create_pool(URL) as made: yield made`.
        `async def charge(order: Order, db: Pool = inject(pool))` then gets it. Each worker process
        sets up its own before it takes steps, those that others need first, and tears them down in
        reverse when its steps are done. If one raises, or takes longer than *start_timeout*
        (seconds or a timedelta), the worker does not start and says which. With scope="run" each
        activation that asks for it has one of its own. A plain `def` is called in a thread.
        """
        if scope not in {"worker", "run"}:
            raise InvalidOption(f"scope of @app.resource is {scope!r}; it is 'worker' or 'run'")
        limit_s = seconds(start_timeout, "start_timeout of @app.resource")

        def declare(function: Any) -> Resource[Any]:
            return self.registry.resources.declare(function, scope=scope, start_timeout_s=limit_s)

        return declare if function is None else declare(function)
